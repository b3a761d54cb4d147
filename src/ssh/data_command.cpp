// By the program's name and its flags; for what is to pass as a protocol, read as a shell would read it
// (POSIX.1-2017, Shell Command Language, section 2.2), and refused where a shell would do more than split it
// into words.
#include "ssh/data_command.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"

namespace merlon::ssh {
namespace {

// Where these programs are. Somebody who may send files could send one of their name elsewhere.
constexpr std::array<std::string_view, 11> kPlaces = {"",
                                                      "/bin/",
                                                      "/usr/bin/",
                                                      "/usr/local/bin/",
                                                      "/usr/lib/openssh/",
                                                      "/usr/lib/ssh/",
                                                      "/usr/libexec/",
                                                      "/usr/libexec/openssh/",
                                                      "/usr/lib/git-core/",
                                                      "/usr/libexec/git-core/",
                                                      "/usr/local/libexec/git-core/"};

// What means something to a shell outside quotes, beyond ending a word. File names with '*', '?' and '~' may
// be expanded, which starts nothing.
bool acts_on_shell(char c) {
  return std::string_view(";|&<>(){}[]$`\\\"!#^\n\r").find(c) != std::string_view::npos;
}

struct Words {
  std::vector<std::string> all;
  // From here on the shell may put names of files that begin as options do; or there is no such word.
  size_t first_expanded = std::string::npos;
};

// The words of a command in which nothing is quoted but by '…' and by \ before a character; nothing where a
// shell would do more. Within quotes a \ is itself to a POSIX shell, and not to every other.
std::optional<Words> plain_words(std::string_view command) {
  Words found;
  std::vector<std::string>& words = found.all;
  std::string word;
  bool in_word = false;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == '\'') {
      const size_t end = command.find('\'', i + 1);
      if (end == std::string_view::npos) return std::nullopt;
      if (command.substr(i, end - i).contains('\\')) return std::nullopt;
      word += command.substr(i + 1, end - i - 1);
      in_word = true;
      i = end;
    } else if (c == '\\' && i + 1 < command.size() && command[i + 1] != '\n') {
      word += command[++i];
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else if (acts_on_shell(c) || c == '\0') {
      return std::nullopt;
    } else {
      const bool expands = word.empty() && (c == '*' || c == '?');
      if (expands) found.first_expanded = std::min(found.first_expanded, words.size());
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return found;
}

// "scp -r -t -- path": flags, one of -t and -f among them, and then nothing that any getopt(3) could take for
// one. With both, which of them counts is the program's secret.
bool is_scp_end(const Words& line) {
  const std::vector<std::string>& words = line.all;
  std::string flags;
  size_t i = 1;
  for (; i < words.size() && words[i].starts_with('-') && words[i] != "--"; ++i) {
    if (words[i].size() < 2 || words[i].find_first_not_of("rpqvdft", 1) != std::string::npos) return false;
    flags += words[i].substr(1);
  }
  const bool is_end = flags.contains('f') != flags.contains('t');
  if (line.first_expanded < i) return false;
  if (i < words.size() && words[i] == "--") return is_end;
  if (line.first_expanded < words.size()) return false;
  for (; i < words.size(); ++i)
    if (words[i].starts_with('-')) return false;
  return is_end;
}

// What rsync's clients tell its server (its options.c, server_options()), less what would have it write or
// read other files than those that are asked for (log files, batches, filters, lists), remove what it sends,
// or take its options from the stream (-s), where nobody sees them.
constexpr std::string_view kRsyncLetters = "vqnlLkKbuNUWHAXogDtOJpErdRSxCcIymzih";
constexpr std::array<std::string_view, 37> kRsyncOptions = {"--sender",
                                                            "--numeric-ids",
                                                            "--delete",
                                                            "--delete-before",
                                                            "--delete-during",
                                                            "--delete-delay",
                                                            "--delete-after",
                                                            "--delete-excluded",
                                                            "--ignore-errors",
                                                            "--delete-missing-args",
                                                            "--force",
                                                            "--inplace",
                                                            "--append",
                                                            "--partial",
                                                            "--delay-updates",
                                                            "--existing",
                                                            "--ignore-existing",
                                                            "--no-implied-dirs",
                                                            "--relative",
                                                            "--ignore-missing-args",
                                                            "--no-relative",
                                                            "--no-i-r",
                                                            "--no-inc-recursive",
                                                            "--safe-links",
                                                            "--copy-unsafe-links",
                                                            "--munge-links",
                                                            "--size-only",
                                                            "--fuzzy",
                                                            "--preallocate",
                                                            "--omit-link-times",
                                                            "--stats",
                                                            "--specials",
                                                            "--no-specials",
                                                            "--from0",
                                                            "--files-from=-",
                                                            "--no-msgs2stderr",
                                                            "--mkpath"};
constexpr std::array<std::string_view, 17> kRsyncSettings = {
    "--bwlimit=",       "--timeout=",       "--compress-choice=", "--compress-level=", "--checksum-choice=",
    "--checksum-seed=", "--skip-compress=", "--max-delete=",      "--max-size=",       "--min-size=",
    "--max-alloc=",     "--modify-window=", "--suffix=",          "--log-format=%",    "--iconv=",
    "--usermap=",       "--groupmap="};
// Which have their value in the next word.
constexpr std::array<std::string_view, 5> kRsyncDirectories = {
    "--partial-dir", "--backup-dir", "--compare-dest", "--copy-dest", "--link-dest"};

// "-logDtpre.iLsfxCIvu": after the e stands what the client can do.
bool are_rsync_letters(std::string_view word) {
  const size_t end = word.find_first_not_of(kRsyncLetters, 1);
  if (word.size() < 2 || end == std::string_view::npos) return word.size() >= 2;
  return word.substr(end).starts_with("e.") && std::ranges::all_of(word.substr(end + 2), [](char c) {
           return c == '.' || (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
         });
}

bool is_rsync_server(const std::vector<std::string>& words) {
  if (words.size() < 2 || words[1] != "--server") return false;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with('-')) continue;
    const auto begins = [&](std::string_view setting) { return word.starts_with(setting); };
    if (std::ranges::find(kRsyncDirectories, word) != kRsyncDirectories.end()) {
      if (++i == words.size() || words[i].starts_with('-')) return false;
    } else if (std::ranges::find(kRsyncOptions, word) == kRsyncOptions.end() &&
               std::ranges::none_of(kRsyncSettings, begins) && !are_rsync_letters(word)) {
      return false;
    }
  }
  return true;
}

// Of the programs' own clients: scp's are short flags alone.
bool is_as_clients_have_it(std::string_view program, const Words& line) {
  const std::vector<std::string>& words = line.all;
  if (program == "scp") return is_scp_end(line);
  if (line.first_expanded < words.size()) return false;
  if (program == "rsync") return is_rsync_server(words);
  if (program == "sftp-server") return words.size() == 1;
  return words.size() == 2 && !words[1].starts_with('-');  // git's
}

bool is_protocol(std::string_view program, const Words& line) {
  const bool there = std::ranges::any_of(kPlaces, [&](std::string_view place) {
    return line.all.front() == std::string(place) + std::string(program);
  });
  return there && is_as_clients_have_it(program, line);
}

// As the program reads them; where a shell would do more with the line than split it, as well as can be: that
// is a command, whatever it moves.
Words words_of(std::string_view command, bool& is_plain) {
  auto plain = plain_words(command);
  is_plain = plain && !plain->all.empty();
  if (is_plain) return *std::move(plain);
  Words words;
  for (const std::string_view word : split(trim(command), ' ')) words.all.emplace_back(word);
  return words;
}

}  // namespace

DataCommand data_command(std::string_view command) {
  bool is_plain = false;
  const Words line = words_of(command, is_plain);
  const std::vector<std::string>& words = line.all;
  std::string_view program = words.front();
  if (const size_t slash = program.rfind('/'); slash != std::string_view::npos)
    program.remove_prefix(slash + 1);
  bool sender = false, server = false, source = false, sink = false;
  for (const std::string& word : words) {
    server = server || word == "--server";
    sender = sender || word == "--sender";
    if (!word.starts_with('-') || word.starts_with("--")) continue;
    source = source || word.contains('f');
    sink = sink || word.contains('t');
  }
  DataCommand found;
  if (program == "scp" && (source || sink)) found = {true, sink, source};
  if (program == "rsync" && server) found = {true, !sender, sender};
  if (program == "sftp-server") found = {true, true, true};
  if (program == "git-upload-pack" || program == "git-upload-archive") found = {true, false, true};
  if (program == "git-receive-pack") found = {true, true, false};
  found.is_protocol = found.is_protocol && is_plain && is_protocol(program, line);
  // What is no protocol of theirs may do either, whatever it looks like.
  if ((program == "scp" || program == "rsync") && (found.sends || found.fetches) && !found.is_protocol)
    found.sends = found.fetches = true;
  return found;
}

}  // namespace merlon::ssh

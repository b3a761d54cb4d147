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

// What means something to a shell outside quotes, beyond ending a word; file names with '*', '?' and '~' may
// be expanded, which starts nothing.
bool acts_on_shell(char c) {
  return std::string_view(";|&<>(){}$`\\\"!#^\n\r").find(c) != std::string_view::npos;
}

// The words of a command in which nothing is quoted but by '…' and by \ before a character; nothing where a
// shell would do more.
std::optional<std::vector<std::string>> plain_words(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  for (size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == '\'') {
      const size_t end = command.find('\'', i + 1);
      if (end == std::string_view::npos) return std::nullopt;
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
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

// "scp -r -t -- path": flags, -t or -f among them, and then nothing that any getopt(3) could take for one.
bool is_scp_end(const std::vector<std::string>& words) {
  bool has_end = false;
  size_t i = 1;
  for (; i < words.size() && words[i].starts_with('-') && words[i] != "--"; ++i) {
    if (words[i].size() < 2 || words[i].find_first_not_of("rpqvdft", 1) != std::string::npos) return false;
    has_end = has_end || words[i].find_first_of("ft") != std::string::npos;
  }
  if (i < words.size() && words[i] == "--") return has_end;
  for (; i < words.size(); ++i)
    if (words[i].starts_with('-')) return false;
  return has_end;
}

bool has_option(const std::vector<std::string>& words, std::string_view beginning) {
  return std::ranges::any_of(words, [&](const std::string& word) { return word.starts_with(beginning); });
}

// Of the programs' own clients: scp's are short flags alone; rsync as a daemon takes a file that names
// commands.
bool is_as_clients_have_it(std::string_view program, const std::vector<std::string>& words) {
  if (program == "scp") return is_scp_end(words);
  if (program == "rsync") return words.size() > 1 && words[1] == "--server" && !has_option(words, "--daemon");
  if (program == "sftp-server") return words.size() == 1;
  return words.size() == 2 && !words[1].starts_with('-');  // git's
}

bool is_protocol(std::string_view command, std::string_view program) {
  const auto words = plain_words(command);
  if (!words || words->empty()) return false;
  const bool there = std::ranges::any_of(kPlaces, [&](std::string_view place) {
    return words->front() == std::string(place) + std::string(program);
  });
  return there && is_as_clients_have_it(program, *words);
}

// What rsync's sender changes on its side all the same.
bool changes_its_side(std::string_view word) {
  return word.starts_with("--remove-s") || word.starts_with("--log-file") || word.starts_with("--write-b") ||
         word.starts_with("--only-write");
}

}  // namespace

DataCommand data_command(std::string_view command) {
  const auto words = split(trim(command), ' ');
  std::string_view program = words.front();
  if (const size_t slash = program.rfind('/'); slash != std::string_view::npos)
    program.remove_prefix(slash + 1);
  DataCommand found;
  bool sender = false, server = false, source = false, sink = false, changes = false;
  for (size_t i = 1; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "--server") server = true;
    if (words[i] == "--sender") sender = true;
    if (changes_its_side(words[i])) changes = true;
    if (words[i].starts_with('-') && !words[i].starts_with("--")) {
      source = source || words[i].find('f') != std::string_view::npos;
      sink = sink || words[i].find('t') != std::string_view::npos;
    }
  }
  if (program == "scp" && (source || sink)) found = {true, sink, source && !sink};
  if (program == "rsync" && server) found = {true, !sender || changes, sender};
  if (program == "sftp-server") found = {true, true, true};
  if (program == "git-upload-pack" || program == "git-upload-archive") found = {true, false, true};
  if (program == "git-receive-pack") found = {true, true, false};
  found.is_protocol = found.is_protocol && is_protocol(command, program);
  return found;
}

}  // namespace merlon::ssh

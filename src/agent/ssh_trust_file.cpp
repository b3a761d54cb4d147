// sshd_config(5): of a keyword the first value counts, so another file that sets the same ones is either
// without effect or breaks ours. Neither is for an agent to decide: it says so and leaves things as they are.
#include "agent/ssh_trust_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "base/text.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

constexpr std::string_view kName = "merlon.conf";
constexpr std::string_view kAuthorityName = "merlon_authority.pub";
constexpr std::string_view kCandidate = "sshd_candidate.conf";
constexpr std::string_view kOwed = "sshd_reload";
constexpr std::string_view kMark = "# Merlon machine ";
constexpr size_t kFileMax = 1024 * 1024;

std::unexpected<Error> refused(std::string message) {
  return fail(ErrorKind::conflict, "SshTrustRefused", std::move(message));
}

std::optional<std::string> content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string content(kFileMax, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  return content;
}

// Whole or not at all: a reader sees the file of before or the new one. The name in between is none that sshd
// includes.
Result<void> put_file(const std::string& path, const std::optional<std::string>& content) {
  const size_t slash = path.rfind('/');
  const std::string fresh = path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".new";
  const auto failed = [&] {
    const std::string why = std::strerror(errno);
    ::unlink(fresh.c_str());
    return refused("The file " + path + " could not be written: " + why + ".");
  };
  if (!content) return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Result<void>() : failed();
  {
    const store::FileDescriptor file(
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.is_open()) return failed();
    if (::write(file.get(), content->data(), content->size()) != static_cast<ssize_t>(content->size()) ||
        ::fchmod(file.get(), 0644) != 0 || ::fsync(file.get()) != 0)
      return failed();
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  const store::FileDescriptor directory(
      ::open(path.substr(0, slash + 1).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) return failed();
  return {};
}

// Does this configuration say anything of whose certificates are taken, be it none, or in a Match block?
bool speaks_of_authorities(std::string_view content) {
  for (const std::string_view raw : split(content, '\n')) {
    const std::string_view line = trim(raw);
    const size_t end = line.find_first_of(" \t=");
    if (end == std::string_view::npos || line.starts_with('#')) continue;
    const std::string_view name = line.substr(0, end);
    if (ascii_iequal(name, "TrustedUserCAKeys") || ascii_iequal(name, "AuthorizedPrincipalsCommand"))
      return true;
  }
  return false;
}

std::vector<std::string> drop_ins_of(const std::string& path) {
  std::vector<std::string> names;
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return names;
  for (const dirent* entry = ::readdir(directory); entry != nullptr; entry = ::readdir(directory))
    if (std::string_view(entry->d_name).ends_with(".conf")) names.emplace_back(entry->d_name);
  ::closedir(directory);
  std::ranges::sort(names);
  return names;
}

// The listening sshd of that file, if it is one and root's.
Result<store::FileDescriptor> server_of(const std::string& pid_file) {
  const std::string text = content_of(pid_file).value_or("");
  pid_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number <= 1) return refused("no server");
  store::FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, number, 0)));
  const std::string place = "/proc/" + std::to_string(number);
  struct stat status{};
  const bool is_sshd = content_of(place + "/comm") == "sshd\n" && ::stat(place.c_str(), &status) == 0 &&
                       status.st_uid == ::geteuid();
  if (!process.is_open() || !is_sshd) return refused("no server");
  return process;
}

}  // namespace

SshTrustFile::SshTrustFile(const SshServer& server, std::string work_dir, std::string machine_id)
    : server_(server), work_dir_(std::move(work_dir)), machine_id_(std::move(machine_id)) {}

std::string SshTrustFile::path() const { return server_.places().drop_ins + "/" + std::string(kName); }
std::string SshTrustFile::authority_path() const {
  return server_.places().drop_ins + "/" + std::string(kAuthorityName);
}

// The principals of each login are made as they are asked for, so that logins of directories, and those that
// are made tomorrow, are served too; a file for each would have to follow them.
std::string SshTrustFile::content() const {
  return std::string(kMark) + machine_id_ +
         "\n# Written by Merlon's agent; edits are undone. To end it: merlon agent ssh off\n"
         "TrustedUserCAKeys " +
         authority_path() + "\nAuthorizedPrincipalsCommand " + server_.places().echo + " %u@" + machine_id_ +
         "\nAuthorizedPrincipalsCommandUser nobody\n";
}

bool SshTrustFile::exists() const {
  return content_of(path()).value_or("").starts_with(std::string(kMark) + machine_id_ + "\n");
}

bool SshTrustFile::is_anothers() const { return content_of(path()).has_value() && !exists(); }

bool SshTrustFile::is_in_place(const std::string& authority) const {
  return content_of(path()) == content() && content_of(authority_path()) == authority + "\n" &&
         !owes_reload();
}

bool SshTrustFile::owes_reload() const {
  return ::access((work_dir_ + "/" + std::string(kOwed)).c_str(), F_OK) == 0;
}

Result<void> SshTrustFile::owe_reload() const { return put_file(work_dir_ + "/" + std::string(kOwed), ""); }

std::optional<std::string> SshTrustFile::obstacle(const SshConfiguration& configuration) const {
  const std::string& drop_ins = server_.places().drop_ins;
  struct stat status{};
  if (::stat(drop_ins.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
    return "There is no directory " + drop_ins + ". Make it, and begin " + server_.places().config +
           " with: Include " + drop_ins + "/*.conf";
  if (is_anothers())
    return "The file " + path() +
           " is not this agent's. Turn it off where it comes from (merlon agent ssh off), or remove it.";
  const auto other = [&](const std::string& file) {
    return "Whose certificates sshd takes is set already, by " + file +
           ". Of two settings the first counts alone, so Merlon's is not added. Take that one out, or give "
           "sshd the line of 'merlon ssh authority' and this machine's principals by hand "
           "(docs/bastion-ssh.md).";
  };
  if (speaks_of_authorities(content_of(server_.places().config).value_or("")))
    return other(server_.places().config);
  for (const std::string& name : drop_ins_of(drop_ins))
    if (name != kName && speaks_of_authorities(content_of(drop_ins + "/" + name).value_or("")))
      return other(drop_ins + "/" + name);
  if (!configuration.authority_file.empty() && configuration.authority_file != authority_path())
    return other("TrustedUserCAKeys " + configuration.authority_file);
  if (!configuration.takes_public_keys)
    return "sshd takes no keys and so no certificates (PubkeyAuthentication no in " +
           server_.places().config + ").";
  return std::nullopt;
}

// Before anything that a starting sshd could read: what sshd would say if the file were there.
Result<void> SshTrustFile::try_out() const {
  const std::string candidate = work_dir_ + "/" + std::string(kCandidate);
  TRY(put_file(candidate, content() + "Include " + server_.places().config + "\n"));
  const auto said = server_.configuration(candidate);
  ::unlink(candidate.c_str());
  if (!said) return refused(said.error().message);
  return {};
}

Result<void> SshTrustFile::check_effect() const {
  const auto said = server_.configuration();
  if (!said) return refused(said.error().message);
  if (said->authority_file != authority_path() || !said->principals_command.ends_with("@" + machine_id_))
    return refused("What is in " + server_.places().drop_ins + " has no effect: begin " +
                   server_.places().config + " with: Include " + server_.places().drop_ins + "/*.conf");
  return {};
}

Result<std::string> SshTrustFile::install(const std::string& authority) const {
  TRY(try_out());
  const auto before = content_of(path());
  const auto authority_before = content_of(authority_path());
  auto done = owe_reload();
  if (done) done = put_file(authority_path(), authority + "\n");
  if (done) done = put_file(path(), content());
  if (done) done = check_effect();
  if (done) return reload();
  for (const auto& back : {put_file(path(), before), put_file(authority_path(), authority_before)})
    if (!back) log_error("sshd's configuration is not as it was", back.error());
  return std::unexpected(done.error());
}

Result<void> SshTrustFile::remove() const {
  if (!exists() && !owes_reload()) return {};
  return take_out();
}

bool SshTrustFile::is_in_force(const SshConfiguration& configuration) const {
  return configuration.authority_file == authority_path();
}

Result<void> SshTrustFile::remove_any() const {
  if (content_of(path()).value_or("").starts_with(kMark) || owes_reload()) TRY(take_out());
  const auto still = server_.configuration();
  if (!still) return refused("sshd does not say whom it trusts: " + still.error().message);
  const bool is_there = content_of(path()).has_value();
  if (!is_there && !is_in_force(*still)) return {};
  return refused((is_there
                      ? "The file " + path() + " is there still, and does not begin as an agent writes it. "
                      : "sshd trusts " + authority_path() + " still. ") +
                 "See what sets TrustedUserCAKeys ('sshd -T', " + server_.places().drop_ins +
                 "), take it out, and tell sshd: systemctl reload ssh");
}

Result<void> SshTrustFile::take_out() const {
  TRY(owe_reload());
  TRY(put_file(path(), std::nullopt));
  TRY(put_file(authority_path(), std::nullopt));
  if (const std::string left = reload(); !left.empty()) log(LogLevel::warning, left);
  return {};
}

// SIGHUP: sshd reads its configuration anew; connections go on. It was checked just before.
std::string SshTrustFile::reload() const {
  ::unlink((work_dir_ + "/" + std::string(kOwed)).c_str());
  const auto configuration = server_.configuration();
  if (!configuration) return "sshd does not take its configuration now: " + configuration.error().message;
  const auto process = server_of(configuration->pid_file);
  if (process && ::syscall(SYS_pidfd_send_signal, process->get(), SIGHUP, nullptr, 0) == 0) return {};
  return "No running sshd was found by its PidFile, so none was told: what was set counts from its next "
         "start. If "
         "it runs: systemctl reload ssh";
}

}  // namespace merlon::agent

// sshd -T, ssh-keygen -y, and stat.
#include "agent/ssh_server.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "agent/local_program.h"
#include "base/text.h"
#include "machine/ssh_trust.h"

namespace merlon::agent {
namespace {

constexpr size_t kErrorMax = 400;
constexpr size_t kDropInsMax = 256;

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kErrorMax)) line += c >= ' ' && c <= '~' ? c : ' ';
  return std::string(trim(line));
}

std::string first_line_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line(machine::kSshKeyLineMax * 2, '\0');
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  return line.substr(0, line.find('\n'));
}

void add_stamp(std::string& stamp, const std::string& path) {
  struct stat status{};
  stamp += path;
  if (::stat(path.c_str(), &status) != 0) {
    stamp += " -;";
    return;
  }
  const auto nanoseconds = [](const timespec& time) {
    return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
  };
  stamp += " " + std::to_string(status.st_ino) + " " + std::to_string(status.st_size) + " " +
           nanoseconds(status.st_mtim) + " " + nanoseconds(status.st_ctim) + ";";
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

SshConfiguration read_ssh_configuration(std::string_view said) {
  SshConfiguration configuration;
  for (const std::string_view line : split(said, '\n')) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, space);
    const std::string value(trim(line.substr(space + 1)));
    const std::string or_none = value == "none" ? std::string() : value;
    if (name == "hostkey" && !or_none.empty() && configuration.host_key_files.size() < 64)
      configuration.host_key_files.push_back(value);
    if (name == "trustedusercakeys") configuration.authority_file = or_none;
    if (name == "authorizedprincipalscommand") configuration.principals_command = or_none;
    if (name == "pidfile") configuration.pid_file = or_none;
    if (name == "pubkeyauthentication") configuration.takes_public_keys = value == "yes";
  }
  return configuration;
}

std::string ssh_key_of(std::string_view line) {
  const size_t first = line.find(' ');
  if (first == std::string_view::npos) return {};
  const size_t second = line.find_first_of(" \r\n", first + 1);
  const std::string_view key = line.substr(0, second);
  return machine::is_ssh_key_line(key) ? std::string(key) : std::string();
}

bool SshServer::is_installed() const { return ::access(places_.sshd.c_str(), X_OK) == 0; }

Result<SshConfiguration> SshServer::configuration(const std::string& file) const {
  const std::string& path = file.empty() ? places_.config : file;
  const ProgramEnd end = TRY(run_program({places_.sshd, "-T", "-f", path}));
  if (!end.good())
    return fail(ErrorKind::conflict, "SshConfiguration",
                "sshd does not take its configuration " + path + ": " + one_line(end.err));
  return read_ssh_configuration(end.out);
}

std::vector<std::string> SshServer::host_keys(const SshConfiguration& configuration) const {
  std::vector<std::string> keys;
  for (const std::string& file : configuration.host_key_files) {
    if (keys.size() >= machine::kSshHostKeysMax) break;
    // The key itself says what is shown; a .pub beside it may be of another one. With HostKeyAgent there is
    // no more than the public one.
    const auto end = run_program({places_.keygen, "-y", "-P", "", "-f", file});
    std::string key = end && end->good() ? ssh_key_of(end->out) : std::string();
    if (key.empty()) key = ssh_key_of(first_line_of(file.ends_with(".pub") ? file : file + ".pub"));
    if (!key.empty() && std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

std::string SshServer::stamp(const SshConfiguration& configuration) const {
  std::string stamp;
  add_stamp(stamp, places_.sshd);
  add_stamp(stamp, places_.config);
  add_stamp(stamp, places_.drop_ins);
  std::vector<std::string> names;
  if (const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(places_.drop_ins.c_str())); directory)
    for (const dirent* entry = ::readdir(directory.get()); entry != nullptr && names.size() < kDropInsMax;
         entry = ::readdir(directory.get()))
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  for (const std::string& name : names) add_stamp(stamp, places_.drop_ins + "/" + name);
  for (const std::string& file : configuration.host_key_files) add_stamp(stamp, file);
  return stamp;
}

}  // namespace merlon::agent

// This machine's SSH server, as its own programs tell of it: which host keys it shows, and what it makes of
// its configuration. Reads alone. Private keys pass through ssh-keygen and never through here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace merlon::agent {

struct SshPlaces {
  std::string sshd = "/usr/sbin/sshd";
  std::string keygen = "/usr/bin/ssh-keygen";
  std::string config = "/etc/ssh/sshd_config";
  std::string drop_ins = "/etc/ssh/sshd_config.d";
  std::string echo = "/usr/bin/echo";
};

// Of `sshd -T`: what is in force outside of Match blocks; "none" reads as empty.
struct SshConfiguration {
  std::vector<std::string> host_key_files;
  std::string authority_file, principals_command, pid_file;
  bool takes_public_keys = true;
};
SshConfiguration read_ssh_configuration(std::string_view said);

// "KIND BASE64" of a line of ssh-keygen -y or of a .pub file; empty when it is none.
std::string ssh_key_of(std::string_view line);

class SshServer {
 public:
  explicit SshServer(SshPlaces places) : places_(std::move(places)) {}
  const SshPlaces& places() const { return places_; }
  bool is_installed() const;
  // Errors: sshd does not take the configuration; the message has its own words. `file`: another one than
  // its own.
  Result<SshConfiguration> configuration(const std::string& file = {}) const;
  // At most as many, and as long, as may be told.
  std::vector<std::string> host_keys(const SshConfiguration& configuration) const;
  // Differs as soon as a file was touched that the above depend on.
  std::string stamp(const SshConfiguration& configuration) const;

 private:
  const SshPlaces places_;
};

}  // namespace merlon::agent

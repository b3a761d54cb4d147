// The person's key for the bastion and its short-lived certificate: files in the configuration directory that
// OpenSSH and any other client can use.
#pragma once

#include <string>

#include "cli/api.h"
#include "cli/command.h"

namespace merlon::cli {

struct SshIdentity {
  std::string key_path;          // the private key, 0600; the public one is beside it with ".pub"
  std::string certificate_path;  // "…-cert.pub", where OpenSSH looks for it by itself
  std::string known_hosts_path;  // the bastion's host key, under every name
  std::string valid_to;
  std::string serial;
};

// Makes the key when there is none, and fetches a certificate at `scope` (anywhere that the person may read)
// and the bastion's host key. `lifetime` is an ISO 8601 duration or empty; `key` another public key's file or
// empty.
Result<SshIdentity> fetch_ssh_identity(Context& context, Api& api, const std::string& scope,
                                       const std::string& lifetime, const std::string& public_key_file = {});

// The bastion's host key, as the server says.
Result<std::string> bastion_host_key(Api& api);
Result<std::string> machines_authority_line(Api& api);  // for sshd's TrustedUserCAKeys
Result<std::string> bastion_ssh_port(Api& api);
Result<std::string> ssh_authorities_text(Api& api, const std::string& patterns);

}  // namespace merlon::cli

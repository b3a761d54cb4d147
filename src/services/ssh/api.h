// SSH identities: the authorities that certify people towards the bastion and the bastion towards machines,
// the bastion's own host key, and the keys that people have registered. Routes under Merlon.Bastion
// (routes.cpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "identity/principal.h"
#include "machine/platform.h"
#include "ssh/certificate.h"

namespace merlon::ssh_identity {

// A certificate that lets the bastion into a machine, with the key that it is for. Lives as long as a log-in
// takes.
struct MachineCredential {
  Secret private_key;       // OpenSSH's form
  std::string certificate;  // a line
};

class SshIdentities {
 public:
  virtual ~SshIdentities() = default;

  // Whom a certificate of ours or a registered key stands for, alive and enabled now; unauthenticated
  // otherwise. That its holder has the private key the caller must have seen. `login` is what they asked to
  // be called.
  virtual Result<identity::Principal> person(store::Reader& reader, ByteView key_or_certificate,
                                             const IpAddress& source) = 0;
  // For `login` on the machine `machine_id`, in the name of `person`; for minutes.
  virtual Result<MachineCredential> machine_credential(const identity::Principal& person,
                                                       std::string_view login, std::string_view machine_id,
                                                       std::string_view session) = 0;

  // The host keys that a machine's SSH server shows, by its resource id, as lines; none when they are not
  // known.
  virtual Result<std::vector<std::string>> host_keys(store::Reader& reader, std::string_view machine_id) = 0;

  // The port where the bastion takes SSH, for clients to be told.
  virtual void serves_at(std::string port) = 0;

  virtual ssh::PublicKey people_authority() const = 0;    // signs what people sign in with
  virtual ssh::PublicKey machines_authority() const = 0;  // what machines trust (TrustedUserCAKeys)
  virtual ssh::PublicKey host_key() const = 0;            // what the bastion shows, under every name
  virtual Secret host_private_key() const = 0;            // OpenSSH's form
};

// The principals that a machine must accept for `login`: sshd's AuthorizedPrincipals.
std::string machine_principal(std::string_view login, std::string_view machine_id);

Result<std::unique_ptr<SshIdentities>> install(Platform& platform);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::ssh_identity

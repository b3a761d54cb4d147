// Which secret of a vault somebody is signed in with at a machine, in place of Merlon's certificate: set by
// an administrator for a login, on a machine, a resource group or the subscription; the nearest counts. The
// person never has the secret. Routes under Merlon.Bastion/machineCredentials (routes.cpp); decision 0052.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/principal.h"
#include "machine/platform.h"
#include "services/compute/api.h"
#include "services/ssh/api.h"
#include "services/vault/api.h"
#include "ssh/desk.h"

namespace merlon::credential {

// What is set for a login on a machine.
struct Found {
  std::string key, tag;  // for secret(): it is used as it was found, or not at all
  // What the machine must show: those that were known when a password was set, or for a key whichever are
  // known.
  std::vector<std::string> host_keys;
};

// For whom it is used.
struct Use {
  identity::Principal person;
  std::string session;
  std::string machine;  // resource id
  std::string login;
};

class MachineCredentials {
 public:
  virtual ~MachineCredentials() = default;
  // Nothing where none is set: then Merlon's certificate is shown. `host_keys` are those known of the
  // machine; none is left when the machine shows others than a password was set for, which is an error.
  virtual Result<std::optional<Found>> find(store::Reader& reader, std::string_view machine,
                                            std::string_view login,
                                            const std::vector<std::string>& host_keys) = 0;
  // From the vault, with an entry in the ledger. Errors are sentences for the person. Blocks on the store.
  virtual Result<ssh::MachineSecret> secret(const Found& found, const Use& use) = 0;
};

std::unique_ptr<MachineCredentials> install(Platform& platform, compute::Compute& compute,
                                            vault::Vaults& vaults, ssh_identity::SshIdentities& identities);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::credential

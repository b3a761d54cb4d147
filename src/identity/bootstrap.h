// How a directory begins and how the first person comes in (trust.md, Keys): the objects that every tenant
// has, the first credential and its end, and the first administrator. Each function runs in the caller's
// transaction and enters nothing in the ledger: the caller does.
#pragma once

#include <optional>
#include <string>

#include "identity/directory.h"

namespace merlon::identity {

// The public client that Azure CLI says it is, in every Entra tenant.
extern const char* const kAzureCliAppId;  // 04b07795-8ddb-461a-bbee-02f9e1bf7b46

// The pages at a bastion's own name, to which people are sent back with a code: a public client of Merlon's
// own.
extern const char* const kBastionPagesAppId;

struct BootstrapCredential {
  Uuid client_id;
  Uuid application_id;  // object ids
  Uuid service_principal_id;
  Secret secret;  // shown once
  Timestamp expires;
};

enum class BootstrapLifetime {
  one_day,
  kept
};  // kept: for tests; 100 years, and retire_bootstrap() leaves it alone

// The well-known objects; does nothing when they exist. Call it at every start.
Result<void> ensure_well_known(store::Transaction& tx, Directory& directory);

// On an empty directory: the well-known objects, and the bootstrap application as Global Administrator.
// Nothing when the directory has been bootstrapped before.
Result<std::optional<BootstrapCredential>> bootstrap(store::Transaction& tx, Directory& directory,
                                                     BootstrapLifetime lifetime);
// A new secret, valid for a day, for the bootstrap application, which is enabled again: `merlon admin
// recover`.
Result<BootstrapCredential> recover_bootstrap(store::Transaction& tx, Directory& directory);
// Removes its credentials, ends its sessions and disables it. False when there was nothing to retire.
Result<bool> retire_bootstrap(store::Transaction& tx, Directory& directory);
Result<std::optional<Uuid>> bootstrap_service_principal(store::Reader& reader, Directory& directory);

struct OneTimePassword {
  Secret text;       // shown once; must be changed at the first sign-in
  std::string hash;  // Argon2id
};
// Slow by intent: make it before the transaction.
Result<OneTimePassword> make_one_time_password(Random& random);
// A Global Administrator.
Result<User> create_admin_user(store::Transaction& tx, Directory& directory,
                               const std::string& user_principal_name, const std::string& display_name,
                               const OneTimePassword& password);

}  // namespace merlon::identity

// Backups of one secret, key or certificate: opaque to whoever holds them, sealed by this installation's own
// key, and good for any of its vaults (as Azure's are for a subscription).
#pragma once

#include "services/vault/objects.h"

namespace merlon::vault {

Result<std::string> make_backup(const Objects& objects, const Vault& vault, const Object& object,
                                store::Reader& reader);
// Puts it into `vault` with its versions as they were; nothing of its name may be there. Returns the newest.
Result<Version> restore_backup(const Objects& objects, const Vault& vault, Kind kind, const std::string& text,
                               store::Transaction& tx);

}  // namespace merlon::vault

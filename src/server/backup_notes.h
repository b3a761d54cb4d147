// That a backup was made is an entry of the ledger. Whoever makes one is another process than the server,
// which is the only one that may write into its embedded store: so a note is left in the state directory
// before there is a backup, and the server enters it within seconds, or when it starts next. A shared
// database takes the entry itself.
#pragma once

#include <string>

#include "ledger/ledger.h"
#include "seal/seal.h"
#include "server/backup.h"
#include "store/server_store.h"

namespace merlon::server {

// Where the note is; nothing where the entry is made already.
Result<std::string> note_backup(const StateLocation& location, const BackupReport& report,
                                const seal::Seal& seal, const Clock& clock, Random& random);
// Enters what notes say, and takes them away. One that cannot be read is left, and told of in the log.
Result<void> enter_noted_backups(ledger::Ledger& ledger, store::Store& store, const TenantId& tenant,
                                 const std::string& state_dir, const Clock& clock);

}  // namespace merlon::server

// The row that says how the root key is kept, and holds it wrapped wherever it is not a file of its own. Not
// for other rooms.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "seal/root_place.h"
#include "store/store.h"

namespace merlon::seal {

const store::TableSpec& root_table();

struct RootRecord {
  std::string id;  // changes with each rotation; empty: the file's first key, of which there is no row
  RootKind kind = RootKind::file;
  JsonObject kept;       // what its kind needs to give the key back; never the key in clear
  std::string recovery;  // the root key wrapped by the recovery key, base64url; empty: none was made

  store::Row to_row() const;
};

// An absent row is a record without an id.
Result<RootRecord> read_root_record(store::Reader& reader);

// Wraps `root` for `place`, which is not a file. Slow: a passphrase costs what Argon2id costs.
Result<RootRecord> keep_root(const RootPlace& place, const Secret& root, Random& random);
// The root key out of a record whose kind is not file; `place` must be of that kind. RootPassphraseWrong when
// what was typed is neither the passphrase nor the recovery key; RootPassphraseNeeded when nothing was.
Result<Secret> open_root(const RootRecord& record, const RootPlace& place);

std::unexpected<Error> passphrase_needed();

// 128 bits in eight groups of four, for paper. Opens the root key where its usual keeper does not.
Secret new_recovery_key(Random& random);
std::string wrap_for_recovery(const RootRecord& record, const Secret& root, const Secret& recovery_key,
                              Random& random);

}  // namespace merlon::seal

// Secrets at rest: root key → key-encryption key → sealed columns, AES-256-GCM with the row's identity as
// associated data (trust.md, Keys). Everything private goes through here from the first commit: signing keys,
// authorities, client secrets' raw material, the ledger key. A stolen database file alone yields nothing.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "seal/root_place.h"
#include "store/store.h"

namespace merlon::seal {

const std::vector<store::TableSpec>& tables();

// A new root key that is kept already, and under which nothing is wrapped yet.
class PendingRoot {
 public:
  virtual ~PendingRoot() = default;
};

class Seal {
 public:
  // On the first start the root key is made, kept in `place` (root_place.h) and
  // wraps the first key-encryption key; later a missing or wrong root key is an error that says so, never a
  // new key. A root key in a file has mode 0600; looser is refused with advice.
  static Result<std::unique_ptr<Seal>> open(store::Store& store, const RootPlace& place, Random& random);
  virtual ~Seal() = default;

  // Text for a JSON row. `context` names the row, column and version ("signing_keys/8f…/private/1"): sealed
  // text moved to another row does not open. Thread-safe.
  virtual std::string seal(std::string_view context, const Secret& secret) const = 0;
  virtual Result<Secret> open(std::string_view context, std::string_view sealed) const = 0;

  // Rotation of the root key while everything is served: what it wraps, the key-encryption keys, is wrapped
  // anew, and nothing else. Prepare (slow, outside of transactions), rewrap in one transaction, then finish:
  // a crash between any two leaves the old root key in force or the new one, and a start finds out which. One
  // at a time.
  virtual Result<std::unique_ptr<PendingRoot>> prepare_root(const RootPlace& to) = 0;
  virtual Result<int64_t> rewrap(store::Transaction& tx, PendingRoot& pending) = 0;  // how many keys
  // After the commit. `time` is for the name of the old key's file; returns that name where there is one.
  virtual Result<std::string> finish_root(PendingRoot& pending, const std::string& time) = 0;

  // A key of 128 bits, for paper, that opens the root key where passphrase, token or TPM do not. It replaces
  // the one made before; a rotation voids it. Refused while the root key is a file: a copy of that does the
  // same.
  virtual Result<Secret> make_recovery_key(store::Transaction& tx) = 0;
  virtual RootPlace place() const = 0;  // where the root key is kept now
};

}  // namespace merlon::seal

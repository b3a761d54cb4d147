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
#include "store/store.h"

namespace merlon::seal {

const std::vector<store::TableSpec>& tables();

class Seal {
 public:
  // The root key lies in `root_key_path` (32 bytes, mode 0600; looser is refused with advice). On the first
  // start it is made (written, fsynced) together with the first key-encryption key; later a missing or wrong
  // root key is an error that says so, never a new key.
  static Result<std::unique_ptr<Seal>> open(store::Store& store, const std::string& root_key_path,
                                            Random& random);
  virtual ~Seal() = default;

  // Text for a JSON row. `context` names the row, column and version ("signing_keys/8f…/private/1"): sealed
  // text moved to another row does not open. Thread-safe.
  virtual std::string seal(std::string_view context, const Secret& secret) const = 0;
  virtual Result<Secret> open(std::string_view context, std::string_view sealed) const = 0;
};

}  // namespace merlon::seal

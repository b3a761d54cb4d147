// The key hierarchy of a vault (decision 0012): the seal room's key → a key-encryption key per vault → a data
// key per version of a secret or key → AES-256-GCM with the version's whole name as associated data.
// Destroying a vault's row destroys its key-encryption keys, and with them everything that was ever in it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "seal/seal.h"

namespace merlon::vault {

// A key-encryption key as the vault's row holds it.
struct SealedKek {
  std::string id;
  std::string text;  // by the seal room
  JsonObject to_json() const { return {{"id", id}, {"sealed", text}}; }
  static Result<SealedKek> from_json(const Json& json);
};

// A secret value or a key's material as the version's row holds it. Names its key-encryption key, so that
// keys may be replaced one version at a time.
struct Sealed {
  std::string kek;
  Bytes data_key;  // under the key-encryption key
  Bytes data;      // under the data key
  JsonObject to_json() const;
  static Result<Sealed> from_json(const JsonObject& json);
};

SealedKek make_kek(const seal::Seal& seal, const Uuid& vault, Random& random);
// The vault's keys, opened for one use.
class Keyring {
 public:
  Keyring(const seal::Seal& seal, Uuid vault, std::vector<SealedKek> keks)
      : seal_(seal), vault_(std::move(vault)), keks_(std::move(keks)) {}
  // `context` names the version: what was sealed for one does not open as another.
  Result<Sealed> seal(std::string_view context, const Secret& secret, Random& random) const;
  Result<Secret> open(std::string_view context, const Sealed& sealed) const;

 private:
  Result<Secret> kek(std::string_view id) const;
  const seal::Seal& seal_;
  Uuid vault_;
  std::vector<SealedKek> keks_;
};

}  // namespace merlon::vault

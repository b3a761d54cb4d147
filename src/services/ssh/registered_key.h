// A key that somebody has registered to sign in with at the bastion: one person's, whoever else asks for it.
#pragma once

#include <string>

#include "base/clock.h"
#include "ssh/public_key.h"
#include "store/table.h"

namespace merlon::ssh_identity {

struct RegisteredKey {
  std::string fingerprint;
  Uuid owner;
  std::string owner_kind;  // "User", "ServicePrincipal"
  std::string name;        // the owner's own, unique among theirs
  std::string line;
  Timestamp created;

  static const store::TableSpec&
  table();  // key: the fingerprint; index owner: "<object id>/<name in lower case>"
  std::string key() const { return fingerprint; }
  static std::string owned(const Uuid& owner, std::string_view name);
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<RegisteredKey> from_json(const JsonObject& json);
  JsonObject shown() const;
};

}  // namespace merlon::ssh_identity

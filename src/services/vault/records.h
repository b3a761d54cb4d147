// What the vault service stores. A vault's objects are filed under its uid, which is new each time that a
// vault of that name is made: nothing of a purged vault is ever found under its successor.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/uuid.h"
#include "services/vault/hierarchy.h"
#include "store/table.h"

namespace merlon::vault {

using SubnetRanges = std::map<std::string, std::vector<IpPrefix>>;  // by the subnet's id in lower case

struct Vault {
  std::string name;  // as its creator wrote it
  Uuid uid;
  std::string resource_id;
  std::string location;
  JsonObject properties;  // as GET shows them
  JsonObject tags;
  std::vector<SealedKek> keks;  // the last one seals; earlier ones only open
  std::optional<Timestamp> deleted, purge_due;
  SubnetRanges subnet_ranges;  // of the subnets that its rules name (subnet_rules.h)

  bool uses_rbac() const { return bool_at(properties, "enableRbacAuthorization").value_or(false); }
  bool is_purge_protected() const { return bool_at(properties, "enablePurgeProtection").value_or(false); }
  int64_t retention_days() const;
  std::string recovery_level() const;  // of what is in it

  static const store::TableSpec& table();  // key: the name in lower case
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;  // due: when it is purged; uid
  JsonObject to_json() const;
  static Result<Vault> from_json(const JsonObject& json);
};

// What every version of a secret, key or certificate carries, and a list shows of the newest.
struct Facts {
  bool enabled = true;
  std::optional<int64_t> not_before, expires;  // seconds since 1970
  int64_t created = 0, updated = 0;
  JsonObject tags;
  std::string content_type;        // secrets
  std::optional<bool> exportable;  // keys
  bool managed = false;            // keys and secrets that are a certificate's
  std::string thumbprint;          // certificates: x5t, base64url
  bool pending = false;            // certificates: asked for, and not issued yet
  JsonObject release_policy;       // keys; empty: none
  JsonObject to_json() const;
  static Result<Facts> from_json(const JsonObject& json);
};

enum class Kind { secrets, keys, certificates };
inline constexpr std::array kKinds{Kind::secrets, Kind::keys, Kind::certificates};
std::string_view kind_text(Kind kind);  // "secrets", as in paths

struct ObjectName {
  Uuid vault;
  Kind kind = Kind::secrets;
  std::string name;                 // as its creator wrote it
  std::string key() const;          // of the live object: "<uid>/secrets/<name>"
  std::string deleted_key() const;  // "<uid>/deletedsecrets/<name>"
  std::string version_prefix() const { return key() + "/"; }
};

// A secret or key by its name: which version is newest and what lists show. Deleted ones lie in a folder of
// their own, so that both lists are key ranges.
struct Object {
  ObjectName name;
  std::string current;  // the newest version
  Facts facts;          // of the newest version
  std::optional<Timestamp> deleted, purge_due;
  JsonObject rotation_policy;           // keys; as stored, empty: the default
  std::optional<Timestamp> rotate_due;  // keys: rotation. Certificates: renewal or notice

  static const store::TableSpec& table();
  std::string key() const { return deleted ? name.deleted_key() : name.key(); }
  std::vector<std::optional<std::string>> index_values() const;  // due: purge or rotation, whichever it is
  JsonObject to_json() const;
  static Result<Object> from_json(const JsonObject& json);
};

struct Version {
  ObjectName name;
  std::string id;  // 32 hex digits
  Facts facts;
  JsonObject public_key;             // keys: the public members of the JSON Web Key
  std::vector<std::string> key_ops;  // keys
  int64_t oct_bits = 0;              // of a symmetric key, for rotation
  bool public_only = false;          // a key imported without its private half
  bool in_hsm = false;               // its material lies in a token, not in `sealed`
  std::string certificate;           // certificates: DER in base64; these have nothing sealed
  Sealed sealed;

  static const store::TableSpec& table();
  std::string key() const { return name.version_prefix() + id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  std::string seal_context() const { return key(); }
  JsonObject to_json() const;
  static Result<Version> from_json(const JsonObject& json);
};

// A vault that was purged: its key-encryption keys are gone at once, its rows go bit by bit.
struct Leftover {
  Uuid vault;
  static const store::TableSpec& table();
  std::string key() const { return vault.text(); }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const { return {{"vault", vault.text()}}; }
  static Result<Leftover> from_json(const JsonObject& json);
};

JsonObject shown_ranges(const SubnetRanges& ranges);
int64_t to_seconds(Timestamp time);
Timestamp from_seconds(int64_t seconds);
// Sorts as the times do.
std::string due_text(Timestamp time);

}  // namespace merlon::vault

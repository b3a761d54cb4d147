// Registered keys as rows.
#include "services/ssh/registered_key.h"

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::ssh_identity {

const store::TableSpec& RegisteredKey::table() {
  static const store::TableSpec spec{"ssh_keys", {{"owner", store::Unique::yes}}};
  return spec;
}

std::string RegisteredKey::owned(const Uuid& owner, std::string_view name) {
  return owner.text() + "/" + ascii_lower(name);
}

std::vector<std::optional<std::string>> RegisteredKey::index_values() const { return {owned(owner, name)}; }

JsonObject RegisteredKey::to_json() const {
  return {{"fingerprint", fingerprint}, {"owner", owner.text()},
          {"ownerKind", owner_kind},    {"name", name},
          {"publicKey", line},          {"created", to_rfc3339(created)}};
}

Result<RegisteredKey> RegisteredKey::from_json(const JsonObject& json) {
  RegisteredKey key;
  key.fingerprint = TRY(require_string(json, "fingerprint"));
  const auto owner = Uuid::parse(TRY(require_string(json, "owner")));
  const auto created = from_rfc3339(TRY(require_string(json, "created")));
  if (!owner || !created) return internal_error("a registered SSH key has no owner or no time");
  key.owner = *owner;
  key.created = *created;
  key.owner_kind = TRY(require_string(json, "ownerKind"));
  key.name = TRY(require_string(json, "name"));
  key.line = TRY(require_string(json, "publicKey"));
  return key;
}

JsonObject RegisteredKey::shown() const {
  return {{"name", name},
          {"type", "Merlon.Bastion/sshKeys"},
          {"properties",
           {{"publicKey", line},
            {"fingerprint", fingerprint},
            {"created", to_rfc3339(created)},
            {"securityKey", line.starts_with("sk-")}}}};
}

}  // namespace merlon::ssh_identity

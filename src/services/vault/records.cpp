// Rows and back.
#include "services/vault/records.h"

#include "base/text.h"
#include "base/time_text.h"
#include "services/vault/api.h"
#include "services/vault/certificate_records.h"
#include "services/vault/hsm_keys.h"

namespace merlon::vault {
namespace {

constexpr int64_t kRetentionDaysDefault = 90;

Result<Uuid> uuid_in(const JsonObject& json, std::string_view key) {
  const auto uuid = Uuid::parse(TRY(require_string(json, key)));
  if (!uuid) return internal_error("vault record: " + std::string(key) + " is no UUID");
  return *uuid;
}

void put_time(JsonObject& json, std::string_view key, const std::optional<Timestamp>& time) {
  if (time) json[key] = to_rfc3339(*time);
}

Result<std::optional<Timestamp>> time_in(const JsonObject& json, std::string_view key) {
  const auto text = string_at(json, key);
  if (!text) return std::optional<Timestamp>();
  const auto time = from_rfc3339(*text);
  if (!time) return internal_error("vault record: " + std::string(key) + " is no time");
  return time;
}

JsonObject object_in(const JsonObject& json, std::string_view key) {
  const JsonObject* object = object_at(json, key);
  return object == nullptr ? JsonObject() : *object;
}

void put_name(JsonObject& json, const ObjectName& name) {
  json["vault"] = name.vault.text();
  json["kind"] = kind_text(name.kind);
  json["name"] = name.name;
}

Result<ObjectName> name_in(const JsonObject& json) {
  const std::string kind = TRY(require_string(json, "kind"));
  for (const Kind one : kKinds)
    if (kind == kind_text(one))
      return ObjectName{TRY(uuid_in(json, "vault")), one, TRY(require_string(json, "name"))};
  return internal_error("vault record: kind '" + kind + "' is none");
}

Result<SubnetRanges> ranges_in(const JsonObject& json, std::string_view key) {
  SubnetRanges ranges;
  for (const auto& [subnet, texts] : object_in(json, key)) {
    std::vector<IpPrefix>& of_subnet = ranges[subnet];
    if (!texts.is_array()) return internal_error("vault record: " + std::string(key) + " is no list");
    for (const Json& text : texts.get_array()) {
      const auto range = IpPrefix::parse(text.is_string() ? std::string_view(text.get_string()) : "");
      if (!range) return internal_error("vault record: " + std::string(key) + " has what is no range");
      of_subnet.push_back(*range);
    }
  }
  return ranges;
}

}  // namespace

JsonObject shown_ranges(const SubnetRanges& ranges) {
  JsonObject shown;
  for (const auto& [subnet, of_subnet] : ranges) {
    JsonArray texts;
    for (const IpPrefix& range : of_subnet) texts.emplace_back(range.text());
    shown[subnet] = std::move(texts);
  }
  return shown;
}

int64_t to_seconds(Timestamp time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}
Timestamp from_seconds(int64_t seconds) { return Timestamp(std::chrono::seconds(seconds)); }

std::string due_text(Timestamp time) {
  const std::string digits = std::to_string(std::max<int64_t>(0, to_seconds(time)));
  return std::string(digits.size() < 12 ? 12 - digits.size() : 0, '0') + digits;
}

std::string_view kind_text(Kind kind) {
  constexpr std::array<std::string_view, kKinds.size()> texts{"secrets", "keys", "certificates"};
  return texts[static_cast<size_t>(kind)];
}

std::string ObjectName::key() const {
  return vault.text() + "/" + std::string(kind_text(kind)) + "/" + ascii_lower(name);
}
std::string ObjectName::deleted_key() const {
  return vault.text() + "/deleted" + std::string(kind_text(kind)) + "/" + ascii_lower(name);
}

const store::TableSpec& Vault::table() {
  static const store::TableSpec spec{"vaults", {{"due", store::Unique::no}, {"uid", store::Unique::yes}}};
  return spec;
}
std::string Vault::key() const { return ascii_lower(name); }
std::vector<std::optional<std::string>> Vault::index_values() const {
  return {purge_due ? std::optional(due_text(*purge_due)) : std::nullopt, uid.text()};
}

int64_t Vault::retention_days() const {
  return int_at(properties, "softDeleteRetentionInDays").value_or(kRetentionDaysDefault);
}

// The names are those of the clients' models (@azure/keyvault-secrets, KnownDeletionRecoveryLevel).
std::string Vault::recovery_level() const {
  const std::string custom = retention_days() == kRetentionDaysDefault ? "" : "Customized";
  return custom + "Recoverable" + (is_purge_protected() ? "" : "+Purgeable");
}

JsonObject Vault::to_json() const {
  JsonArray kek_array;
  for (const SealedKek& kek : keks) kek_array.push_back(kek.to_json());
  JsonObject json{{"name", name},
                  {"uid", uid.text()},
                  {"resourceId", resource_id},
                  {"location", location},
                  {"properties", properties},
                  {"tags", tags},
                  {"keks", std::move(kek_array)}};
  put_time(json, "deleted", deleted);
  put_time(json, "purgeDue", purge_due);
  if (!subnet_ranges.empty()) json["subnetRanges"] = shown_ranges(subnet_ranges);
  return json;
}

Result<Vault> Vault::from_json(const JsonObject& json) {
  Vault vault;
  vault.name = TRY(require_string(json, "name"));
  vault.uid = TRY(uuid_in(json, "uid"));
  vault.resource_id = TRY(require_string(json, "resourceId"));
  vault.location = TRY(require_string(json, "location"));
  vault.properties = object_in(json, "properties");
  vault.tags = object_in(json, "tags");
  if (const JsonArray* keks = array_at(json, "keks"))
    for (const Json& kek : *keks) vault.keks.push_back(TRY(SealedKek::from_json(kek)));
  vault.deleted = TRY(time_in(json, "deleted"));
  vault.purge_due = TRY(time_in(json, "purgeDue"));
  vault.subnet_ranges = TRY(ranges_in(json, "subnetRanges"));
  return vault;
}

JsonObject Facts::to_json() const {
  JsonObject json{{"enabled", enabled}, {"created", created}, {"updated", updated}};
  if (not_before) json["nbf"] = *not_before;
  if (expires) json["exp"] = *expires;
  if (!tags.empty()) json["tags"] = tags;
  if (!content_type.empty()) json["contentType"] = content_type;
  if (exportable) json["exportable"] = *exportable;
  if (managed) json["managed"] = true;
  if (!thumbprint.empty()) json["thumbprint"] = thumbprint;
  if (pending) json["pending"] = true;
  if (!release_policy.empty()) json["releasePolicy"] = release_policy;
  return json;
}

Result<Facts> Facts::from_json(const JsonObject& json) {
  Facts facts;
  facts.enabled = TRY(require_bool(json, "enabled"));
  facts.created = TRY(require_int(json, "created"));
  facts.updated = TRY(require_int(json, "updated"));
  facts.not_before = int_at(json, "nbf");
  facts.expires = int_at(json, "exp");
  facts.tags = object_in(json, "tags");
  facts.content_type = string_at(json, "contentType").value_or("");
  facts.exportable = bool_at(json, "exportable");
  facts.managed = bool_at(json, "managed").value_or(false);
  facts.thumbprint = string_at(json, "thumbprint").value_or("");
  facts.pending = bool_at(json, "pending").value_or(false);
  facts.release_policy = object_in(json, "releasePolicy");
  return facts;
}

const store::TableSpec& Object::table() {
  static const store::TableSpec spec{"vault_objects", {{"due", store::Unique::no}}};
  return spec;
}
std::vector<std::optional<std::string>> Object::index_values() const {
  const auto due = deleted ? purge_due : rotate_due;
  return {due ? std::optional(due_text(*due)) : std::nullopt};
}
JsonObject Object::to_json() const {
  JsonObject json;
  put_name(json, name);
  json["current"] = current;
  json["facts"] = facts.to_json();
  put_time(json, "deleted", deleted);
  put_time(json, "purgeDue", purge_due);
  if (!rotation_policy.empty()) json["rotationPolicy"] = rotation_policy;
  put_time(json, "rotateDue", rotate_due);
  return json;
}
Result<Object> Object::from_json(const JsonObject& json) {
  Object object;
  object.name = TRY(name_in(json));
  object.current = TRY(require_string(json, "current"));
  object.facts = TRY(Facts::from_json(object_in(json, "facts")));
  object.deleted = TRY(time_in(json, "deleted"));
  object.purge_due = TRY(time_in(json, "purgeDue"));
  object.rotation_policy = object_in(json, "rotationPolicy");
  object.rotate_due = TRY(time_in(json, "rotateDue"));
  return object;
}

const store::TableSpec& Version::table() {
  static const store::TableSpec spec{"vault_versions", {}};
  return spec;
}
JsonObject Version::to_json() const {
  JsonObject json;
  put_name(json, name);
  json["id"] = id;
  json["facts"] = facts.to_json();
  if (!public_key.empty()) json["publicKey"] = public_key;
  if (!key_ops.empty()) json["keyOps"] = JsonArray(key_ops.begin(), key_ops.end());
  if (oct_bits != 0) json["octBits"] = oct_bits;
  if (public_only) json["publicOnly"] = true;
  if (in_hsm) json["inHsm"] = true;
  if (!certificate.empty()) json["certificate"] = certificate;
  json["sealed"] = sealed.to_json();
  return json;
}
Result<Version> Version::from_json(const JsonObject& json) {
  Version version;
  version.name = TRY(name_in(json));
  version.id = TRY(require_string(json, "id"));
  version.facts = TRY(Facts::from_json(object_in(json, "facts")));
  version.public_key = object_in(json, "publicKey");
  if (const JsonArray* ops = array_at(json, "keyOps"))
    for (const Json& op : *ops)
      if (op.is_string()) version.key_ops.emplace_back(op.get_string());
  version.oct_bits = int_at(json, "octBits").value_or(0);
  version.public_only = bool_at(json, "publicOnly").value_or(false);
  version.in_hsm = bool_at(json, "inHsm").value_or(false);
  version.certificate = string_at(json, "certificate").value_or("");
  version.sealed = TRY(Sealed::from_json(object_in(json, "sealed")));
  return version;
}

const store::TableSpec& Leftover::table() {
  static const store::TableSpec spec{"vault_leftovers", {}};
  return spec;
}
Result<Leftover> Leftover::from_json(const JsonObject& json) { return Leftover{TRY(uuid_in(json, "vault"))}; }

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs{
      Vault::table(),       Object::table(),  Version::table(),    Leftover::table(),
      Certificate::table(), Setting::table(), TokenObject::table()};
  return specs;
}

}  // namespace merlon::vault

// Named things with versions.
#include "services/vault/objects.h"

#include <array>
#include <charconv>

#include "base/text.h"
#include "resource/paging.h"
#include "services/vault/certificate_records.h"
#include "services/vault/hsm_keys.h"

namespace merlon::vault {
namespace {

constexpr size_t kPageMax = 25;
constexpr size_t kTokenBytesMax = 1024;
constexpr std::string_view kTokenMark = "m1:";  // resource/paging.cpp's own tokens
constexpr size_t kVersionBytes = 16;
constexpr size_t kTagsMax = 15;
constexpr size_t kTagTextMax = 256;
constexpr size_t kContentTypeMax = 255;
constexpr int64_t kSecondsMax = 253'402'300'799;  // the end of year 9999

constexpr std::array<std::string_view, kKinds.size()> kSingular{"secret", "key", "certificate"};
constexpr std::array<std::string_view, kKinds.size()> kCapital{"Secret", "Key", "Certificate"};
std::string_view singular(Kind kind) { return kSingular[static_cast<size_t>(kind)]; }
std::string_view capital(Kind kind) { return kCapital[static_cast<size_t>(kind)]; }

std::unexpected<Error> not_found(const ObjectName& name, const std::string& version) {
  return fault(ErrorKind::not_found, std::string(capital(name.kind)) + "NotFound",
               "A " + std::string(singular(name.kind)) + " with (name/id) " + name.name +
                   (version.empty() ? "" : "/" + version) +
                   " was not found in this key vault. If you recently deleted this " +
                   std::string(singular(name.kind)) + " you may be able to recover it.");
}

Result<std::optional<int64_t>> seconds_at(const JsonObject& attributes, std::string_view key) {
  const Json* value = attributes.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<int64_t>();
  const auto seconds = int_at(attributes, key);
  if (!seconds || *seconds < 0 || *seconds > kSecondsMax)
    return bad_parameter("attributes." + std::string(key) + " is not a time in seconds since 1970.");
  return seconds;
}

Result<void> read_attributes(const JsonObject& attributes, Facts& facts) {
  if (const Json* enabled = attributes.if_contains("enabled"); enabled != nullptr && !enabled->is_null()) {
    if (!enabled->is_bool()) return bad_parameter("attributes.enabled is neither true nor false.");
    facts.enabled = enabled->get_bool();
  }
  if (const auto nbf = TRY(seconds_at(attributes, "nbf"))) facts.not_before = nbf;
  if (const auto exp = TRY(seconds_at(attributes, "exp"))) facts.expires = exp;
  if (facts.not_before && facts.expires && *facts.not_before >= *facts.expires)
    return bad_parameter("attributes.nbf is not before attributes.exp.");
  return {};
}

Result<JsonObject> read_tags(const Json& value) {
  if (!value.is_object()) return bad_parameter("tags is not an object of texts.");
  const JsonObject& tags = value.get_object();
  if (tags.size() > kTagsMax) return bad_parameter("There are more than 15 tags.");
  for (const auto& [name, text] : tags)
    if (!text.is_string() || name.size() > kTagTextMax || text.get_string().size() > kTagTextMax)
      return bad_parameter("A tag's name and value are texts of at most 256 bytes.");
  return tags;
}

}  // namespace

Result<std::optional<Object>> Objects::find(store::Reader& reader, const ObjectName& name) const {
  return store::get<Object>(reader, core_.tenant, name.key());
}

Result<Object> Objects::require(store::Reader& reader, const ObjectName& name) const {
  auto object = TRY(find(reader, name));
  if (!object) return not_found(name, {});
  return *std::move(object);
}

Result<Version> Objects::require_version(store::Reader& reader, const ObjectName& name,
                                         const std::string& id) const {
  const Object object = TRY(require(reader, name));
  const std::string wanted = id.empty() ? object.current : ascii_lower(id);
  auto version = TRY(store::get<Version>(reader, core_.tenant, object.name.version_prefix() + wanted));
  if (!version) return not_found(name, wanted);
  return *std::move(version);
}

Result<std::shared_ptr<const Version>> KnownVersions::require(store::Reader& reader, const ObjectName& name,
                                                              const std::string& id) {
  const auto object = TRY(objects_.get(reader, core_.tenant, name.key()));
  if (!object) return not_found(name, {});
  const std::string wanted = id.empty() ? object->current : ascii_lower(id);
  auto version = TRY(versions_.get(reader, core_.tenant, object->name.version_prefix() + wanted));
  if (!version) return not_found(name, wanted);
  return version;
}

Result<Object> Objects::require_deleted(store::Reader& reader, const ObjectName& name) const {
  auto object = TRY(store::get<Object>(reader, core_.tenant, name.deleted_key()));
  if (object) return *std::move(object);
  return fault(
      ErrorKind::not_found, std::string(capital(name.kind)) + "NotFound",
      "There is no deleted " + std::string(singular(name.kind)) + " '" + name.name + "' in this key vault.");
}

Result<void> Objects::require_free(store::Reader& reader, const ObjectName& name) const {
  if (!TRY(store::get<Object>(reader, core_.tenant, name.deleted_key()))) return {};
  return fault(ErrorKind::conflict, "Conflict",
               std::string(capital(name.kind)) + " " + name.name +
                   " is currently in a deleted but recoverable state, and its name cannot be reused; in this "
                   "state, the " +
                   std::string(singular(name.kind)) + " can only be recovered or purged.",
               "ObjectIsDeletedButRecoverable");
}

Result<void> Objects::require_own_name(store::Reader& reader, const ObjectName& name) const {
  TRY(require_free(reader, name));
  if (name.kind == Kind::certificates) return {};
  const auto certificate = TRY(find(reader, {name.vault, Kind::certificates, name.name}));
  if (!certificate || !certificate->facts.pending) return {};
  return fault(ErrorKind::conflict, "Conflict",
               "The certificate '" + name.name + "' waits for its issuer, and its " +
                   std::string(singular(name.kind)) +
                   " will have this name. Merge or cancel its request first, or choose another name.",
               "PendingCertificate");
}

std::string Objects::new_version_id() const { return to_hex(core_.random.bytes(kVersionBytes)); }

Result<Object> Objects::add_version(store::Transaction& tx, const Version& version) const {
  Object object = TRY(find(tx, version.name))
                      .value_or(Object{.name = version.name,
                                       .current = {},
                                       .facts = {},
                                       .deleted = {},
                                       .purge_due = {},
                                       .rotation_policy = {},
                                       .rotate_due = {}});
  object.current = version.id;
  object.facts = version.facts;
  TRY(store::put(tx, core_.tenant, version));
  TRY(store::put(tx, core_.tenant, object));
  return object;
}

Result<void> Objects::change_version(store::Transaction& tx, const Version& version) const {
  TRY(store::put(tx, core_.tenant, version));
  Object object = TRY(require(tx, version.name));
  if (object.current != version.id) return {};
  object.facts = version.facts;
  return store::put(tx, core_.tenant, object);
}

Result<void> Objects::destroy(store::Transaction& tx, const Object& object) const {
  TRY(store::erase<Object>(tx, core_.tenant, object.key()));
  if (object.name.kind == Kind::certificates)
    TRY(store::erase<Certificate>(tx, core_.tenant, object.name.key()));
  // What lives under the name of something deleted keeps its versions, which stand under the name alone.
  if (object.deleted && TRY(find(tx, object.name))) return {};
  TRY(forget_rights(tx, object.name));
  const store::Range range{.prefix = object.name.version_prefix(), .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(tx.scan(Version::table(), core_.tenant, range));
    for (const store::Row& row : rows) {
      if (object.name.kind == Kind::keys)
        TRY(doom(tx, core_.tenant, TRY(store::decode<Version>(row)), core_.clock.now()));
      TRY(tx.erase(Version::table(), core_.tenant, row.key));
    }
    if (rows.size() < range.limit) return {};
  }
}

// Whoever makes the next thing of this name says anew who may use it. What only forbids (locks, step-up
// policies) stays: to purge a thing and restore its backup lifts nothing.
Result<void> Objects::forget_rights(store::Transaction& tx, const ObjectName& name) const {
  const auto vaults = TRY(store::find<Vault>(tx, core_.tenant, "uid", name.vault.text()));
  if (vaults.empty()) return {};
  return core_.access.forget_scope(
      tx, vaults.front().resource_id + "/" + std::string(kind_text(name.kind)) + "/" + name.name);
}

Result<void> require_unmanaged(const Object& object, std::string_view operation) {
  if (!object.facts.managed) return {};
  return fault(ErrorKind::forbidden, "Forbidden",
               "Operation " + std::string(operation) + " is not allowed on this " +
                   std::string(singular(object.name.kind)) + ", since it is the certificate '" +
                   object.name.name + "''s. It changes with the certificate.");
}
Result<void> require_unmanaged(const std::optional<Object>& object, std::string_view operation) {
  return object ? require_unmanaged(*object, operation) : Result<void>();
}

Result<Facts> read_facts(const JsonObject& body, Facts facts, Timestamp now) {
  if (const Json* attributes = body.if_contains("attributes");
      attributes != nullptr && !attributes->is_null()) {
    if (!attributes->is_object()) return bad_parameter("attributes is not an object.");
    TRY(read_attributes(attributes->get_object(), facts));
  }
  if (const Json* tags = body.if_contains("tags"); tags != nullptr && !tags->is_null())
    facts.tags = TRY(read_tags(*tags));
  if (const Json* type = body.if_contains("contentType"); type != nullptr && !type->is_null()) {
    if (!type->is_string() || type->get_string().size() > kContentTypeMax)
      return bad_parameter("contentType is not a text of at most 255 bytes.");
    facts.content_type = type->get_string();
  }
  facts.updated = to_seconds(now);
  if (facts.created == 0) facts.created = facts.updated;
  return facts;
}

JsonObject shown_attributes(const Vault& vault, const Facts& facts) {
  JsonObject shown{{"enabled", facts.enabled}};
  if (facts.not_before) shown["nbf"] = *facts.not_before;
  if (facts.expires) shown["exp"] = *facts.expires;
  shown["created"] = facts.created;
  shown["updated"] = facts.updated;
  shown["recoveryLevel"] = vault.recovery_level();
  shown["recoverableDays"] = vault.retention_days();
  if (facts.exportable) shown["exportable"] = *facts.exportable;
  return shown;
}

std::string object_url(const Asked& asked, const ObjectName& name, const std::string& version) {
  return asked.origin + "/" + std::string(kind_text(name.kind)) + "/" + name.name +
         (version.empty() ? "" : "/" + version);
}

JsonObject shown_item(const Asked& asked, const ObjectName& name, const std::string& version,
                      const Facts& facts) {
  JsonObject shown{{name.kind == Kind::keys ? "kid" : "id", object_url(asked, name, version)},
                   {"attributes", shown_attributes(asked.vault(), facts)}};
  if (!facts.content_type.empty()) shown["contentType"] = facts.content_type;
  if (!facts.tags.empty()) shown["tags"] = facts.tags;
  if (facts.managed) shown["managed"] = true;
  if (!facts.thumbprint.empty()) shown["x5t"] = facts.thumbprint;
  return shown;
}

JsonObject shown_version(const Asked& asked, const Version& version) {
  const auto beside = [&](Kind kind) {
    return object_url(asked, {version.name.vault, kind, version.name.name}, version.id);
  };
  if (version.name.kind != Kind::keys) {
    JsonObject shown = shown_item(asked, version.name, version.id, version.facts);
    if (version.name.kind == Kind::certificates && !version.facts.pending) {
      shown["kid"] = beside(Kind::keys);
      shown["sid"] = beside(Kind::secrets);
      shown["cer"] = version.certificate;
    } else if (version.facts.managed) {
      shown["kid"] = beside(Kind::keys);
    }
    return shown;
  }
  JsonObject key{{"kid", object_url(asked, version.name, version.id)}};
  for (const auto& member : version.public_key) key.insert(member);
  key["key_ops"] = JsonArray(version.key_ops.begin(), version.key_ops.end());
  JsonObject shown{{"key", std::move(key)}, {"attributes", shown_attributes(asked.vault(), version.facts)}};
  if (!version.facts.tags.empty()) shown["tags"] = version.facts.tags;
  if (!version.facts.release_policy.empty()) shown["release_policy"] = version.facts.release_policy;
  if (version.facts.managed) shown["managed"] = true;
  return shown;
}

JsonObject shown_deleted(const Asked& asked, const Object& object, JsonObject shown) {
  shown["recoveryId"] =
      asked.origin + "/deleted" + std::string(kind_text(object.name.kind)) + "/" + object.name.name;
  shown["deletedDate"] = to_seconds(*object.deleted);
  shown["scheduledPurgeDate"] = to_seconds(*object.purge_due);
  return shown;
}

Result<std::string> required_text(const JsonObject& body, std::string_view key) {
  const Json* value = body.if_contains(key);
  if (value == nullptr || !value->is_string())
    return bad_parameter("The body needs '" + std::string(key) + "', a text.");
  return std::string(value->get_string());
}

Result<Answer> list_rows(const resource::Core& core, const Asked& asked, store::Reader& reader,
                         const store::TableSpec& table, const std::string& prefix, const ShowRow& show) {
  resource::Page page{.top = kPageMax, .after = {}};
  std::string size;
  if (const std::string* wanted = asked.request.query.find("maxresults")) {
    const auto [end, wrong] = std::from_chars(wanted->data(), wanted->data() + wanted->size(), page.top);
    if (wrong != std::errc() || end != wanted->data() + wanted->size() || page.top < 1 || page.top > kPageMax)
      return bad_parameter("maxresults is not a number from 1 to 25.");
    size = "&maxresults=" + std::to_string(page.top);
  }
  if (const std::string* token = asked.request.query.find("$skiptoken")) {
    const auto decoded = token->size() <= kTokenBytesMax ? from_base64url(*token) : std::nullopt;
    if (!decoded || !as_text(*decoded).starts_with(std::string(kTokenMark) + prefix))
      return bad_parameter("$skiptoken was not made by this list. Follow nextLink as it is.");
    page.after = as_text(*decoded).substr(kTokenMark.size());
  }
  JsonArray values;
  const std::string after = TRY(resource::walk_keys(reader, table, core.tenant, prefix, page,
                                                    [&](const resource::WalkRow& at) -> Result<bool> {
                                                      auto shown = TRY(show(at.row));
                                                      if (shown) values.push_back(*std::move(shown));
                                                      return true;
                                                    }));
  JsonObject body{{"value", std::move(values)}, {"nextLink", nullptr}};
  if (!after.empty()) {
    std::string path;
    for (const std::string& segment : asked.request.segments) path += "/" + net::percent_encode(segment);
    body["nextLink"] = asked.origin + path +
                       "?api-version=" + net::percent_encode(*asked.request.query.find("api-version")) +
                       "&$skiptoken=" + resource::skip_token(after) + size;
    // Which of a certificate list the first page was asked for.
    if (const std::string* pending = asked.request.query.find("includePending"))
      body["nextLink"] =
          std::string(body.at("nextLink").as_string()) + "&includePending=" + net::percent_encode(*pending);
  }
  return Answer{200, std::move(body)};
}

}  // namespace merlon::vault

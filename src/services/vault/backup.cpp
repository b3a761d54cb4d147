// What is secret is sealed by itself inside the sealed whole: no text of ours ever holds it in clear.
#include "services/vault/backup.h"

#include <array>

#include "base/text.h"
#include "services/vault/certificate_records.h"

namespace merlon::vault {
namespace {

constexpr size_t kVersionsMax = 500;  // Azure's limit (contract, Rules)
constexpr size_t kBackupBytesMax = 3 * 1024 * 1024;

std::string whole_context(const resource::Core& core) { return "vault-backup/" + core.subscription.text(); }
std::string part_context(const resource::Core& core, const Version& version) {
  return whole_context(core) + "/" + std::string(kind_text(version.name.kind)) + "/" +
         ascii_lower(version.name.name) + "/" + version.id;
}

std::unexpected<Error> not_ours() {
  return bad_parameter(
      "The backup is not one that this server made for this kind of object, or it was changed. A backup "
      "opens on the "
      "server that made it, and where its state was restored with its root key.");
}

Result<JsonObject> pack(const Objects& objects, const Vault& vault, const Object& object,
                        store::Reader& reader) {
  const resource::Core& core = objects.core();
  const auto versions = TRY(store::scan<Version>(
      reader, core.tenant,
      {.prefix = object.name.version_prefix(), .after = {}, .after_key = {}, .limit = kVersionsMax + 1}));
  if (versions.size() > kVersionsMax)
    return fault(ErrorKind::invalid, "BadParameter", "It has more than 500 versions, which no backup holds.");
  const Keyring keyring = objects.keyring(vault);
  JsonArray parts;
  for (const Version& version : versions) {
    JsonObject part = version.to_json();
    part.erase("sealed");
    if (version.in_hsm)
      return fault(
          ErrorKind::unsupported, "NotSupported",
          "The key lies in a hardware token and never leaves it, also not for a backup. Back up the "
          "token with its vendor's tool: a copy of it, with the same objects, serves the same keys.");
    if (object.name.kind != Kind::certificates) {
      const Secret material = TRY(keyring.open(version.seal_context(), version.sealed));
      part["material"] = core.seal.seal(part_context(core, version), material);
    }
    parts.push_back(std::move(part));
  }
  return JsonObject{{"object", object.to_json()}, {"versions", std::move(parts)}};
}

Result<Version> unpack(const Objects& objects, const Vault& vault, Kind kind, const JsonObject& packed,
                       store::Transaction& tx) {
  const resource::Core& core = objects.core();
  const JsonObject* object_json = object_at(packed, "object");
  const JsonArray* parts = array_at(packed, "versions");
  if (object_json == nullptr || parts == nullptr) return not_ours();
  Object object = TRY(Object::from_json(*object_json));
  if (object.name.kind != kind) return not_ours();
  object.name.vault = vault.uid;
  TRY(objects.require_own_name(tx, object.name));
  if (TRY(objects.find(tx, object.name)))
    return fault(ErrorKind::conflict, "Conflict",
                 "'" + object.name.name + "' exists in this vault already. Delete and purge it first.",
                 "ObjectAlreadyExists");
  const Keyring keyring = objects.keyring(vault);
  std::optional<Version> newest;
  for (const Json& part : *parts) {
    JsonObject json = part.as_object();
    json["sealed"] = Sealed{}.to_json();
    Version version = TRY(Version::from_json(json));
    version.name = object.name;
    if (kind != Kind::certificates) {
      const std::string material = TRY(require_string(json, "material"));
      const Secret secret = TRY(core.seal.open(part_context(core, version), material));
      version.sealed = TRY(keyring.seal(version.seal_context(), secret, core.random));
    }
    TRY(store::put(tx, core.tenant, version));
    if (version.id == object.current) newest = std::move(version);
  }
  if (!newest) return not_ours();
  TRY(store::put(tx, core.tenant, object));
  return *std::move(newest);
}

constexpr std::array kManagedKinds{Kind::keys, Kind::secrets};

// A certificate's policy, and what it brings. A request that is under way stays where it is.
Result<void> pack_certificate(const Objects& objects, const Vault& vault, const Object& object,
                              store::Reader& reader, JsonObject& whole) {
  if (object.facts.pending)
    return bad_parameter("The certificate is not issued yet, and there is nothing to back up.");
  auto certificate = TRY(store::get<Certificate>(reader, objects.core().tenant, object.name.key()));
  if (!certificate) return internal_error("the policy of " + object.key() + " is not there");
  certificate->pending.reset();
  whole["certificate"] = certificate->to_json();
  for (const Kind kind : kManagedKinds) {
    const Object managed = TRY(objects.require(reader, {object.name.vault, kind, object.name.name}));
    whole[kind_text(kind)] = TRY(pack(objects, vault, managed, reader));
  }
  return {};
}

Result<void> unpack_certificate(const Objects& objects, const Vault& vault, const JsonObject& whole,
                                store::Transaction& tx) {
  const JsonObject* record = object_at(whole, "certificate");
  if (record == nullptr) return not_ours();
  Certificate certificate = TRY(Certificate::from_json(*record));
  certificate.name.vault = vault.uid;
  TRY(store::put(tx, objects.core().tenant, certificate));
  for (const Kind kind : kManagedKinds) {
    const JsonObject* packed = object_at(whole, kind_text(kind));
    if (packed == nullptr) return not_ours();
    TRY(unpack(objects, vault, kind, *packed, tx));
  }
  return {};
}

}  // namespace

Result<std::string> make_backup(const Objects& objects, const Vault& vault, const Object& object,
                                store::Reader& reader) {
  const resource::Core& core = objects.core();
  JsonObject whole = TRY(pack(objects, vault, object, reader));
  if (object.name.kind == Kind::certificates) TRY(pack_certificate(objects, vault, object, reader, whole));
  return to_base64url(as_bytes(core.seal.seal(whole_context(core), Secret(to_text(whole)))));
}

Result<Version> restore_backup(const Objects& objects, const Vault& vault, Kind kind, const std::string& text,
                               store::Transaction& tx) {
  const resource::Core& core = objects.core();
  const auto sealed = text.size() <= kBackupBytesMax ? from_base64url(text) : std::nullopt;
  if (!sealed) return not_ours();
  const auto opened = core.seal.open(whole_context(core), as_text(*sealed));
  if (!opened) return not_ours();
  const JsonObject whole = TRY(parse_json_object(opened->expose_text()));
  const Version newest = TRY(unpack(objects, vault, kind, whole, tx));
  if (kind == Kind::certificates) TRY(unpack_certificate(objects, vault, whole, tx));
  return newest;
}

}  // namespace merlon::vault

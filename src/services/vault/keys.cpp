// Keys and their versions. Material is made before the transaction, sealed inside it, and shown to nobody.
#include "services/vault/keys.h"

#include "base/text.h"
#include "services/vault/rotation.h"

namespace merlon::vault {
namespace {

using crypto::KeyMaterial;
using crypto::MaterialKind;

constexpr int64_t kRsaBitsDefault = 2048;
constexpr int64_t kOctBitsDefault = 256;
constexpr size_t kPolicyBytesMax = 16 * 1024;

const std::string& version_of(const Asked& asked) { return asked.arguments.at(1); }

std::unexpected<Error> no_token() {
  return fault(
      ErrorKind::unsupported, "NotSupported",
      "Keys whose material lies in a hardware token need one, and this server has none. Use the key type "
      "without '-HSM'.");
}

// Azure reads it only when it releases; what it could never read is refused at once.
Result<JsonObject> read_release_policy(const JsonObject& policy) {
  const auto data = string_at(policy, "data");
  const auto text = data ? from_base64url(*data) : std::nullopt;
  if (!text || text->size() > kPolicyBytesMax) return bad_parameter("release_policy.data is not base64url.");
  const auto parsed = parse_json_object(as_text(*text));
  if (!parsed || !string_at(*parsed, "version") ||
      (!array_at(*parsed, "anyOf") && !array_at(*parsed, "allOf")))
    return bad_parameter(
        "release_policy.data is not a policy: a JSON object with version, and anyOf or allOf.");
  return JsonObject{
      {"contentType", string_at(policy, "contentType").value_or("application/json; charset=utf-8")},
      {"data", *data},
      {"immutable", bool_at(policy, "immutable").value_or(false)}};
}

// The object's next rotation goes by its newest version.
Result<void> schedule(const Objects& objects, store::Transaction& tx, const ObjectName& name) {
  Object object = TRY(objects.require(tx, name));
  object.rotate_due = rotation_due(object.rotation_policy, object.facts);
  return store::put(tx, objects.core().tenant, object);
}

JsonObject shown_policy(const Asked& asked, const Object& object) {
  const JsonObject& kept = object.rotation_policy;
  JsonObject attributes;
  if (const auto expiry = string_at(kept, "expiryTime")) attributes["expiryTime"] = *expiry;
  attributes["created"] = int_at(kept, "created").value_or(object.facts.created);
  attributes["updated"] = int_at(kept, "updated").value_or(object.facts.created);
  const JsonObject fallback = default_rotation_policy();
  return {{"id", object_url(asked, object.name, {}) + "/rotationpolicy"},
          {"lifetimeActions", *array_at(kept.empty() ? fallback : kept, "lifetimeActions")},
          {"attributes", std::move(attributes)}};
}

}  // namespace

Result<KeyMaterial> generate_key(const JsonObject& body, Random& random) {
  const std::string type = TRY(required_text(body, "kty"));
  if (type.ends_with("-HSM")) return no_token();
  const auto whole = [&](std::string_view key, int64_t otherwise) -> Result<int64_t> {
    const Json* value = body.if_contains(key);
    if (value == nullptr || value->is_null()) return otherwise;
    const auto number = int_at(body, key);
    if (!number) return bad_parameter("'" + std::string(key) + "' is not a whole number.");
    return *number;
  };
  if (type == "RSA")
    return KeyMaterial::generate_rsa(TRY(whole("key_size", kRsaBitsDefault)),
                                     TRY(whole("public_exponent", 65537)));
  if (type == "EC") return KeyMaterial::generate_ec(string_at(body, "crv").value_or("P-256"));
  if (type == "oct") return KeyMaterial::generate_oct(TRY(whole("key_size", kOctBitsDefault)), random);
  return bad_parameter("kty must be RSA, EC or oct.");
}

Version new_key_version(const Objects& objects, ObjectName name, const KeyMaterial& material) {
  Version version;
  version.name = std::move(name);
  version.id = objects.new_version_id();
  version.public_key = material.public_jwk();
  version.public_only = !material.is_private();
  if (material.kind() == MaterialKind::oct) version.oct_bits = material.bits();
  return version;
}

Result<Facts> read_key_facts(const JsonObject& body, Facts facts, Timestamp now, bool is_new) {
  const bool was_exportable = facts.exportable.value_or(false);
  facts = TRY(read_facts(body, std::move(facts), now));
  facts.content_type.clear();
  const bool exportable = bool_at(body, "attributes.exportable").value_or(was_exportable);
  if (!is_new && exportable != was_exportable)
    return bad_parameter("A key is made exportable, or not: attributes.exportable cannot be changed.");
  facts.exportable = exportable;
  if (const JsonObject* policy = object_at(body, "release_policy")) {
    if (bool_at(facts.release_policy, "immutable").value_or(false))
      return fault(ErrorKind::forbidden, "Forbidden", "The key's release policy is immutable.");
    if (!exportable) return bad_parameter("Only an exportable key has a release policy.");
    facts.release_policy = TRY(read_release_policy(*policy));
  }
  if (exportable && facts.release_policy.empty())
    return bad_parameter("An exportable key needs a release policy that says who may have it.");
  return facts;
}

Result<std::vector<std::string>> read_key_ops(const Json* ops, MaterialKind kind, bool is_private) {
  std::vector<std::string> possible = {"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"};
  if (kind == MaterialKind::ec) possible = {"sign", "verify"};
  if (!is_private)
    std::erase_if(possible,
                  [](const std::string& op) { return op == "sign" || op == "decrypt" || op == "unwrapKey"; });
  if (ops == nullptr || ops->is_null()) return possible;
  if (!ops->is_array()) return bad_parameter("key_ops is not a list.");
  std::vector<std::string> read;
  for (const Json& op : ops->get_array()) {
    const std::string text = op.is_string() ? std::string(op.get_string()) : std::string();
    const bool fits =
        std::ranges::find(possible, text) != possible.end() || text == "import" || text == "export";
    if (!fits) return bad_parameter("key_ops names an operation that this kind of key does not have.");
    if (std::ranges::find(read, text) == read.end()) read.push_back(text);
  }
  return read;
}

Result<void> Keys::make(Asked& asked) const {
  TRY(objects_.core().store.read(
      [&](store::Reader& reader) { return objects_.require_free(reader, asked.object(Kind::keys)); }));
  TRY(read_key_facts(asked.body, {}, asked.now, true));
  asked.gathered = MadeKey{TRY(generate_key(asked.body, objects_.core().random))};
  return {};
}

Result<void> Keys::take(Asked& asked) const {
  const JsonObject* jwk = object_at(asked.body, "key");
  if (jwk == nullptr) return bad_parameter("The body needs 'key', a JSON Web Key with its secret half.");
  if (bool_at(asked.body, "Hsm").value_or(false) || string_at(*jwk, "kty").value_or("").ends_with("-HSM"))
    return no_token();
  asked.gathered = MadeKey{TRY(KeyMaterial::from_jwk(*jwk))};
  asked.details["imported"] = true;
  return {};
}

Result<Answer> Keys::add(Asked& asked, store::Transaction& tx) const {
  const KeyMaterial& material = std::any_cast<MadeKey>(&asked.gathered)->material;
  ObjectName name = asked.object(Kind::keys);
  TRY(objects_.require_free(tx, name));
  const auto existing = TRY(objects_.find(tx, name));
  TRY(require_unmanaged(existing, "create"));
  if (existing) name = existing->name;
  Version version = new_key_version(objects_, name, material);
  version.facts = TRY(read_key_facts(asked.body, {}, asked.now, true));
  if (existing && !version.facts.expires)
    version.facts.expires = expiry_by_policy(existing->rotation_policy, asked.now);
  const JsonObject* jwk = object_at(asked.body, "key");
  version.key_ops = TRY(read_key_ops((jwk == nullptr ? asked.body : *jwk).if_contains("key_ops"),
                                     material.kind(), material.is_private()));
  version.sealed = TRY(
      objects_.keyring(asked.vault).seal(version.seal_context(), material.store(), objects_.core().random));
  TRY(objects_.add_version(tx, version));
  TRY(schedule(objects_, tx, name));
  asked.details["version"] = version.id;
  asked.details["kty"] = version.public_key.at("kty");
  return Answer{200, shown_version(asked, version)};
}

Result<Answer> Keys::get(Asked& asked, store::Reader& reader) const {
  const Version version = TRY(objects_.require_version(reader, asked.object(Kind::keys), version_of(asked)));
  return Answer{200, shown_version(asked, version)};
}

Result<Answer> Keys::update(Asked& asked, store::Transaction& tx) const {
  TRY(require_unmanaged(TRY(objects_.require(tx, asked.object(Kind::keys))), "update"));
  Version version = TRY(objects_.require_version(tx, asked.object(Kind::keys), version_of(asked)));
  version.facts = TRY(read_key_facts(asked.body, std::move(version.facts), asked.now, false));
  const std::string type = string_at(version.public_key, "kty").value_or("");
  const MaterialKind kind = type == "EC"    ? MaterialKind::ec
                            : type == "RSA" ? MaterialKind::rsa
                                            : MaterialKind::oct;
  if (const Json* ops = asked.body.if_contains("key_ops"); ops != nullptr && !ops->is_null())
    version.key_ops = TRY(read_key_ops(ops, kind, !version.public_only));
  TRY(objects_.change_version(tx, version));
  TRY(schedule(objects_, tx, version.name));
  asked.details["version"] = version.id;
  return Answer{200, shown_version(asked, version)};
}

Result<KeyMaterial> make_like(const Version& version, Random& random) {
  if (version.public_only)
    return bad_parameter(
        "The key was imported without its private half: its owner rotates it. Import the new one.");
  const JsonObject& key = version.public_key;
  const std::string type = string_at(key, "kty").value_or("");
  if (type == "EC") return KeyMaterial::generate_ec(string_at(key, "crv").value_or(""));
  if (type == "oct") return KeyMaterial::generate_oct(version.oct_bits, random);
  const auto modulus = from_base64url(string_at(key, "n").value_or(""));
  return KeyMaterial::generate_rsa(modulus ? static_cast<int64_t>(modulus->size()) * 8 : 0);
}

Result<void> Keys::make_like_newest(Asked& asked) const {
  const auto newest = TRY(store::read_value<Version>(objects_.core().store, [&](store::Reader& reader) {
    return objects_.require_version(reader, asked.object(Kind::keys), {});
  }));
  if (!newest.facts.enabled)
    return fault(ErrorKind::forbidden, "Forbidden", "Operation rotate is not allowed on a disabled key.",
                 "KeyDisabled");
  asked.gathered = MadeKey{TRY(make_like(newest, objects_.core().random))};
  return {};
}

Result<Version> Keys::rotate_to(store::Transaction& tx, const Vault& vault, const Object& object,
                                const KeyMaterial& material, Timestamp now) const {
  const Version newest = TRY(objects_.require_version(tx, object.name, {}));
  Version version = new_key_version(objects_, object.name, material);
  version.facts = newest.facts;
  version.facts.created = version.facts.updated = to_seconds(now);
  version.facts.not_before.reset();
  version.facts.expires = expiry_by_policy(object.rotation_policy, now);
  version.key_ops = newest.key_ops;
  version.sealed =
      TRY(objects_.keyring(vault).seal(version.seal_context(), material.store(), objects_.core().random));
  TRY(objects_.add_version(tx, version));
  TRY(schedule(objects_, tx, object.name));
  return version;
}

Result<Answer> Keys::rotate(Asked& asked, store::Transaction& tx) const {
  const Object object = TRY(objects_.require(tx, asked.object(Kind::keys)));
  TRY(require_unmanaged(object, "rotate"));
  const KeyMaterial& material = std::any_cast<MadeKey>(&asked.gathered)->material;
  const Version version = TRY(rotate_to(tx, asked.vault, object, material, asked.now));
  asked.details["version"] = version.id;
  return Answer{200, shown_version(asked, version)};
}

Result<Answer> Keys::policy(Asked& asked, store::Reader& reader) const {
  return Answer{200, shown_policy(asked, TRY(objects_.require(reader, asked.object(Kind::keys))))};
}

Result<Answer> Keys::set_policy(Asked& asked, store::Transaction& tx) const {
  Object object = TRY(objects_.require(tx, asked.object(Kind::keys)));
  TRY(require_unmanaged(object, "setrotationpolicy"));
  JsonObject policy = TRY(read_rotation_policy(asked.body));
  const Version newest = TRY(objects_.require_version(tx, object.name, {}));
  if (newest.public_only && rotation_due(policy, newest.facts))
    return bad_parameter("The key was imported without its private half: its owner rotates it.");
  policy["created"] = int_at(object.rotation_policy, "created").value_or(to_seconds(asked.now));
  policy["updated"] = to_seconds(asked.now);
  object.rotation_policy = std::move(policy);
  object.rotate_due = rotation_due(object.rotation_policy, object.facts);
  TRY(store::put(tx, objects_.core().tenant, object));
  return Answer{200, shown_policy(asked, object)};
}

}  // namespace merlon::vault

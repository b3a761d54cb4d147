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
constexpr size_t kContentTypeBytesMax = 255;

const std::string& version_of(const Asked& asked) { return asked.arguments.at(1); }

Result<int64_t> whole_number(const JsonObject& body, std::string_view key, int64_t otherwise) {
  const Json* value = body.if_contains(key);
  if (value == nullptr || value->is_null()) return otherwise;
  const auto number = int_at(body, key);
  if (!number) return bad_parameter("'" + std::string(key) + "' is not a whole number.");
  return *number;
}

// A token has keys for AES and keys for HMAC, and each is one or the other.
Result<bool> is_for_signing(const JsonObject& body) {
  const JsonArray* ops = array_at(body, "key_ops");
  if (ops == nullptr || ops->empty()) return false;
  const auto signs = std::ranges::count_if(*ops, [](const Json& op) {
    return op.is_string() && (op.get_string() == "sign" || op.get_string() == "verify");
  });
  if (signs == 0) return false;
  if (static_cast<size_t>(signs) == ops->size()) return true;
  return bad_parameter(
      "A symmetric key in a hardware token either signs and verifies, or encrypts and wraps. Make two keys.");
}

MaterialKind kind_of(std::string_view type) {
  return type.starts_with("RSA")  ? MaterialKind::rsa
         : type.starts_with("EC") ? MaterialKind::ec
                                  : MaterialKind::oct;
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
  const std::string content_type =
      string_at(policy, "contentType").value_or("application/json; charset=utf-8");
  if (content_type.size() > kContentTypeBytesMax)
    return bad_parameter("release_policy.contentType has at most 255 bytes.");
  return JsonObject{{"contentType", content_type},
                    {"data", *data},
                    {"immutable", bool_at(policy, "immutable").value_or(false)}};
}

// The object's next rotation goes by its newest version. One without its private half is its owner's to
// rotate.
Result<void> schedule(const Objects& objects, store::Transaction& tx, const ObjectName& name) {
  Object object = TRY(objects.require(tx, name));
  const bool is_ours = !TRY(objects.require_version(tx, name, {})).public_only;
  object.rotate_due =
      is_ours ? rotation_due(object.rotation_policy, object.facts) : std::optional<Timestamp>();
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
  if (type == "RSA")
    return KeyMaterial::generate_rsa(TRY(whole_number(body, "key_size", kRsaBitsDefault)),
                                     TRY(whole_number(body, "public_exponent", 65537)));
  if (type == "EC") return KeyMaterial::generate_ec(string_at(body, "crv").value_or("P-256"));
  if (type == "oct")
    return KeyMaterial::generate_oct(TRY(whole_number(body, "key_size", kOctBitsDefault)), random);
  return bad_parameter("kty must be RSA, EC or oct, or one of them with -HSM.");
}

bool takes_long_to_make(const JsonObject& body) {
  const std::string type = string_at(body, "kty").value_or("");
  return type != "EC" && type != "oct";
}

MaterialKind MadeKey::kind() const {
  if (const auto* material = std::get_if<KeyMaterial>(&where)) return material->kind();
  return std::get<KeyInToken>(where).kind;
}
bool MadeKey::is_private() const {
  const auto* material = std::get_if<KeyMaterial>(&where);
  return material == nullptr || material->is_private();
}

Result<MadeKey> Keys::make_new(const Vault& vault, const std::string& name, const JsonObject& body) const {
  const std::string type = TRY(required_text(body, "kty"));
  if (!type.ends_with("-HSM")) return MadeKey{TRY(generate_key(body, objects_.core().random))};
  if (type != "RSA-HSM" && type != "EC-HSM" && type != "oct-HSM")
    return bad_parameter("kty must be RSA, EC or oct, or one of them with -HSM.");
  const MaterialKind kind = kind_of(type);
  crypto::HsmKeyWish wish;
  wish.kind = kind;
  if (kind == MaterialKind::ec) {
    wish.curve = string_at(body, "crv").value_or("P-256");
  } else {
    wish.bits =
        TRY(whole_number(body, "key_size", kind == MaterialKind::rsa ? kRsaBitsDefault : kOctBitsDefault));
    wish.exponent = TRY(whole_number(body, "public_exponent", 65537));
    if (kind == MaterialKind::oct) wish.signs = TRY(is_for_signing(body));
  }
  return MadeKey{TRY(hsm_.make(vault, name, std::move(wish)))};
}

Result<Version> Keys::new_version(store::Transaction& tx, const Vault& vault, ObjectName name,
                                  const MadeKey& made) const {
  if (const auto* material = std::get_if<KeyMaterial>(&made.where)) {
    Version version = new_key_version(objects_, std::move(name), *material);
    version.sealed =
        TRY(objects_.keyring(vault).seal(version.seal_context(), material->store(), objects_.core().random));
    return version;
  }
  const auto& in_token = std::get<KeyInToken>(made.where);
  TRY(hsm_.keep(tx, in_token));
  Version version;
  version.name = std::move(name);
  version.id = in_token.version_id;
  version.public_key = in_token.public_key;
  version.oct_bits = in_token.oct_bits;
  version.in_hsm = true;
  return version;
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

Result<std::vector<std::string>> read_made_ops(const Json* ops, const MadeKey& made) {
  const bool in_token = std::holds_alternative<KeyInToken>(made.where);
  // What a symmetric key in a token is for was settled when it was made.
  if (in_token && made.kind() == MaterialKind::oct && (ops == nullptr || ops->is_null()))
    return std::vector<std::string>{"encrypt", "decrypt", "wrapKey", "unwrapKey"};
  return read_key_ops(ops, made.kind(), made.is_private());
}

Result<void> Keys::make(Asked& asked) const {
  TRY(objects_.core().store.read(
      [&](store::Reader& reader) { return objects_.require_own_name(reader, asked.object(Kind::keys)); }));
  TRY(read_key_facts(asked.body, {}, asked.now, true));
  const Json* ops = asked.body.if_contains("key_ops");
  const std::string type = TRY(required_text(asked.body, "kty"));
  TRY(read_key_ops(ops, kind_of(type), true));  // before a token is put to work
  asked.gathered = TRY(make_new(asked.vault(), asked.object(Kind::keys).name, asked.body));
  return {};
}

Result<void> Keys::take(Asked& asked) const {
  const JsonObject* jwk = object_at(asked.body, "key");
  if (jwk == nullptr) return bad_parameter("The body needs 'key', a JSON Web Key with its secret half.");
  if (bool_at(asked.body, "Hsm").value_or(false) || string_at(*jwk, "kty").value_or("").ends_with("-HSM"))
    return fault(ErrorKind::unsupported, "NotSupported",
                 "A key is not imported into the hardware token: what is made there never was anywhere else. "
                 "Create it with the key type 'RSA-HSM', 'EC-HSM' or 'oct-HSM', or import it without 'Hsm'.");
  asked.gathered = MadeKey{TRY(KeyMaterial::from_jwk(*jwk))};
  asked.details["imported"] = true;
  return {};
}

Result<Answer> Keys::add(Asked& asked, store::Transaction& tx) const {
  const MadeKey& made = *std::any_cast<MadeKey>(&asked.gathered);
  ObjectName name = asked.object(Kind::keys);
  TRY(objects_.require_own_name(tx, name));
  const auto existing = TRY(objects_.find(tx, name));
  TRY(require_unmanaged(existing, "create"));
  if (existing) name = existing->name;
  Version version = TRY(new_version(tx, asked.vault(), name, made));
  version.facts = TRY(read_key_facts(asked.body, {}, asked.now, true));
  if (existing && !version.facts.expires)
    version.facts.expires = expiry_by_policy(existing->rotation_policy, asked.now);
  const JsonObject* jwk = object_at(asked.body, "key");
  const Json* ops = (jwk == nullptr ? asked.body : *jwk).if_contains("key_ops");
  version.key_ops = TRY(read_made_ops(ops, made));
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
  const MaterialKind kind = kind_of(type);
  if (const Json* ops = asked.body.if_contains("key_ops"); ops != nullptr && !ops->is_null())
    version.key_ops = TRY(read_key_ops(ops, kind, !version.public_only));
  TRY(objects_.change_version(tx, version));
  TRY(schedule(objects_, tx, version.name));
  asked.details["version"] = version.id;
  return Answer{200, shown_version(asked, version)};
}

Result<MadeKey> Keys::make_like(const Vault& vault, const Version& version) const {
  if (version.public_only)
    return bad_parameter(
        "The key was imported without its private half: its owner rotates it. Import the new one.");
  const JsonObject& key = version.public_key;
  JsonObject body{{"kty", string_at(key, "kty").value_or("")}};
  if (const auto curve = string_at(key, "crv")) body["crv"] = *curve;
  if (version.oct_bits != 0) body["key_size"] = version.oct_bits;
  if (const auto modulus = from_base64url(string_at(key, "n").value_or("")); modulus && !modulus->empty())
    body["key_size"] = static_cast<int64_t>(modulus->size()) * 8;
  // Which of the token's two kinds of symmetric key it is.
  if (version.in_hsm) body["key_ops"] = JsonArray(version.key_ops.begin(), version.key_ops.end());
  return make_new(vault, version.name.name, body);
}

Result<void> Keys::make_like_newest(Asked& asked) const {
  const auto newest = TRY(store::read_value<Version>(objects_.core().store, [&](store::Reader& reader) {
    return objects_.require_version(reader, asked.object(Kind::keys), {});
  }));
  if (!newest.facts.enabled)
    return fault(ErrorKind::forbidden, "Forbidden", "Operation rotate is not allowed on a disabled key.",
                 "KeyDisabled");
  asked.gathered = TRY(make_like(asked.vault(), newest));
  return {};
}

Result<Version> Keys::rotate_to(store::Transaction& tx, const Vault& vault, const Object& object,
                                const MadeKey& made, Timestamp now) const {
  const Version newest = TRY(objects_.require_version(tx, object.name, {}));
  Version version = TRY(new_version(tx, vault, object.name, made));
  version.facts = newest.facts;
  version.facts.created = version.facts.updated = to_seconds(now);
  version.facts.not_before.reset();
  version.facts.expires = expiry_by_policy(object.rotation_policy, now);
  version.key_ops = newest.key_ops;
  TRY(objects_.add_version(tx, version));
  TRY(schedule(objects_, tx, object.name));
  return version;
}

Result<Answer> Keys::rotate(Asked& asked, store::Transaction& tx) const {
  const Object object = TRY(objects_.require(tx, asked.object(Kind::keys)));
  TRY(require_unmanaged(object, "rotate"));
  const MadeKey& made = *std::any_cast<MadeKey>(&asked.gathered);
  const Version version = TRY(rotate_to(tx, asked.vault(), object, made, asked.now));
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

// Secrets and keys through the Resource Manager, as templates and @azure/arm-keyvault make them: who may
// write a vault's resources can put a secret there and never read it back (Microsoft Learn, "Azure Resource
// Manager templates: vaults/secrets"). A key is made when there is none of its name, and never changed.
#include "base/text.h"
#include "resource/paging.h"
#include "services/vault/keys.h"
#include "services/vault/service.h"

namespace merlon::vault {
namespace {

using resource::Call;
using resource::WriteContext;
using schema::optional;
using schema::required;

constexpr const char* kVault =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/"
    "{vaultName}";

schema::Shape attributes_shape() {
  return schema::object({optional("enabled", schema::boolean()), optional("nbf", schema::integer()),
                         optional("exp", schema::integer()), optional("exportable", schema::boolean())});
}

schema::Shape secret_shape() {
  return schema::object(
      {optional("tags", schema::map_of(schema::text())),
       required("properties", schema::object({optional("value", schema::text().with_range(0, 25 * 1024)),
                                              optional("contentType", schema::text().with_range(0, 255)),
                                              optional("attributes", attributes_shape())}))});
}

schema::Shape key_shape() {
  return schema::object(
      {optional("tags", schema::map_of(schema::text())),
       required("properties",
                schema::object(
                    {required("kty", schema::text_of({"RSA", "EC", "RSA-HSM", "EC-HSM", "oct", "oct-HSM"})),
                     optional("keySize", schema::integer()), optional("curveName", schema::text()),
                     optional("keyOps", schema::array_of(schema::text())),
                     optional("attributes", attributes_shape())}))});
}

// The body as the data plane would have it.
JsonObject facts_of(const JsonObject& body) {
  JsonObject out;
  const JsonObject& properties = *object_at(body, "properties");
  for (const std::string_view member : {"attributes", "contentType"})
    if (const Json* value = properties.if_contains(member)) out[member] = *value;
  if (const Json* tags = body.if_contains("tags")) out["tags"] = *tags;
  return out;
}

Result<void> check_name(std::string_view name) {
  const bool plain = !name.empty() && name.size() <= 127 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (plain) return {};
  return bad_parameter("A name in a vault has 1 to 127 letters, digits and hyphens.");
}

}  // namespace

class ArmObjects {
 public:
  ArmObjects(Platform& platform, const HsmKeys& hsm)
      : core_(platform.core), objects_(platform.core), hsm_(hsm), keys_(platform.core, hsm) {}

  Result<net::Response> put_secret(WriteContext& context, bool patch) const {
    const Vault vault = TRY(vault_of(context.tx, context.call));
    ObjectName name{vault.uid, Kind::secrets, context.call.parameter("objectName")};
    TRY(check_name(name.name));
    TRY(objects_.require_own_name(context.tx, name));
    const auto existing = TRY(objects_.find(context.tx, name));
    TRY(require_unmanaged(existing, "set"));
    if (existing) name = existing->name;
    if (patch && !existing) return no_such(context.call);
    const auto value = string_at(context.call.body, "properties.value");
    if (!value && !patch) return bad_parameter("The secret needs properties.value, a text.");
    Version version;
    if (patch) version = TRY(objects_.require_version(context.tx, name, {}));
    version.facts =
        TRY(read_facts(facts_of(context.call.body), patch ? version.facts : Facts(), context.call.now));
    if (!value) {
      TRY(objects_.change_version(context.tx, version));
    } else {
      version.name = name;
      version.id = objects_.new_version_id();
      version.facts.created = version.facts.updated;
      version.sealed =
          TRY(objects_.keyring(vault).seal(version.seal_context(), Secret(*value), core_.random));
      TRY(objects_.add_version(context.tx, version));
    }
    context.details["version"] = version.id;
    return resource::json_response(existing ? 200 : 201, shown(context.call, vault, version));
  }

  Result<resource::Gathered> make_key(const Call& call) const {
    const JsonObject& properties = *object_at(call.body, "properties");
    JsonObject body{{"kty", properties.at("kty")}};
    if (const auto size = int_at(properties, "keySize")) body["key_size"] = *size;
    if (const auto curve = string_at(properties, "curveName")) body["crv"] = *curve;
    if (const Json* ops = properties.if_contains("keyOps")) body["key_ops"] = *ops;
    const std::string name = call.parameter("objectName");
    TRY(check_name(name));
    bool is_there = false;
    const auto vault = TRY(store::read_value<Vault>(core_.store, [&](store::Reader& reader) -> Result<Vault> {
      Vault found = TRY(vault_of(reader, call));
      const ObjectName wanted{found.uid, Kind::keys, name};
      TRY(objects_.require_own_name(reader, wanted));
      is_there = TRY(objects_.find(reader, wanted)).has_value();
      return found;
    }));
    if (is_there) return resource::Gathered();
    if (!takes_long_to_make(body)) return resource::Gathered::of(TRY(keys_.make_new(vault, name, body)));
    const auto turn = TRY(hsm_.gate().enter(vault.uid));
    return resource::Gathered::of(TRY(keys_.make_new(vault, name, body)));
  }

  Result<net::Response> put_key(WriteContext& context) const {
    const Vault vault = TRY(vault_of(context.tx, context.call));
    const ObjectName name{vault.uid, Kind::keys, context.call.parameter("objectName")};
    TRY(check_name(name.name));
    TRY(objects_.require_own_name(context.tx, name));
    if (const auto existing = TRY(objects_.find(context.tx, name)))
      return resource::json_response(
          200, shown(context.call, vault, TRY(objects_.require_version(context.tx, existing->name, {}))));
    const auto* made = std::any_cast<MadeKey>(&context.call.gathered);
    if (made == nullptr)
      return fail(ErrorKind::conflict, "Conflict",
                  "The key '" + name.name + "' was deleted while this was asked for. Ask again.");
    Version version = TRY(keys_.new_version(context.tx, vault, name, *made));
    version.facts = TRY(read_key_facts(facts_of(context.call.body), {}, context.call.now, true));
    const Json* ops = object_at(context.call.body, "properties")->if_contains("keyOps");
    version.key_ops = TRY(read_made_ops(ops, *made));
    TRY(objects_.add_version(context.tx, version));
    context.details["version"] = version.id;
    return resource::json_response(200, shown(context.call, vault, version));
  }

  Result<net::Response> get(const Call& call, store::Reader& reader, Kind kind) const {
    const Vault vault = TRY(vault_of(reader, call));
    const ObjectName name{vault.uid, kind, call.parameter("objectName")};
    const auto id = call.parameters.find("versionName");
    if (!TRY(objects_.find(reader, name))) return no_such(call);
    const Version version =
        TRY(objects_.require_version(reader, name, id == call.parameters.end() ? std::string() : id->second));
    return resource::json_response(200, shown(call, vault, version));
  }

  Result<net::Response> list(const Call& call, store::Reader& reader, Kind kind, bool versions) const {
    const Vault vault = TRY(vault_of(reader, call));
    std::string prefix = vault.uid.text() + "/" + std::string(kind_text(kind)) + "/";
    if (versions) {
      const auto object = TRY(objects_.find(reader, {vault.uid, kind, call.parameter("objectName")}));
      if (!object) return no_such(call);
      prefix = object->name.version_prefix();
    }
    const resource::Page page = TRY(resource::page_of(call, 100));
    std::vector<std::string> values;
    const std::string after =
        TRY(resource::walk_keys(reader, versions ? Version::table() : Object::table(), call.tenant, prefix,
                                page, [&](const resource::WalkRow& at) -> Result<bool> {
                                  Version version;
                                  if (versions) {
                                    version = TRY(store::decode<Version>(at.row));
                                  } else {
                                    const Object object = TRY(store::decode<Object>(at.row));
                                    version = TRY(objects_.require_version(reader, object.name, {}));
                                  }
                                  values.push_back(to_text(shown(call, vault, version)));
                                  return true;
                                }));
    return resource::text_response(
        200, resource::list_text(values, after.empty() ? std::string() : resource::next_link(call, after)));
  }

 private:
  Result<Vault> vault_of(store::Reader& reader, const Call& call) const {
    const std::string id = "/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                           call.parameter("resourceGroupName") + "/providers/Microsoft.KeyVault/vaults/" +
                           call.parameter("vaultName");
    auto vault = TRY(store::get<Vault>(reader, core_.tenant, ascii_lower(call.parameter("vaultName"))));
    if (vault && !vault->deleted && ascii_iequal(vault->resource_id, id)) return *std::move(vault);
    return fail(ErrorKind::not_found, "ParentResourceNotFound",
                "Failed to perform the operation on a nested resource. The parent resource '" + id +
                    "' is not found.");
  }
  static std::unexpected<Error> no_such(const Call& call) {
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The Resource '" + call.id.text() + "' was not found in its vault.");
  }
  static JsonObject shown(const Call& call, const Vault& vault, const Version& version) {
    const bool secret = version.name.kind == Kind::secrets;
    const std::string kind(kind_text(version.name.kind));
    const std::string url =
        string_at(vault.properties, "vaultUri").value_or("") + kind + "/" + version.name.name;
    JsonObject properties{{"attributes", shown_attributes(vault, version.facts)}};
    if (secret) {
      if (!version.facts.content_type.empty()) properties["contentType"] = version.facts.content_type;
    } else {
      properties["kty"] = version.public_key.at("kty");
      properties["keyOps"] = JsonArray(version.key_ops.begin(), version.key_ops.end());
      if (const auto curve = string_at(version.public_key, "crv")) properties["curveName"] = *curve;
      if (const auto modulus = from_base64url(string_at(version.public_key, "n").value_or(""));
          modulus && !modulus->empty())
        properties["keySize"] = modulus->size() * 8;
    }
    properties[secret ? "secretUri" : "keyUri"] = url;
    properties[secret ? "secretUriWithVersion" : "keyUriWithVersion"] = url + "/" + version.id;
    const bool one_version = call.request.path.find("/versions") != std::string::npos;
    return {{"id", vault.resource_id + "/" + kind + "/" + version.name.name +
                       (one_version ? "/versions/" + version.id : "")},
            {"name", one_version ? version.id : version.name.name},
            {"type", "Microsoft.KeyVault/vaults/" + kind + (one_version ? "/versions" : "")},
            {"location", vault.location},
            {"tags", version.facts.tags},
            {"properties", std::move(properties)}};
  }

  const resource::Core& core_;
  Objects objects_;
  const HsmKeys& hsm_;
  Keys keys_;
};

void add_arm_object_routes(Platform& platform, const HsmKeys& hsm) {
  const auto objects = std::make_shared<ArmObjects>(platform, hsm);
  const auto route = [](const char* method, const std::string& tail, const std::string& verb,
                        std::string summary) {
    resource::Route made;
    made.method = method;
    made.path = kVault + tail;
    made.permission = "Microsoft.KeyVault/vaults/" + verb;
    made.summary = std::move(summary);
    return made;
  };
  for (const bool patch : {false, true}) {
    auto put = route(patch ? "PATCH" : "PUT", "/secrets/{objectName}", "secrets/write",
                     patch ? "Changes a secret" : "Puts a secret into a vault");
    put.body = secret_shape();
    put.write = [objects, patch](WriteContext& context) { return objects->put_secret(context, patch); };
    platform.resources.add(std::move(put));
  }
  auto put = route("PUT", "/keys/{objectName}", "keys/write",
                   "Makes a key in a vault, unless it has one of this name");
  put.body = key_shape();
  put.gather = [objects](const Call& call) { return objects->make_key(call); };
  put.write = [objects](WriteContext& context) { return objects->put_key(context); };
  platform.resources.add(std::move(put));
  for (const Kind kind : {Kind::secrets, Kind::keys}) {
    const std::string words(kind_text(kind));
    const auto reading = [&](const std::string& tail, const std::string& verb, bool list, bool versions) {
      auto get = route("GET", "/" + words + tail, verb,
                       (list ? "Lists " : "Gets what is known of ") + words + " of a vault");
      if (list) get.checked_at = kVault;
      get.read = [objects, kind, list, versions](const Call& call, store::Reader& reader) {
        return list ? objects->list(call, reader, kind, versions) : objects->get(call, reader, kind);
      };
      platform.resources.add(std::move(get));
    };
    reading("", words + "/read", true, false);
    reading("/{objectName}", words + "/read", false, false);
    if (kind == Kind::secrets) continue;
    reading("/{objectName}/versions", "keys/versions/read", true, true);
    reading("/{objectName}/versions/{versionName}", "keys/versions/read", false, false);
  }
}

}  // namespace merlon::vault

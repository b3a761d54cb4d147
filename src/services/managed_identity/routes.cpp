// What the managed identity service declares, and its rules.
// Source: azure-rest-api-specs, Microsoft.ManagedIdentity, ManagedIdentity.json (2024-11-30).
#include <algorithm>

#include "identity/federated_credentials.h"
#include "identity/federation_expression.h"
#include "services/managed_identity/api.h"
#include "services/managed_identity/associated.h"
#include "services/managed_identity/service.h"

namespace merlon::managed_identity {
namespace {

using identity::FederatedCredential;
using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

constexpr std::string_view kProvider = "Microsoft.ManagedIdentity";
// Azure's models have no such member and leave it out of a PUT, so one that is not there changes nothing.
constexpr std::string_view kAuthorities = "issuerAuthorities";
constexpr std::string_view kKeys = "issuerKeys";
const std::vector<std::string> kVersions = {"2024-11-30", "2023-07-31-preview", "2023-01-31",
                                            "2022-01-31-preview", "2018-11-30"};

std::optional<std::string> name_problem(std::string_view name) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool sound =
      name.size() >= 3 && name.size() <= 128 && alphanumeric(name.front()) &&
      std::ranges::all_of(name, [&](char c) { return alphanumeric(c) || c == '-' || c == '_'; });
  if (sound) return std::nullopt;
  return "must have 3 to 128 letters, digits, hyphens and underscores, and begin with a letter or a digit";
}

// What the directory refuses in Graph's words, in the Resource Manager's.
template <class T>
Result<T> in_azures_words(Result<T> result) {
  if (result) return result;
  Error error = std::move(result).error();
  if (error.kind == ErrorKind::invalid) error.code = "BadRequest";
  if (error.kind == ErrorKind::conflict) error.code = "Conflict";
  return std::unexpected(std::move(error));
}

schema::Shape identity_shape() {
  using namespace schema;
  return object({optional(
      "properties",
      object({read_only("tenantId", text()), read_only("principalId", text()), read_only("clientId", text()),
              optional("isolationScope", text_of({"None", "Regional"}))}))});
}

schema::Shape credential_shape() {
  using namespace schema;
  return object({required(
      "properties",
      object(
          {required("issuer", text().describe("The URL of the issuer to be trusted, as its tokens say it")),
           optional("subject", text().describe("The subject of the tokens to be trusted")),
           optional("claimsMatchingExpression",
                    object({required("value", text().describe("What the tokens' claims must fit")),
                            required("languageVersion", integer().with_range(1, 1))})
                        .describe("In the place of a subject")),
           read_only("warnings", array_of(anything())),
           optional(std::string(kKeys),
                    map_of(anything())
                        .describe("The issuer's keys (a JSON Web Key Set), so that it is never "
                                  "asked; {} = it is asked. Not Azure's")),
           required("audiences", array_of(text()).with_range(1, 1)),
           optional(std::string(kAuthorities),
                    text().with_range(0, 65536).describe(
                        "Certificates in PEM form that the issuer's TLS certificate must come from; empty = "
                        "the system's. Not Azure's")),
           optional("description", text())}))});
}

Result<JsonObject> put_identity(WriteContext& context, const ResourceId& id, const Resource* existing,
                                JsonObject wanted) {
  Json& properties = wanted["properties"];
  if (!properties.is_object()) properties = JsonObject();
  JsonObject& shown = properties.get_object();
  if (existing != nullptr) {
    for (const std::string_view kept : {"tenantId", "principalId", "clientId"})
      shown[kept] = TRY(require_string(existing->body, "properties." + std::string(kept)));
    return wanted;
  }
  const auto principal =
      TRY(context.core.directory.create_managed_identity(context.tx, std::string(id.name()), id.text()));
  shown["tenantId"] = context.core.tenant.text();
  shown["principalId"] = principal.id.text();
  shown["clientId"] = principal.app_id.text();
  context.details["principalId"] = principal.id.text();
  return wanted;
}

Result<Uuid> id_at(const Resource& identity, const std::string& property) {
  const auto id = Uuid::parse(string_at(identity.body, "properties." + property).value_or(std::string()));
  if (!id) return internal_error("the stored identity " + identity.id.text() + " has no " + property);
  return *id;
}

Result<void> remove_identity(Service& service, WriteContext& context, const Resource& existing) {
  context.tx.urgent();
  const Uuid principal = TRY(id_at(existing, "principalId"));
  TRY(identity::erase_federated_credentials(context.tx, context.core.tenant,
                                            TRY(id_at(existing, "clientId"))));
  TRY(context.core.directory.erase_service_principal(context.tx, principal));
  return service.follow_machines_with(context, principal);
}

Result<Uuid> client_of(Platform& platform, store::Reader& reader, const ResourceId& identity) {
  const auto parent = TRY(platform.resources.get(reader, identity));
  if (!parent)
    return fail(ErrorKind::not_found, "ParentResourceNotFound",
                "The identity " + identity.text() + " does not exist. Create it first.", identity.text());
  return id_at(*parent, "clientId");
}

Result<JsonObject> put_credential(Platform& platform, WriteContext& context, const ResourceId& id,
                                  JsonObject wanted) {
  const TenantId& tenant = context.core.tenant;
  const Uuid client = TRY(client_of(platform, context.tx, id.parent()));
  const auto known = TRY(identity::federated_credential_by_name(context.tx, tenant, client, id.name()));
  FederatedCredential credential = known.value_or(FederatedCredential());
  JsonObject& properties = wanted["properties"].as_object();
  credential.app_id = client;
  credential.name = id.name();
  credential.issuer = TRY(require_string(properties, "issuer"));
  credential.subject = string_at(properties, "subject").value_or(std::string());
  credential.expression = string_at(properties, "claimsMatchingExpression.value").value_or(std::string());
  if (credential.subject.empty() == credential.expression.empty())
    return fail(
        ErrorKind::invalid, "BadRequest",
        "A federated credential has either a subject or a claimsMatchingExpression: give one of them.",
        "properties.subject");
  if (const JsonObject* keys = object_at(properties, kKeys))
    credential.keys_jwks = keys->empty() ? std::string() : to_text(*keys);
  credential.description = string_at(properties, "description").value_or(std::string());
  credential.authorities_pem = string_at(properties, kAuthorities).value_or(credential.authorities_pem);
  const JsonArray* audiences = array_at(properties, "audiences");
  if (audiences != nullptr && audiences->size() == 1)
    credential.audience = std::string(audiences->front().get_string());
  if (known)
    TRY(in_azures_words(identity::update_federated_credential(context.tx, tenant, credential)));
  else
    credential = TRY(in_azures_words(identity::add_federated_credential(
        context.tx, tenant, std::move(credential), context.core.clock, context.core.random)));
  properties.erase(kAuthorities);
  if (!credential.authorities_pem.empty()) properties[kAuthorities] = credential.authorities_pem;
  properties.erase(kKeys);
  if (!credential.keys_jwks.empty()) properties[kKeys] = TRY(parse_json_object(credential.keys_jwks));
  properties.erase("warnings");
  if (JsonArray warnings = identity::expression_warnings(credential); !warnings.empty()) {
    JsonArray codes;
    for (const Json& warning : warnings) codes.push_back(warning.at("code"));
    context.details["warnings"] = std::move(codes);
    properties["warnings"] = std::move(warnings);
  }
  if (!credential.expression.empty()) context.details["expression"] = credential.expression;
  context.details["issuer"] = credential.issuer;
  context.details["subject"] = credential.subject;
  context.details["audience"] = credential.audience;
  context.details["credentialId"] = credential.id.text();
  return wanted;
}

Result<void> remove_credential(Platform& platform, WriteContext& context, const Resource& existing) {
  context.tx.urgent();
  const TenantId& tenant = context.core.tenant;
  const auto parent = TRY(platform.resources.get(context.tx, existing.id.parent()));
  if (!parent) return {};  // it took them with it
  const Uuid client = TRY(id_at(*parent, "clientId"));
  const auto known =
      TRY(identity::federated_credential_by_name(context.tx, tenant, client, existing.id.name()));
  if (!known) return {};
  return store::erase<FederatedCredential>(context.tx, tenant, known->key());
}

resource::ResourceType identities(Service& service) {
  resource::ResourceType type;
  type.provider = kProvider;
  type.type = "userAssignedIdentities";
  type.api_versions = kVersions;
  type.shape = identity_shape();
  type.summary = "An identity for workloads, with no secret of its own";
  type.check_name = name_problem;
  type.put = put_identity;
  type.remove = [&service](WriteContext& context, const Resource& existing) {
    return remove_identity(service, context, existing);
  };
  return type;
}

resource::ResourceType credentials(Platform& platform) {
  resource::ResourceType type;
  type.provider = kProvider;
  type.type = "userAssignedIdentities/federatedIdentityCredentials";
  type.api_versions = kVersions;
  type.shape = credential_shape();
  type.tracked = false;
  type.summary = "Whose tokens sign an identity in";
  type.check_name = [](std::string_view name) -> std::optional<std::string> {
    if (name.size() > 120) return "must have 3 to 120 characters";
    return name_problem(name);
  };
  type.put = [&platform](WriteContext& context, const ResourceId& id, const Resource*, JsonObject wanted) {
    return put_credential(platform, context, id, std::move(wanted));
  };
  type.remove = [&platform](WriteContext& context, const Resource& existing) {
    return remove_credential(platform, context, existing);
  };
  return type;
}

constexpr const char* kMachinePath =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute/"
    "virtualMachines/{vmName}";

Result<ResourceId> machine_in(const Call& call) {
  return ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                           call.parameter("resourceGroupName") +
                           "/providers/Microsoft.Compute/virtualMachines/" + call.parameter("vmName"));
}

Route on_machine(std::string method, std::string_view part, std::string permission, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = kMachinePath + std::string(part);
  route.permission = std::move(permission);
  route.checked_at = kMachinePath;
  route.summary = std::move(summary);
  return route;
}

void add_machine_routes(resource::Manager& resources, Service& service) {
  Route get = on_machine("GET", kCallersPart, "Merlon.ManagedIdentity/callers/read",
                         "Which users and units of the machine may ask for its identities");
  get.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200, TRY(service.callers(reader, TRY(machine_in(call)))));
  };
  resources.add(std::move(get));
  Route put = on_machine("PUT", kCallersPart, "Merlon.ManagedIdentity/callers/write",
                         "Says which users and units of the machine may ask for its identities");
  put.body = callers_shape();
  put.write = [&service](WriteContext& context) -> Result<net::Response> {
    return resource::json_response(200, TRY(service.put_callers(context, TRY(machine_in(context.call)))));
  };
  resources.add(std::move(put));
  Route remove = on_machine("DELETE", kCallersPart, "Merlon.ManagedIdentity/callers/delete",
                            "The challenge file alone decides who may ask for the machine's identities");
  remove.write = [&service](WriteContext& context) -> Result<net::Response> {
    const bool removed = TRY(service.remove_callers(context, TRY(machine_in(context.call))));
    return resource::empty_response(removed ? 200 : 204);
  };
  resources.add(std::move(remove));
  Route own = on_machine("GET", "/providers/Microsoft.ManagedIdentity/identities/default",
                         "Microsoft.ManagedIdentity/identities/read", "The machine's own identity");
  own.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200, TRY(service.own_identity(reader, TRY(machine_in(call)))));
  };
  resources.add(std::move(own));
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {StoredCallers::table()};
  return specs;
}

Handle install(Platform& platform, compute::Compute& compute) {
  const auto service = std::make_shared<Service>(platform);
  Service* s = service.get();
  platform.resources.add(identities(*s));
  platform.resources.add(credentials(platform));
  add_machine_routes(platform.resources, *s);
  add_associated_route(platform);
  const auto follow = [s](WriteContext& context, const ResourceId& vm) { return s->follow(context, vm); };
  compute.on_changed(follow);
  compute.on_remove([s](WriteContext& context, const ResourceId& vm) { return s->leave(context, vm); });
  platform.machines.on_enrol(
      [s](WriteContext& context, machine::Machine& machine, const std::string&) -> Result<void> {
        return s->follow(context, TRY(ResourceId::parse(machine.resource_id)));
      });
  platform.machines.on_token([s](const machine::Machine& machine, const machine::TokenRequest& asked,
                                 const std::string& origin) { return s->token(machine, asked, origin); });
  return service;
}

}  // namespace merlon::managed_identity

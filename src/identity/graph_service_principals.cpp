// Graph: service principals.
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"

namespace merlon::identity::graph {
namespace {

Result<JsonObject> to_graph(const GraphCall& call, store::Reader& reader, const ServicePrincipal& principal) {
  const auto application = TRY(call.directory.application_by_app_id(reader, principal.app_id));
  return graph_service_principal(principal, application ? &*application : nullptr, call.tenant());
}

}  // namespace

Result<ServicePrincipal> service_principal_argument(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(call.id_argument(0));
  if (!call.may_see(id)) return graph_denied();
  auto principal = TRY(store::get<ServicePrincipal>(reader, call.tenant(), id.text()));
  if (!principal) return graph_not_found(id.text());
  return *std::move(principal);
}

schema::Shape new_service_principal() {
  return schema::object(
      {schema::required("appId", schema::text()), schema::optional("accountEnabled", schema::boolean())});
}

schema::Shape changed_service_principal() {
  return schema::object(
      {schema::optional("accountEnabled", schema::boolean()),
       schema::optional("keyCredentials", schema::array_of(key_credential()).with_range(0, 64))});
}

Result<JsonObject> list_service_principals(const GraphCall& call, store::Reader& reader) {
  return graph_page<ServicePrincipal>(
      call, reader, "servicePrincipals",
      [&](const ServicePrincipal& principal) { return to_graph(call, reader, principal); });
}

Result<JsonObject> get_service_principal(const GraphCall& call, store::Reader& reader) {
  const ServicePrincipal principal = TRY(service_principal_argument(call, reader));
  return graph_single(call, "servicePrincipals", TRY(to_graph(call, reader, principal)));
}

Result<GraphOutcome> create_service_principal(const GraphCall& call, store::Transaction& tx) {
  const auto app_id = Uuid::parse(TRY(require_string(call.body, "appId")));
  if (!app_id) return graph_bad_request("appId is not a GUID.", "appId");
  ServicePrincipal principal = TRY(call.directory.create_service_principal(tx, *app_id));
  if (!bool_at(call.body, "accountEnabled").value_or(true)) {
    TRY(call.directory.set_enabled(tx, principal.id, false));
    principal.enabled = false;
  }
  return GraphOutcome{.status = 201,
                      .body = graph_single(call, "servicePrincipals", TRY(to_graph(call, tx, principal))),
                      .resource = "servicePrincipals/" + principal.id.text(),
                      .action = {},
                      .details = {{"appId", app_id->text()}, {"displayName", principal.display_name}}};
}

Result<GraphOutcome> update_service_principal(const GraphCall& call, store::Transaction& tx) {
  const ServicePrincipal principal = TRY(service_principal_argument(call, tx));
  GraphOutcome outcome{.status = 204,
                       .body = {},
                       .resource = "servicePrincipals/" + principal.id.text(),
                       .action = {},
                       .details = {}};
  const JsonArray* keys = array_at(call.body, "keyCredentials");
  const auto enabled = bool_at(call.body, "accountEnabled");
  if (keys == nullptr && !enabled)
    return graph_bad_request(
        "The request changes nothing: a service principal has accountEnabled and keyCredentials to change. "
        "Its names are its application's.");
  if (keys != nullptr) {
    TRY(replace_keys(call, tx, TRY(application_of(call, tx, principal)), *keys));
    outcome.action = "microsoft.directory/servicePrincipals/credentials/update";
    outcome.details["changed"] = "keyCredentials";
  }
  if (enabled) {
    if (!*enabled) tx.urgent();
    TRY(call.directory.set_enabled(tx, principal.id, *enabled));
    outcome.action = *enabled ? "microsoft.directory/servicePrincipals/enable"
                              : "microsoft.directory/servicePrincipals/disable";
  }
  return outcome;
}

Result<GraphOutcome> delete_service_principal(const GraphCall& call, store::Transaction& tx) {
  const ServicePrincipal principal = TRY(service_principal_argument(call, tx));
  if (!principal.resource_id.empty())
    return graph_bad_request("This service principal is a managed identity's. Delete the resource instead: " +
                             principal.resource_id);
  tx.urgent();
  TRY(call.directory.erase_service_principal(tx, principal.id));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "servicePrincipals/" + principal.id.text(),
                      .action = {},
                      .details = {{"appId", principal.app_id.text()}}};
}

}  // namespace merlon::identity::graph

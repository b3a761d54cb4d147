// Graph: owners of groups and applications. An owner may write what they own as an administrator may
// (GraphPermission::write_owned), so only who may write it adds one.
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"

namespace merlon::identity::graph {
namespace {

Result<Uuid> owned_argument(const GraphCall& call, store::Reader& reader) {
  if (call.pattern.starts_with("groups/")) return TRY(group_argument(call, reader)).id;
  if (call.pattern.starts_with("applications/")) return TRY(application_argument(call, reader)).id;
  // A service principal's owners are its application's.
  const ServicePrincipal principal = TRY(service_principal_argument(call, reader));
  const auto application = TRY(call.directory.application_by_app_id(reader, principal.app_id));
  return application ? application->id : principal.id;
}

GraphOutcome changed(const GraphCall& call, const Uuid& object, JsonObject details) {
  const bool group = call.pattern.starts_with("groups/");
  return {.status = 204,
          .body = {},
          .resource = (group ? "groups/" : "applications/") + object.text(),
          .action = {},
          .details = std::move(details)};
}

}  // namespace

Result<JsonObject> list_owners(const GraphCall& call, store::Reader& reader) {
  const Uuid object = TRY(owned_argument(call, reader));
  return graph_objects_page(call, reader, TRY(call.directory.owners(reader, object)));
}

Result<JsonObject> list_owned_objects(const GraphCall& call, store::Reader& reader) {
  if (call.principal.kind != PrincipalKind::user)
    return graph_bad_request("/me request is only valid with delegated authentication flow.");
  return graph_objects_page(call, reader, TRY(call.directory.owned(reader, call.principal.object_id)));
}

Result<GraphOutcome> add_owner(const GraphCall& call, store::Transaction& tx) {
  const Uuid object = TRY(owned_argument(call, tx));
  const Uuid owner = TRY(reference_in(call.body));
  TRY(call.directory.add_owner(tx, object, owner));
  return changed(call, object, {{"ownerAdded", owner.text()}});
}

Result<GraphOutcome> remove_owner(const GraphCall& call, store::Transaction& tx) {
  const Uuid object = TRY(owned_argument(call, tx));
  const Uuid owner = TRY(call.id_argument(1));
  tx.urgent();
  TRY(call.directory.remove_owner(tx, object, owner));
  return changed(call, object, {{"ownerRemoved", owner.text()}});
}

}  // namespace merlon::identity::graph

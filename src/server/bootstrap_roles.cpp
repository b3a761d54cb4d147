// At every scope, whoever gave them.
#include "server/bootstrap_roles.h"

#include "identity/bootstrap.h"

namespace merlon::server {

Result<void> take_roles_of_retired_bootstrap(const resource::Core& core, store::Transaction& tx) {
  const auto id = TRY(identity::bootstrap_service_principal(tx, core.directory));
  if (!id) return {};
  const auto principal = TRY(store::get<identity::ServicePrincipal>(tx, core.tenant, id->text()));
  if (!principal || principal->enabled) return {};
  for (const access::RoleAssignment& held :
       TRY(store::find<access::RoleAssignment>(tx, core.tenant, "principal", id->text())))
    TRY(core.access.unassign(tx, held.scope, held.id));
  return {};
}

}  // namespace merlon::server

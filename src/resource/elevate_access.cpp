// elevateAccess: how somebody who administers the directory, but has no role anywhere, gets to give one
// (Azure docs, elevate-access-global-admin.md). What it gives is an ordinary assignment, which an ordinary
// DELETE takes away.
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kAction = "Microsoft.Authorization/elevateAccess/action";
constexpr const char* kUserAccessAdministrator = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";

// The directory role decides, and nothing else: not even an Owner of everything is let through without it.
Result<void> require_administrator(const State& state, WriteContext& context) {
  const auto role = Uuid::parse(identity::kGlobalAdministrator);
  MERLON_CHECK(role.has_value());
  const identity::Principal& caller = context.call.principal;
  if (!TRY(state.core.directory.has_directory_role(context.tx, *role, caller.object_id)))
    return std::unexpected(authorization_failed(caller, kAction, "/"));
  // The pipeline asks of step-up where a role is the way in.
  if (const auto need = TRY(state.step_ups.missing(context.tx, caller, kAction, "/", access::Decision{})))
    return std::unexpected(step_up_needed(*need, kAction, "/"));
  return {};
}

Result<net::Response> elevate(State& state, WriteContext& context) {
  TRY(require_administrator(state, context));
  access::RoleAssignment wanted;
  wanted.role_definition_id = *Uuid::parse(kUserAccessAdministrator);
  wanted.principal_id = context.call.principal.object_id;
  wanted.scope = "/";
  for (const auto& held :
       TRY(state.core.access.assignments(context.tx, "/", access::Access::Reach::at_scope)))
    if (held.principal_id == wanted.principal_id && held.role_definition_id == wanted.role_definition_id)
      return empty_response(200);
  wanted.id = Uuid::generate(state.core.random);
  wanted.created_by = wanted.updated_by = context.actor.object_id;
  const auto made = TRY(state.core.access.assign(context.tx, std::move(wanted)));
  context.details = {{"principalId", made.principal_id.text()},
                     {"principalType", made.principal_type},
                     {"roleDefinitionId", made.role_definition_id.text()},
                     {"scope", made.scope},
                     {"assignment", made.id.text()},
                     {"through", "directory role Global Administrator"}};
  return empty_response(200);
}

}  // namespace

void add_elevate_access_route(State& state, const AddRoute& add) {
  Route route;
  route.method = "POST";
  route.path = "/providers/Microsoft.Authorization/elevateAccess";
  route.permission = kAction;
  route.checked_at = "/";
  route.summary = "Makes a Global Administrator of the directory User Access Administrator of everything.";
  route.filter_items = true;  // a role is no way in here: require_administrator() decides
  route.write = [&state](WriteContext& context) { return elevate(state, context); };
  add(std::move(route));
}

}  // namespace merlon::resource

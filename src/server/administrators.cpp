// POST /providers/Merlon.Identity/administrators: it spans the directory (Global Administrator) and access
// (Owner at "/"), so it stands where both are assembled.
#include "server/administrators.h"

#include "identity/bootstrap.h"
#include "server/bootstrap_roles.h"

namespace merlon::server {
namespace {

using resource::Call;
using resource::WriteContext;

constexpr std::string_view kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

// Both halves of what is given have to be the caller's to give: the directory's, which no role at a scope
// holds (a Contributor of everything has every action but a few), and Owner of everything.
Result<void> require_administrator(const resource::Core& core, WriteContext& context) {
  const auto role = Uuid::parse(identity::kGlobalAdministrator);
  MERLON_CHECK(role.has_value());
  if (!TRY(core.directory.has_directory_role(context.tx, *role, context.call.principal.object_id)))
    return fail(
        ErrorKind::forbidden, "AuthorizationFailed",
        "The client '" + context.call.principal.name +
            "' is no Global Administrator of the directory, and nobody else makes administrators. Ask "
            "one of them, or, as root on the server's machine: merlon admin recover.");
  return context.require("Microsoft.Authorization/roleAssignments/write", "/");
}

Result<net::Response> create_administrator(const resource::Core& core, WriteContext& context) {
  TRY(require_administrator(core, context));
  const auto& password =
      std::any_cast<const std::shared_ptr<identity::OneTimePassword>&>(context.call.gathered);
  const std::string name = string_at(context.call.body, "userPrincipalName").value_or("");
  const std::string display = string_at(context.call.body, "displayName").value_or(name);
  const identity::User user =
      TRY(identity::create_admin_user(context.tx, core.directory, name, display, *password));
  access::RoleAssignment owner;
  owner.id = Uuid::generate(core.random);
  owner.scope = "/";
  owner.role_definition_id = *Uuid::parse(kOwnerRole);
  owner.principal_id = user.id;
  owner.principal_type = "User";
  owner.created_by = context.call.principal.object_id.text();
  TRY(core.access.assign(context.tx, std::move(owner)));
  const bool retired = TRY(identity::retire_bootstrap(context.tx, core.directory));
  TRY(take_roles_of_retired_bootstrap(core, context.tx));
  context.details["userPrincipalName"] = user.user_principal_name;
  context.details["objectId"] = user.id.text();
  context.details["bootstrapRetired"] = retired;
  return resource::json_response(201, {{"userPrincipalName", user.user_principal_name},
                                       {"objectId", user.id.text()},
                                       {"password", password->text.expose_text()},
                                       {"bootstrapRetired", retired}});
}

}  // namespace

void add_administrators_route(const resource::Core& core, resource::Manager& manager) {
  resource::Route route;
  route.method = "POST";
  route.path = "/providers/Merlon.Identity/administrators";
  route.permission = "Merlon.Identity/administrators/write";
  route.checked_at = "/";
  route.summary = "Make a person administrator: Owner of everything; the bootstrap credential is retired";
  route.body = schema::object({schema::required("userPrincipalName", schema::text().with_range(3, 256)),
                               schema::optional("displayName", schema::text().with_range(1, 256))});
  route.gather = [&core](const Call&) -> Result<resource::Gathered> {
    return resource::Gathered::of(
        std::make_shared<identity::OneTimePassword>(TRY(identity::make_one_time_password(core.random))));
  };
  route.write = [&core](WriteContext& context) { return create_administrator(core, context); };
  manager.add(std::move(route));
}

}  // namespace merlon::server

// Microsoft.Authorization's things: role definitions, role assignments and deny assignments at any scope.
// What they look like is access/wire.h's; who may change them is decided here, as for anything else.
#include "access/hierarchy.h"
#include "access/scope.h"
#include "access/wire.h"
#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

using access::RoleAssignment;
using access::RoleDefinition;

constexpr const char* kProvider = "/{+scope}/providers/Microsoft.Authorization/";
// As access/custom_roles.cpp has them, which tells more about what is too much.
constexpr int64_t kPatternsMax = 4096 + 1;
constexpr int64_t kScopesMax = 2000 + 1;
constexpr int64_t kPermissionsMax = 64 + 1;

Result<access::ListFilter> filter_of(const Call& call, access::Listed listed) {
  const std::string* text = call.request.query.find("$filter");
  return access::parse_filter(text == nullptr ? std::string_view() : std::string_view(*text), listed);
}

template <class Item, class ToJson>
net::Response list_response(const std::vector<Item>& items, const ToJson& to_json_object) {
  JsonArray values;
  for (const Item& item : items) values.push_back(to_json_object(item));
  return json_response(200, {{"value", std::move(values)}});
}

// A right is given on what exists: one prepared for a thing to come would be there before its owner is.
Result<void> require_scope(const State& state, store::Reader& reader, const ResourceId& scope) {
  const std::string group = access::management_group_of(scope.key());
  if (!group.empty()) TRY(state.core.access.hierarchy().require(reader, group));
  TRY(state.groups.require(reader, scope));
  const bool ours =
      state.types.find(scope.type()) != nullptr || state.types.find_embedded(scope.type()) != nullptr;
  if (ours && !TRY(state.documents.get(reader, scope))) return std::unexpected(resource_not_found(scope));
  return {};
}

Result<Uuid> name_of(const Call& call, std::string_view code) {
  const std::string& name = call.parameter("name");
  const auto id = Uuid::parse(name);
  if (!id)
    return fail(ErrorKind::invalid, code,
                "The name '" + name.substr(0, 100) + "' is not a GUID. Give a new one, e.g. from uuidgen.",
                "name");
  return *id;
}

JsonObject facts(const RoleAssignment& assignment) {
  return {{"principalId", assignment.principal_id.text()},
          {"principalType", assignment.principal_type},
          {"roleDefinitionId", assignment.role_definition_id.text()},
          {"scope", assignment.scope}};
}

// For conditions such as "may assign these roles only": what the assignment would be, or is.
Result<access::Attributes> attributes_of(State& state, const Call& call, store::Reader& reader) {
  const std::string& scope = call.parameter("+scope");
  if (call.request.method == "DELETE") {
    const auto existing =
        TRY(state.core.access.assignment(reader, scope, TRY(name_of(call, "InvalidRoleAssignmentId"))));
    if (!existing) return access::Attributes();
    return access::assignment_attributes(access::Side::resource, *existing);
  }
  auto wanted = TRY(access::role_assignment_from_wire(scope, call.parameter("name"), call.body));
  wanted = TRY(state.core.access.complete(reader, std::move(wanted)));
  return access::assignment_attributes(access::Side::request, wanted);
}

Result<net::Response> put_assignment(State& state, WriteContext& context) {
  const Call& call = context.call;
  const ResourceId scope = call.id.parent();
  auto wanted = TRY(access::role_assignment_from_wire(scope.text(), call.parameter("name"), call.body));
  TRY(require_scope(state, context.tx, scope));
  const bool existed = TRY(state.core.access.assignment(context.tx, scope.text(), wanted.id)).has_value();
  wanted.created_by = wanted.updated_by = context.actor.object_id;
  const auto made = TRY(state.core.access.assign(context.tx, std::move(wanted)));
  context.details = facts(made);
  return json_response(existed ? 200 : 201, access::role_assignment_json(made));
}

Result<net::Response> delete_assignment(State& state, WriteContext& context) {
  const Uuid id = TRY(name_of(context.call, "InvalidRoleAssignmentId"));
  const auto gone = TRY(state.core.access.unassign(context.tx, context.call.id.parent().text(), id));
  if (!gone) return empty_response(204);
  context.tx.urgent();  // it takes access away
  context.details = facts(*gone);
  return json_response(200, access::role_assignment_json(*gone));
}

Result<net::Response> get_assignment(State& state, const Call& call, store::Reader& reader) {
  const Uuid id = TRY(name_of(call, "InvalidRoleAssignmentId"));
  const auto found = TRY(state.core.access.assignment(reader, call.parameter("+scope"), id));
  if (found) return json_response(200, access::role_assignment_json(*found));
  return fail(ErrorKind::not_found, "RoleAssignmentNotFound",
              "The role assignment '" + id.text() + "' is not found.");
}

// Its reach is the widest of the assignable scopes, so the right is needed at each of them, before and after.
Result<void> require_everywhere(WriteContext& context, const std::vector<std::string>& scopes,
                                std::string_view verb) {
  for (const std::string& scope : scopes)
    TRY(context.require("Microsoft.Authorization/roleDefinitions/" + std::string(verb), scope));
  return {};
}

Result<net::Response> put_definition(State& state, WriteContext& context) {
  auto wanted = TRY(access::role_definition_from_wire(context.call.parameter("name"), context.call.body));
  const auto existing = TRY(state.core.access.role(context.tx, wanted.id));
  TRY(require_everywhere(context, wanted.assignable_scopes, "write"));
  if (existing && !existing->built_in) TRY(require_everywhere(context, existing->assignable_scopes, "write"));
  wanted.created_by = wanted.updated_by = context.actor.object_id;
  const RoleDefinition made = TRY(state.core.access.put_role(context.tx, std::move(wanted)));
  context.details = {{"roleName", made.name}};
  return json_response(201, access::role_definition_json(made, context.call.id.parent().text()));
}

Result<net::Response> delete_definition(State& state, WriteContext& context) {
  const Uuid id = TRY(name_of(context.call, "InvalidRoleDefinitionId"));
  const auto existing = TRY(state.core.access.role(context.tx, id));
  if (existing && !existing->built_in)
    TRY(require_everywhere(context, existing->assignable_scopes, "delete"));
  const auto gone = TRY(state.core.access.delete_role(context.tx, id));
  if (!gone) return empty_response(204);
  context.details = {{"roleName", gone->name}};
  return json_response(200, access::role_definition_json(*gone, context.call.id.parent().text()));
}

Result<net::Response> get_definition(State& state, const Call& call, store::Reader& reader) {
  const Uuid id = TRY(name_of(call, "InvalidRoleDefinitionId"));
  const auto role = TRY(state.core.access.role(reader, id));
  if (role) return json_response(200, access::role_definition_json(*role, call.parameter("+scope")));
  return fail(ErrorKind::not_found, "RoleDefinitionDoesNotExist",
              "The specified role definition with ID '" + id.text() + "' does not exist.");
}

Result<net::Response> get_denial(const State& state, const Call& call, store::Reader& reader) {
  const Uuid id = TRY(name_of(call, "InvalidDenyAssignmentId"));
  for (const auto& denial : TRY(state.core.access.deny_assignments(reader, call.parameter("+scope"),
                                                                   access::Access::Reach::at_scope)))
    if (denial.id == id) return json_response(200, access::deny_assignment_json(denial));
  return fail(ErrorKind::not_found, "DenyAssignmentNotFound",
              "The deny assignment '" + id.text() + "' is not found.");
}

// What a role of one's own is made of. How much of it there may be, and what its patterns are, says access/.
schema::Shape definition_shape() {
  const schema::Shape patterns = schema::array_of(schema::text()).with_range(0, kPatternsMax);
  const schema::Shape permission = schema::object(
      {schema::optional("actions", patterns), schema::optional("notActions", patterns),
       schema::optional("dataActions", patterns), schema::optional("notDataActions", patterns),
       schema::optional("condition", schema::text()), schema::optional("conditionVersion", schema::text())});
  return schema::object({schema::required(
      "properties",
      schema::object(
          {schema::required("roleName", schema::text()), schema::optional("description", schema::text()),
           schema::optional("type",
                            schema::text_of({"CustomRole"}).describe("Built-in roles cannot be made.")),
           schema::required("assignableScopes", schema::array_of(schema::text()).with_range(0, kScopesMax)),
           schema::required("permissions", schema::array_of(permission).with_range(0, kPermissionsMax))}))});
}

Route role_route(std::string method, std::string type, bool named, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = kProvider + type + (named ? "/{name}" : "");
  route.permission = "Microsoft.Authorization/" + type + "/" + std::move(verb);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

void add_assignments(State& state, const AddRoute& add) {
  Route list = role_route("GET", "roleAssignments", false, "read",
                          "Lists role assignments: at, above and below the scope.");
  list.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto filter = TRY(filter_of(call, access::Listed::role_assignments));
    return list_response(
        TRY(access::list_role_assignments(state.core.access, reader, call.parameter("+scope"), filter)),
        access::role_assignment_json);
  };
  add(std::move(list));
  Route get = role_route("GET", "roleAssignments", true, "read", "Gets a role assignment.");
  get.read = [&state](const Call& call, store::Reader& reader) {
    return get_assignment(state, call, reader);
  };
  add(std::move(get));
  const auto attributes = [&state](const Call& call, store::Reader& reader) {
    return attributes_of(state, call, reader);
  };
  Route put =
      role_route("PUT", "roleAssignments", true, "write", "Assigns a role to a principal at the scope.");
  put.attributes = attributes;
  put.write = [&state](WriteContext& context) { return put_assignment(state, context); };
  add(std::move(put));
  Route remove = role_route("DELETE", "roleAssignments", true, "delete", "Takes a role assignment away.");
  remove.attributes = attributes;
  remove.write = [&state](WriteContext& context) { return delete_assignment(state, context); };
  add(std::move(remove));
}

void add_definitions(State& state, const AddRoute& add) {
  Route list = role_route("GET", "roleDefinitions", false, "read",
                          "Lists the roles that can be assigned at the scope.");
  list.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const std::string& scope = call.parameter("+scope");
    const auto filter = TRY(filter_of(call, access::Listed::role_definitions));
    return list_response(
        TRY(access::list_role_definitions(state.core.access, reader, scope, filter)),
        [&scope](const RoleDefinition& role) { return access::role_definition_json(role, scope); });
  };
  add(std::move(list));
  Route get = role_route("GET", "roleDefinitions", true, "read", "Gets a role definition.");
  get.read = [&state](const Call& call, store::Reader& reader) {
    return get_definition(state, call, reader);
  };
  add(std::move(get));
  Route put = role_route("PUT", "roleDefinitions", true, "write", "Creates or replaces a custom role.");
  put.body = definition_shape();
  put.write = [&state](WriteContext& context) { return put_definition(state, context); };
  add(std::move(put));
  Route remove =
      role_route("DELETE", "roleDefinitions", true, "delete", "Deletes a custom role that nobody has.");
  remove.write = [&state](WriteContext& context) { return delete_definition(state, context); };
  add(std::move(remove));
}

}  // namespace

void add_role_routes(State& state, const AddRoute& add) {
  add_assignments(state, add);
  add_definitions(state, add);
  Route denials = role_route("GET", "denyAssignments", false, "read",
                             "Lists deny assignments: at, above and below the scope.");
  denials.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto filter = TRY(filter_of(call, access::Listed::deny_assignments));
    return list_response(
        TRY(access::list_deny_assignments(state.core.access, reader, call.parameter("+scope"), filter)),
        access::deny_assignment_json);
  };
  add(std::move(denials));
  Route denial = role_route("GET", "denyAssignments", true, "read", "Gets a deny assignment.");
  denial.read = [&state](const Call& call, store::Reader& reader) { return get_denial(state, call, reader); };
  add(std::move(denial));
}

}  // namespace merlon::resource

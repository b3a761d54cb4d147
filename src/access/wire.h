// Microsoft.Authorization as Azure writes it in JSON (api-version 2022-04-01 and the older ones of rbac.md):
// bodies in, resources out, filtered lists. Routes call this; it decides nothing about who may.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "access/filter.h"

namespace merlon::access {

// Resources out. A built-in role's id carries the subscription of the scope it was asked for at, as Azure's
// does.
std::string role_definition_id(std::string_view scope, const Uuid& id);
std::string role_assignment_id(const RoleAssignment& assignment);
JsonObject permission_json(const Permission& permission);
JsonObject role_definition_json(const RoleDefinition& role, std::string_view scope);
JsonObject role_assignment_json(const RoleAssignment& assignment);
JsonObject deny_assignment_json(const DenyAssignment& assignment);

// The body of a PUT, checked for form; created_by is left to the route. `name` is the last segment of the
// path. Errors are 400 and name the property: InvalidRequestContent, InvalidRoleAssignmentId,
// InvalidPrincipalId …
Result<RoleAssignment> role_assignment_from_wire(std::string_view scope, std::string_view name,
                                                 const JsonObject& body);
Result<RoleDefinition> role_definition_from_wire(std::string_view name, const JsonObject& body);
// The guid at the end of "{scope}/providers/Microsoft.Authorization/roleDefinitions/{guid}".
std::optional<Uuid> role_id_of(std::string_view role_definition_id);

// For Question::attributes. A write asks with the assignment it would make on the @Request side, a delete
// with the one it would remove on the @Resource side (conditions-authorization-actions-attributes.md). Give
// it what Access::complete answered.
enum class Side { request, resource };
Attributes assignment_attributes(Side side, const RoleAssignment& assignment);

// Lists, in a stable order.
Result<std::vector<RoleDefinition>> list_role_definitions(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter);
Result<std::vector<RoleAssignment>> list_role_assignments(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter);
Result<std::vector<DenyAssignment>> list_deny_assignments(Access& access, store::Reader& reader,
                                                          std::string_view scope, const ListFilter& filter);

}  // namespace merlon::access

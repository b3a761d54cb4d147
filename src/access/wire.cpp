// Role definitions, assignments and permissions as JSON, and back.
#include "access/wire.h"

#include "access/decide.h"
#include "access/scope.h"
#include "base/text.h"
#include "base/time_text.h"

namespace merlon::access {
namespace {

constexpr size_t kPermissionsMax = 64;

JsonArray to_array(const std::vector<std::string>& texts) {
  JsonArray out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

JsonArray permissions_json(const std::vector<Permission>& permissions) {
  JsonArray out;
  for (const Permission& permission : permissions) out.emplace_back(permission_json(permission));
  return out;
}

// Built-in roles carry no times: they are as old as the program.
template <class T>
void add_audit(const T& record, JsonObject& properties) {
  const bool known = record.created != Timestamp();
  properties["createdOn"] = known ? Json(to_rfc3339(record.created)) : Json(nullptr);
  properties["updatedOn"] = known ? Json(to_rfc3339(record.updated)) : Json(nullptr);
  properties["createdBy"] = text_or_null(record.created_by);
  properties["updatedBy"] = text_or_null(record.updated_by);
}

JsonObject resource(std::string id, const Uuid& name, std::string_view type, JsonObject properties) {
  JsonObject json;
  json["id"] = std::move(id);
  json["name"] = name.text();
  json["type"] = "Microsoft.Authorization/" + std::string(type);
  json["properties"] = std::move(properties);
  return json;
}

std::unexpected<Error> bad_property(const std::string& property, const std::string& what) {
  return fail(ErrorKind::invalid, "InvalidRequestContent", "The property '" + property + "' " + what,
              property);
}

// Absent and null are empty; another type is an error, since a condition that was not understood must not be
// left out.
Result<std::string> optional_text(const JsonObject& json, const std::string& key) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string())
    return bad_property(key, "must be a string. Correct it and send the request again.");
  return std::string(value->get_string());
}

Result<std::vector<std::string>> text_array(const JsonObject& json, const std::string& key) {
  std::vector<std::string> out;
  const Json* value = json.if_contains(key);
  if (value == nullptr || value->is_null()) return out;
  if (!value->is_array()) return bad_property(key, "must be an array of strings.");
  for (const Json& item : value->get_array()) {
    if (!item.is_string()) return bad_property(key, "must be an array of strings.");
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<const JsonObject*> properties_of(const JsonObject& body) {
  const JsonObject* properties = object_at(body, "properties");
  if (properties == nullptr) return bad_property("properties", "is required and must be an object.");
  return properties;
}

Result<Permission> permission_from_wire(const Json& item) {
  if (!item.is_object()) return bad_property("permissions", "must be an array of objects.");
  const JsonObject& json = item.get_object();
  Permission permission;
  permission.actions = TRY(text_array(json, "actions"));
  permission.not_actions = TRY(text_array(json, "notActions"));
  permission.data_actions = TRY(text_array(json, "dataActions"));
  permission.not_data_actions = TRY(text_array(json, "notDataActions"));
  permission.condition = TRY(optional_text(json, "condition"));
  return permission;
}

JsonArray principals_json(const std::vector<DenyPrincipal>& principals) {
  JsonArray out;
  for (const DenyPrincipal& principal : principals)
    out.emplace_back(JsonObject{{"id", principal.id.text()}, {"type", principal.type}});
  return out;
}

}  // namespace

std::string role_definition_id(std::string_view scope, const Uuid& id) {
  const auto normal = normal_scope(scope);
  const std::string subscription = normal ? subscription_of(*normal) : std::string();
  return authorization_id(subscription.empty() ? "/" : subscription, "roleDefinitions", id);
}

std::string role_assignment_id(const RoleAssignment& assignment) {
  return authorization_id(assignment.scope, "roleAssignments", assignment.id);
}

JsonObject permission_json(const Permission& permission) {
  JsonObject json;
  json["actions"] = to_array(permission.actions);
  json["notActions"] = to_array(permission.not_actions);
  json["dataActions"] = to_array(permission.data_actions);
  json["notDataActions"] = to_array(permission.not_data_actions);
  if (!permission.condition.empty()) {
    json["condition"] = permission.condition;
    json["conditionVersion"] = "2.0";
  }
  return json;
}

JsonObject role_definition_json(const RoleDefinition& role, std::string_view scope) {
  JsonObject properties;
  properties["roleName"] = role.name;
  properties["type"] = role.built_in ? "BuiltInRole" : "CustomRole";
  properties["description"] = role.description;
  properties["assignableScopes"] = to_array(role.assignable_scopes);
  properties["permissions"] = permissions_json(role.permissions);
  add_audit(role, properties);
  return resource(role_definition_id(scope, role.id), role.id, "roleDefinitions", std::move(properties));
}

JsonObject role_assignment_json(const RoleAssignment& assignment) {
  JsonObject properties;
  properties["roleDefinitionId"] = role_definition_id(assignment.scope, assignment.role_definition_id);
  properties["principalId"] = assignment.principal_id.text();
  properties["principalType"] = text_or_null(assignment.principal_type);
  properties["scope"] = assignment.scope;
  properties["description"] = text_or_null(assignment.description);
  properties["condition"] = text_or_null(assignment.condition);
  properties["conditionVersion"] = text_or_null(assignment.condition_version);
  add_audit(assignment, properties);
  properties["delegatedManagedIdentityResourceId"] = nullptr;
  return resource(role_assignment_id(assignment), assignment.id, "roleAssignments", std::move(properties));
}

JsonObject deny_assignment_json(const DenyAssignment& assignment) {
  JsonObject properties;
  properties["denyAssignmentName"] = assignment.name;
  properties["description"] = assignment.description;
  properties["permissions"] = permissions_json(assignment.permissions);
  properties["scope"] = assignment.scope;
  properties["doNotApplyToChildScopes"] = assignment.do_not_apply_to_child_scopes;
  properties["principals"] = principals_json(assignment.principals);
  properties["excludePrincipals"] = principals_json(assignment.exclude_principals);
  properties["isSystemProtected"] = assignment.is_system_protected;
  properties["condition"] = text_or_null(assignment.condition);
  properties["conditionVersion"] = text_or_null(assignment.condition_version);
  add_audit(assignment, properties);
  return resource(authorization_id(assignment.scope, "denyAssignments", assignment.id), assignment.id,
                  "denyAssignments", std::move(properties));
}

std::optional<Uuid> role_id_of(std::string_view role_definition_id) {
  constexpr std::string_view kMiddle = "/providers/microsoft.authorization/roledefinitions/";
  const size_t slash = role_definition_id.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string before = ascii_lower(role_definition_id.substr(0, slash + 1));
  if (!before.ends_with(kMiddle)) return std::nullopt;
  return Uuid::parse(role_definition_id.substr(slash + 1));
}

Result<RoleAssignment> role_assignment_from_wire(std::string_view scope, std::string_view name,
                                                 const JsonObject& body) {
  const JsonObject& properties = *TRY(properties_of(body));
  RoleAssignment assignment;
  TRY(require_scope(scope));
  assignment.scope = scope;
  const auto id = Uuid::parse(name);
  if (!id)
    return fail(ErrorKind::invalid, "InvalidRoleAssignmentId",
                "The role assignment ID '" + std::string(name.substr(0, 64)) +
                    "' is not valid. The role assignment ID must be a GUID.",
                "name");
  assignment.id = *id;
  const auto role = role_id_of(TRY(optional_text(properties, "roleDefinitionId")));
  if (!role)
    return bad_property("roleDefinitionId",
                        "is required: {scope}/providers/Microsoft.Authorization/roleDefinitions/{guid}.");
  assignment.role_definition_id = *role;
  const auto principal = Uuid::parse(TRY(optional_text(properties, "principalId")));
  if (!principal)
    return fail(
        ErrorKind::invalid, "InvalidPrincipalId",
        "The property 'principalId' is required and must be a valid GUID: the object id of the principal.",
        "principalId");
  assignment.principal_id = *principal;
  assignment.principal_type = TRY(optional_text(properties, "principalType"));
  for (const char* known : {"User", "Group", "ServicePrincipal"})
    if (ascii_iequal(assignment.principal_type, known)) assignment.principal_type = known;
  assignment.description = TRY(optional_text(properties, "description"));
  if (assignment.description.size() > 2048) return bad_property("description", "has at most 2048 bytes.");
  assignment.condition = TRY(optional_text(properties, "condition"));
  assignment.condition_version = TRY(optional_text(properties, "conditionVersion"));
  if (!TRY(optional_text(properties, "delegatedManagedIdentityResourceId")).empty())
    return bad_property("delegatedManagedIdentityResourceId", "is not supported. Leave it out.");
  return assignment;
}

Result<RoleDefinition> role_definition_from_wire(std::string_view name, const JsonObject& body) {
  const JsonObject& properties = *TRY(properties_of(body));
  RoleDefinition role;
  const auto id = Uuid::parse(name);
  if (!id)
    return fail(
        ErrorKind::invalid, "InvalidRoleDefinitionId",
        "The role definition ID '" + std::string(name.substr(0, 64)) + "' is not valid. It must be a GUID.",
        "name");
  role.id = *id;
  role.name = TRY(optional_text(properties, "roleName"));
  role.description = TRY(optional_text(properties, "description"));
  const std::string type = TRY(optional_text(properties, "type"));
  if (!type.empty() && !ascii_iequal(type, "CustomRole"))
    return bad_property("type", "must be \"CustomRole\": built-in roles cannot be made.");
  role.assignable_scopes = TRY(text_array(properties, "assignableScopes"));
  const JsonArray* permissions = array_at(properties, "permissions");
  if (permissions == nullptr) return bad_property("permissions", "is required and must be an array.");
  // Before each becomes a Permission; put_role() bounds what is kept.
  if (permissions->size() > kPermissionsMax)
    return fail(ErrorKind::invalid, "InvalidRoleDefinition",
                "A role has at most " + std::to_string(kPermissionsMax) +
                    " permissions. Put the actions of several into one.",
                "permissions");
  for (const Json& item : *permissions) role.permissions.push_back(TRY(permission_from_wire(item)));
  return role;
}

Attributes assignment_attributes(Side side, const RoleAssignment& assignment) {
  const std::string prefix = std::string(side == Side::request ? "@Request" : "@Resource") +
                             "[Microsoft.Authorization/roleAssignments:";
  Attributes attributes;
  attributes.set(prefix + "RoleDefinitionId]", assignment.role_definition_id.text());
  attributes.set(prefix + "PrincipalId]", assignment.principal_id.text());
  if (!assignment.principal_type.empty())
    attributes.set(prefix + "PrincipalType]", assignment.principal_type);
  return attributes;
}

}  // namespace merlon::access

// Role definitions, role assignments and deny assignments as rows of the store.
#include <array>

#include "access/access.h"
#include "access/hierarchy.h"
#include "base/text.h"
#include "base/time_text.h"

namespace merlon::access {
namespace {

JsonArray to_array(const std::vector<std::string>& texts) {
  JsonArray out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

std::unexpected<Error> broken(std::string_view what) {
  return internal_error("a row of Microsoft.Authorization has no readable '" + std::string(what) + "'");
}

Result<std::vector<std::string>> strings(const JsonObject& json, std::string_view key) {
  std::vector<std::string> out;
  const JsonArray* array = array_at(json, key);
  if (array == nullptr) return broken(key);
  for (const Json& item : *array) {
    if (!item.is_string()) return broken(key);
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<Uuid> require_uuid(const JsonObject& json, std::string_view key) {
  const auto id = Uuid::parse(TRY(require_string(json, key)));
  if (!id) return broken(key);
  return *id;
}

Result<Timestamp> require_time(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return broken(key);
  return *time;
}

JsonArray permissions_to_json(const std::vector<Permission>& permissions) {
  JsonArray out;
  for (const Permission& permission : permissions) {
    JsonObject json;
    json["actions"] = to_array(permission.actions);
    json["notActions"] = to_array(permission.not_actions);
    json["dataActions"] = to_array(permission.data_actions);
    json["notDataActions"] = to_array(permission.not_data_actions);
    json["condition"] = permission.condition;
    out.emplace_back(std::move(json));
  }
  return out;
}

Result<std::vector<Permission>> permissions_from_json(const JsonObject& json) {
  std::vector<Permission> out;
  const JsonArray* array = array_at(json, "permissions");
  if (array == nullptr) return broken("permissions");
  for (const Json& item : *array) {
    if (!item.is_object()) return broken("permissions");
    const JsonObject& object = item.get_object();
    Permission& permission = out.emplace_back();
    permission.actions = TRY(strings(object, "actions"));
    permission.not_actions = TRY(strings(object, "notActions"));
    permission.data_actions = TRY(strings(object, "dataActions"));
    permission.not_data_actions = TRY(strings(object, "notDataActions"));
    permission.condition = TRY(require_string(object, "condition"));
  }
  return out;
}

JsonArray principals_to_json(const std::vector<DenyPrincipal>& principals) {
  JsonArray out;
  for (const DenyPrincipal& principal : principals)
    out.emplace_back(JsonObject{{"id", principal.id.text()}, {"type", principal.type}});
  return out;
}

Result<std::vector<DenyPrincipal>> principals_from_json(const JsonObject& json, std::string_view key) {
  std::vector<DenyPrincipal> out;
  const JsonArray* array = array_at(json, key);
  if (array == nullptr) return broken(key);
  for (const Json& item : *array) {
    if (!item.is_object()) return broken(key);
    const JsonObject& object = item.get_object();
    out.push_back({TRY(require_uuid(object, "id")), TRY(require_string(object, "type"))});
  }
  return out;
}

// The fields that all three have.
template <class T>
void audit_to_json(const T& record, JsonObject& json) {
  json["created"] = to_rfc3339(record.created);
  json["updated"] = to_rfc3339(record.updated);
  json["createdBy"] = record.created_by;
  json["updatedBy"] = record.updated_by;
}

template <class T>
Result<void> audit_from_json(const JsonObject& json, T& record) {
  record.created = TRY(require_time(json, "created"));
  record.updated = TRY(require_time(json, "updated"));
  record.created_by = TRY(require_string(json, "createdBy"));
  record.updated_by = TRY(require_string(json, "updatedBy"));
  return {};
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all = {RoleDefinition::table(), RoleAssignment::table(),
                                                    DenyAssignment::table(), ManagementGroup::table(),
                                                    SubscriptionPlace::table()};
  return all;
}

const store::TableSpec& RoleDefinition::table() {
  static const store::TableSpec spec = {.name = "role_definitions",
                                        .indexes = {{"name", store::Unique::yes}}};
  return spec;
}

std::string RoleDefinition::key() const { return id.text(); }

std::vector<std::optional<std::string>> RoleDefinition::index_values() const { return {ascii_lower(name)}; }

JsonObject RoleDefinition::to_json() const {
  JsonObject json;
  json["id"] = id.text();
  json["name"] = name;
  json["description"] = description;
  json["permissions"] = permissions_to_json(permissions);
  json["assignableScopes"] = to_array(assignable_scopes);
  audit_to_json(*this, json);
  return json;
}

Result<RoleDefinition> RoleDefinition::from_json(const JsonObject& json) {
  RoleDefinition role;
  role.id = TRY(require_uuid(json, "id"));
  role.name = TRY(require_string(json, "name"));
  role.description = TRY(require_string(json, "description"));
  role.permissions = TRY(permissions_from_json(json));
  role.assignable_scopes = TRY(strings(json, "assignableScopes"));
  TRY(audit_from_json(json, role));
  return role;
}

const store::TableSpec& RoleAssignment::table() {
  static const store::TableSpec spec = {
      .name = "role_assignments",
      .indexes = {
          {"principal", store::Unique::no}, {"role", store::Unique::no}, {"name", store::Unique::yes}}};
  return spec;
}

std::string RoleAssignment::key() const { return ascii_lower(scope) + "\n" + id.text(); }

std::vector<std::optional<std::string>> RoleAssignment::index_values() const {
  return {principal_id.text(), role_definition_id.text(), id.text()};
}

JsonObject RoleAssignment::to_json() const {
  JsonObject json;
  json["id"] = id.text();
  json["scope"] = scope;
  json["roleDefinitionId"] = role_definition_id.text();
  json["principalId"] = principal_id.text();
  json["principalType"] = principal_type;
  json["description"] = description;
  json["condition"] = condition;
  json["conditionVersion"] = condition_version;
  audit_to_json(*this, json);
  return json;
}

Result<RoleAssignment> RoleAssignment::from_json(const JsonObject& json) {
  RoleAssignment assignment;
  assignment.id = TRY(require_uuid(json, "id"));
  assignment.scope = TRY(require_string(json, "scope"));
  assignment.role_definition_id = TRY(require_uuid(json, "roleDefinitionId"));
  assignment.principal_id = TRY(require_uuid(json, "principalId"));
  assignment.principal_type = TRY(require_string(json, "principalType"));
  assignment.description = TRY(require_string(json, "description"));
  assignment.condition = TRY(require_string(json, "condition"));
  assignment.condition_version = TRY(require_string(json, "conditionVersion"));
  TRY(audit_from_json(json, assignment));
  return assignment;
}

const store::TableSpec& DenyAssignment::table() {
  static const store::TableSpec spec = {.name = "deny_assignments",
                                        .indexes = {{"name", store::Unique::yes}}};
  return spec;
}

std::string DenyAssignment::key() const { return ascii_lower(scope) + "\n" + id.text(); }

std::vector<std::optional<std::string>> DenyAssignment::index_values() const { return {id.text()}; }

JsonObject DenyAssignment::to_json() const {
  JsonObject json;
  json["id"] = id.text();
  json["name"] = name;
  json["description"] = description;
  json["scope"] = scope;
  json["permissions"] = permissions_to_json(permissions);
  json["doNotApplyToChildScopes"] = do_not_apply_to_child_scopes;
  json["principals"] = principals_to_json(principals);
  json["excludePrincipals"] = principals_to_json(exclude_principals);
  json["isSystemProtected"] = is_system_protected;
  json["condition"] = condition;
  json["conditionVersion"] = condition_version;
  audit_to_json(*this, json);
  return json;
}

Result<DenyAssignment> DenyAssignment::from_json(const JsonObject& json) {
  DenyAssignment denial;
  denial.id = TRY(require_uuid(json, "id"));
  denial.name = TRY(require_string(json, "name"));
  denial.description = TRY(require_string(json, "description"));
  denial.scope = TRY(require_string(json, "scope"));
  denial.permissions = TRY(permissions_from_json(json));
  denial.do_not_apply_to_child_scopes = TRY(require_bool(json, "doNotApplyToChildScopes"));
  denial.principals = TRY(principals_from_json(json, "principals"));
  denial.exclude_principals = TRY(principals_from_json(json, "excludePrincipals"));
  denial.is_system_protected = TRY(require_bool(json, "isSystemProtected"));
  denial.condition = TRY(require_string(json, "condition"));
  denial.condition_version = TRY(require_string(json, "conditionVersion"));
  TRY(audit_from_json(json, denial));
  return denial;
}

}  // namespace merlon::access

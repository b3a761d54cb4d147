// The embedded table:
// [{"id","name","actions","notActions","dataActions","notDataActions","condition"?,"more"?}], where "more"
// holds the further permissions of a role that has several.
#include "access/builtin_roles.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace merlon::access {
namespace {

// What binds people, and what others did: approvals and reasons, session policies, recordings, whoever looks
// on. Azure keeps what gives and limits access from its Contributors under Microsoft.Authorization; these are
// Merlon's, and whoever may not give roles does not lift them either. A role that names them has them.
constexpr std::array<std::string_view, 9> kGuards = {"Merlon.Jit/options/write",
                                                     "Merlon.Jit/options/delete",
                                                     "Merlon.Jit/requests/approve/action",
                                                     "Merlon.Bastion/sessionPolicies/write",
                                                     "Merlon.Bastion/sessionPolicies/delete",
                                                     "Merlon.Bastion/sessions/moderate/action",
                                                     "Merlon.Bastion/recordings/delete",
                                                     "Merlon.Bastion/recordings/content/action",
                                                     "Merlon.Bastion/recordings/search/action"};

void keep_guards(Permission& permission) {
  const bool has_all = std::ranges::find(permission.actions, "*") != permission.actions.end();
  const bool gives_no_roles = std::ranges::any_of(permission.not_actions, [](std::string_view action) {
    return ascii_istarts_with(action, "Microsoft.Authorization/");
  });
  if (has_all && gives_no_roles)
    permission.not_actions.insert(permission.not_actions.end(), kGuards.begin(), kGuards.end());
}

std::unexpected<Error> broken(const std::string& what) {
  return internal_error("the embedded table of built-in roles: " + what);
}

Result<std::vector<std::string>> strings(const JsonObject& json, std::string_view key) {
  std::vector<std::string> out;
  const Json* value = json.if_contains(key);
  if (value == nullptr) return out;
  if (!value->is_array()) return broken(std::string(key) + " is no array");
  for (const Json& item : value->get_array()) {
    if (!item.is_string()) return broken(std::string(key) + " holds something that is no text");
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<Permission> read_permission(const JsonObject& json) {
  Permission permission;
  permission.actions = TRY(strings(json, "actions"));
  permission.not_actions = TRY(strings(json, "notActions"));
  permission.data_actions = TRY(strings(json, "dataActions"));
  permission.not_data_actions = TRY(strings(json, "notDataActions"));
  permission.condition = string_at(json, "condition").value_or("");
  keep_guards(permission);
  return permission;
}

Result<RoleDefinition> read_role(const Json& item) {
  if (!item.is_object()) return broken("an entry is no object");
  const JsonObject& json = item.get_object();
  RoleDefinition role;
  role.built_in = true;
  role.assignable_scopes = {"/"};
  role.name = TRY(require_string(json, "name"));
  const auto id = Uuid::parse(TRY(require_string(json, "id")));
  if (!id) return broken("the id of " + role.name);
  role.id = *id;
  role.permissions.push_back(TRY(read_permission(json)));
  if (const JsonArray* more = array_at(json, "more")) {
    for (const Json& further : *more) {
      if (!further.is_object()) return broken("a permission of " + role.name);
      role.permissions.push_back(TRY(read_permission(further.get_object())));
    }
  }
  return role;
}

}  // namespace

Result<BuiltinRoles> BuiltinRoles::parse(std::string_view json) {
  const Json table = TRY(parse_json(json));
  if (!table.is_array()) return broken("it is no array");
  BuiltinRoles roles;
  for (const Json& item : table.get_array()) {
    auto role = std::make_shared<const CompiledRole>(compile(TRY(read_role(item))));
    const RoleDefinition& definition = role->definition;
    const bool new_id = roles.by_id_.emplace(definition.id.text(), role).second;
    const bool new_name = roles.by_lower_name_.emplace(ascii_lower(definition.name), role).second;
    if (!new_id || !new_name) return broken(definition.name + " is there twice");
    roles.all_.push_back(std::move(role));
  }
  return roles;
}

std::shared_ptr<const CompiledRole> BuiltinRoles::by_id(const Uuid& id) const {
  const auto found = by_id_.find(id.text());
  return found == by_id_.end() ? nullptr : found->second;
}

std::shared_ptr<const CompiledRole> BuiltinRoles::by_name(std::string_view name) const {
  const auto found = by_lower_name_.find(ascii_lower(name));
  return found == by_lower_name_.end() ? nullptr : found->second;
}

}  // namespace merlon::access

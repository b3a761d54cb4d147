// merlon step-up: what people do only shortly after a sign-in with a second factor.
#include <charconv>
#include <ostream>

#include "base/uuid.h"
#include "cli/api.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr const char* kRoles = "/providers/Microsoft.Authorization/roleDefinitions";

Result<std::string> policies_at(const std::string& scope) {
  const std::string path = TRY(scope_path(scope));
  return (path == "/" ? std::string() : path) + "/providers/Merlon.Authorization/stepUpPolicies";
}

struct SetOptions {
  std::string name, scope, minutes, description;
  std::vector<std::string> actions, roles;
};

// An id as it is; a name is looked up.
Result<std::string> role_id(Api& api, const std::string& role) {
  if (Uuid::parse(role.substr(role.rfind('/') + 1))) return role;
  const JsonObject found =
      TRY(api.list(kRoles, kRolesVersion, "$filter=roleName%20eq%20" + quoted_term(role)));
  const JsonArray& values = found.at("value").as_array();
  if (values.size() != 1) return wrong_usage("There is no role '" + role + "'.");
  return text_at(values.front().as_object(), "id");
}

Result<int> set(Context& context, const SetOptions& options) {
  int64_t minutes = 0;
  const char* end = options.minutes.data() + options.minutes.size();
  if (std::from_chars(options.minutes.data(), end, minutes).ptr != end || minutes < 1)
    return wrong_usage("--minutes is a number: how old the sign-in may be.");
  Api api = TRY(Api::open(context));
  JsonObject properties{{"maxAgeMinutes", minutes}};
  if (!options.description.empty()) properties["description"] = options.description;
  JsonArray actions, roles;
  for (const std::string& action : options.actions) actions.emplace_back(action);
  for (const std::string& role : options.roles) roles.emplace_back(TRY(role_id(api, role)));
  properties["actions"] = std::move(actions);
  properties["roleDefinitionIds"] = std::move(roles);
  const std::string path = TRY(policies_at(options.scope)) + "/" + part(options.name);
  const Answer answer = TRY(api.put(path, kMerlonVersion, {{"properties", std::move(properties)}}));
  show(context, answer.body,
       "From now on people do this at most " + std::to_string(minutes) +
           " minutes after a sign-in with a second factor.\n");
  return kDone;
}

struct ScopeOptions {
  std::string scope;
};

Result<int> list(Context& context, const ScopeOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list(TRY(policies_at(options.scope)), kMerlonVersion));
  Table table({"NAME", "SCOPE", "MINUTES", "ACTIONS", "ROLES"});
  for (const Json& value : answer.at("value").as_array()) {
    const JsonObject& policy = value.as_object();
    const std::string actions = joined_at(policy, "properties.actions");
    const std::string roles = joined_at(policy, "properties.roleDefinitionIds");
    table.add({text_at(policy, "name"), text_at(policy, "properties.scope"),
               text_at(policy, "properties.maxAgeMinutes"), actions.empty() ? "all" : actions,
               roles.empty() ? "all" : roles});
  }
  show(context, answer, table.size() == 0 ? "No step-up policy counts here.\n" : table.text());
  return kDone;
}

struct RemoveOptions {
  std::string name, scope;
};

Result<int> remove(Context& context, const RemoveOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(TRY(policies_at(options.scope)) + "/" + part(options.name), kMerlonVersion));
  show(context, {{"name", options.name}, {"removed", true}}, "The policy is removed.\n");
  return kDone;
}

}  // namespace

std::vector<Command> step_up_commands() {
  return {make_command(
              "step-up set", "Ask people for a fresh second factor before they do something",
              "merlon step-up set prod --scope /subscriptions/ID --minutes 15 --action '*/delete'\n"
              "merlon step-up set owners --scope / --minutes 60 --role Owner",
              set,
              [](Command& command, SetOptions& options) {
                command.text("name", options.name, "Name of the policy")
                    .required()
                    .text("--scope", options.scope, "Where it counts, and below; / for everywhere")
                    .required()
                    .text("--minutes", options.minutes, "How old the sign-in may be")
                    .required()
                    .texts("--action", options.actions, "An action, or a pattern; every action without it")
                    .texts("--role", options.roles, "Only what this role allows; whatever role without it")
                    .text("--description", options.description, "Why");
              }),
          make_command("step-up list", "List what counts at a scope", "merlon step-up list --scope /", list,
                       [](Command& command, ScopeOptions& options) {
                         command.text("--scope", options.scope, "The scope").required();
                       }),
          make_command("step-up remove", "Remove a policy",
                       "merlon step-up remove prod --scope /subscriptions/ID", remove,
                       [](Command& command, RemoveOptions& options) {
                         command.text("name", options.name, "Name of the policy")
                             .required()
                             .text("--scope", options.scope, "Where it stands")
                             .required();
                       })};
}

}  // namespace merlon::cli

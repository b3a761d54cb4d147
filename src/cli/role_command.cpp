// merlon role: who may do what, where, and why.
#include <map>
#include <ostream>

#include "base/uuid.h"
#include "cli/directory_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kElevateVersion = "2016-07-01";
constexpr std::string_view kAuthorization = "/providers/Microsoft.Authorization/";

struct ScopeOptions {
  std::string scope, group;
};

// --scope, --resource-group, or the subscription.
Result<std::string> scope_of(Api& api, const ScopeOptions& options) {
  if (!options.scope.empty() && !options.group.empty())
    return wrong_usage("Give either --scope or --resource-group.");
  if (!options.scope.empty()) return scope_path(options.scope);
  return options.group.empty() ? api.subscription_id() : api.group_id(options.group);
}

Result<std::string> role_id(Api& api, const std::string& role, const std::string& scope) {
  const std::string definitions = scope + std::string(kAuthorization) + "roleDefinitions";
  const std::string last = last_segment(role);
  if (Uuid::parse(last)) return definitions + "/" + last;
  const JsonObject found =
      TRY(api.list(definitions, kRolesVersion, "$filter=roleName%20eq%20" + quoted_term(role)));
  const JsonArray& roles = found.at("value").get_array();
  if (roles.empty())
    return fail(ErrorKind::not_found, "RoleNotFound",
                "There is no role '" + role + "' at this scope. 'merlon role definitions' lists them.");
  return text_at(roles.front().get_object(), "id");
}

struct AssignOptions : ScopeOptions {
  std::string assignee, role;
};

Result<int> assign(Context& context, const AssignOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string scope = TRY(scope_of(api, options));
  const Principal principal = TRY(find_principal(api, options.assignee));
  JsonObject properties = {{"roleDefinitionId", TRY(role_id(api, options.role, scope))},
                           {"principalId", principal.id}};
  if (!principal.type.empty()) properties["principalType"] = principal.type;
  const std::string name = Uuid::generate(context.random).text();
  const Answer answer = TRY(api.put(scope + std::string(kAuthorization) + "roleAssignments/" + name,
                                    kRolesVersion, {{"properties", std::move(properties)}}));
  show(context, answer.body,
       printable(principal.name) + " is " + printable(options.role) + " at " +
           printable(scope.empty() ? "/" : text_at(answer.body, "properties.scope")) +
           ".\nAssignment: " + printable(text_at(answer.body, "id")) + "\n");
  return kDone;
}

// Ids are what assignments hold; names are what people know. Who may not read names sees ids.
std::map<std::string, std::string> principal_names(Api& api, const JsonArray& assignments) {
  JsonArray ids;
  std::map<std::string, std::string> names;
  for (const Json& value : assignments) {
    const std::string id = text_at(value.get_object(), "properties.principalId");
    if (!id.empty() && names.emplace(id, id).second) ids.emplace_back(id);
  }
  const auto answer = api.post("/v1.0/directoryObjects/getByIds", {}, {{"ids", std::move(ids)}});
  if (!answer) return names;
  if (const JsonArray* found = array_at(answer->body, "value"))
    for (const Json& value : *found) {
      if (!value.is_object()) continue;
      const std::string upn = text_at(value.get_object(), "userPrincipalName");
      names[text_at(value.get_object(), "id")] =
          upn.empty() ? text_at(value.get_object(), "displayName") : upn;
    }
  return names;
}

std::map<std::string, std::string> role_names(Api& api, const std::string& scope) {
  std::map<std::string, std::string> names;
  const auto roles = api.list(scope + std::string(kAuthorization) + "roleDefinitions", kRolesVersion);
  if (!roles) return names;
  for (const Json& role : roles->at("value").get_array())
    names[text_at(role.get_object(), "name")] = text_at(role.get_object(), "properties.roleName");
  return names;
}

struct ListOptions : ScopeOptions {
  std::string assignee;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string scope = TRY(scope_of(api, options));
  std::string query;
  if (!options.assignee.empty())
    query = "$filter=assignedTo(" + quoted_term(TRY(find_principal(api, options.assignee)).id) + ")";
  const JsonObject answer =
      TRY(api.list(scope + std::string(kAuthorization) + "roleAssignments", kRolesVersion, query));
  if (context.output == OutputForm::json) {
    show(context, answer, {});
    return kDone;
  }
  const JsonArray& assignments = answer.at("value").get_array();
  const auto principals = principal_names(api, assignments);
  const auto roles = role_names(api, scope);
  Table table({"WHO", "ROLE", "SCOPE", "ASSIGNMENT"});
  for (const Json& value : assignments) {
    const JsonObject& assignment = value.get_object();
    const std::string principal = text_at(assignment, "properties.principalId");
    const std::string role = last_segment(text_at(assignment, "properties.roleDefinitionId"));
    const auto who = principals.find(principal);
    const auto what = roles.find(role);
    table.add({who == principals.end() ? principal : who->second, what == roles.end() ? role : what->second,
               text_at(assignment, "properties.scope"), text_at(assignment, "name")});
  }
  show(context, answer, table.size() == 0 ? "Nobody has a role here.\n" : table.text());
  return kDone;
}

struct WhyOptions : ScopeOptions {
  std::string assignee, action;
  bool data = false;
};

Result<int> why(Context& context, const WhyOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string scope = TRY(scope_of(api, options));
  JsonObject body = {{options.data ? "dataAction" : "action", options.action}};
  std::string who = "You";
  if (!options.assignee.empty()) {
    const Principal principal = TRY(find_principal(api, options.assignee));
    body["principalId"] = principal.id;
    who = principal.name;
  }
  const Answer answer =
      TRY(api.post(scope + "/providers/Merlon.Authorization/checkAccess", kMerlonVersion, body));
  const bool allowed = bool_at(answer.body, "allowed").value_or(false);
  // Of a refusal the role and the assignment are what came nearest.
  const std::string assignment = text_at(answer.body, "assignmentId");
  const std::string nearest = text_at(answer.body, "nearestAssignmentId");
  std::string part;
  if (const auto permission = int_at(answer.body, "permission"))
    part = std::string(options.data ? "dataActions" : "actions") + " of permission " +
           std::to_string(*permission + 1);
  show(context, answer.body,
       printable(who) + " may " + (allowed ? "" : "NOT ") + "do " + printable(options.action) + " at " +
           printable(text_at(answer.body, "scope")) + ".\n" +
           facts_text({{"Because", text_at(answer.body, "reason")},
                       {"Role", text_at(answer.body, "roleName")},
                       {"Part", part},
                       {"Matched", text_at(answer.body, "matchedAction")},
                       {"Left out by", text_at(answer.body, "leftOutBy")},
                       {"Condition", text_at(answer.body, "condition")},
                       {"Assignment", assignment},
                       {"Nearest", nearest},
                       {"Through group", text_at(answer.body, "throughGroupId")}}));
  return allowed ? kDone : kFailed;
}

struct ElevateOptions {};

Result<int> elevate(Context& context, const ElevateOptions&) {
  Api api = TRY(Api::open(context));
  const Answer answer =
      TRY(api.post("/providers/Microsoft.Authorization/elevateAccess", kElevateVersion, {}));
  show(
      context, answer.body,
      "You are User Access Administrator of everything ('/'). Give the roles that are needed, then take this "
      "one away: 'merlon role list --scope /' shows it.\n");
  return kDone;
}

struct RemoveOptions {
  std::string id;
};

Result<int> remove(Context& context, const RemoveOptions& options) {
  if (!options.id.starts_with('/'))
    return wrong_usage("Give the full id of the assignment: 'merlon role list --output json' shows it.");
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.remove(TRY(scope_path(options.id)), kRolesVersion));
  show(context, answer.body,
       answer.status == 204 ? "There was no such assignment.\n" : "The assignment is taken away.\n");
  return kDone;
}

Result<int> definitions(Context& context, const ScopeOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string scope = TRY(scope_of(api, options));
  const JsonObject answer =
      TRY(api.list(scope + std::string(kAuthorization) + "roleDefinitions", kRolesVersion));
  Table table({"ROLE", "KIND", "ID"});
  for (const Json& role : answer.at("value").get_array())
    table.add({text_at(role.get_object(), "properties.roleName"),
               text_at(role.get_object(), "properties.type"), text_at(role.get_object(), "name")});
  show(context, answer, table.text());
  return kDone;
}

void add_scope(Command& command, ScopeOptions& options) {
  command.text("--scope", options.scope, "/ or the id of what it is about; the subscription when not given")
      .text("--resource-group,-g", options.group, "The scope, as the name of a resource group");
}

}  // namespace

std::vector<Command> role_commands() {
  constexpr const char* kWho = "User principal name, client id, object id, or a name that only one has";
  return {
      make_command(
          "role assign", "Give somebody a role at a scope",
          "merlon role assign --assignee ada@merlon.example.org --role 'Virtual Machine Contributor' -g web",
          assign,
          [](Command& command, AssignOptions& options) {
            command.text("--assignee", options.assignee, kWho)
                .required()
                .text("--role", options.role, "Name or id of the role")
                .required();
            add_scope(command, options);
          }),
      make_command(
          "role list", "Who has which role: at, above and below a scope", "merlon role list -g web", list,
          [](Command& command, ListOptions& options) {
            add_scope(command, options);
            command.text("--assignee", options.assignee, "Only what this one has, also through groups");
          }),
      make_command("role why", "May somebody do something, and by what; exit code 1 when not",
                   "merlon role why --assignee ada@merlon.example.org --action "
                   "Microsoft.Network/networkSecurityGroups/write -g web",
                   why,
                   [](Command& command, WhyOptions& options) {
                     command.text("--assignee", options.assignee, std::string(kWho) + "; you when not given")
                         .text("--action", options.action, "The operation")
                         .required()
                         .flag("--data", options.data, "The operation is a data action");
                     add_scope(command, options);
                   }),
      make_command(
          "role elevate",
          "Become User Access Administrator of everything, as a Global Administrator of the directory",
          "merlon role elevate", elevate, [](Command&, ElevateOptions&) {}),
      make_command("role remove", "Take an assignment away",
                   "merlon role remove /subscriptions/…/providers/Microsoft.Authorization/roleAssignments/…",
                   remove,
                   [](Command& command, RemoveOptions& options) {
                     command.text("id", options.id, "Full id of the assignment").required();
                   }),
      make_command("role definitions", "List the roles that can be given", "merlon role definitions",
                   definitions,
                   [](Command& command, ScopeOptions& options) { add_scope(command, options); })};
}

}  // namespace merlon::cli

// What may I do, what can be done at all, and why: permissions, the catalogue of operations, and Merlon's
// checkAccess.
#include <map>
#include <set>
#include <tuple>

#include "access/wire.h"
#include "base/text.h"
#include "resource/permitted.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr size_t kQuestionsMax = 100;
constexpr const char* kReadAssignments = "Microsoft.Authorization/roleAssignments/read";

Result<net::Response> list_permissions(const State& state, const Call& call, store::Reader& reader) {
  JsonArray values;
  for (const auto& permission : TRY(state.core.access.permissions(reader, call.principal, call.id.text()))) {
    values.push_back(access::permission_json(permission));
  }
  return json_response(200, {{"value", std::move(values)}});
}

// Every declared permission is an operation; there is no second list to keep.
using Summaries = std::map<std::string, std::string>;     // by operation
using TypeOperations = std::map<std::string, Summaries>;  // by type
std::map<std::string, TypeOperations> catalogue(const State& state) {
  std::map<std::string, TypeOperations> all;
  for (const Route& route : state.routes) {
    const auto parts = split(route.permission, '/');
    if (parts.size() < 3 || route.permission.find('{') != std::string::npos) continue;
    const size_t tail = ascii_iequal(parts.back(), "action") ? 2 : 1;
    std::vector<std::string> type;
    for (size_t i = 1; i + tail < parts.size(); ++i) type.emplace_back(parts[i]);
    all[std::string(parts.front())][join(type, "/")].emplace(route.permission, route.summary);
  }
  return all;
}

JsonObject operations_json(const std::string& provider, const TypeOperations& types) {
  JsonArray resource_types;
  for (const auto& [type, operations] : types) {
    JsonArray listed;
    for (const auto& [name, summary] : operations) {
      listed.push_back(JsonObject{
          {"name", name}, {"displayName", summary}, {"description", summary}, {"isDataAction", false}});
    }
    resource_types.push_back(
        JsonObject{{"name", type}, {"displayName", type}, {"operations", std::move(listed)}});
  }
  return {{"id", "/providers/Microsoft.Authorization/providerOperations/" + provider},
          {"name", provider},
          {"type", "Microsoft.Authorization/providerOperations"},
          {"displayName", provider},
          {"resourceTypes", std::move(resource_types)},
          {"operations", JsonArray()}};
}

Result<net::Response> list_operations(const State& state) {
  JsonArray values;
  for (const auto& [provider, types] : catalogue(state)) values.push_back(operations_json(provider, types));
  return json_response(200, {{"value", std::move(values)}});
}

Result<net::Response> get_operations(const State& state, const Call& call) {
  const std::string& asked = call.parameter("resourceProviderNamespace");
  for (const auto& [provider, types] : catalogue(state)) {
    if (ascii_iequal(provider, asked)) return json_response(200, operations_json(provider, types));
  }
  return fail(ErrorKind::not_found, "ProviderNotFound", "Provider '" + asked.substr(0, 100) + "' not found.");
}

// Whom the question is about: the caller, or somebody whom the caller may know the roles of.
Result<identity::Principal> subject_of(const State& state, const Call& call, store::Reader& reader) {
  const auto asked = string_at(call.body, "principalId");
  if (!asked || ascii_iequal(*asked, call.principal.object_id.text())) return call.principal;
  const auto id = Uuid::parse(*asked);
  if (!id)
    return fail(ErrorKind::invalid, "InvalidPrincipalId",
                "'" + asked->substr(0, 100) + "' is not an object id.", "principalId");
  if (!TRY(permitted(state.core, reader, call.principal, kReadAssignments, call.id.text()))) {
    return std::unexpected(authorization_failed(call.principal, kReadAssignments, call.id.text()));
  }
  const auto found = TRY(state.core.directory.find_object(reader, *id));
  if (!found)
    return fail(ErrorKind::not_found, "PrincipalNotFound",
                "Principal " + id->text() + " does not exist in the directory.", "principalId");
  identity::Principal subject;
  subject.object_id = *id;
  subject.kind = found->type == "ServicePrincipal" ? identity::PrincipalKind::service_principal
                                                   : identity::PrincipalKind::user;
  subject.name = found->display_name;
  return subject;
}

// One answer: which assignment decides, and which part of which role. Of a refusal: what came nearest.
JsonObject decision_json(const access::Question& question, const access::Decision& decision) {
  JsonObject json{{"allowed", decision.allowed},
                  {"action", question.action},
                  {"isDataAction", question.kind == access::ActionKind::data},
                  {"scope", question.scope},
                  {"reason", decision.reason},
                  {"assignmentId", decision.assignment_id},
                  {"nearestAssignmentId", decision.nearest_assignment_id},
                  {"roleDefinitionId", decision.role_definition_id},
                  {"roleName", decision.role_name},
                  {"matchedAction", decision.matched_action},
                  {"leftOutBy", decision.left_out_by},
                  {"condition", decision.condition},
                  {"throughGroupId", decision.through_group}};
  if (decision.permission) json["permission"] = static_cast<int64_t>(*decision.permission);
  return json;
}

// What is asked, in the order in which it is answered.
Result<std::vector<access::Question>> questions_of(const Call& call) {
  std::vector<access::Question> questions;
  const auto add = [&](const Json& action, access::ActionKind kind) {
    questions.push_back({.action = std::string(action.get_string()), .scope = call.id.text(), .kind = kind});
  };
  for (const auto& [one, many, kind] : {std::tuple{"action", "actions", access::ActionKind::control},
                                        std::tuple{"dataAction", "dataActions", access::ActionKind::data}}) {
    if (const Json* action = call.body.if_contains(one)) add(*action, kind);
    if (const JsonArray* actions = array_at(call.body, many))
      for (const Json& action : *actions) add(action, kind);
  }
  if (!questions.empty() && questions.size() <= kQuestionsMax) return questions;
  return fail(ErrorKind::invalid, "InvalidRequestContent",
              "Give between 1 and " + std::to_string(kQuestionsMax) +
                  " operations in 'action', 'dataAction', 'actions' and 'dataActions'.",
              "actions");
}

Result<net::Response> check_access(const State& state, const Call& call, store::Reader& reader) {
  const auto questions = TRY(questions_of(call));
  const auto subject = TRY(subject_of(state, call, reader));
  const auto view = TRY(state.core.access.view(reader));
  JsonArray decisions;
  for (const access::Question& question : questions)
    decisions.emplace_back(decision_json(question, TRY(view.check(subject, question))));
  const bool one =
      !call.body.contains("actions") && !call.body.contains("dataActions") && decisions.size() == 1;
  JsonObject body = one ? decisions.front().get_object() : JsonObject{{"scope", call.id.text()}};
  body["principalId"] = subject.object_id.text();
  if (!one) body["decisions"] = std::move(decisions);
  return json_response(200, body);
}

Route own_rights_route(std::string method, std::string path, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::move(path);
  route.permission = "Microsoft.Authorization/permissions/read";
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  route.filter_items = true;  // one's own rights are no secret to oneself
  return route;
}

}  // namespace

void add_access_routes(State& state, const AddRoute& add) {
  Route permissions = own_rights_route("GET", "/{+scope}/providers/Microsoft.Authorization/permissions",
                                       "Lists what the caller may do at the scope.");
  permissions.read = [&state](const Call& call, store::Reader& reader) {
    return list_permissions(state, call, reader);
  };
  add(std::move(permissions));

  for (const bool one : {false, true}) {
    Route operations;
    operations.method = "GET";
    operations.path = std::string("/providers/Microsoft.Authorization/providerOperations") +
                      (one ? "/{resourceProviderNamespace}" : "");
    operations.permission = "Microsoft.Authorization/providerOperations/read";
    operations.checked_at = "/";
    operations.summary = one ? "Gets the operations of a namespace that a role can grant."
                             : "Lists all operations that a role can grant.";
    operations.filter_items = true;  // what this program can do is in its documentation too
    operations.read = [&state, one](const Call& call, store::Reader&) {
      return one ? get_operations(state, call) : list_operations(state);
    };
    add(std::move(operations));
  }

  Route check = own_rights_route("POST", "/{+scope}/providers/Merlon.Authorization/checkAccess",
                                 "Says whether a principal may do something at the scope, and why.");
  check.body = schema::object(
      {schema::optional("principalId", schema::text().describe("An object id; the caller when left out.")),
       schema::optional("action", schema::text().with_range(1, 512)),
       schema::optional("dataAction", schema::text().with_range(1, 512)),
       schema::optional("actions", schema::array_of(schema::text().with_range(1, 512))
                                       .describe("Several at once: the answer has one decision for each.")),
       schema::optional("dataActions", schema::array_of(schema::text().with_range(1, 512)))});
  check.read = [&state](const Call& call, store::Reader& reader) {
    return check_access(state, call, reader);
  };
  add(std::move(check));
}

}  // namespace merlon::resource

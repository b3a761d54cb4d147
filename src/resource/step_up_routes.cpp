// "{scope}/providers/Merlon.Authorization/stepUpPolicies": set, shown, listed and taken away by those with
// Microsoft.Authorization/stepUpPolicies/* at the scope, which Owners and User Access Administrators have and
// Contributors lack. Who changes or removes a policy must meet it: a stolen token does not lift what stands
// in its way.
#include "base/text.h"
#include "base/time_text.h"
#include "resource/document_rules.h"
#include "resource/paging.h"
#include "resource/preconditions.h"
#include "resource/state.h"
#include "resource/step_up.h"

namespace merlon::resource {
namespace {

constexpr int64_t kPatternsMax = 100;
constexpr int64_t kMinutesMax = 7 * 24 * 60;
constexpr size_t kNameMax = 128;

schema::Shape policy_shape() {
  const auto pattern = schema::text().with_range(1, 512);
  return schema::object({schema::required(
      "properties",
      schema::object(
          {schema::optional("description", schema::text().with_range(0, 1024)),
           schema::required("maxAgeMinutes",
                            schema::integer()
                                .with_range(1, kMinutesMax)
                                .describe("How old the sign-in with a second factor may be.")),
           schema::optional("actions",
                            schema::array_of(pattern)
                                .with_range(0, kPatternsMax)
                                .describe("Patterns as in roles; every action when there is none.")),
           schema::optional(
               "roleDefinitionIds",
               schema::array_of(pattern)
                   .with_range(0, kPatternsMax)
                   .describe("Only what one of these roles allows; whatever role when there is none."))}))});
}

Error policy_not_found(const std::string& scope, const std::string& name) {
  Error error;
  error.kind = ErrorKind::not_found;
  error.code = "StepUpPolicyNotFound";
  error.message = "There is no step-up policy '" + name + "' at the scope '" + scope + "'.";
  return error;
}

Result<void> require_scope(const State& state, store::Reader& reader, const std::string& scope) {
  if (TRY(state.core.access.scopes_around(reader, scope)).empty())
    return fail(ErrorKind::invalid, "InvalidScope", "'" + scope + "' is no scope.", "scope");
  const auto id = ResourceId::parse(scope);
  if (!id || id->subscription().empty()) return {};
  TRY(state.groups.require(reader, *id));
  if (id->provider().empty() || TRY(state.documents.get(reader, *id))) return {};
  return std::unexpected(resource_not_found(*id));
}

Result<void> require_roles(const State& state, store::Reader& reader, const JsonObject& body) {
  const JsonArray* roles = array_at(body, "properties.roleDefinitionIds");
  if (roles == nullptr) return {};
  for (const Json& value : *roles) {
    const std::string text(value.as_string());
    const auto id = Uuid::parse(text.substr(text.rfind('/') + 1));
    if (!id || !TRY(state.core.access.role(reader, *id)))
      return fail(ErrorKind::invalid, "RoleDefinitionDoesNotExist",
                  "There is no role definition '" + text.substr(0, 200) + "'. Give its id.",
                  "properties.roleDefinitionIds");
  }
  return {};
}

std::vector<std::string> tags_of(const std::optional<StepUpPolicy>& policy) {
  return policy ? std::vector<std::string>{hash_of(policy->text)} : std::vector<std::string>{};
}

Result<net::Response> put_policy(const State& state, WriteContext& context) {
  const Call& call = context.call;
  std::string scope = call.parameter("+scope");
  std::string name = call.parameter("name");
  if (name.size() > kNameMax)
    return fail(ErrorKind::invalid, "InvalidStepUpPolicyName",
                "The name of a step-up policy has at most 128 characters.", "name");
  TRY(require_scope(state, context.tx, scope));
  TRY(require_roles(state, context.tx, call.body));
  const auto existing = TRY(state.step_ups.get(context.tx, scope, name));
  TRY(check_preconditions(call.request, tags_of(existing), call.id.text()));
  if (existing) {
    TRY(state.step_ups.require_met(context.call.principal, {*existing}));
    scope = existing->scope;
    name = existing->name;
  }
  JsonObject properties = *object_at(call.body, "properties");
  properties["scope"] = scope;
  for (const char* list : {"actions", "roleDefinitionIds"})
    if (!properties.contains(list)) properties[list] = JsonArray();
  const JsonObject shown{{"properties", properties},
                         {"id", step_up_id(scope, name)},
                         {"type", "Merlon.Authorization/stepUpPolicies"},
                         {"name", name}};
  TRY(state.step_ups.put(context.tx, scope, name, shown));
  context.details = {{"policy", properties}};
  if (existing) context.details["policyBefore"] = *object_at(existing->body, "properties");
  net::Response response = json_response(existing ? 200 : 201, shown);
  response.headers.set("ETag", entity_tag(hash_of(to_text(shown))));
  return response;
}

Result<net::Response> delete_policy(const State& state, WriteContext& context) {
  const Call& call = context.call;
  const std::string& scope = call.parameter("+scope");
  const auto existing = TRY(state.step_ups.get(context.tx, scope, call.parameter("name")));
  TRY(check_preconditions(call.request, tags_of(existing), call.id.text()));
  if (!existing) return empty_response(204);
  TRY(state.step_ups.require_met(context.call.principal, {*existing}));
  context.details = {{"policyBefore", *object_at(existing->body, "properties")}};
  TRY(state.step_ups.erase(context.tx, existing->scope, existing->name));
  return empty_response(200);
}

Result<net::Response> get_policy(const State& state, const Call& call, store::Reader& reader) {
  const std::string& scope = call.parameter("+scope");
  const auto policy = TRY(state.step_ups.get(reader, scope, call.parameter("name")));
  if (!policy) return std::unexpected(policy_not_found(scope, call.parameter("name")));
  net::Response response = text_response(200, policy->text);
  response.headers.set("ETag", entity_tag(hash_of(policy->text)));
  return response;
}

// What counts at the scope: its own policies and those above.
Result<net::Response> list_policies(const State& state, const Call& call, store::Reader& reader) {
  const std::string& scope = call.parameter("+scope");
  TRY(require_scope(state, reader, scope));
  std::vector<std::string> values;
  for (const StepUpPolicy& policy : TRY(state.step_ups.at_and_above(reader, scope)))
    values.push_back(policy.text);
  return text_response(200, list_text(values));
}

Route policy_route(std::string method, std::string verb, std::string tail, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = "/{+scope}/providers/Merlon.Authorization/stepUpPolicies" + std::move(tail);
  route.permission = "Microsoft.Authorization/stepUpPolicies/" + std::move(verb);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

void add_step_up_routes(State& state, const AddRoute& add) {
  Route put = policy_route("PUT", "write", "/{name}",
                           "Sets what people do only shortly after a sign-in with a second factor.");
  put.body = policy_shape();
  put.write = [&state](WriteContext& context) { return put_policy(state, context); };
  add(std::move(put));
  Route remove = policy_route("DELETE", "delete", "/{name}", "Takes a step-up policy away.");
  remove.write = [&state](WriteContext& context) { return delete_policy(state, context); };
  add(std::move(remove));
  Route get = policy_route("GET", "read", "/{name}", "Gets a step-up policy.");
  get.read = [&state](const Call& call, store::Reader& reader) { return get_policy(state, call, reader); };
  add(std::move(get));
  Route list = policy_route("GET", "read", "", "Lists the step-up policies that count for a scope.");
  list.read = [&state](const Call& call, store::Reader& reader) {
    return list_policies(state, call, reader);
  };
  add(std::move(list));
}

}  // namespace merlon::resource

// "/providers/{namespace}/operations", as every Azure provider has it, and the providers as a tenant sees
// them. All of it comes from the declared routes: there is no second list to keep.
#include <map>

#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

struct Operation {
  std::string name, summary;
};

// By lower-case name, so that spellings that differ in case are one.
std::map<std::string, Operation> operations_of(const State& state, std::string_view provider) {
  std::map<std::string, Operation> found;
  for (const Route& route : state.routes) {
    if (!ascii_istarts_with(route.permission, std::string(provider) + "/")) continue;
    if (route.permission.find('{') != std::string::npos) continue;
    found.emplace(ascii_lower(route.permission), Operation{route.permission, route.summary});
  }
  return found;
}

JsonObject operation_json(const Operation& operation) {
  const auto parts = split(operation.name, '/');
  const size_t tail = ascii_iequal(parts.back(), "action") ? 2 : 1;
  std::vector<std::string> type;
  for (size_t i = 1; i + tail < parts.size(); ++i) type.emplace_back(parts[i]);
  const std::string verb(parts[parts.size() - std::min(tail, parts.size())]);
  return {{"name", operation.name},
          {"isDataAction", false},
          {"display", JsonObject{{"provider", std::string(parts.front())},
                                 {"resource", join(type, "/")},
                                 {"operation", verb},
                                 {"description", operation.summary}}},
          {"origin", "user,system"}};
}

Result<net::Response> list_operations(const State& state, const Call& call) {
  const std::string& provider = call.parameter("resourceProviderNamespace");
  const auto operations = operations_of(state, provider);
  if (operations.empty()) {
    return fail(ErrorKind::not_found, "InvalidResourceNamespace",
                "The resource namespace '" + provider.substr(0, 100) + "' is invalid.",
                provider.substr(0, 100));
  }
  JsonArray values;
  for (const auto& [key, operation] : operations) values.push_back(operation_json(operation));
  return json_response(200, {{"value", std::move(values)}});
}

}  // namespace

void add_provider_operation_routes(State& state, const AddRoute& add) {
  Route list;
  list.method = "GET";
  list.path = "/providers/{resourceProviderNamespace}/operations";
  list.permission = "Microsoft.Resources/providers/operations/read";
  list.checked_at = "/";
  list.summary = "Lists the operations of a resource provider.";
  list.filter_items = true;  // what this program can do is in its documentation too
  list.read = [&state](const Call& call, store::Reader&) { return list_operations(state, call); };
  add(std::move(list));
}

}  // namespace merlon::resource

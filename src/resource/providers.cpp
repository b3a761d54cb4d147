// Resource providers as az and the SDKs ask for them: which types there are, and which api-versions to use
// (az resource reads them before every call). All are registered until somebody says otherwise; an
// unregistered one takes no writes.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

struct TypeLine {
  std::string type;
  std::vector<std::string> api_versions;
  bool tracked = false;
};
using Namespaces = std::map<std::string, std::vector<TypeLine>>;  // by namespace, in the declared case

// The types that Merlon's own routes serve, with the versions that Azure's clients ask for.
void add_built_in(Namespaces& all) {
  const std::vector<std::string> resources{"2025-04-01", "2024-11-01", "2022-09-01",
                                           "2021-04-01", "2020-06-01", "2019-05-01"};
  for (const char* type : {"tenants", "subscriptions", "resourceGroups", "subscriptions/resourceGroups",
                           "resources", "tags", "providers"}) {
    all["Microsoft.Resources"].push_back({type, resources, false});
  }
  const std::vector<std::string> roles{"2022-04-01", "2018-07-01", "2015-07-01"};
  for (const char* type :
       {"roleAssignments", "roleDefinitions", "denyAssignments", "permissions", "providerOperations"}) {
    all["Microsoft.Authorization"].push_back({type, roles, false});
  }
  all["Microsoft.Authorization"].push_back({"locks", {"2020-05-01", "2017-04-01", "2016-09-01"}, false});
  all["Microsoft.Insights"].push_back({"eventtypes", {"2015-04-01", "2014-04-01"}, false});
  all["Merlon.Ledger"].push_back({"entries", {"2026-01-01"}, false});
  all["Merlon.Authorization"].push_back({"checkAccess", {"2026-01-01"}, false});
}

Namespaces namespaces_of(const State& state) {
  Namespaces all;
  add_built_in(all);
  for (const auto& type : state.types.types()) {
    all[type->provider].push_back({type->type, type->api_versions, type->tracked});
    if (!type->also_list_as.empty())
      all[type->provider].push_back({type->also_list_as, type->api_versions, false});
  }
  for (const auto& type : state.types.embedded()) {
    const ResourceType* parent = state.types.find(parent_type(full_type(*type)));
    all[type->provider].push_back(
        {type->type, parent == nullptr ? std::vector<std::string>() : parent->api_versions, false});
  }
  return all;
}

JsonObject type_json(const State& state, const TypeLine& line) {
  JsonArray versions;
  for (const std::string& version : line.api_versions) versions.emplace_back(version);
  JsonObject out{{"resourceType", line.type},
                 {"locations", JsonArray{Json(state.core.default_location)}},
                 {"apiVersions", std::move(versions)},
                 {"capabilities", line.tracked ? "SupportsTags, SupportsLocation" : "None"}};
  if (!line.api_versions.empty()) out["defaultApiVersion"] = line.api_versions.front();
  return out;
}

Result<JsonObject> provider_json(const State& state, store::Reader& reader, const std::string& name,
                                 const std::vector<TypeLine>& lines) {
  const bool unregistered =
      TRY(reader.get(registrations_table(), state.core.tenant, ascii_lower(name))).has_value();
  JsonArray types;
  for (const TypeLine& line : lines) types.push_back(type_json(state, line));
  return JsonObject{{"id", state.subscription_path() + "/providers/" + name},
                    {"namespace", name},
                    {"registrationPolicy", "RegistrationRequired"},
                    {"registrationState", unregistered ? "NotRegistered" : "Registered"},
                    {"authorizations", JsonArray()},
                    {"resourceTypes", std::move(types)}};
}

Result<Namespaces::value_type> find_namespace(const State& state, const Call& call) {
  const std::string& asked = call.parameter("resourceProviderNamespace");
  for (auto& line : namespaces_of(state)) {
    if (ascii_iequal(line.first, asked)) return line;
  }
  return fail(ErrorKind::not_found, "InvalidResourceNamespace",
              "The resource namespace '" + asked.substr(0, 100) + "' is invalid.", asked.substr(0, 100));
}

bool is_essential(std::string_view name) {
  return name == "Microsoft.Resources" || name == "Microsoft.Authorization" ||
         ascii_istarts_with(name, "Merlon.");
}

Result<net::Response> set_registered(State& state, WriteContext& context, bool wanted) {
  const auto [name, lines] = TRY(find_namespace(state, context.call));
  const std::string key = ascii_lower(name);
  if (wanted) {
    TRY(context.tx.erase(registrations_table(), state.core.tenant, key));
    return json_response(200, TRY(provider_json(state, context.tx, name, lines)));
  }
  bool in_use = is_essential(name);
  for (const TypeLine& line : lines) {
    if (!in_use) in_use = !TRY(state.documents.list(context.tx, name + "/" + line.type, "/")).empty();
  }
  if (in_use) {
    return fail(ErrorKind::conflict, "Conflict",
                "The namespace '" + name +
                    "' cannot be unregistered while the subscription has resources of it, and Merlon's "
                    "own namespaces never. Delete its resources first.",
                name);
  }
  TRY(context.tx.put(registrations_table(), state.core.tenant,
                     {key, "{\"registrationState\":\"NotRegistered\"}", {}}));
  return json_response(200, TRY(provider_json(state, context.tx, name, lines)));
}

Route provider_route(std::string method, std::string tail, std::string permission, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = "/subscriptions/{subscriptionId}/providers" + std::move(tail);
  route.permission = std::move(permission);
  route.checked_at = "/subscriptions/{subscriptionId}";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

const store::TableSpec& registrations_table() {
  static const store::TableSpec spec{"provider_registrations", {}};
  return spec;
}

void add_provider_routes(State& state, const AddRoute& add) {
  const std::string read = "Microsoft.Resources/subscriptions/providers/read";
  const std::string one = "/{resourceProviderNamespace}";
  // What this server can do is the same for everyone who has signed in: az asks before each command of a
  // person who may have a right on one resource only.
  Route list = provider_route("GET", "", read, "Lists the resource providers.");
  list.filter_items = true;
  list.read = [&state](const Call&, store::Reader& reader) -> Result<net::Response> {
    JsonArray values;
    for (const auto& [name, lines] : namespaces_of(state))
      values.push_back(TRY(provider_json(state, reader, name, lines)));
    return json_response(200, {{"value", std::move(values)}});
  };
  add(std::move(list));
  Route get = provider_route("GET", one, read, "Gets a resource provider.");
  get.filter_items = true;
  get.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto [name, lines] = TRY(find_namespace(state, call));
    return json_response(200, TRY(provider_json(state, reader, name, lines)));
  };
  add(std::move(get));
  for (const bool wanted : {true, false}) {
    const std::string verb = wanted ? "register" : "unregister";
    Route route = provider_route(
        "POST", one + "/" + verb, "{resourceProviderNamespace}/" + verb + "/action",
        wanted ? "Registers a resource provider." : "Unregisters a resource provider without resources.");
    route.write = [&state, wanted](WriteContext& context) { return set_registered(state, context, wanted); };
    add(std::move(route));
  }
}

}  // namespace merlon::resource

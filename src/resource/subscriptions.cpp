// The tenant, its one subscription and that one's locations.
#include <set>

#include "base/text.h"
#include "resource/paging.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kRead = "Microsoft.Resources/subscriptions/read";

JsonObject tenant_json(const State& state) {
  const std::string& tenant = state.core.tenant.text();
  return {{"id", "/tenants/" + tenant},
          {"tenantId", tenant},
          {"displayName", "Merlon"},
          {"defaultDomain", state.core.domain},
          {"domains", JsonArray{Json(state.core.domain)}},
          {"tenantCategory", "Home"},
          {"tenantType", "AAD"},
          {"countryCode", nullptr}};
}

Result<JsonObject> subscription_json(const State& state, store::Reader& reader) {
  JsonObject tags;
  const auto row =
      TRY(reader.get(subscription_tags_table(), state.core.tenant, ascii_lower(state.subscription_path())));
  if (row) tags = TRY(parse_json_object(row->body));
  return JsonObject{{"id", state.subscription_path()},
                    {"authorizationSource", "RoleBased"},
                    {"managedByTenants", JsonArray()},
                    {"tags", std::move(tags)},
                    {"subscriptionId", state.core.subscription.text()},
                    {"tenantId", state.core.tenant.text()},
                    {"displayName", "Merlon"},
                    {"state", "Enabled"},
                    {"subscriptionPolicies",
                     {{"locationPlacementId", "Public_2014-09-01"},
                      {"quotaId", "Internal_2014-09-01"},
                      {"spendingLimit", "Off"}}}};
}

// Whether the caller has any role in the subscription: then it exists for them, as in Azure.
Result<bool> may_see_subscription(const State& state, const Call& call, store::Reader& reader) {
  if (TRY(state.may(reader, call, kRead, state.subscription_path()))) return true;
  const auto mine = TRY(state.core.access.principal_and_groups(reader, call.principal.object_id));
  const std::set<Uuid> ids(mine.begin(), mine.end());
  const auto below = TRY(
      state.core.access.assignments(reader, state.subscription_path(), access::Access::Reach::at_and_below));
  for (const auto& assignment : below) {
    if (ids.contains(assignment.principal_id)) return true;
  }
  return false;
}

JsonObject location_json(const State& state, const std::string& name) {
  return {{"id", state.subscription_path() + "/locations/" + name},
          {"name", name},
          {"type", "Region"},
          {"displayName", name},
          {"regionalDisplayName", name},
          {"metadata",
           {{"regionType", "Physical"},
            {"regionCategory", "Recommended"},
            {"geography", "Merlon"},
            {"geographyGroup", "Merlon"},
            {"longitude", "0"},
            {"latitude", "0"},
            {"physicalLocation", name},
            {"pairedRegion", JsonArray()}}}};
}

// The configured location, and those that resource groups name.
Result<net::Response> list_locations(const State& state, store::Reader& reader) {
  std::set<std::string> names{state.core.default_location};
  for (const auto& group : TRY(state.groups.all(reader))) {
    if (const auto location = string_at(group.body, "location")) names.insert(*location);
  }
  JsonArray values;
  for (const std::string& name : names) values.push_back(location_json(state, name));
  return json_response(200, {{"value", std::move(values)}});
}

Route get_route(std::string path, std::string permission, std::string checked_at, std::string summary) {
  Route route;
  route.method = "GET";
  route.path = std::move(path);
  route.permission = std::move(permission);
  route.checked_at = std::move(checked_at);
  route.summary = std::move(summary);
  return route;
}

}  // namespace

const store::TableSpec& subscription_tags_table() {
  static const store::TableSpec spec{"subscription_tags", {}};
  return spec;
}

void add_subscription_routes(State& state, const AddRoute& add) {
  // Everyone who has signed in may know the tenant that they signed in to.
  Route tenants =
      get_route("/tenants", "Microsoft.Resources/tenants/read", "/", "Lists the tenants of the caller.");
  tenants.filter_items = true;
  tenants.read = [&state](const Call&, store::Reader&) -> Result<net::Response> {
    return json_response(200, {{"value", JsonArray{Json(tenant_json(state))}}});
  };
  add(std::move(tenants));

  Route list =
      get_route("/subscriptions", kRead, "/", "Lists the subscriptions that the caller has a role in.");
  list.filter_items = true;
  list.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    JsonArray values;
    if (TRY(may_see_subscription(state, call, reader)))
      values.push_back(TRY(subscription_json(state, reader)));
    const auto count = static_cast<int64_t>(values.size());
    return json_response(200,
                         {{"value", std::move(values)}, {"count", {{"type", "Total"}, {"value", count}}}});
  };
  add(std::move(list));

  Route get = get_route("/subscriptions/{subscriptionId}", kRead, {}, "Gets a subscription.");
  get.filter_items = true;
  get.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    if (!TRY(may_see_subscription(state, call, reader))) {
      return std::unexpected(authorization_failed(call.principal, kRead, call.id.text()));
    }
    return json_response(200, TRY(subscription_json(state, reader)));
  };
  add(std::move(get));

  Route locations = get_route("/subscriptions/{subscriptionId}/locations",
                              "Microsoft.Resources/subscriptions/locations/read", {},
                              "Lists the locations of a subscription.");
  locations.read = [&state](const Call&, store::Reader& reader) { return list_locations(state, reader); };
  add(std::move(locations));
}

}  // namespace merlon::resource

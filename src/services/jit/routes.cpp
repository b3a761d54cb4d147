// What the just-in-time service declares.
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

constexpr std::string_view kPolicyPath =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Security/"
    "locations/"
    "{ascLocation}/jitNetworkAccessPolicies/{jitNetworkAccessPolicyName}";
constexpr std::string_view kReadPermission = "Microsoft.Security/locations/jitNetworkAccessPolicies/read";
constexpr std::string_view kInitiatePermission =
    "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action";

Result<ResourceId> policy_id(const Call& call) {
  return ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                           call.parameter("resourceGroupName") + "/providers/Microsoft.Security/locations/" +
                           call.parameter("ascLocation") + "/jitNetworkAccessPolicies/" +
                           call.parameter("jitNetworkAccessPolicyName"));
}

Result<Uuid> opening_id(const Call& call) {
  const auto id = Uuid::parse(call.parameter("openingId"));
  if (!id)
    return fail(
        ErrorKind::invalid, "InvalidParameter",
        "'" + call.parameter("openingId") + "' is not the id of an opening. 'merlon jit list' shows them.");
  return *id;
}

resource::ResourceType policies(Service& service) {
  resource::ResourceType type;
  type.provider = "Microsoft.Security";
  type.type = "locations/jitNetworkAccessPolicies";
  type.api_versions = {"2020-01-01", "2015-06-01-preview"};
  type.shape = policy_shape();
  type.tracked = false;
  type.location_from_path = true;
  type.created_status = 200;
  type.also_list_as = "jitNetworkAccessPolicies";
  type.summary = "Which ports of which machines are closed until somebody asks, and how far a request may go";
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_policy(context, id, existing, std::move(wanted));
  };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.policy_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& policy) {
    return service.remove_policy(context, policy);
  };
  return type;
}

Route initiate_route(Service& service) {
  Route route;
  route.method = "POST";
  route.path = std::string(kPolicyPath) + "/initiate";
  route.permission = kInitiatePermission;
  route.summary = "Open ports of machines for a source and a time";
  route.body = request_shape();
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const ResourceId policy = TRY(policy_id(context.call));
    return resource::json_response(202, TRY(service.initiate(context, policy)));
  };
  return route;
}

Route revoke_route(Service& service) {
  Route route;
  route.method = "POST";
  route.path = std::string(kPolicyPath) + "/providers/Merlon.Jit/openings/{openingId}/revoke";
  route.permission = kInitiatePermission;
  route.checked_at = std::string(kPolicyPath);
  route.summary = "Close an opening before its time";
  route.passes_locks_because = "It only takes access away.";
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const ResourceId policy = TRY(policy_id(context.call));
    return resource::json_response(200, TRY(service.revoke(context, policy, TRY(opening_id(context.call)))));
  };
  return route;
}

Route show_route(Service& service) {
  Route route;
  route.method = "GET";
  route.path = std::string(kPolicyPath) + "/providers/Merlon.Jit/openings/{openingId}";
  route.permission = kReadPermission;
  route.checked_at = std::string(kPolicyPath);
  route.summary = "One opening: who, from where, until when, and what the machine says";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200,
                                   TRY(service.opening(reader, TRY(policy_id(call)), TRY(opening_id(call)))));
  };
  return route;
}

Route list_route(Service& service, const std::string& scope) {
  Route route;
  route.method = "GET";
  route.path = scope + "/providers/Merlon.Jit/openings";
  route.permission = kReadPermission;
  route.checked_at = scope;
  route.summary = "What is open now";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    std::string within = "/subscriptions/" + call.parameter("subscriptionId");
    if (call.parameters.contains("resourceGroupName"))
      within += "/resourceGroups/" + call.parameter("resourceGroupName");
    return resource::json_response(200, {{"value", TRY(service.openings(reader, within))}});
  };
  return route;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs;
  return specs;
}

std::unique_ptr<Jit> install(Platform& platform, compute::Compute& compute, network::Network& network) {
  auto service = std::make_unique<Service>(platform, compute, network);
  resource::Manager& resources = platform.resources;
  resources.add(policies(*service));
  resources.add(initiate_route(*service));
  resources.add(revoke_route(*service));
  resources.add(show_route(*service));
  resources.add(list_route(*service, "/subscriptions/{subscriptionId}"));
  resources.add(list_route(*service, "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"));
  Service* s = service.get();
  platform.grants.add_kind(std::string(kGrantKind), [s](WriteContext& context, const grant::Grant& grant) {
    return s->ended(context, grant);
  });
  network.on_allow_removed([s](WriteContext& context, const ResourceId&, const network::OverlayRule& rule) {
    return s->allow_removed(context, rule);
  });
  network.on_layout_changed(
      [s](WriteContext& context, const ResourceId& vm) { return s->layout_changed(context, vm); });
  return service;
}

}  // namespace merlon::jit

// What the just-in-time service declares: Azure's policies and initiate, and beside them under Merlon.Jit
// what Azure does not have: openings, requests that others must agree to, and a policy's options.
#include "resource/preconditions.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;

const std::string kSubscription = "/subscriptions/{subscriptionId}";
const std::string kGroup = kSubscription + "/resourceGroups/{resourceGroupName}";
const std::string kPolicyPath = kGroup +
                                "/providers/Microsoft.Security/locations/{ascLocation}/"
                                "jitNetworkAccessPolicies/{jitNetworkAccessPolicyName}";
const std::string kOpeningsPart = "/providers/Merlon.Jit/openings";
const std::string kRequestsPart = "/providers/Merlon.Jit/requests";

Result<ResourceId> policy_id(const Call& call) {
  return ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                           call.parameter("resourceGroupName") + "/providers/Microsoft.Security/locations/" +
                           call.parameter("ascLocation") + "/jitNetworkAccessPolicies/" +
                           call.parameter("jitNetworkAccessPolicyName"));
}

Result<Uuid> id_in(const Call& call, const std::string& parameter, const std::string& what) {
  const auto id = Uuid::parse(call.parameter(parameter));
  if (id) return *id;
  return fail(ErrorKind::invalid, "InvalidParameter",
              "'" + call.parameter(parameter) + "' is not the id of " + what, parameter);
}

Result<Uuid> opening_in(const Call& call) {
  return id_in(call, "openingId", "an opening. 'merlon jit list' shows them.");
}

Result<Uuid> request_in(const Call& call) {
  return id_in(call, "requestId", "a request. 'merlon jit pending' shows those that wait.");
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
  route.path = kPolicyPath + "/initiate";
  route.permission = kInitiatePermission;
  route.summary = "Open ports of machines for a source and a time";
  route.body = request_shape();
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    const ResourceId policy = TRY(policy_id(context.call));
    return resource::json_response(202, TRY(service.initiate(context, policy)));
  };
  return route;
}

using OnOne = Result<JsonObject> (Service::*)(WriteContext&, const ResourceId&, const Uuid&);

// POST {policy}/providers/Merlon.Jit/openings/{openingId}/revoke and the like. Where one's own needs no more
// than to be one's own, the route asks for the right to read the policy, and the rules for the rest.
Route act_on(Service& service, const std::string& part, const std::string& verb, std::string_view permission,
             OnOne act, std::string summary) {
  const bool opening = part == kOpeningsPart;
  Route route;
  route.method = "POST";
  route.path = kPolicyPath + part + (opening ? "/{openingId}/" : "/{requestId}/") + verb;
  route.permission = permission;
  route.checked_at = kPolicyPath;
  if (verb == "revoke" || verb == "deny" || verb == "cancel")
    route.passes_locks_because = "It only takes access away.";
  route.entered_as = "Merlon.Jit" + part.substr(part.rfind('/')) + "/" + verb + "/action";
  route.summary = std::move(summary);
  route.write = [&service, act, opening](WriteContext& context) -> Result<net::Response> {
    const Uuid id = TRY(opening ? opening_in(context.call) : request_in(context.call));
    return resource::json_response(200, TRY((service.*act)(context, TRY(policy_id(context.call)), id)));
  };
  return route;
}

using ShowOne = Result<JsonObject> (Service::*)(store::Reader&, const ResourceId&, const Uuid&);

Route show_one(Service& service, const std::string& part, std::string_view permission, ShowOne show,
               std::string summary) {
  const bool opening = part == kOpeningsPart;
  Route route;
  route.method = "GET";
  route.path = kPolicyPath + part + (opening ? "/{openingId}" : "/{requestId}");
  route.permission = permission;
  route.checked_at = kPolicyPath;
  route.summary = std::move(summary);
  route.read = [&service, show, opening](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const Uuid id = TRY(opening ? opening_in(call) : request_in(call));
    return resource::json_response(200, TRY((service.*show)(reader, TRY(policy_id(call)), id)));
  };
  return route;
}

using ListAll = Result<JsonArray> (Service::*)(const Call&, store::Reader&, std::string_view);

Route list_route(Service& service, const std::string& scope, const std::string& part,
                 std::string_view permission, ListAll list, std::string summary) {
  Route route;
  route.method = "GET";
  route.path = scope + part;
  route.permission = permission;
  route.checked_at = scope;
  route.filter_items = true;
  route.summary = std::move(summary);
  route.read = [&service, list](const Call& call, store::Reader& reader) -> Result<net::Response> {
    std::string within = "/subscriptions/" + call.parameter("subscriptionId");
    if (call.parameters.contains("resourceGroupName"))
      within += "/resourceGroups/" + call.parameter("resourceGroupName");
    return resource::json_response(200, {{"value", TRY((service.*list)(call, reader, within))}});
  };
  return route;
}

Route options_route(const std::string& method, const std::string& verb, std::string summary) {
  Route route;
  route.method = method;
  route.path = kPolicyPath + std::string(kOptionsPart);
  route.permission = "Merlon.Jit/options/" + verb;
  route.checked_at = kPolicyPath;
  route.summary = std::move(summary);
  return route;
}

net::Response options_response(const JsonObject& options) {
  net::Response response = resource::json_response(200, options);
  const JsonObject& properties = options.at("properties").as_object();
  if (!properties.empty())  // a policy may have none
    response.headers.set("ETag", resource::entity_tag(options_etag(properties)));
  return response;
}

void add_options(resource::Manager& resources, Service& service) {
  Route get = options_route("GET", "read", "What the policy asks for beyond Azure's own words");
  get.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return options_response(TRY(service.options(reader, TRY(policy_id(call)))));
  };
  resources.add(std::move(get));
  Route put = options_route("PUT", "write", "Approval, justification, who may ask and from where");
  put.body = options_shape();
  put.write = [&service](WriteContext& context) -> Result<net::Response> {
    return options_response(TRY(service.put_options(context, TRY(policy_id(context.call)))));
  };
  resources.add(std::move(put));
  Route remove = options_route("DELETE", "delete", "The policy asks for no more than Azure's own words");
  remove.write = [&service](WriteContext& context) -> Result<net::Response> {
    const bool removed = TRY(service.remove_options(context, TRY(policy_id(context.call))));
    return resource::empty_response(removed ? 200 : 204);
  };
  resources.add(std::move(remove));
}

void add_openings(resource::Manager& resources, Service& service) {
  resources.add(act_on(service, kOpeningsPart, "revoke", kReadPermission, &Service::revoke,
                       "Close an opening before its time: one's own, or with the right "
                       "Merlon.Jit/openings/revoke/action anybody's"));
  Route extend = act_on(service, kOpeningsPart, "extend", kInitiatePermission, &Service::extend,
                        "Let one's own opening last longer, up to the policy's maximum from its start");
  extend.body = extension_shape();
  resources.add(std::move(extend));
  resources.add(show_one(service, kOpeningsPart, kReadPermission, &Service::opening,
                         "One opening: who, from where, until when, and what the machine says"));
  for (const std::string& scope : {kSubscription, kGroup})
    resources.add(list_route(service, scope, kOpeningsPart, kReadPermission, &Service::openings,
                             "What is open now: of the policies that the caller may read, and their own"));
}

void add_requests(resource::Manager& resources, Service& service) {
  Route approve = act_on(service, kRequestsPart, "approve", kApprovePermission, &Service::approve,
                         "Agree to somebody else's request; with the last that is needed the ports open");
  approve.body = verdict_shape();
  resources.add(std::move(approve));
  Route deny = act_on(service, kRequestsPart, "deny", "Merlon.Jit/requests/deny/action", &Service::deny,
                      "Refuse a request that waits for approval");
  deny.body = verdict_shape();
  resources.add(std::move(deny));
  resources.add(act_on(service, kRequestsPart, "cancel", kReadPermission, &Service::cancel,
                       "Take a waiting request back: one's own, or with the right "
                       "Merlon.Jit/requests/cancel/action anybody's"));
  resources.add(show_one(service, kRequestsPart, kReadPermission, &Service::request,
                         "One request that others must agree to, and what has become of it"));
  for (const std::string& scope : {kSubscription, kGroup})
    resources.add(list_route(service, scope, kRequestsPart, kRequestReadPermission, &Service::requests,
                             "What waits for approval"));
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {StoredOptions::table()};
  return specs;
}

std::unique_ptr<Jit> install(Platform& platform, network::Network& network) {
  auto service = std::make_unique<Service>(platform, network);
  resource::Manager& resources = platform.resources;
  resources.add(policies(*service));
  resources.add(initiate_route(*service));
  add_openings(resources, *service);
  add_requests(resources, *service);
  add_options(resources, *service);
  Service* s = service.get();
  platform.grants.add_kind(std::string(kOpeningKind),
                           [s](WriteContext& context, const std::vector<grant::Grant>& grants) {
                             return s->openings_ended(context, grants);
                           });
  platform.grants.add_kind(
      std::string(kRequestKind),
      [s](WriteContext& context, const std::vector<grant::Grant>& grants) -> Result<void> {
        for (const grant::Grant& grant : grants) TRY(s->request_ended(context, grant));
        return {};
      });
  platform.machines.on_observation(
      [s](WriteContext& context, const machine::Machine& machine, const machine::Observation& observation) {
        return s->observed(context, machine, observation);
      });
  network.on_allow_removed([s](WriteContext& context, const ResourceId&, const network::OverlayRule& rule) {
    return s->allow_removed(context, rule);
  });
  network.on_layout_changed(
      [s](WriteContext& context, const ResourceId& vm) { return s->layout_changed(context, vm); });
  return service;
}

}  // namespace merlon::jit

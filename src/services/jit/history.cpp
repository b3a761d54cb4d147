// The requests that a policy shows: properties.requests, the newest last, bounded. The whole story is in the
// ledger.
#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "base/time_text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kRequestsKeptMax = 100;
constexpr size_t kRequestBytesKeptMax = 512 * 1024;

// Azure's reasons (jitNetworkAccessPolicies.json, StatusReason); ours beyond them are shown as what they come
// closest to.
std::string_view azure_reason(std::string_view reason) {
  if (reason == "Expired" || reason == "NewerRequestInitiated") return reason;
  return "UserRequested";
}

JsonArray* requests_in(JsonObject& body) {
  Json& requests = body["properties"].as_object()["requests"];
  if (!requests.is_array()) requests = JsonArray();
  return &requests.get_array();
}

// Together they stand in one document: large ones must not keep the next from being shown, or one from its
// end.
void drop_oldest(JsonArray& requests) {
  size_t kept = 0, bytes = 0;
  while (kept < std::min(requests.size(), kRequestsKeptMax)) {
    bytes += to_text(requests[requests.size() - 1 - kept]).size();
    if (bytes > kRequestBytesKeptMax && kept > 0) break;
    ++kept;
  }
  requests.erase(requests.begin(), requests.end() - static_cast<std::ptrdiff_t>(kept));
}

}  // namespace

JsonObject shown_request(const AccessRequest& request, const std::string& id, Timestamp start,
                         const std::string& requestor, std::string_view status) {
  JsonArray machines;
  for (const PortRequest& port : request.ports) {
    JsonObject json = {{"number", port.number}};
    put_sources(json, port.sources);
    json["endTimeUtc"] = to_rfc3339(port.end);
    json["status"] = status;
    json["statusReason"] = "UserRequested";
    const auto same = std::find_if(machines.begin(), machines.end(), [&](const Json& machine) {
      return machine.as_object().at("id").as_string() == port.vm.text();
    });
    if (same != machines.end()) {
      same->as_object()["ports"].as_array().push_back(std::move(json));
    } else {
      machines.push_back(JsonObject{{"id", port.vm.text()}, {"ports", JsonArray{std::move(json)}}});
    }
  }
  return {{"virtualMachines", std::move(machines)},
          {"startTimeUtc", to_rfc3339(start)},
          {"requestor", requestor},
          {"justification", request.justification},
          {"id", id}};
}

Result<void> Service::show_request(WriteContext& context, const ResourceId& policy_id, JsonObject request) {
  const auto resource = TRY(platform_.resources.get(context.tx, policy_id));
  MERLON_CHECK(resource.has_value());
  JsonObject body = resource->body;
  JsonArray& array = *requests_in(body);
  const auto same = std::find_if(array.begin(), array.end(), [&](const Json& shown) {
    return string_at(shown.as_object(), "id") == string_at(request, "id");
  });
  if (same != array.end()) {
    *same = std::move(request);
  } else {
    array.push_back(std::move(request));
  }
  drop_oldest(array);
  TRY(platform_.resources.render(context.tx, resource->id, std::move(body)));
  return {};
}

Result<void> Service::edit_request(WriteContext& context, const ResourceId& policy_id,
                                   const std::string& request_id, const EditPort& edit) {
  const auto resource = TRY(platform_.resources.get(context.tx, policy_id));
  if (!resource) return {};
  JsonObject body = resource->body;
  for (Json& request : *requests_in(body)) {
    if (string_at(request.as_object(), "id") != request_id) continue;
    for (Json& machine : request.as_object()["virtualMachines"].as_array()) {
      const JsonObject vm = {{"id", string_at(machine.as_object(), "id").value_or("")}};
      for (Json& port : machine.as_object()["ports"].as_array()) edit(vm, port.as_object());
    }
  }
  TRY(platform_.resources.render(context.tx, resource->id, std::move(body)));
  return {};
}

Result<void> Service::show_opening(WriteContext& context, const Grant& grant) {
  return show_openings(context, TRY(ResourceId::parse(TRY(PortGrant::from_json(grant.data)).policy_id)),
                       {grant});
}

// All in one writing of the document: there may be thousands.
Result<void> Service::show_openings(WriteContext& context, const ResourceId& policy_id,
                                    const std::vector<Grant>& grants) {
  using Place = std::tuple<std::string, std::string, int64_t>;  // request, machine, port
  std::map<Place, const Grant*> by_place;
  for (const Grant& grant : grants) {
    const PortGrant opened = TRY(PortGrant::from_json(grant.data));
    by_place[{opened.request_id, ascii_lower(opened.vm_id), opened.number}] = &grant;
  }
  const auto resource = TRY(platform_.resources.get(context.tx, policy_id));
  if (!resource || grants.empty()) return {};
  JsonObject body = resource->body;
  for (Json& shown : *requests_in(body)) {
    const std::string request = string_at(shown.as_object(), "id").value_or("");
    for (Json& machine : shown.as_object()["virtualMachines"].as_array()) {
      const std::string vm = ascii_lower(string_at(machine.as_object(), "id").value_or(""));
      for (Json& element : machine.as_object()["ports"].as_array()) {
        JsonObject& port = element.as_object();
        const auto found = by_place.find({request, vm, int_at(port, "number").value_or(0)});
        if (found == by_place.end()) continue;
        const Grant& grant = *found->second;
        const bool active = grant.state == grant::State::active;
        port["endTimeUtc"] = to_rfc3339(grant.deadline);
        port["status"] = active ? "Initiated" : "Revoked";
        port["statusReason"] = active ? "UserRequested" : azure_reason(grant.end_reason);
      }
    }
  }
  TRY(platform_.resources.render(context.tx, resource->id, std::move(body)));
  return {};
}

// A request that nobody agreed to never opened anything: to Azure's clients it is revoked.
Result<void> Service::request_ended(WriteContext& context, const Grant& grant) {
  const WaitingRequest waiting = TRY(WaitingRequest::from_json(grant.data));
  if (grant.end_reason != "Approved" && waiting.extends.empty())
    TRY(edit_request(context, TRY(ResourceId::parse(waiting.policy_id)), grant.id.text(),
                     [&](const JsonObject&, JsonObject& port) {
                       port["status"] = "Revoked";
                       port["statusReason"] = azure_reason(grant.end_reason);
                     }));
  return context.record("Merlon.Jit/requests/close/action", waiting.policy_id,
                        {{"request", grant.id.text()},
                         {"reason", grant.end_reason},
                         {"requestor", grant.holder_name},
                         {"requestorId", grant.holder}});
}

}  // namespace merlon::jit

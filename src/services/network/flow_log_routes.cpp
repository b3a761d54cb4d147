// The type networkWatchers/flowLogs, Azure's older actions that configure and ask about one, and Merlon's own
// route that reads what was logged.
#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "resource/paging.h"
#include "resource/permitted.h"
#include "services/network/declarations.h"
#include "services/network/shapes.h"
#include "services/network/watcher.h"

namespace merlon::network {
namespace {

using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;
using resource::WriteContext;
using schema::anything;
using schema::optional;
using schema::required;
using schema::text;

constexpr size_t kRecordsDefault = 200;
constexpr auto kReadBackDefault = std::chrono::hours(24);

resource::ResourceType flow_logs(Service& service) {
  resource::ResourceType type;
  type.provider = "Microsoft.Network";
  type.type = "networkWatchers/flowLogs";
  type.api_versions = {"2025-05-01", "2024-05-01", "2023-11-01", "2022-01-01", "2019-11-01"};
  type.shape = flow_log_shape();
  type.etag_in_body = true;
  type.patch_replaces_tags = true;
  type.deleted_status = 202;
  type.summary = "Records new, ended and denied flows of a security group, network, subnet or interface";
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_flow_log(context, id, existing, std::move(wanted));
  };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.flow_log_changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const Resource& existing) {
    return service.remove_flow_log(context, existing);
  };
  return type;
}

// Azure's answer to both actions: the flow log's settings, told of its target.
JsonObject information(const std::string& target, const Resource* flow_log) {
  JsonObject settings = {{"storageId", ""}, {"enabled", false}};
  JsonObject answer = {{"targetResourceId", target}};
  if (flow_log != nullptr) {
    const JsonObject& properties = *object_at(flow_log->body, "properties");
    for (const std::string_view key : {"storageId", "enabled", "retentionPolicy", "format"})
      if (const Json* value = properties.if_contains(key)) settings[key] = *value;
    if (const Json* analytics = properties.if_contains("flowAnalyticsConfiguration"))
      answer["flowAnalyticsConfiguration"] = *analytics;
    if (const Json* identity = flow_log->body.if_contains("identity")) answer["identity"] = *identity;
  }
  answer["properties"] = std::move(settings);
  return answer;
}

Result<ResourceId> group_in(const Call& call) {
  const auto target = ResourceId::parse(string_at(call.body, "targetResourceId").value_or(""));
  if (!target || !ascii_iequal(target->type(), "Microsoft.Network/networkSecurityGroups"))
    return wrong_parameter("targetResourceId",
                           "must be the id of a network security group. For a network, subnet or interface "
                           "make a flow log of its own.");
  return *target;
}

Result<std::optional<Resource>> flow_log_of(const Platform& platform, store::Reader& reader, const Call& call,
                                            const ResourceId& target) {
  for (Resource& document :
       TRY(platform.resources.list(reader, kFlowLogType, "/subscriptions/" + call.id.subscription())))
    if (read_flow_log(document).target == target) return std::optional(std::move(document));
  return std::optional<Resource>();
}

Route status_route(const Platform& platform) {
  Route route = watcher_action("queryFlowLogStatus", "Whether the flows of a security group are logged",
                               schema::object({required("targetResourceId", text())}));
  route.read = [&platform](const Call& call, store::Reader& reader) -> Result<net::Response> {
    TRY(require_watcher(platform, call, reader));
    const ResourceId target = TRY(group_in(call));
    const auto found = TRY(flow_log_of(platform, reader, call, target));
    // It may be another group's, and is shown to whoever may read it there.
    const bool shown =
        found && TRY(resource::permitted(platform.core, reader, call.principal,
                                         std::string(kFlowLogType) + "/read", found->id.text()));
    return resource::json_response(200, information(target.text(), shown ? &*found : nullptr));
  };
  return route;
}

Result<net::Response> configure(const Platform& platform, Service& service, WriteContext& context) {
  const Call& call = context.call;
  TRY(require_watcher(platform, call, context.tx));
  const ResourceId target = TRY(group_in(call));
  const auto existing = TRY(flow_log_of(platform, context.tx, call, target));
  const ResourceId id = existing ? existing->id
                                 : TRY(ResourceId::parse(call.id.text() + "/flowLogs/Microsoft.Network" +
                                                         target.resource_group() + target.name()));
  // The action is one of this watcher; the flow log may be of another, in another group.
  TRY(context.require(std::string(kFlowLogType) + "/write", id.text()));
  JsonObject document = existing ? existing->body : JsonObject{{"location", context.core.default_location}};
  JsonObject properties = *object_at(call.body, "properties");
  properties["targetResourceId"] = target.text();
  if (const Json* analytics = call.body.if_contains("flowAnalyticsConfiguration"))
    properties["flowAnalyticsConfiguration"] = *analytics;
  document["properties"] = std::move(properties);
  if (const Json* identity = call.body.if_contains("identity")) document["identity"] = *identity;
  TRY(context.require_unlocked(id.text()));
  JsonObject shown =
      TRY(service.put_flow_log(context, id, existing ? &*existing : nullptr, std::move(document)));
  const Resource stored = TRY(platform.resources.store_document(context, id, std::move(shown)));
  return resource::json_response(200, information(target.text(), &stored));
}

Route configure_route(const Platform& platform, Service& service) {
  Route route = watcher_action(
      "configureFlowLog", "Turns the flow log of a security group on or off",
      schema::object({required("targetResourceId", text()), required("properties", flow_log_settings_shape()),
                      optional("flowAnalyticsConfiguration", flow_analytics_shape()),
                      optional("identity", anything())}));
  route.write = [&platform, &service](WriteContext& context) {
    return configure(platform, service, context);
  };
  return route;
}

Result<Timestamp> since_in(const Call& call) {
  const std::string* since = call.request.query.find("since");
  if (since == nullptr) return call.now - kReadBackDefault;
  const auto time = from_rfc3339(*since);
  if (!time)
    return fail(ErrorKind::invalid, "InvalidQueryParameterValue",
                "The query parameter 'since' is not a time such as 2026-11-22T18:23:35Z.", "since");
  return *time;
}

// A record's tuples one by one, whatever the form of the log.
void add_tuples(const std::string& mac, const JsonObject& record, std::vector<JsonObject>& out) {
  const auto add = [&](const JsonObject& holder, const std::string& rule, const std::string& acl) {
    const JsonArray* tuples = array_at(holder, "flowTuples");
    if (tuples == nullptr) return;
    for (const Json& tuple : *tuples) {
      JsonObject shown = {{"time", string_at(record, "time").value_or("")},
                          {"macAddress", mac},
                          {"rule", rule},
                          {"flowTuple", tuple}};
      if (!acl.empty()) shown["aclID"] = acl;
      out.push_back(std::move(shown));
    }
  };
  if (const JsonArray* rules = array_at(record, "properties.flows"))
    for (const Json& rule : *rules)
      if (const JsonArray* flows = array_at(rule.as_object(), "flows"))
        for (const Json& flow : *flows)
          add(flow.as_object(), string_at(rule.as_object(), "rule").value_or(""), "");
  if (const JsonArray* acls = array_at(record, "flowRecords.flows"))
    for (const Json& acl : *acls)
      if (const JsonArray* groups = array_at(acl.as_object(), "flowGroups"))
        for (const Json& group : *groups)
          add(group.as_object(), string_at(group.as_object(), "rule").value_or(""),
              string_at(acl.as_object(), "aclID").value_or(""));
}

Result<net::Response> show_records(const Platform& platform, Service& service, const Call& call,
                                   store::Reader& reader) {
  const ResourceId id = TRY(ResourceId::parse(
      "/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
      call.parameter("resourceGroupName") + "/providers/Microsoft.Network/networkWatchers/" +
      call.parameter("networkWatcherName") + "/flowLogs/" + call.parameter("flowLogName")));
  const auto document = TRY(platform.resources.get(reader, id));
  if (!document)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The Resource '" + id.type() + "/" + id.name() + "' under resource group '" +
                    id.resource_group() + "' was not found.");
  const Timestamp since = TRY(since_in(call));
  const size_t most = TRY(resource::page_of(call, kRecordsDefault)).top;
  std::vector<JsonObject> tuples;
  TRY(service.flow_files().read(read_flow_log(*document).folder(), since, call.now,
                                [&](const FlowLogFiles::Record& record) {
                                  add_tuples(record.mac, record.json, tuples);
                                  return true;
                                }));
  std::vector<std::pair<Timestamp, size_t>> order;  // hours come newest first, and interfaces one by one
  for (const JsonObject& tuple : tuples)
    order.emplace_back(from_rfc3339(tuple.at("time").as_string()).value_or(since), order.size());
  std::sort(order.begin(), order.end());
  JsonArray values;
  for (size_t i = order.size() > most ? order.size() - most : 0; i < order.size(); ++i)
    values.push_back(std::move(tuples[order[i].second]));
  return resource::json_response(200, {{"value", std::move(values)}});
}

Route records_route(const Platform& platform, Service& service) {
  const std::string flow_log =
      kNetworkPath + std::string("networkWatchers/{networkWatcherName}/flowLogs/{flowLogName}");
  Route route;
  route.method = "GET";
  route.path = flow_log + "/providers/Merlon.Network/records";
  route.permission = "Merlon.Network/records/read";
  route.checked_at = flow_log;
  route.summary = "The newest flows of a flow log, or those after a time ('since', '$top')";
  route.read = [&platform, &service](const Call& call, store::Reader& reader) {
    return show_records(platform, service, call, reader);
  };
  return route;
}

}  // namespace

void add_flow_log_routes(const Platform& platform, Service& service) {
  platform.resources.add(flow_logs(service));
  platform.resources.add(status_route(platform));
  platform.resources.add(configure_route(platform, service));
  platform.resources.add(records_route(platform, service));
}

}  // namespace merlon::network

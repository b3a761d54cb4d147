// Azure's two forms of flow logs. Source: Azure docs, network-watcher nsg-flow-logs-overview ("Log format")
// and vnet-flow-logs-overview ("Log format").
#include "services/network/flow_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::network {
namespace {

using machine::FlowState;
using machine::ReportedFlow;

constexpr uint8_t kTcp = 6, kUdp = 17;
// Of a flow whose encryption is nobody's business here: Azure's word for "not encrypted".
constexpr std::string_view kNotEncrypted = "NX";

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::string group_tuple(const FlowLog& log, const ReportedFlow& flow, Timestamp time) {
  const bool denied = flow.state == FlowState::denied;
  std::string tuple = fmt::format(
      "{},{},{},{},{},{},{},{}", std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count(),
      flow.source.text(), flow.destination.text(), flow.source_port, flow.destination_port,
      flow.protocol == kTcp ? 'T' : 'U', flow.inbound ? 'I' : 'O', denied ? 'D' : 'A');
  if (log.version < 2) return tuple;
  if (flow.state != FlowState::end) return tuple + ",B,,,,";
  return tuple + fmt::format(",E,{},{},{},{}", flow.packets_sent, flow.bytes_sent, flow.packets_back,
                             flow.bytes_back);
}

std::string network_tuple(const ReportedFlow& flow, Timestamp time) {
  constexpr std::array<char, 3> kStates = {'B', 'E', 'D'};
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{}", time.time_since_epoch().count(),
                     flow.source.text(), flow.destination.text(), flow.source_port, flow.destination_port,
                     flow.protocol, flow.inbound ? 'I' : 'O', kStates[static_cast<size_t>(flow.state)],
                     kNotEncrypted, flow.packets_sent, flow.bytes_sent, flow.packets_back, flow.bytes_back);
}

}  // namespace

bool FlowLog::is_of_group() const {
  return ascii_iequal(target.type(), "Microsoft.Network/networkSecurityGroups");
}

std::string FlowLog::folder() const {
  if (is_of_group())
    return account + "/insights-logs-networksecuritygroupflowevent/resourceId=" + upper(target.text());
  const resource::ResourceId watcher = id.parent();
  return fmt::format("{}/insights-logs-flowlogflowevent/flowLogResourceID=/{}_{}/{}_{}", account,
                     upper(id.subscription()), upper(id.resource_group()), upper(watcher.name()),
                     upper(id.name()));
}

FlowLog read_flow_log(const resource::Resource& document) {
  FlowLog log;
  log.id = document.id;
  const auto target =
      resource::ResourceId::parse(string_at(document.body, "properties.targetResourceId").value_or(""));
  if (target) log.target = *target;
  log.guid = string_at(document.body, "properties.resourceGuid").value_or("");
  log.target_guid = string_at(document.body, "properties.targetResourceGuid").value_or("");
  const auto storage =
      resource::ResourceId::parse(string_at(document.body, "properties.storageId").value_or(""));
  if (storage) log.account = storage->name();
  log.enabled = bool_at(document.body, "properties.enabled").value_or(false);
  log.version = int_at(document.body, "properties.format.version").value_or(2);
  if (bool_at(document.body, "properties.retentionPolicy.enabled").value_or(false))
    log.retention_days = int_at(document.body, "properties.retentionPolicy.days").value_or(0);
  return log;
}

std::optional<std::string> flow_tuple(const FlowLog& log, const ReportedFlow& flow, Timestamp time) {
  if (!log.is_of_group()) return network_tuple(flow, time);
  if (flow.protocol != kTcp && flow.protocol != kUdp) return std::nullopt;
  // Version 1 has no word for an end: it would be read as another flow.
  if (log.version < 2 && flow.state == FlowState::end) return std::nullopt;
  return group_tuple(log, flow, time);
}

std::string logged_rule_name(const machine::FlowReport::Rule& rule) {
  if (rule.name.empty()) return "";
  return (rule.is_default ? "DefaultRule_" : "UserRule_") + rule.name;
}

void LoggedFlows::add(const std::string& group_guid, const std::string& rule, std::string tuple) {
  auto at = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
    return group.group_guid == group_guid && group.rule == rule;
  });
  if (at == groups.end()) at = groups.insert(groups.end(), Group{group_guid, rule, {}});
  at->tuples.push_back(std::move(tuple));
}

JsonObject LoggedFlows::record(const FlowLog& log, const std::string& mac, Timestamp now) const {
  if (log.is_of_group()) {
    JsonArray flows;
    for (const Group& group : groups)
      flows.push_back(JsonObject{
          {"rule", group.rule},
          {"flows",
           JsonArray{JsonObject{{"mac", mac},
                                {"flowTuples", JsonArray(group.tuples.begin(), group.tuples.end())}}}}});
    return {{"time", to_rfc3339(now)},
            {"systemId", log.target_guid},
            {"macAddress", mac},
            {"category", "NetworkSecurityGroupFlowEvent"},
            {"resourceId", upper(log.target.text())},
            {"operationName", "NetworkSecurityGroupFlowEvents"},
            {"properties",
             JsonObject{{"Version", std::max<int64_t>(1, log.version)}, {"flows", std::move(flows)}}}};
  }
  JsonArray flows;
  for (const Group& group : groups) {
    JsonObject rule = {{"rule", group.rule},
                       {"flowTuples", JsonArray(group.tuples.begin(), group.tuples.end())}};
    Json* same = nullptr;
    for (Json& each : flows)
      if (string_at(each.as_object(), "aclID") == group.group_guid) same = &each;
    if (same == nullptr)
      same = &flows.emplace_back(JsonObject{{"aclID", group.group_guid}, {"flowGroups", JsonArray()}});
    same->as_object()["flowGroups"].as_array().push_back(std::move(rule));
  }
  return {{"time", to_rfc3339(now)},
          {"flowLogVersion", 4},
          {"flowLogGUID", log.guid},
          {"macAddress", mac},
          {"category", "FlowLogFlowEvent"},
          {"flowLogResourceID", upper(log.id.text())},
          {"targetResourceID", log.target.text()},
          {"operationName", "FlowLogFlowEvent"},
          {"flowRecords", JsonObject{{"flows", std::move(flows)}}}};
}

const store::TableSpec& FlowMark::table() {
  static const store::TableSpec spec{"flow_marks", {}};
  return spec;
}

JsonObject FlowMark::to_json() const {
  return {{"machine", machine.text()}, {"bootId", boot_id}, {"batch", batch}};
}

Result<FlowMark> FlowMark::from_json(const JsonObject& json) {
  FlowMark mark;
  const auto id = Uuid::parse(TRY(require_string(json, "machine")));
  if (!id) return internal_error("stored flow mark has a malformed machine id");
  mark.machine = *id;
  mark.boot_id = TRY(require_string(json, "bootId"));
  mark.batch = TRY(require_int(json, "batch"));
  return mark;
}

}  // namespace merlon::network

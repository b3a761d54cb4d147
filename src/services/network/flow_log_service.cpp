// What turning a flow log on asks for, which machines it concerns, and what becomes of what they report.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using machine::FlowReport;
using machine::ReportedFlow;
using resource::Resource;
using resource::ResourceId;
using resource::WriteContext;

constexpr std::string_view kStorageType = "Microsoft.Storage/storageAccounts";
constexpr auto kRetentionEvery = std::chrono::hours(1);
constexpr size_t kRuleNameMax = 256;

bool is_target_type(std::string_view type) {
  for (const std::string_view known :
       {"Microsoft.Network/networkSecurityGroups", "Microsoft.Network/virtualNetworks",
        "Microsoft.Network/virtualNetworks/subnets", "Microsoft.Network/networkInterfaces"})
    if (ascii_iequal(type, known)) return true;
  return false;
}

Result<void> check_storage(const std::string& text) {
  const auto storage = ResourceId::parse(text);
  const std::string name = storage && ascii_iequal(storage->type(), kStorageType) ? storage->name() : "";
  const bool fits = name.size() >= 3 && name.size() <= 24 &&
                    std::all_of(name.begin(), name.end(),
                                [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
  if (fits) return {};
  return fail(ErrorKind::invalid, "InvalidStorageId",
              "'storageId' must be the resource id of a storage account "
              "(…/providers/Microsoft.Storage/storageAccounts/NAME, 3 to 24 small letters and digits).",
              "properties.storageId");
}

void show(JsonObject& json, std::string_view key, Json value) {
  if (!json.contains(key)) json[key] = std::move(value);
}

// A rule's or an opening's name from a machine: of our own alphabet, or it is nobody's.
bool is_name(std::string_view text) {
  return text.size() <= kRuleNameMax && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '-' || c == '.' || c == '/';
         });
}

}  // namespace

Result<std::vector<FlowLog>> Service::flow_logs(store::Reader& reader) {
  std::vector<FlowLog> logs;
  for (const Resource& document : TRY(platform_.resources.list(
           reader, kFlowLogType, "/subscriptions/" + platform_.core.subscription.text())))
    logs.push_back(read_flow_log(document));
  return logs;
}

Result<JsonObject> Service::put_flow_log(WriteContext& context, const ResourceId& id,
                                         const Resource* existing, JsonObject wanted) {
  JsonObject& properties = wanted["properties"].as_object();
  const std::string text = string_at(properties, "targetResourceId").value_or("");
  const auto target = ResourceId::parse(text);
  if (!target || !is_target_type(target->type()))
    return fail(ErrorKind::invalid, "InvalidTargetResourceId",
                "'targetResourceId' must be the resource id of a network security group, virtual network, "
                "subnet or network interface.",
                "properties.targetResourceId");
  // Not reading alone: it is the target's only flow log, is shown in its document, and tells of all its
  // flows.
  TRY(context.require(target->type() + "/write", target->text()));
  const auto found = TRY(platform_.resources.get(context.tx, *target));
  if (!found)
    return fail(ErrorKind::invalid, "InvalidResourceReference",
                "Resource " + text + " referenced by resource " + id.text() + " was not found.",
                "properties.targetResourceId");
  if (existing != nullptr && !(read_flow_log(*existing).target == *target))
    return fail(ErrorKind::conflict, "PropertyChangeNotAllowed",
                "The target of a flow log cannot change. Delete the flow log and create it anew.",
                "properties.targetResourceId");
  TRY(check_storage(string_at(properties, "storageId").value_or("")));
  Resource candidate;
  candidate.id = id;
  candidate.body = wanted;
  const std::string folder = read_flow_log(candidate).folder();
  for (const FlowLog& other : TRY(flow_logs(context.tx))) {
    if (other.id == id) continue;
    if (other.target == *target)
      return fail(ErrorKind::invalid, "FlowLogTargetInUse",
                  "The flow log " + other.id.text() + " is of " + target->text() +
                      " already. A resource has one flow log at most: change that one.",
                  "properties.targetResourceId");
    // Azure's path joins names with '_', which names may have themselves.
    if (other.folder() == folder)
      return fail(ErrorKind::conflict, "FlowLogNameInUse",
                  "The flow log " + other.id.text() +
                      " writes to the same folder of that storage account. Choose another name or account.",
                  "name");
  }
  if (bool_at(properties, "flowAnalyticsConfiguration.networkWatcherFlowAnalyticsConfiguration.enabled")
          .value_or(false))
    return fail(ErrorKind::invalid, "TrafficAnalyticsNotSupported",
                "Merlon has no traffic analytics. Leave 'flowAnalyticsConfiguration' out, or switch it off.",
                "properties.flowAnalyticsConfiguration");
  properties["targetResourceId"] = found->id.text();
  const auto guid = string_at(found->body, "properties.resourceGuid");
  if (guid) properties["targetResourceGuid"] = *guid;
  show(properties, "flowAnalyticsConfiguration", JsonObject());
  show(properties, "retentionPolicy", JsonObject{{"days", 0}, {"enabled", false}});
  show(properties, "format", JsonObject{{"type", "JSON"}, {"version", 2}});
  const auto kept = existing == nullptr ? std::nullopt : string_at(existing->body, "properties.resourceGuid");
  properties["resourceGuid"] = kept.value_or(Uuid::generate(context.core.random).text());
  properties["provisioningState"] = "Succeeded";
  return wanted;
}

Result<void> Service::flow_log_changed(WriteContext& context, const ResourceId& id) {
  const auto document = TRY(platform_.resources.get(context.tx, id));
  MERLON_CHECK(document.has_value());
  return refresh_target(context, read_flow_log(*document).target);
}

Result<void> Service::remove_flow_log(WriteContext& context, const Resource& existing) {
  // First, so that machines and the target are told without it.
  TRY(platform_.resources.erase(context.tx, existing.id));
  return refresh_target(context, read_flow_log(existing).target);
}

// Azure: with its target a flow log goes too.
Result<void> Service::remove_flow_logs_of(WriteContext& context, const ResourceId& target) {
  for (const FlowLog& log : TRY(flow_logs(context.tx)))
    if (log.target.is_within(target.text())) TRY(platform_.resources.erase(context.tx, log.id));
  return {};
}

Result<void> Service::refresh_target(WriteContext& context, const ResourceId& target) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> vms;
  const auto add = [&](const NicLink& link) {
    if (!link.vm.empty()) vms.insert(link.vm);
  };
  if (ascii_iequal(target.type(), "Microsoft.Network/networkSecurityGroups")) {
    TRY(refresh_references(context, target.key()));
    vms = TRY(machines_of_group(context.tx, target.key()));
  } else if (ascii_iequal(target.type(), "Microsoft.Network/networkInterfaces")) {
    if (const auto link = TRY(store::get<NicLink>(context.tx, tenant, target.key()))) add(*link);
  } else if (ascii_iequal(target.type(), "Microsoft.Network/virtualNetworks/subnets")) {
    for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "subnet", target.key())))
      add(link);
  } else {
    for (const SubnetLink& subnet : TRY(store::find<SubnetLink>(context.tx, tenant, "network", target.key())))
      for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "subnet", subnet.subnet)))
        add(link);
  }
  return recompile_all(context, vms);
}

Result<std::vector<std::string>> Service::guards_of(store::Reader& reader, const NicLink& link) {
  std::vector<std::string> groups;
  if (!link.subnet.empty())
    if (const auto subnet = TRY(store::get<SubnetLink>(reader, platform_.core.tenant, link.subnet));
        subnet && !subnet->group.empty())
      groups.push_back(subnet->group);
  if (!link.group.empty()) groups.push_back(link.group);
  return groups;
}

Result<std::vector<FlowLog>> Service::logs_over(store::Reader& reader, const std::vector<FlowLog>& logs,
                                                const NicLink& link) {
  std::vector<FlowLog> over;
  if (logs.empty()) return over;
  const auto groups = TRY(guards_of(reader, link));
  for (const FlowLog& log : logs) {
    const std::string target = log.target.key();
    const bool covers = target == link.nic || target == link.subnet ||
                        link.subnet.starts_with(target + "/subnets/") ||
                        std::find(groups.begin(), groups.end(), target) != groups.end();
    if (log.enabled && covers) over.push_back(log);
  }
  return over;
}

// Which security groups show the opening, and under which name.
Result<std::vector<FlowReport::Rule>> Service::rules_of_opening(store::Reader& reader,
                                                                const std::vector<std::string>& groups,
                                                                const FlowReport::Rule& opening,
                                                                const IpAddress& destination) {
  // "<grant>/<position>" on the machine, "<grant>/<address>" among a group's rules: the grant is one.
  const std::string_view id = opening.name;
  const std::string_view grant = id.substr(0, id.find('/'));
  std::vector<FlowReport::Rule> rules;
  for (const std::string& key : groups) {
    const auto group = TRY(store::get<SecurityGroup>(reader, platform_.core.tenant, key));
    if (!group) continue;
    for (const OverlayRule* rule : group->overlay_rules(machine::Access::allow))
      if (rule->destination == destination &&
          std::string_view(rule->id).substr(0, rule->id.find('/')) == grant)
        rules.push_back({opening.nic, key, rule->name, false, true});
  }
  return rules;
}

// For each of the report's flows, as which rules of which groups it counts at this interface.
Result<std::vector<std::vector<FlowReport::Rule>>> Service::meanings_of(
    store::Reader& reader, const NicLink& link, const FlowReport& report,
    const std::vector<std::string>& groups) {
  std::map<std::pair<size_t, std::string>, std::vector<FlowReport::Rule>> known;
  std::vector<std::vector<FlowReport::Rule>> meanings;
  for (const ReportedFlow& flow : report.flows) {
    FlowReport::Rule rule = report.rules[flow.rule];
    const auto [at, is_new] =
        known.try_emplace({flow.rule, rule.is_opening ? flow.destination.text() : std::string()});
    if (is_new && ascii_iequal(rule.nic, link.nic) && is_name(rule.name)) {
      rule.group = ascii_lower(rule.group);
      if (rule.is_opening) {
        at->second = TRY(rules_of_opening(reader, groups, rule, flow.destination));
      } else if (rule.group.empty() || std::find(groups.begin(), groups.end(), rule.group) != groups.end()) {
        at->second = {rule};
      }
    }
    meanings.push_back(at->second);
  }
  return meanings;
}

// What a machine says counts for its own interfaces and the groups that guard them, and for nothing else.
Result<void> Service::note_flows(WriteContext& context, const machine::Machine& machine,
                                 const machine::Observation& observation) {
  const TenantId& tenant = platform_.core.tenant;
  const auto report = FlowReport::from_json(observation.facts);
  if (!report) {
    log_error("a machine's report of flows", report.error(), {{"machine", machine.name}});
    return {};
  }
  auto mark = TRY(store::get<FlowMark>(context.tx, tenant, machine.id.text()));
  if (mark && mark->boot_id == machine.facts.boot_id && mark->batch >= report->batch) return {};  // again
  TRY(store::put(context.tx, tenant,
                 FlowMark{.machine = machine.id, .boot_id = machine.facts.boot_id, .batch = report->batch}));
  if (report->lost > 0)
    log(LogLevel::warning, "flows of a machine are in no flow log: more came than are reported",
        {{"machine", machine.name}, {"flows", report->lost}});
  const ResourceId vm = TRY(ResourceId::parse(machine.resource_id));
  const auto logs = TRY(flow_logs(context.tx));
  for (const NicLink& link : TRY(store::find<NicLink>(context.tx, tenant, "vm", vm.key())))
    TRY(note_flows_of(context, link, *report, observation.age, TRY(logs_over(context.tx, logs, link))));
  return {};
}

Result<void> Service::note_flows_of(WriteContext& context, const NicLink& link, const FlowReport& report,
                                    Duration age, const std::vector<FlowLog>& logs) {
  if (logs.empty()) return {};
  const auto groups = TRY(guards_of(context.tx, link));
  const auto meanings = TRY(meanings_of(context.tx, link, report, groups));
  std::map<std::string, std::string> guids;
  for (const auto& rules : meanings)
    for (const FlowReport::Rule& meant : rules)
      if (!meant.group.empty() && !guids.contains(meant.group))
        if (const auto group = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(meant.group)))))
          guids[meant.group] = string_at(group->body, "properties.resourceGuid").value_or("");
  const auto nic = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(link.nic))));
  const std::string mac =
      mac_path(nic ? string_at(nic->body, "properties.macAddress").value_or("") : std::string());
  const Timestamp now = platform_.core.clock.now();
  for (const FlowLog& log : logs) {
    LoggedFlows logged;
    for (size_t i = 0; i < report.flows.size(); ++i)
      for (const FlowReport::Rule& rule : meanings[i]) {
        if (log.is_of_group() && rule.group != log.target.key()) continue;
        if (auto tuple = flow_tuple(log, report.flows[i], now - age - report.flows[i].before))
          logged.add(guids[rule.group], logged_rule_name(rule), *std::move(tuple));
      }
    if (logged.groups.empty()) continue;
    context.tx.after_commit(
        [this, folder = log.folder(), mac, now, record = to_text(logged.record(log, mac, now))] {
          flow_files_.add(folder, mac, now, record);
        });
  }
  return {};
}

void Service::tick_flow_logs() {
  flow_files_.flush();
  const Duration now = platform_.core.clock.boottime();
  if (retained_ && now - *retained_ < kRetentionEvery) return;
  retained_ = now;
  const auto logs = store::read_value<std::vector<FlowLog>>(
      platform_.core.store, [&](store::Reader& reader) { return flow_logs(reader); });
  if (!logs) {
    log_error("old flow logs could not be looked for", logs.error());
    return;
  }
  for (const FlowLog& log_of : *logs) {
    if (log_of.retention_days == 0) continue;
    const size_t removed = flow_files_.remove_before(
        log_of.folder(), platform_.core.clock.now() - std::chrono::days(log_of.retention_days));
    if (removed > 0)
      log(LogLevel::info, "old days of a flow log were removed",
          {{"flowLog", log_of.id.text()}, {"days", static_cast<int64_t>(removed)}});
  }
}

}  // namespace merlon::network

// merlon network flow-log: who came, who went, who was turned away, and by which rule.
#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/until_signal.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kType = "Microsoft.Network/networkWatchers/flowLogs";
constexpr auto kTailEvery = std::chrono::seconds(2);

struct LogOptions {
  std::string name, resource_group, most = "50", since;
};

Result<JsonObject> all_logs(Api& api) {
  return api.list(TRY(api.subscription_id()) + "/resources", kResourcesVersion,
                  "$filter=" + part(fmt::format("resourceType eq '{}'", kType)));
}

Result<std::string> log_path(Api& api, const LogOptions& options) {
  if (options.name.starts_with('/')) return scope_path(options.name);
  const JsonObject all = TRY(all_logs(api));
  std::vector<std::string> ids;
  for (const Json& value : all.at("value").get_array()) {
    const std::string id = text_at(value.get_object(), "id");
    const bool in_group =
        options.resource_group.empty() || ascii_iequal(group_in(id), options.resource_group);
    if (in_group && ascii_iequal(last_segment(id), options.name)) ids.push_back(id);
  }
  if (ids.empty())
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "There is no flow log '" + options.name +
                    "' that you may read. 'merlon network flow-log list' shows them.");
  if (ids.size() > 1)
    return wrong_usage("Several flow logs are named '" + options.name +
                       "'. Say which with --resource-group, or give the whole id.");
  return scope_path(ids.front());
}

// "1542110402,192.0.2.190,10.5.16.4,28746,443,T,I,D,B,,,," or a network's
// "1663146003599,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", for people.
std::vector<std::string> cells(const JsonObject& flow) {
  const std::string text = text_at(flow, "flowTuple");
  const auto fields = split(text, ',');
  if (fields.size() < 8) return {text_at(flow, "time"), "", "", "", "", text_at(flow, "rule"), text};
  const bool of_group = fields[5] == "T" || fields[5] == "U";
  const std::string_view state = of_group ? (fields.size() > 8 ? fields[8] : "B") : fields[7];
  const bool denied = of_group ? fields[7] == "D" : state == "D";
  const std::string protocol = fields[5] == "T" || fields[5] == "6"    ? "tcp"
                               : fields[5] == "U" || fields[5] == "17" ? "udp"
                                                                       : std::string(fields[5]);
  std::string counts;
  if (state == "E" && fields.size() >= 13)
    counts = fmt::format("{} B there, {} B back", fields[10], fields[12]);
  return {text_at(flow, "time"),
          fields[6] == "I" ? "in" : "out",
          protocol,
          fmt::format("{}:{}", fields[1], fields[3]),
          fmt::format("{}:{}", fields[2], fields[4]),
          text_at(flow, "rule"),
          denied ? "denied" : (state == "E" ? "ended " + counts : "allowed")};
}

std::string query_of(const LogOptions& options) {
  return "$top=" + part(options.most) + (options.since.empty() ? "" : "&since=" + part(options.since));
}

Result<Answer> records(Api& api, const std::string& path, const LogOptions& options) {
  return api.get(path + "/providers/Merlon.Network/records", kMerlonVersion, query_of(options));
}

Table table_of(const JsonObject& answer) {
  Table table({"TIME", "WAY", "PROTOCOL", "FROM", "TO", "RULE", "WHAT"});
  if (const JsonArray* values = array_at(answer, "value"))
    for (const Json& value : *values)
      if (value.is_object()) table.add(cells(value.get_object()));
  return table;
}

Result<int> show_log(Context& context, const LogOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(records(api, TRY(log_path(api, options)), options));
  const Table table = table_of(answer.body);
  show(context, answer.body, table.size() == 0 ? "No flows in the last day.\n" : table.text());
  return kDone;
}

Result<int> tail_log(Context& context, const LogOptions& asked) {
  const SignalWatch watch;
  Api api = TRY(Api::open(context));
  const std::string path = TRY(log_path(api, asked));
  LogOptions options = asked;
  options.most = "1000";
  if (options.since.empty()) options.since = to_rfc3339(context.clock.now());
  do {
    const Answer answer = TRY(records(api, path, options));
    const JsonArray* values = array_at(answer.body, "value");
    if (values == nullptr) continue;
    for (const Json& value : *values) {
      if (!value.is_object()) continue;
      options.since = text_at(value.get_object(), "time");
      if (context.output == OutputForm::json) {
        context.out << to_text(value) << "\n";
      } else {
        context.out << printable(join(cells(value.get_object()), "  ")) << "\n";
      }
    }
    context.out.flush();
  } while (!watch.wait(kTailEvery));
  return kDone;
}

Result<int> list_logs(Context& context, const LogOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject all = TRY(all_logs(api));
  Table table({"NAME", "GROUP", "ENABLED", "OF", "DAYS KEPT"});
  JsonArray shown;
  for (const Json& value : all.at("value").get_array()) {
    const std::string id = text_at(value.get_object(), "id");
    const Answer log = TRY(api.get(TRY(scope_path(id)), kNetworkVersion));
    const bool ends = bool_at(log.body, "properties.retentionPolicy.enabled").value_or(false);
    const std::string days = ends ? text_at(log.body, "properties.retentionPolicy.days") : "0";
    table.add({text_at(log.body, "name"), group_in(id), text_at(log.body, "properties.enabled"),
               text_at(log.body, "properties.targetResourceId"), days == "0" ? "for ever" : days});
    shown.push_back(log.body);
  }
  show(context, {{"value", std::move(shown)}},
       table.size() == 0 ? "There are no flow logs. 'merlon network flow-log create' makes one.\n"
                         : table.text());
  return kDone;
}

struct CreateOptions {
  std::string name, resource_group, target, nsg, network, storage = "flowlogs", days = "0",
                                                          watcher = "NetworkWatcher_local";
  bool off = false;
};

Result<std::string> target_of(Api& api, const CreateOptions& options) {
  if (static_cast<int>(!options.target.empty()) + static_cast<int>(!options.nsg.empty()) +
          static_cast<int>(!options.network.empty()) !=
      1)
    return wrong_usage("Say what is to be logged: --nsg, --vnet, or --target with a resource id.");
  if (!options.target.empty()) return options.target;
  const std::string provider = TRY(api.group_id(options.resource_group)) + "/providers/Microsoft.Network/";
  if (!options.nsg.empty()) return provider + "networkSecurityGroups/" + options.nsg;
  return provider + "virtualNetworks/" + options.network;
}

Result<int> create_log(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string group = TRY(api.group_id(options.resource_group));
  const std::string watcher = group + "/providers/Microsoft.Network/networkWatchers/" + part(options.watcher);
  const auto there = api.get(watcher, kNetworkVersion);
  if (!there && there.error().kind != ErrorKind::not_found) return std::unexpected(there.error());
  if (!there) TRY(api.put(watcher, kNetworkVersion, {{"location", "local"}}));
  int64_t days = 0;
  for (const char c : options.days) {
    if (c < '0' || c > '9' || days > 365) return wrong_usage("--days is a number from 0 (for ever) to 365.");
    days = days * 10 + (c - '0');
  }
  const JsonObject properties = {
      {"targetResourceId", TRY(target_of(api, options))},
      {"storageId", group + "/providers/Microsoft.Storage/storageAccounts/" + options.storage},
      {"enabled", !options.off},
      {"retentionPolicy", JsonObject{{"days", days}, {"enabled", days > 0}}},
      {"format", JsonObject{{"type", "JSON"}, {"version", 2}}}};
  const Answer answer = TRY(api.put(watcher + "/flowLogs/" + part(options.name), kNetworkVersion,
                                    {{"location", "local"}, {"properties", properties}}));
  show(context, answer.body,
       fmt::format("The flow log {} of {} is {}.\n", printable(options.name),
                   printable(text_at(answer.body, "properties.targetResourceId")),
                   options.off ? "off" : "on"));
  return kDone;
}

Result<int> delete_log(Context& context, const LogOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.remove(TRY(log_path(api, options)), kNetworkVersion));
  show(context, answer.body,
       "The flow log " + printable(options.name) + " is gone. What it has written stays where it is.\n");
  return kDone;
}

void name_options(Command& command, LogOptions& options) {
  command.text("name", options.name, "Which flow log: its name, or its resource id")
      .required()
      .text("--resource-group,-g", options.resource_group, "Of its network watcher; only when several match");
}

}  // namespace

std::vector<Command> flow_log_commands() {
  return {
      make_command("network flow-log create", "Log the flows of a security group or a virtual network",
                   "merlon network flow-log create web -g rg1 --nsg web1-nsg --days 30", create_log,
                   [](Command& command, CreateOptions& options) {
                     command.text("name", options.name, "The flow log's name")
                         .required()
                         .text("--resource-group,-g", options.resource_group,
                               "Of watcher, target and storage")
                         .required()
                         .text("--nsg", options.nsg, "A network security group in that resource group")
                         .text("--vnet", options.network, "A virtual network in that resource group")
                         .text("--target", options.target, "The resource id of a subnet or interface")
                         .text("--storage", options.storage, "The storage account's name: where the files go")
                         .text("--days", options.days, "How long days are kept; 0 for ever")
                         .text("--watcher", options.watcher, "The network watcher; made when it is not there")
                         .flag("--off", options.off, "Keep the settings, log nothing");
                   }),
      make_command("network flow-log list", "Show which flow logs there are", "merlon network flow-log list",
                   list_logs, [](Command&, LogOptions&) {}),
      make_command("network flow-log show", "Show the newest flows of a flow log",
                   "merlon network flow-log show web --most 20", show_log,
                   [](Command& command, LogOptions& options) {
                     name_options(command, options);
                     command.text("--most", options.most, "How many, up to 1000")
                         .text("--since", options.since, "Only after this time, e.g. 2026-11-22T18:23:35Z");
                   }),
      make_command("network flow-log tail", "Follow a flow log until Ctrl-C",
                   "merlon network flow-log tail web", tail_log,
                   [](Command& command, LogOptions& options) {
                     name_options(command, options);
                     command.text("--since", options.since, "From this time on; from now when not given");
                   }),
      make_command("network flow-log delete", "Stop a flow log and remove it; its files stay",
                   "merlon network flow-log delete web", delete_log,
                   [](Command& command, LogOptions& options) { name_options(command, options); })};
}

}  // namespace merlon::cli

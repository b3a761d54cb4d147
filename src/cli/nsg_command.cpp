// merlon nsg: network security groups, their rules, and which rule decides.
#include <algorithm>
#include <charconv>
#include <optional>
#include <ostream>

#include "base/ip.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct GroupOptions {
  std::string nsg, machine, resource_group;
};

// The security group of a machine's first interface that has one.
Result<std::string> group_of_machine(Api& api, const GroupOptions& options) {
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  const Answer vm = TRY(api.get(machine.vm_id, kComputeVersion));
  if (const JsonArray* interfaces = array_at(vm.body, "properties.networkProfile.networkInterfaces"))
    for (const Json& interface : *interfaces) {
      if (!interface.is_object()) continue;
      const std::string nic_path = TRY(scope_path(text_at(interface.get_object(), "id")));
      const Answer nic = TRY(api.get(nic_path, kNetworkVersion));
      if (const auto id = string_at(nic.body, "properties.networkSecurityGroup.id")) return scope_path(*id);
    }
  return fail(ErrorKind::not_found, "NoSecurityGroup",
              "No interface of '" + machine.name +
                  "' has a security group of its own. Name the group of its subnet with --nsg.");
}

Result<std::string> group_path(Api& api, const GroupOptions& options) {
  if (options.nsg.empty() == options.machine.empty())
    return wrong_usage("Say which security group: its name, or --machine for the one of a machine.");
  if (!options.machine.empty()) return group_of_machine(api, options);
  if (options.nsg.starts_with('/')) return scope_path(options.nsg);
  if (!options.resource_group.empty())
    return TRY(api.group_id(options.resource_group)) + "/providers/Microsoft.Network/networkSecurityGroups/" +
           part(options.nsg);
  const JsonObject all = TRY(api.list(
      TRY(api.subscription_id()) + "/providers/Microsoft.Network/networkSecurityGroups", kNetworkVersion));
  std::vector<std::string> ids;
  for (const Json& value : all.at("value").get_array())
    if (ascii_iequal(text_at(value.get_object(), "name"), options.nsg))
      ids.push_back(text_at(value.get_object(), "id"));
  if (ids.empty())
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "There is no network security group '" + options.nsg + "' that you may read.");
  if (ids.size() > 1)
    return wrong_usage("Several security groups are named '" + options.nsg +
                       "'. Say which with --resource-group.");
  return scope_path(ids.front());
}

std::string one_or_many(const JsonObject& rule, const std::string& singular, const std::string& plural) {
  const std::string one = text_at(rule, "properties." + singular);
  return one.empty() ? joined_at(rule, "properties." + plural) : one;
}

void add_rules(Table& table, const JsonObject& group, std::string_view member) {
  const JsonArray* rules = array_at(group, member);
  if (rules == nullptr) return;
  std::vector<const JsonObject*> sorted;
  for (const Json& rule : *rules)
    if (rule.is_object()) sorted.push_back(&rule.get_object());
  std::sort(sorted.begin(), sorted.end(), [](const JsonObject* a, const JsonObject* b) {
    const auto place = [](const JsonObject& rule) {
      return std::pair(text_at(rule, "properties.direction"),
                       int_at(rule, "properties.priority").value_or(0));
    };
    return place(*a) < place(*b);
  });
  for (const JsonObject* rule : sorted)
    table.add({text_at(*rule, "properties.direction"), text_at(*rule, "properties.priority"),
               text_at(*rule, "name"), text_at(*rule, "properties.access"),
               text_at(*rule, "properties.protocol"),
               one_or_many(*rule, "sourceAddressPrefix", "sourceAddressPrefixes"),
               one_or_many(*rule, "destinationAddressPrefix", "destinationAddressPrefixes"),
               one_or_many(*rule, "destinationPortRange", "destinationPortRanges")});
}

Result<int> show_group(Context& context, const GroupOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.get(TRY(group_path(api, options)), kNetworkVersion));
  Table table({"DIRECTION", "PRIORITY", "NAME", "ACCESS", "PROTOCOL", "FROM", "TO", "PORTS"});
  add_rules(table, answer.body, "properties.securityRules");
  add_rules(table, answer.body, "properties.defaultSecurityRules");
  show(context, answer.body, facts_text({{"Security group", text_at(answer.body, "id")}}) + table.text());
  return kDone;
}

struct RuleOptions : GroupOptions {
  std::string name, priority, access, direction = "Inbound", protocol = "Tcp", description;
  std::vector<std::string> from, to, ports;
  bool replace = false;
};

void put_one_or_many(JsonObject& json, const std::string& singular, const std::string& plural,
                     const std::vector<std::string>& values) {
  if (values.size() > 1) {
    json[plural] = JsonArray(values.begin(), values.end());
  } else {
    json[singular] = values.empty() ? "*" : values.front();
  }
}

Result<int> add_rule(Context& context, const RuleOptions& options) {
  int64_t priority = 0;
  const char* end = options.priority.data() + options.priority.size();
  const auto read = std::from_chars(options.priority.data(), end, priority);
  if (read.ec != std::errc() || read.ptr != end)
    return wrong_usage("The priority '" + options.priority + "' is not a number from 100 to 4096.");
  JsonObject properties = {{"priority", priority},
                           {"direction", options.direction},
                           {"access", options.access},
                           {"protocol", options.protocol},
                           {"sourcePortRange", "*"}};
  if (!options.description.empty()) properties["description"] = options.description;
  put_one_or_many(properties, "sourceAddressPrefix", "sourceAddressPrefixes", options.from);
  put_one_or_many(properties, "destinationAddressPrefix", "destinationAddressPrefixes", options.to);
  put_one_or_many(properties, "destinationPortRange", "destinationPortRanges", options.ports);
  Api api = TRY(Api::open(context));
  const std::string path = TRY(group_path(api, options)) + "/securityRules/" + part(options.name);
  net::Headers headers;
  // A rule of that name that somebody else made is not replaced by accident.
  if (!options.replace) headers.set("If-None-Match", "*");
  const auto answer = api.put(path, kNetworkVersion,
                              {{"name", options.name}, {"properties", std::move(properties)}}, headers);
  if (!answer && answer.error().kind == ErrorKind::precondition_failed)
    return fail(ErrorKind::conflict, answer.error().code,
                "There is a rule '" + options.name +
                    "' already. Look at it with 'merlon nsg show', then use --replace.");
  const Answer made = TRY(answer);
  show(context, made.body,
       "The rule " + printable(options.name) + " is set: " + options.access + " at priority " +
           options.priority + ".\n");
  return kDone;
}

struct DeleteOptions : GroupOptions {
  std::string name;
};

Result<int> delete_rule(Context& context, const DeleteOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(
      api.remove(TRY(group_path(api, options)) + "/securityRules/" + part(options.name), kNetworkVersion));
  const bool gone = answer.status != 204;
  show(context, {{"name", options.name}, {"deleted", gone}},
       gone ? "The rule " + printable(options.name) + " is deleted.\n" : "There was no such rule.\n");
  return kDone;
}

struct ExplainOptions {
  std::string machine, resource_group, from, to, local, port, protocol = "Tcp";
};

// One end of a connection: an address, or a machine with those that it has.
struct End {
  std::optional<MachineName> machine;
  std::vector<IpAddress> addresses;
};

Result<std::vector<IpAddress>> addresses_of(Api& api, const MachineName& machine) {
  const Answer vm = TRY(api.get(machine.vm_id, kComputeVersion));
  std::vector<IpAddress> addresses;
  if (const JsonArray* interfaces = array_at(vm.body, "properties.networkProfile.networkInterfaces"))
    for (const Json& interface : *interfaces) {
      if (!interface.is_object()) continue;
      const Answer nic =
          TRY(api.get(TRY(scope_path(text_at(interface.get_object(), "id"))), kNetworkVersion));
      if (const JsonArray* configurations = array_at(nic.body, "properties.ipConfigurations"))
        for (const Json& configuration : *configurations)
          if (configuration.is_object())
            if (const auto address =
                    IpAddress::parse(text_at(configuration.get_object(), "properties.privateIPAddress")))
              addresses.push_back(*address);
    }
  return addresses;
}

Result<End> end_of(Api& api, const std::string& text, const std::string& resource_group) {
  if (const auto address = IpAddress::parse(text)) return End{std::nullopt, {*address}};
  End end{TRY(api.machine(text, resource_group)), {}};
  end.addresses = TRY(addresses_of(api, *end.machine));
  return end;
}

// What the machine at one end says of the connection.
Result<Answer> ask(Api& api, const ExplainOptions& options, const MachineName& machine, bool inbound,
                   const std::string& peer, const std::string& local) {
  JsonObject body = {{"port", std::stoll(options.port)}, {"protocol", options.protocol}};
  body[inbound ? "from" : "to"] = peer;
  if (!local.empty()) body["local"] = local;
  return api.post(machine.machine_id + "/explain", kMerlonVersion, body);
}

bool is_allowed(const JsonObject& answer) { return ascii_iequal(text_at(answer, "access"), "allow"); }

std::string verdict_text(const JsonObject& answer, bool allowed) {
  return std::string(allowed ? "ALLOWED" : "DENIED") + ": " +
         printable(text_at(answer, "source") + " to " + text_at(answer, "destination") + " port " +
                   text_at(answer, "destinationPort") + "/" + text_at(answer, "protocol")) +
         "\n";
}

std::string reasons_text(const JsonObject& answer) {
  const bool enforced = bool_at(answer, "enforced").value_or(false);
  return facts_text({{"Rule", text_at(answer, "ruleName")},
                     {"Security group", text_at(answer, "networkSecurityGroupId")},
                     {"Interface", text_at(answer, "networkInterfaceId")},
                     {"Enforced", enforced ? "yes" : "no: the machine is in audit mode or has no agent"},
                     {"May also be dropped by", joined_at(answer, "blockers")}});
}

Result<int> explain_both(Context& context, Api& api, const ExplainOptions& options, const End& from,
                         const End& to) {
  for (const IpAddress& source : from.addresses)
    for (const IpAddress& destination : to.addresses) {
      if (source.family() != destination.family()) continue;
      const Answer out = TRY(ask(api, options, *from.machine, false, destination.text(), source.text()));
      const Answer in = TRY(ask(api, options, *to.machine, true, source.text(), destination.text()));
      const bool allowed = is_allowed(out.body) && is_allowed(in.body);
      show(context, {{"access", allowed ? "Allow" : "Deny"}, {"outbound", out.body}, {"inbound", in.body}},
           verdict_text(in.body, allowed) + "Leaving " + printable(from.machine->name) + ": " +
               (is_allowed(out.body) ? "allowed" : "denied") + "\n" + reasons_text(out.body) + "Reaching " +
               printable(to.machine->name) + ": " + (is_allowed(in.body) ? "allowed" : "denied") + "\n" +
               reasons_text(in.body));
      return kDone;
    }
  return fail(
      ErrorKind::invalid, "NoSuchAddress",
      "'" + from.machine->name + "' and '" + to.machine->name + "' have no addresses of the same family.");
}

Result<int> explain(Context& context, const ExplainOptions& options) {
  int64_t port = 0;
  const char* last = options.port.data() + options.port.size();
  const auto read = std::from_chars(options.port.data(), last, port);
  if (read.ec != std::errc() || read.ptr != last || port < 0 || port > 65535)
    return wrong_usage("The port '" + options.port + "' is not a number from 0 to 65535.");
  const int ends = static_cast<int>(!options.machine.empty()) + static_cast<int>(!options.from.empty()) +
                   static_cast<int>(!options.to.empty());
  if (ends != 2)
    return wrong_usage(
        "Give the two ends: --machine with --from or --to, or --from and --to with at least one machine.");
  const std::string& from_name = options.from.empty() ? options.machine : options.from;
  const std::string& to_name = options.to.empty() ? options.machine : options.to;
  Api api = TRY(Api::open(context));
  if (options.machine.empty() && IpAddress::parse(from_name) && IpAddress::parse(to_name))
    return wrong_usage("Two addresses have no rules: one end must be a machine.");
  const auto end = [&](const std::string& text, bool is_machine) -> Result<End> {
    if (is_machine) return End{TRY(api.machine(text, options.resource_group)), {}};
    return end_of(api, text, options.resource_group);
  };
  End from = TRY(end(from_name, options.from.empty()));
  End to = TRY(end(to_name, options.to.empty()));
  if (from.machine && to.machine) {
    for (End* one : {&from, &to})
      if (one->addresses.empty()) one->addresses = TRY(addresses_of(api, *one->machine));
    return explain_both(context, api, options, from, to);
  }
  const bool inbound = to.machine.has_value();
  const Answer answer = TRY(ask(api, options, inbound ? *to.machine : *from.machine, inbound,
                                (inbound ? from : to).addresses.front().text(), options.local));
  show(context, answer.body, verdict_text(answer.body, is_allowed(answer.body)) + reasons_text(answer.body));
  return kDone;
}

void add_group(Command& command, GroupOptions& options) {
  command.text("--nsg", options.nsg, "Name or id of the security group")
      .text("--machine", options.machine, "The security group of this machine's interface")
      .text("--resource-group,-g", options.resource_group, "Where it is, when the name is not unique");
}

}  // namespace

std::vector<Command> nsg_commands() {
  return {
      make_command("nsg show", "Show a security group's rules in their order",
                   "merlon nsg show --machine web-1", show_group,
                   [](Command& command, GroupOptions& options) {
                     command.text("nsg", options.nsg, "Name or id of the security group")
                         .text("--machine", options.machine, "The security group of this machine's interface")
                         .text("--resource-group,-g", options.resource_group,
                               "Where it is, when the name is not unique");
                   }),
      make_command(
          "nsg rule add", "Add a rule",
          "merlon nsg rule add --machine web-1 --name AllowHttps --priority 200 --access Allow --from "
          "Internet --port 443",
          add_rule,
          [](Command& command, RuleOptions& options) {
            add_group(command, options);
            command.text("--name", options.name, "Name of the rule")
                .required()
                .text("--priority", options.priority, "100 to 4096; the lowest number decides first")
                .required()
                .choice("--access", options.access, {"Allow", "Deny"}, "What to do")
                .required()
                .choice("--direction", options.direction, {"Inbound", "Outbound"}, "Inbound when not given")
                .choice("--protocol", options.protocol, {"Tcp", "Udp", "Icmp", "Esp", "Ah", "*"},
                        "Tcp when not given")
                .texts("--from", options.from, "Addresses, prefixes or a service tag; * when not given")
                .texts("--to", options.to, "Addresses, prefixes or a service tag; * when not given")
                .texts("--port", options.ports, "Destination ports: 443, 8000-8100; * when not given")
                .text("--description", options.description, "What it is for")
                .flag("--replace", options.replace, "Replace a rule of the same name");
          }),
      make_command("nsg rule delete", "Delete a rule",
                   "merlon nsg rule delete --machine web-1 --name AllowHttps", delete_rule,
                   [](Command& command, DeleteOptions& options) {
                     add_group(command, options);
                     command.text("--name", options.name, "Name of the rule").required();
                   }),
      make_command("nsg explain", "Which rule decides about a connection",
                   "merlon nsg explain --from web-1 --to db-1 --port 5432", explain,
                   [](Command& command, ExplainOptions& options) {
                     command.text("--machine", options.machine, "The machine, with --from or --to")
                         .text("--resource-group,-g", options.resource_group,
                               "Its resource group, when the name is not unique")
                         .text("--from", options.from, "Who connects: an address or a machine")
                         .text("--to", options.to,
                               "Who is connected to: an address or a machine. With two machines both ends "
                               "are judged")
                         .text("--local", options.local, "The machine's own address, when it has several")
                         .text("--port", options.port, "Destination port")
                         .required()
                         .choice("--protocol", options.protocol, {"Tcp", "Udp", "Icmp"},
                                 "Tcp when not given");
                   })};
}

}  // namespace merlon::cli

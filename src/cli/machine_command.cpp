// merlon machine: enrolled machines.
#include <ostream>

#include "base/time_text.h"
#include "cli/api.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

struct TokenOptions {
  std::string group, name, lifetime;
  bool enforce = false;
};

Result<int> token(Context& context, const TokenOptions& options) {
  JsonObject body = {{"name", options.name}, {"enforce", options.enforce}};
  if (!options.lifetime.empty()) {
    const auto lifetime = from_human_duration(options.lifetime);
    if (!lifetime || lifetime->count() <= 0)
      return wrong_usage("'" + options.lifetime + "' is not a time such as 30m, 1h or 2d.");
    body["lifetime"] = to_iso8601_duration(*lifetime);
  }
  Api api = TRY(Api::open(context));
  const Answer answer = TRY(api.post(
      TRY(api.group_id(options.group)) + "/providers/Merlon.Machines/enrolmentTokens", kMerlonVersion, body));
  const std::string secret = text_at(answer.body, "token");
  show(context, answer.body,
       "Good once, until " + printable(text_at(answer.body, "expires")) + ", for a machine named " +
           printable(options.name) +
           (options.enforce ? " that enforces its rules at once" : " in audit mode") +
           ". On that machine:\n  merlon agent enrol --server " + api.session().login().endpoint +
           " --ca ca.pem --state /var/lib/merlon-agent --token TOKEN\nToken: " + printable(secret) + "\n");
  return kDone;
}

struct ListOptions {
  std::string group;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.machines(options.group));
  Table table({"NAME", "RESOURCE GROUP", "STATUS", "MODE", "ADDRESSES", "OPEN", "LAST SEEN"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& machine = value.get_object();
    const JsonArray* open = array_at(machine, "properties.open");
    table.add({text_at(machine, "name"), group_in(text_at(machine, "id")),
               text_at(machine, "properties.status"), text_at(machine, "properties.mode"),
               joined_at(machine, "properties.addresses"), std::to_string(open == nullptr ? 0 : open->size()),
               text_at(machine, "properties.lastSeen")});
  }
  show(context, answer,
       table.size() == 0 ? "No machine is enrolled. 'merlon machine token' begins it.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string name, group;
  bool confirm_cut = false;
};

std::string version_text(const JsonObject& machine, const std::string& which) {
  return text_at(machine, "properties." + which + ".epoch") + "." +
         text_at(machine, "properties." + which + ".number");
}

// Whether its sshd lets in whom the bastion certifies, and why not.
std::string ssh_text(const JsonObject& machine) {
  const std::string trust = text_at(machine, "properties.facts.ssh.trust");
  const std::string message = printable(text_at(machine, "properties.facts.ssh.message"));
  if (trust == "Off") return "off; on the machine: merlon agent ssh on";
  return trust + (message.empty() ? "" : " (" + message + ")");
}

std::string description(const JsonObject& machine) {
  const std::string wanted = version_text(machine, "desiredVersion");
  const std::string applied = version_text(machine, "appliedVersion");
  return facts_text({{"Name", text_at(machine, "name")},
                     {"Resource group", group_in(text_at(machine, "id"))},
                     {"Status", text_at(machine, "properties.status")},
                     {"Last seen", text_at(machine, "properties.lastSeen")},
                     {"Mode", text_at(machine, "properties.mode") +
                                  " (the machine: " + text_at(machine, "properties.appliedMode") + ")"},
                     {"Rules", wanted == applied ? "up to date (" + applied + ")"
                                                 : "the machine has " + applied + " of " + wanted},
                     {"Not applied because", text_at(machine, "properties.error")},
                     {"Addresses", joined_at(machine, "properties.addresses")},
                     {"Open", joined_at(machine, "properties.open")},
                     {"Blocked by", joined_at(machine, "properties.blockers")},
                     {"System", text_at(machine, "properties.facts.osName") + " " +
                                    text_at(machine, "properties.facts.osVersion") + ", " +
                                    text_at(machine, "properties.facts.kernel")},
                     {"SSH by certificate", ssh_text(machine)},
                     {"Enrolled", text_at(machine, "properties.enrolled")},
                     {"Certificate until", text_at(machine, "properties.certificateEnd")},
                     {"Virtual machine", text_at(machine, "properties.virtualMachineId")}});
}

Result<int> show_machine(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const Answer answer = TRY(api.get(machine.machine_id, kMerlonVersion));
  show(context, answer.body, description(answer.body));
  return kDone;
}

Result<int> enforce(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  JsonObject body;
  if (options.confirm_cut) body["confirmCut"] = true;
  const Answer answer = TRY(api.post(machine.machine_id + "/enforce", kMerlonVersion, body));
  show(context, answer.body,
       printable(machine.name) +
           " enforces its rules as soon as its agent hears of it ('merlon machine show').\n");
  return kDone;
}

struct ProposeOptions : NameOptions {
  bool apply = false;
};

Result<void> apply_proposal(Api& api, const JsonObject& proposal) {
  const std::string group = text_at(proposal, "networkSecurityGroupId");
  if (group.empty())
    return fail(ErrorKind::conflict, "NoSecurityGroup",
                "No security group guards this machine. Give its interface one, then ask again.");
  const std::string path = TRY(scope_path(group)) + "/securityRules/";
  net::Headers headers;
  headers.set("If-None-Match", "*");  // a rule of that name that is there already is left as it is
  for (const Json& rule : proposal.at("rules").get_array()) {
    const auto made =
        api.put(path + part(text_at(rule.get_object(), "name")), kNetworkVersion, rule.get_object(), headers);
    if (!made && made.error().kind != ErrorKind::precondition_failed) return std::unexpected(made.error());
  }
  return {};
}

std::string lines_at(const JsonObject& object, const std::string& path, const std::string& title) {
  const JsonArray* array = array_at(object, path);
  if (array == nullptr || array->empty()) return {};
  std::string out = title + "\n";
  for (const Json& text : *array)
    if (text.is_string()) out += "  " + printable(std::string(text.get_string())) + "\n";
  return out;
}

Result<int> propose(Context& context, const ProposeOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const Answer answer = TRY(api.get(machine.machine_id + "/proposal", kMerlonVersion));
  Table table({"PRIORITY", "NAME", "PROTOCOL", "PORT", "FROM"});
  for (const Json& value : answer.body.at("rules").get_array()) {
    const JsonObject& rule = value.get_object();
    const std::string one = text_at(rule, "properties.sourceAddressPrefix");
    table.add({text_at(rule, "properties.priority"), text_at(rule, "name"),
               text_at(rule, "properties.protocol"), text_at(rule, "properties.destinationPortRange"),
               one.empty() ? joined_at(rule, "properties.sourceAddressPrefixes") : one});
  }
  std::string text = "Seen since " + printable(text_at(answer.body, "since")) + ", last at " +
                     printable(text_at(answer.body, "updated")) + ".\n";
  text += table.size() == 0 ? "No rule is missing for what has come in.\n" : table.text();
  text += lines_at(answer.body, "notes", "Note:");
  text += lines_at(answer.body, "enforcementWouldCut", "Enforcing the rules as they are now would cut off:");
  if (options.apply) {
    TRY(apply_proposal(api, answer.body));
    text += "The rules are in " + printable(text_at(answer.body, "networkSecurityGroupId")) + ".\n";
  } else if (table.size() > 0) {
    text += "Read them, then 'merlon machine propose " + printable(machine.name) + " --apply' writes them.\n";
  }
  show(context, answer.body, text);
  return kDone;
}

Result<int> audit(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const Answer answer = TRY(api.post(machine.machine_id + "/audit", kMerlonVersion));
  show(context, answer.body, printable(machine.name) + " only counts what its rules would drop.\n");
  return kDone;
}

Result<int> remove(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  TRY(api.remove(machine.machine_id, kMerlonVersion));
  show(context, {{"name", machine.name}, {"removed", true}},
       printable(machine.name) + " is removed. Its agent takes the rules down and stops.\n");
  return kDone;
}

}  // namespace

std::vector<Command> machine_commands() {
  const auto name = [](Command& command, NameOptions& options) {
    command.text("name", options.name, "Name of the machine")
        .required()
        .text("--resource-group,-g", options.group, "Its resource group, when the name is not unique");
  };
  return {
      make_command(
          "machine token", "Make a token with which one machine may enrol, once",
          "merlon machine token --resource-group web --name web-1 --lifetime 2h", token,
          [](Command& command, TokenOptions& options) {
            command.text("--resource-group,-g", options.group, "Where it will belong; made when missing")
                .required()
                .text("--name", options.name, "What it will be called")
                .required()
                .flag("--enforce", options.enforce, "Enforce its rules at once; else it begins in audit mode")
                .text("--lifetime", options.lifetime,
                      "How long the token is good: 30m, 1h (if not given), 2d");
          }),
      make_command("machine list", "List enrolled machines", "merlon machine list", list,
                   [](Command& command, ListOptions& options) {
                     command.text("--resource-group,-g", options.group, "Only this group's");
                   }),
      make_command("machine show", "Show one machine", "merlon machine show web-1", show_machine, name),
      make_command("machine enforce", "Drop what the rules deny", "merlon machine enforce web-1", enforce,
                   [name](Command& command, NameOptions& options) {
                     name(command, options);
                     command.flag("--confirm-cut", options.confirm_cut,
                                  "Go on although it would cut you or others off");
                   }),
      make_command("machine propose", "Propose rules from what came in during audit mode",
                   "merlon machine propose web-1 --apply", propose,
                   [name](Command& command, ProposeOptions& options) {
                     name(command, options);
                     command.flag("--apply", options.apply, "Write them into the machine's security group");
                   }),
      make_command("machine audit", "Only count what the rules would drop", "merlon machine audit web-1",
                   audit, name),
      make_command("machine remove", "Remove a machine: its agent takes the rules down and stops",
                   "merlon machine remove web-1", remove, name)};
}

}  // namespace merlon::cli

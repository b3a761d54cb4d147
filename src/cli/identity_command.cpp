// merlon identity: what machines may act as, and which of their users and units may ask for it.
#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "cli/api.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr const char* kCallers = "/providers/Merlon.ManagedIdentity/callers/default";
constexpr std::string_view kOwn = "SystemAssigned";

struct NameOptions {
  std::string name, group;
};

struct IdentityOptions : NameOptions {
  bool own = false;
  std::vector<std::string> identities;
};

// The id of an identity: as it is given, or by its name in the machine's resource group.
Result<std::string> id_of(const MachineName& machine, const std::string& identity) {
  if (identity.starts_with('/')) return scope_path(identity);
  return machine.group_id + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + part(identity);
}

std::string machine_text(const JsonObject& vm) {
  Table table({"IDENTITY", "CLIENT ID", "PRINCIPAL ID"});
  if (const std::string own = text_at(vm, "identity.principalId"); !own.empty())
    table.add({std::string(kOwn), "", own});
  if (const JsonObject* assigned = object_at(vm, "identity.userAssignedIdentities"))
    for (const auto& member : *assigned)
      if (const JsonObject* value = member.value().if_object())
        table.add({std::string(member.key()), text_at(*value, "clientId"), text_at(*value, "principalId")});
  if (table.size() > 0) return table.text();
  return "It has no identity. 'merlon identity give " + printable(text_at(vm, "name")) +
         " --own' gives it one of its own.\n";
}

Result<int> list(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const Answer answer = TRY(api.get(machine.vm_id, kComputeVersion));
  show(context, answer.body, machine_text(answer.body));
  return kDone;
}

std::string type_of(bool own, bool given) {
  if (own && given) return "SystemAssigned, UserAssigned";
  if (own) return std::string(kOwn);
  return given ? "UserAssigned" : "None";
}

// What there is afterwards decides the type, which a PATCH must say.
Result<int> change(Context& context, const IdentityOptions& options, bool give) {
  if (!options.own && options.identities.empty()) return wrong_usage("Say which: --own, or --identity NAME.");
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const JsonObject before = TRY(api.get(machine.vm_id, kComputeVersion)).body;
  std::vector<std::string> left;
  if (const JsonObject* assigned = object_at(before, "identity.userAssignedIdentities"))
    for (const auto& member : *assigned) left.emplace_back(member.key());
  JsonObject changes;
  for (const std::string& identity : options.identities) {
    const std::string id = TRY(id_of(machine, identity));
    std::erase_if(left, [&](const std::string& known) { return ascii_iequal(known, id); });
    if (give) left.push_back(id);
    changes[id] = give ? Json(JsonObject()) : Json(nullptr);
  }
  const bool had_own = !text_at(before, "identity.principalId").empty();
  const bool own = options.own ? give : had_own;
  JsonObject envelope{{"type", type_of(own, !left.empty())}};
  if (!changes.empty() && !left.empty()) envelope["userAssignedIdentities"] = std::move(changes);
  const Answer answer = TRY(api.patch(machine.vm_id, kComputeVersion, {{"identity", std::move(envelope)}}));
  show(context, answer.body, machine_text(answer.body));
  return kDone;
}

Result<int> give(Context& context, const IdentityOptions& options) { return change(context, options, true); }
Result<int> take(Context& context, const IdentityOptions& options) { return change(context, options, false); }

std::string callers_text(const JsonObject& document) {
  const JsonArray* rules = array_at(document, "properties.rules");
  if (rules == nullptr)
    return "No rules: root and the members of the group himds may ask for all of the machine's identities.\n";
  Table table({"RULE", "USERS", "UNITS", "IDENTITIES"});
  for (const Json& rule : *rules) {
    const JsonObject& json = rule.get_object();
    table.add({text_at(json, "name"), joined_at(json, "users"), joined_at(json, "units"),
               joined_at(json, "identities")});
  }
  std::string text = table.size() == 0 ? "No rule: nobody may ask.\n" : table.text();
  if (bool_at(document, "properties.linkLocal").value_or(false))
    text += "They are answered at 169.254.169.254 too.\n";
  return text;
}

Result<int> callers(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const Answer answer = TRY(api.get(machine.vm_id + kCallers, kMerlonVersion));
  show(context, answer.body, callers_text(answer.body));
  return kDone;
}

struct RuleOptions : IdentityOptions {
  std::string rule;
  std::vector<std::string> users, units;
  bool link_local = false, no_link_local = false;
};

Result<int> put_callers(Context& context, Api& api, const MachineName& machine, JsonObject properties) {
  const Answer answer =
      TRY(api.put(machine.vm_id + kCallers, kMerlonVersion, {{"properties", std::move(properties)}}));
  show(context, answer.body, callers_text(answer.body));
  return kDone;
}

JsonArray other_rules(const JsonObject& document, const std::string& name) {
  JsonArray kept;
  if (const JsonArray* rules = array_at(document, "properties.rules"))
    for (const Json& rule : *rules)
      if (!ascii_iequal(text_at(rule.get_object(), "name"), name)) kept.push_back(rule);
  return kept;
}

Result<int> allow(Context& context, const RuleOptions& options) {
  if (options.users.empty() && options.units.empty())
    return wrong_usage("Say who may ask: --user NAME, or --unit NAME.service.");
  if (!options.own && options.identities.empty())
    return wrong_usage("Say for what: --own, or --identity NAME.");
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const JsonObject before = TRY(api.get(machine.vm_id + kCallers, kMerlonVersion)).body;
  JsonArray identities;
  if (options.own) identities.emplace_back(kOwn);
  for (const std::string& identity : options.identities)
    identities.emplace_back(TRY(id_of(machine, identity)));
  JsonArray rules = other_rules(before, options.rule);
  rules.push_back(JsonObject{{"name", options.rule},
                             {"users", JsonArray(options.users.begin(), options.users.end())},
                             {"units", JsonArray(options.units.begin(), options.units.end())},
                             {"identities", std::move(identities)}});
  const bool was = bool_at(before, "properties.linkLocal").value_or(false);
  return put_callers(
      context, api, machine,
      {{"rules", std::move(rules)}, {"linkLocal", options.link_local || (was && !options.no_link_local)}});
}

Result<int> forbid(Context& context, const RuleOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const JsonObject before = TRY(api.get(machine.vm_id + kCallers, kMerlonVersion)).body;
  const JsonArray* rules = array_at(before, "properties.rules");
  JsonArray kept = other_rules(before, options.rule);
  if (rules == nullptr || kept.size() == rules->size())
    return fail(ErrorKind::not_found, "RuleNotFound",
                "The machine '" + machine.name + "' has no rule '" + options.rule +
                    "'. 'merlon identity callers " + machine.name + "' shows its rules.");
  return put_callers(
      context, api, machine,
      {{"rules", std::move(kept)}, {"linkLocal", bool_at(before, "properties.linkLocal").value_or(false)}});
}

Result<int> clear(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  TRY(api.remove(machine.vm_id + kCallers, kMerlonVersion));
  show(context, {{"name", machine.name}, {"rules", nullptr}}, callers_text({}));
  return kDone;
}

void name(Command& command, NameOptions& options) {
  command.text("name", options.name, "Name of the machine")
      .required()
      .text("--resource-group,-g", options.group, "Its resource group, when the name is not unique");
}

void which(Command& command, IdentityOptions& options) {
  name(command, options);
  command.flag("--own", options.own, "The identity of the machine itself")
      .texts("--identity,-i", options.identities,
             "A user-assigned one: its id, or its name in the machine's resource group");
}

}  // namespace

std::vector<Command> identity_commands() {
  return {
      make_command("identity list", "What a machine may act as", "merlon identity list web-1", list, name),
      make_command("identity give", "Let a machine act as an identity", "merlon identity give web-1 --own",
                   give, which),
      make_command("identity take", "End that, with every token that it got",
                   "merlon identity take web-1 --identity app", take, which),
      make_command("identity callers", "Who on the machine may ask for its identities",
                   "merlon identity callers web-1", callers, name),
      make_command("identity allow", "Let users or systemd units of the machine ask; nobody else may then",
                   "merlon identity allow web-1 --rule web --unit nginx.service --own", allow,
                   [](Command& command, RuleOptions& options) {
                     which(command, options);
                     command.text("--rule", options.rule, "Name of the rule; one of that name is replaced")
                         .required()
                         .texts("--user", options.users, "A local user, by name or number; * for all")
                         .texts("--unit", options.units, "A systemd unit: .service, .slice or .scope")
                         .flag("--link-local", options.link_local, "Answer at 169.254.169.254 as well")
                         .flag("--no-link-local", options.no_link_local, "Do not answer there any more");
                   }),
      make_command("identity forbid", "Take a rule away", "merlon identity forbid web-1 --rule web", forbid,
                   [](Command& command, RuleOptions& options) {
                     name(command, options);
                     command.text("--rule", options.rule, "Name of the rule").required();
                   }),
      make_command("identity clear", "Take all rules away: root and the group himds may ask",
                   "merlon identity clear web-1", clear, name)};
}

}  // namespace merlon::cli

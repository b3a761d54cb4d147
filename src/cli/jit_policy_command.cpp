// merlon jit policy: which ports are closed until somebody asks.
#include <ostream>

#include "base/time_text.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kDefaultPolicy =
    "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";

struct SetOptions {
  std::string machine, resource_group, max = "3h", protocol = "TCP";
  std::vector<std::string> ports, from;
};

// The policy's machines as they are, without what only the server writes; nothing when there is no policy.
struct Existing {
  JsonArray machines;
  std::string etag;
  bool exists = false;
};

Result<Existing> read_existing(Api& api, const std::string& path) {
  const auto answer = api.get(path, kJitVersion);
  if (!answer && answer.error().kind == ErrorKind::not_found) return Existing();
  const Answer policy = TRY(answer);
  Existing existing{.machines = {}, .etag = policy.etag, .exists = true};
  if (existing.etag.empty()) existing.etag = text_at(policy.body, "etag");
  if (const JsonArray* machines = array_at(policy.body, "properties.virtualMachines"))
    existing.machines = *machines;
  return existing;
}

void take_out(JsonArray& machines, const std::string& vm_id) {
  for (auto at = machines.begin(); at != machines.end();)
    at = at->is_object() && same_id(text_at(at->get_object(), "id"), vm_id) ? machines.erase(at) : at + 1;
}

Result<Answer> write(Api& api, const std::string& path, const Existing& existing, JsonArray machines) {
  // Somebody else's change since the read is not lost.
  net::Headers headers;
  if (!existing.etag.empty())
    headers.set("If-Match", existing.etag);
  else if (!existing.exists)
    headers.set("If-None-Match", "*");
  return api.put(path, kJitVersion,
                 {{"kind", "Basic"}, {"properties", {{"virtualMachines", std::move(machines)}}}}, headers);
}

std::string policy_text(const JsonObject& policy) {
  Table table({"MACHINE", "PORT", "PROTOCOL", "AT MOST", "FROM"});
  if (const JsonArray* machines = array_at(policy, "properties.virtualMachines"))
    for (const Json& machine : *machines) {
      const JsonArray* ports = machine.is_object() ? array_at(machine.get_object(), "ports") : nullptr;
      if (ports == nullptr) continue;
      for (const Json& value : *ports) {
        if (!value.is_object()) continue;
        const JsonObject& port = value.get_object();
        std::string from = text_at(port, "allowedSourceAddressPrefix");
        if (from.empty()) from = joined_at(port, "allowedSourceAddressPrefixes");
        const std::string most = text_at(port, "maxRequestAccessDuration");
        const auto duration = from_iso8601_duration(most);
        table.add({last_segment(text_at(machine.get_object(), "id")), text_at(port, "number"),
                   text_at(port, "protocol"), duration ? to_human_duration(*duration) : most,
                   from.empty() ? "*" : from});
      }
    }
  return facts_text({{"Policy", text_at(policy, "id")}}) + table.text();
}

Result<int> set(Context& context, const SetOptions& options) {
  const auto numbers = TRY(ports_of(options.ports.empty() ? std::vector<std::string>{"22"} : options.ports));
  const std::string max = TRY(iso_duration(options.max, "--max"));
  JsonArray ports;
  for (const int64_t number : numbers) {
    JsonObject port = {{"number", number}, {"protocol", options.protocol}, {"maxRequestAccessDuration", max}};
    if (options.from.size() > 1)
      port["allowedSourceAddressPrefixes"] = JsonArray(options.from.begin(), options.from.end());
    else
      port["allowedSourceAddressPrefix"] = options.from.empty() ? "*" : options.from.front();
    ports.push_back(std::move(port));
  }
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  const std::string path = machine.group_id + std::string(kDefaultPolicy);
  const Existing existing = TRY(read_existing(api, path));
  JsonArray machines = existing.machines;
  take_out(machines, machine.vm_id);
  machines.push_back(JsonObject{{"id", machine.vm_id}, {"ports", std::move(ports)}});
  const Answer answer = TRY(write(api, path, existing, std::move(machines)));
  show(context, answer.body, policy_text(answer.body));
  return kDone;
}

struct MachineOptions {
  std::string machine, resource_group;
};

Result<int> remove(Context& context, const MachineOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  const std::string path = TRY(policy_of(api, machine));
  const Existing existing = TRY(read_existing(api, path));
  JsonArray machines = existing.machines;
  take_out(machines, machine.vm_id);
  const std::string text =
      "The ports of " + printable(machine.name) + " are not kept closed by a policy any more.\n";
  if (machines.empty()) {
    TRY(api.remove(path, kJitVersion));
    show(context, {{"name", machine.name}, {"removed", true}}, text);
    return kDone;
  }
  const Answer answer = TRY(write(api, path, existing, std::move(machines)));
  show(context, answer.body, text);
  return kDone;
}

Result<int> show_policies(Context& context, const MachineOptions& options) {
  Api api = TRY(Api::open(context));
  if (!options.machine.empty()) {
    const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
    const Answer answer = TRY(api.get(TRY(policy_of(api, machine)), kJitVersion));
    show(context, answer.body, policy_text(answer.body));
    return kDone;
  }
  const std::string scope =
      options.resource_group.empty() ? TRY(api.subscription_id()) : TRY(api.group_id(options.resource_group));
  const JsonObject answer =
      TRY(api.list(scope + "/providers/Microsoft.Security/jitNetworkAccessPolicies", kJitVersion));
  std::string text;
  for (const Json& policy : answer.at("value").get_array()) text += policy_text(policy.get_object());
  show(context, answer, text.empty() ? "There is no policy. 'merlon jit policy set' makes one.\n" : text);
  return kDone;
}

}  // namespace

std::vector<Command> jit_policy_commands() {
  return {make_command(
              "jit policy set", "Keep ports of a machine closed until somebody asks",
              "merlon jit policy set --machine web-1 --port 22 --max 3h --from 203.0.113.0/24", set,
              [](Command& command, SetOptions& options) {
                command.text("--machine", options.machine, "Name of the machine")
                    .required()
                    .text("--resource-group,-g", options.resource_group,
                          "Its resource group, when the name is not unique")
                    .texts("--port", options.ports,
                           "Ports; 22 when not given. They replace the machine's earlier ones")
                    .text("--max", options.max,
                          "How long one request may last at most: 30m, 3h (when not given)")
                    .texts("--from", options.from, "Who may ask: addresses or prefixes; * when not given")
                    .choice("--protocol", options.protocol, {"TCP", "UDP", "*"}, "TCP when not given");
              }),
          make_command("jit policy show", "Show policies, or the one that protects a machine",
                       "merlon jit policy show --machine web-1", show_policies,
                       [](Command& command, MachineOptions& options) {
                         command.text("--machine", options.machine, "Name of a machine")
                             .text("--resource-group,-g", options.resource_group, "Only this group's");
                       }),
          make_command("jit policy remove", "Take a machine out of its policy",
                       "merlon jit policy remove --machine web-1", remove,
                       [](Command& command, MachineOptions& options) {
                         command.text("--machine", options.machine, "Name of the machine")
                             .required()
                             .text("--resource-group,-g", options.resource_group,
                                   "Its resource group, when the name is not unique");
                       })};
}

}  // namespace merlon::cli

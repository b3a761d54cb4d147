// merlon jit policy options: what a policy asks for beyond what Azure's policies can say.
#include <charconv>
#include <ostream>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/directory_lookup.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kAnyone = "anyone";

struct OptionsOptions {
  std::string machine, resource_group;
  std::string approvals, waits_for, justification, established, server, own_address, widest, port;
  std::vector<std::string> approvers, requesters;
};

Result<int64_t> number_of(const std::string& text, int64_t most, const std::string& option) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec == std::errc() && read.ptr == text.data() + text.size() && number >= 0 && number <= most)
    return number;
  return wrong_usage("'" + text + "' in " + option + " is not a number from 0 to " + std::to_string(most) +
                     ".");
}

// Object ids of people and groups; "anyone" is nobody in particular: whoever has the right.
Result<JsonArray> principals(Api& api, const std::vector<std::string>& names, const std::string& option) {
  JsonArray ids;
  for (const std::string& text : names)
    for (const std::string_view name : split(text, ',')) {
      if (name != kAnyone) {
        ids.emplace_back(TRY(find_principal(api, std::string(name))).id);
      } else if (names.size() > 1 || name != text) {
        return wrong_usage("'" + option + " anyone' stands alone.");
      }
    }
  return ids;
}

JsonObject& object_in(JsonObject& json, std::string_view key) {
  Json& value = json[key];
  if (!value.is_object()) value = JsonObject();
  return value.get_object();
}

// "24" or "24,64": the shortest prefixes.
Result<void> set_widest(JsonObject& source, const std::string& widest) {
  const auto parts = split(widest, ',');
  if (parts.size() > 2)
    return wrong_usage("--widest takes an IPv4 length, or an IPv4 and an IPv6 one: 24,64.");
  source["widestIPv4"] = TRY(number_of(std::string(parts.front()), 32, "--widest"));
  if (parts.size() == 2) source["widestIPv6"] = TRY(number_of(std::string(parts.back()), 128, "--widest"));
  return {};
}

// Who may ask for one port of this machine; the policy's other restrictions stay.
Result<void> set_port_requesters(JsonObject& properties, const std::string& port_text,
                                 const std::string& vm_id, JsonArray requesters) {
  const int64_t port = TRY(ports_of({port_text})).front();
  Json& value = properties["ports"];
  if (!value.is_array()) value = JsonArray();
  JsonArray& ports = value.get_array();
  for (auto at = ports.begin(); at != ports.end();) {
    const bool same = at->is_object() && int_at(at->get_object(), "number") == port &&
                      same_id(text_at(at->get_object(), "virtualMachineId"), vm_id);
    at = same ? ports.erase(at) : at + 1;
  }
  if (!requesters.empty())
    ports.push_back(
        JsonObject{{"number", port}, {"virtualMachineId", vm_id}, {"requesters", std::move(requesters)}});
  return {};
}

Result<bool> set_approval(Api& api, const OptionsOptions& options, JsonObject& properties) {
  if (options.approvals.empty() && options.waits_for.empty() && options.approvers.empty()) return false;
  JsonObject& approval = object_in(properties, "approval");
  if (!options.approvals.empty()) approval["required"] = TRY(number_of(options.approvals, 10, "--approvals"));
  if (!options.waits_for.empty())
    approval["waitsFor"] = TRY(iso_duration(options.waits_for, "--approval-waits"));
  if (!options.approvers.empty())
    approval["approvers"] = TRY(principals(api, options.approvers, "--approver"));
  return true;
}

// Whether anything was to be changed.
Result<bool> change(Api& api, const OptionsOptions& options, const MachineName& machine,
                    JsonObject& properties) {
  bool changes = TRY(set_approval(api, options, properties));
  const auto set = [&](const std::string& said, std::string_view yes, JsonObject& where,
                       std::string_view key) {
    if (said.empty()) return;
    where[key] = said == yes;
    changes = true;
  };
  set(options.justification, "required", properties, "justificationRequired");
  set(options.established, "cut", properties, "cutEstablished");
  set(options.server, "required", properties, "liveServer");
  if (!options.own_address.empty())
    set(options.own_address, "only", object_in(properties, "source"), "ownAddressOnly");
  if (!options.widest.empty()) {
    TRY(set_widest(object_in(properties, "source"), options.widest));
    changes = true;
  }
  if (options.requesters.empty()) {
    if (!options.port.empty()) return wrong_usage("--port goes with --requester: who may ask for it.");
    return changes;
  }
  JsonArray requesters = TRY(principals(api, options.requesters, "--requester"));
  if (options.port.empty()) {
    properties["requesters"] = std::move(requesters);
  } else {
    TRY(set_port_requesters(properties, options.port, machine.vm_id, std::move(requesters)));
  }
  return true;
}

std::string yes_no(const JsonObject& json, std::string_view path, std::string yes, std::string no) {
  return bool_at(json, path).value_or(false) ? std::move(yes) : std::move(no);
}

std::string who(const std::string& ids) { return ids.empty() ? "whoever has the right" : ids; }

std::string options_text(const JsonObject& answer) {
  const JsonObject* properties = object_at(answer, "properties");
  if (properties == nullptr || properties->empty())
    return "The policy asks for no more than its ports, sources and times.\n";
  const int64_t approvals = int_at(*properties, "approval.required").value_or(0);
  const std::string waits = text_at(*properties, "approval.waitsFor");
  const auto wait = from_iso8601_duration(waits);
  std::vector<std::pair<std::string, std::string>> facts = {
      {"Approval", approvals == 0 ? "not needed"
                                  : std::to_string(approvals) +
                                        " of: " + who(joined_at(*properties, "approval.approvers"))},
      {"Requests wait", approvals == 0 ? ""
                        : wait         ? to_human_duration(*wait)
                                       : waits},
      {"Justification", yes_no(*properties, "justificationRequired", "required", "optional")},
      {"At the end", yes_no(*properties, "cutEstablished", "established connections are cut",
                            "established connections go on")},
      {"Server silent",
       yes_no(*properties, "liveServer", "the port closes", "the port stays open to its time")},
      {"Source",
       yes_no(*properties, "source.ownAddressOnly", "the requester's own address only", "any allowed one")},
      {"Widest source", int_at(*properties, "source.widestIPv4").value_or(0) == 0 &&
                                int_at(*properties, "source.widestIPv6").value_or(0) == 0
                            ? ""
                            : "/" + text_at(*properties, "source.widestIPv4") + " (IPv4), /" +
                                  text_at(*properties, "source.widestIPv6") + " (IPv6)"},
      {"Who may ask", who(joined_at(*properties, "requesters"))}};
  if (const JsonArray* ports = array_at(*properties, "ports"))
    for (const Json& value : *ports) {
      if (!value.is_object()) continue;
      const JsonObject& port = value.get_object();
      const std::string vm = last_segment(text_at(port, "virtualMachineId"));
      const std::string ids = joined_at(port, "requesters");
      facts.emplace_back("Port " + text_at(port, "number") + (vm.empty() ? "" : " of " + vm),
                         ids.empty() ? "nobody may ask" : ids);
    }
  return facts_text(facts);
}

Result<int> policy_options(Context& context, const OptionsOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  const std::string path = TRY(policy_of(api, machine)) + "/providers/Merlon.Jit/options/default";
  const Answer existing = TRY(api.get(path, kMerlonVersion));
  JsonObject properties;
  if (const JsonObject* now = object_at(existing.body, "properties")) properties = *now;
  if (!TRY(change(api, options, machine, properties))) {
    show(context, existing.body, options_text(existing.body));
    return kDone;
  }
  // Somebody else's change since the read is not lost.
  net::Headers headers;
  if (existing.etag.empty()) {
    headers.set("If-None-Match", "*");
  } else {
    headers.set("If-Match", existing.etag);
  }
  const Answer answer = TRY(api.put(path, kMerlonVersion, {{"properties", std::move(properties)}}, headers));
  show(context, answer.body, options_text(answer.body));
  return kDone;
}

void declare(Command& command, OptionsOptions& options) {
  command.text("--machine", options.machine, "Name of a machine that the policy protects")
      .required()
      .text("--resource-group,-g", options.resource_group, "Its resource group, when the name is not unique")
      .text("--approvals", options.approvals, "How many others must agree before anything opens: 0 to 10")
      .texts("--approver", options.approvers,
             "Who may agree: users, groups; 'anyone' is whoever has the right")
      .text("--approval-waits", options.waits_for, "How long a request waits for them: 8h, at most 7d")
      .choice("--justification", options.justification, {"required", "optional"}, "Must a request say why")
      .choice("--established", options.established, {"cut", "keep"},
              "Connections that are there when the time is over: cut them, or keep them as Azure does")
      .choice("--server", options.server, {"required", "not-required"},
              "Close the port also when the machine does not hear the server any more")
      .choice("--own-address", options.own_address, {"only", "any"},
              "Open only for the address that the request comes from")
      .text("--widest", options.widest, "Shortest prefixes that may be asked for: 24 or 24,64 (IPv4, IPv6)")
      .texts("--requester", options.requesters,
             "Who may ask at all: users, groups; 'anyone' is whoever has the right")
      .text("--port", options.port, "With --requester: for this port of the machine alone");
}

}  // namespace

std::vector<Command> jit_options_commands() {
  return {make_command("jit policy options",
                       "Show or set what a policy asks for: approval, reasons, who may ask and from where",
                       "merlon jit policy options --machine web-1 --approvals 1 --approver operators",
                       policy_options, declare)};
}

}  // namespace merlon::cli

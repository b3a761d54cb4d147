// merlon jit request: ask, wait until the machine says that the port is open, run a command, close.
#include "cli/jit_request.h"

#include <algorithm>
#include <ostream>
#include <set>

#include "base/text.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"
#include "cli/until_signal.h"

namespace merlon::cli {
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(250);
constexpr auto kOpenWithin = std::chrono::seconds(30);

JsonObject request_body(const RequestOptions& options, const MachineName& machine,
                        const std::vector<int64_t>& numbers, const std::string& duration) {
  JsonArray ports;
  for (const int64_t number : numbers) {
    JsonObject port = {{"number", number}, {"duration", duration}};
    if (options.from.size() > 1)
      port["allowedSourceAddressPrefixes"] = JsonArray(options.from.begin(), options.from.end());
    else if (!options.from.empty())
      port["allowedSourceAddressPrefix"] = options.from.front();
    ports.push_back(std::move(port));
  }
  JsonObject body = {
      {"virtualMachines", JsonArray{JsonObject{{"id", machine.vm_id}, {"ports", std::move(ports)}}}}};
  if (!options.justification.empty()) body["justification"] = options.justification;
  return body;
}

std::string sources_text(const JsonObject& port) {
  const std::string one = text_at(port, "allowedSourceAddressPrefix");
  return one.empty() ? joined_at(port, "allowedSourceAddressPrefixes") : one;
}

// The ports of the answer's only machine.
std::vector<const JsonObject*> granted_ports(const JsonObject& answer) {
  std::vector<const JsonObject*> ports;
  const JsonArray* machines = array_at(answer, "virtualMachines");
  if (machines == nullptr || machines->empty() || !machines->front().is_object()) return ports;
  if (const JsonArray* all = array_at(machines->front().get_object(), "ports"))
    for (const Json& port : *all)
      if (port.is_object()) ports.push_back(&port.get_object());
  return ports;
}

std::string granted_text(const JsonObject& answer, const std::string& machine) {
  std::string text;
  for (const JsonObject* port : granted_ports(answer))
    text += printable("Port " + text_at(*port, "number") + " of " + machine + " is open for " +
                      sources_text(*port) + " until " + text_at(*port, "endTimeUtc")) +
            ".\n";
  return text;
}

// "22 203.0.113.7": of one machine and policy, only one opening at a time has a port and its sources.
std::string place(const JsonObject& json, std::string_view port, const std::string& sources) {
  return text_at(json, port) + " " + sources;
}

class Access {
 public:
  Access(Context& context, Api& api, MachineName machine)
      : context_(context), api_(api), machine_(std::move(machine)) {}

  Result<JsonObject> ask(const std::string& policy, const JsonObject& body) {
    Answer answer = TRY(api_.post(policy + "/initiate", kJitVersion, body));
    for (const JsonObject* port : granted_ports(answer.body))
      places_.insert(place(*port, "number", sources_text(*port)));
    if (places_.empty())
      return fail(ErrorKind::internal, "AnswerNotUnderstood", "The answer to the request names no port.");
    return std::move(answer.body);
  }

  // Which openings are ours.
  Result<void> find_ids() {
    const JsonObject all = TRY(openings(api_, machine_.group));
    for (const Json& value : all.at("value").get_array()) {
      const JsonObject& opening = value.get_object();
      if (same_id(text_at(opening, "properties.virtualMachineId"), machine_.vm_id) &&
          places_.contains(place(opening, "properties.port", joined_at(opening, "properties.sources"))))
        ids_.push_back(TRY(scope_path(text_at(opening, "id"))));
    }
    if (ids_.size() == places_.size()) return {};
    return fail(
        ErrorKind::internal, "OpeningNotFound",
        "The request was granted, but its opening is not listed any more. 'merlon jit list' shows what is "
        "open.");
  }

  // True when all are open.
  Result<bool> all_open() {
    for (const std::string& id : ids_) {
      const Answer opening = TRY(api_.get(id, kMerlonVersion));
      const std::string state = text_at(opening.body, "properties.machineState");
      if (state == "open") continue;
      if (state.starts_with("blocked by"))
        return fail(ErrorKind::conflict, "BlockedOnTheMachine",
                    "Merlon lets the connection pass, but something else on " + machine_.name +
                        " may drop it: " + state + ". Change that firewall, or remove it.");
      if (state == "no agent")
        return fail(
            ErrorKind::conflict, "NoAgent",
            machine_.name + " has no agent, so nothing opens it. Enrol it with 'merlon machine token'.");
      if (state == "closed")
        return fail(
            ErrorKind::conflict, "ClosedAlready",
            "The opening has ended already: " + text_at(opening.body, "properties.statusReason") + ".");
      return false;
    }
    return true;
  }

  Result<void> wait_until_open(const SignalWatch& signals) {
    const Duration give_up = context_.clock.boottime() + kOpenWithin;
    if (context_.interactive)
      context_.err << "Waiting for " << printable(machine_.name) << " …" << std::flush;
    const auto opened = [&]() -> Result<void> {
      for (bool open = false; !open;) {
        open = TRY(all_open());
        if (signals.wait(open ? std::chrono::milliseconds(0) : kPollEvery))
          return fail(ErrorKind::invalid, "Interrupted", "Interrupted; the port is closed again.");
        if (!open && context_.clock.boottime() > give_up)
          return fail(ErrorKind::unavailable, "MachineDidNotOpen",
                      machine_.name +
                          " has not said within 30 s that the port is open. 'merlon machine show " +
                          machine_.name + "' says whether its agent is connected.");
        if (!open && context_.interactive) context_.err << "." << std::flush;
      }
      return {};
    }();
    if (context_.interactive) context_.err << (opened ? " open.\n" : "\n");
    return opened;
  }

  // What could not be closed is said; it ends by itself at its time.
  void close() {
    for (const std::string& id : ids_) {
      const auto revoked = revoke_opening(api_, id);
      if (!revoked && revoked.error().kind != ErrorKind::not_found)
        context_.err << "merlon: The opening could not be closed early ("
                     << printable(revoked.error().message)
                     << "); it ends by itself at its time. Try: merlon jit revoke "
                     << printable(last_segment(id)) << "\n";
    }
    if (context_.interactive) context_.err << "Closed.\n";
  }

 private:
  Context& context_;
  Api& api_;
  MachineName machine_;
  std::set<std::string> places_;
  std::vector<std::string> ids_;
};

}  // namespace

Result<Answer> revoke_opening(Api& api, const std::string& opening_id) {
  return api.post(opening_id + "/revoke", kMerlonVersion);
}

Result<int> request_access(Context& context, const RequestOptions& options) {
  if (options.ports.empty()) return wrong_usage("Say which port with --port, for instance --port 22.");
  const auto numbers = TRY(ports_of(options.ports));
  const std::string duration = TRY(iso_duration(options.duration, "--for"));
  // Before the first connection, since resolving its name makes a thread: one that were made without this
  // would take a signal as the end of the program, with the port still open.
  const SignalWatch signals;
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  const std::string policy = TRY(policy_of(api, machine));
  Access access(context, api, machine);
  if (signals.wait(std::chrono::milliseconds(0)))
    return fail(ErrorKind::invalid, "Interrupted", "Interrupted before anything was asked for.");
  const JsonObject answer = TRY(access.ask(policy, request_body(options, machine, numbers, duration)));
  const bool runs = !options.command.empty();
  if (!options.wait && !runs) {
    show(context, answer,
         granted_text(answer, machine.name) + "Its agent hears of it now; --wait waits until it has.\n");
    return kDone;
  }
  TRY(access.find_ids());
  if (const auto opened = access.wait_until_open(signals); !opened) {
    access.close();  // who was told that it failed leaves nothing open behind
    return std::unexpected(opened.error());
  }
  if (!runs) {
    show(context, answer, granted_text(answer, machine.name));
    return kDone;
  }
  // Standard output is the command's.
  context.err << granted_text(answer, machine.name) << std::flush;
  const auto code = signals.run(options.command);
  access.close();
  return code;
}

}  // namespace merlon::cli

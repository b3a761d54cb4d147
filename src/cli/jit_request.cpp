// merlon jit request: ask, wait for those who must agree and for the machine, run a command, close.
#include "cli/jit_request.h"

#include <algorithm>
#include <ostream>

#include "cli/jit_access.h"
#include "cli/jit_lookup.h"
#include "cli/output.h"

namespace merlon::cli {
namespace {

// "me" is the address that the request comes from, as the server sees it: what is meant when nothing is
// named.
Result<std::vector<std::string>> sources_of(const std::vector<std::string>& from) {
  const bool me = std::find(from.begin(), from.end(), "me") != from.end();
  if (!me) return from;
  if (from.size() == 1) return std::vector<std::string>();
  return wrong_usage("'--from me' stands alone: the server knows your address, and takes it by itself.");
}

JsonObject request_body(const RequestOptions& options, const std::vector<std::string>& from,
                        const MachineName& machine, const std::vector<int64_t>& numbers,
                        const std::string& duration) {
  JsonArray ports;
  for (const int64_t number : numbers) {
    JsonObject port = {{"number", number}, {"duration", duration}};
    if (from.size() > 1)
      port["allowedSourceAddressPrefixes"] = JsonArray(from.begin(), from.end());
    else if (!from.empty())
      port["allowedSourceAddressPrefix"] = from.front();
    ports.push_back(std::move(port));
  }
  JsonObject body = {
      {"virtualMachines", JsonArray{JsonObject{{"id", machine.vm_id}, {"ports", std::move(ports)}}}}};
  if (!options.justification.empty()) body["justification"] = options.justification;
  return body;
}

std::string granted_text(const JsonObject& answer, const std::string& machine) {
  std::string text;
  const JsonArray* machines = array_at(answer, "virtualMachines");
  if (machines == nullptr || machines->empty() || !machines->front().is_object()) return text;
  const JsonArray* ports = array_at(machines->front().get_object(), "ports");
  if (ports == nullptr) return text;
  for (const Json& value : *ports) {
    if (!value.is_object()) continue;
    const JsonObject& port = value.get_object();
    std::string from = text_at(port, "allowedSourceAddressPrefix");
    if (from.empty()) from = joined_at(port, "allowedSourceAddressPrefixes");
    text += printable("Port " + text_at(port, "number") + " of " + machine + " is open for " + from +
                      " until " + text_at(port, "endTimeUtc")) +
            ".\n";
  }
  return text;
}

std::string waiting_text(const JsonObject& answer, const JitAccess& access) {
  return printable("Nothing is open yet: request " + access.request_id() + " waits for the approval of " +
                   text_at(answer, "approval.approvalsRequired") + ", until " +
                   text_at(answer, "approval.waitsUntilUtc")) +
         ".\nThey say: merlon jit approve " + access.request_id() +
         "\nThe port opens when they do; --wait waits for it.\n";
}

Result<int> run_or_report(Context& context, const RequestOptions& options, JitAccess& access,
                          const JsonObject& answer, const SignalWatch& signals) {
  if (access.waits_for_approval()) TRY(access.wait_until_approved(signals));
  TRY(access.find_openings());
  if (const auto opened = access.wait_until_open(signals); !opened) {
    access.close();  // who was told that it failed leaves nothing open behind
    return std::unexpected(opened.error());
  }
  if (options.command.empty()) {
    show(context, answer, access.opened_text());
    return kDone;
  }
  // Standard output is the command's.
  context.err << access.opened_text() << std::flush;
  const auto code = signals.run(options.command);
  access.close();
  return code;
}

}  // namespace

Result<int> request_access(Context& context, const RequestOptions& options) {
  if (options.ports.empty()) return wrong_usage("Say which port with --port, for instance --port 22.");
  const auto numbers = TRY(ports_of(options.ports));
  const auto from = TRY(sources_of(options.from));
  const std::string duration = TRY(iso_duration(options.duration, "--for"));
  // Before the first connection, since resolving its name makes a thread: one that were made without this
  // would take a signal as the end of the program, with the port still open.
  const SignalWatch signals;
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.resource_group));
  JitAccess access(context, api, machine, TRY(policy_of(api, machine)));
  if (signals.wait(std::chrono::milliseconds(0)))
    return fail(ErrorKind::invalid, "Interrupted", "Interrupted before anything was asked for.");
  const JsonObject answer = TRY(access.ask(request_body(options, from, machine, numbers, duration)));
  if (options.wait || !options.command.empty())
    return run_or_report(context, options, access, answer, signals);
  show(context, answer,
       access.waits_for_approval()
           ? waiting_text(answer, access)
           : granted_text(answer, machine.name) + "Its agent hears of it now; --wait waits until it has.\n");
  return kDone;
}

}  // namespace merlon::cli

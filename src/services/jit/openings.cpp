// What is open now, and what the machine itself says about it: Merlon.Jit/openings, an extension of the
// policy.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using machine::Machine;
using resource::ResourceId;
using resource::WriteContext;

constexpr auto kSilentAfter = std::chrono::seconds(90);  // as the list of machines has it
constexpr size_t kReportTextMax = 300;

bool is_held(const std::optional<Machine>& machine, const Grant& grant) {
  return machine && std::any_of(machine->applied.open.begin(), machine->applied.open.end(),
                                [&](const std::string& id) { return id.starts_with(grant.id.text() + "/"); });
}

struct Said {
  std::string state, message;
};

// A grant is open only where the kernel holds it.
Said machine_says(const std::optional<Machine>& machine, const Grant& grant, const PortGrant& port,
                  Timestamp now) {
  const bool held = is_held(machine, grant);
  if (grant.state == grant::State::ended) {
    if (held) return {"closing", "The machine has not said yet that it is closed."};
    return {"closed", {}};
  }
  if (!machine || machine->removed)
    return {"no agent", "No agent is enrolled for this machine, so nothing opens there."};
  if (!port.machine.refused.empty())
    return {"refused", "The machine refuses it: " + port.machine.refused + "."};
  if (held) {
    std::string message;
    if (!port.machine.cap.empty())
      message = fmt::format("The machine's own cap is {}{}.", port.machine.cap,
                            port.machine.end ? ": it closes there at " + to_rfc3339(*port.machine.end) : "");
    if (!machine->applied.blockers.empty())
      return {"blocked by " + machine->applied.blockers.front(), std::move(message)};
    return {"open", std::move(message)};
  }
  const bool silent = !machine->last_seen || now - *machine->last_seen > kSilentAfter;
  if (!silent && !port.machine.closed.empty())
    return {"closed by the machine",
            port.machine.cap.empty()
                ? "The machine closed it itself: " + port.machine.closed + "."
                : fmt::format("The machine's own cap is {}, and that is over.", port.machine.cap)};
  if (silent)
    return {"not reachable", machine->last_seen
                                 ? "The machine was last heard at " + to_rfc3339(*machine->last_seen) + "."
                                 : "The machine's agent has never been heard."};
  return {"pending", "The machine has been told and has not answered yet."};
}

bool same_machine(const PortGrant& port, const Machine& machine) {
  return ascii_iequal(port.vm_id, machine.resource_id);
}

MachineReport report_of(const machine::Observation& observation, MachineReport report, Timestamp now) {
  std::string reason = string_at(observation.facts, "reason").value_or("");
  reason.resize(whole_characters(reason, kReportTextMax));
  if (observation.kind == "refused") report = {.refused = reason, .cap = {}, .end = {}, .closed = {}};
  if (observation.kind == "closed") report.closed = reason.empty() ? "closed" : reason;
  if (observation.kind != "opened") return report;
  report = {};
  const auto cap = from_iso8601_duration(string_at(observation.facts, "clippedTo").value_or(""));
  if (!cap) return report;
  report.cap = to_human_duration(*cap);
  if (const auto left = int_at(observation.facts, "remainingMs");
      left && *left >= 0 && *left <= kDurationMax / Duration(1))
    report.end = now - observation.age + Duration(*left);
  return report;
}

}  // namespace

// What an agent reports counts for its own machine alone (trust.md, Machines).
Result<void> Service::observed(WriteContext& context, const Machine& machine,
                               const machine::Observation& observation) {
  if (observation.kind != "opened" && observation.kind != "refused" && observation.kind != "closed")
    return {};
  const std::string opening = string_at(observation.facts, "id").value_or("");
  const auto id = Uuid::parse(opening.substr(0, opening.find('/')));
  if (!id) return {};
  const auto grant = TRY(platform_.grants.get(context.tx, *id));
  if (!grant || grant->kind != kOpeningKind) return {};
  PortGrant port = TRY(PortGrant::from_json(grant->data));
  if (!same_machine(port, machine)) return {};
  const MachineReport report = report_of(observation, port.machine, platform_.grants.now());
  if (report == port.machine) return {};
  port.machine = report;
  const auto kept = platform_.grants.set_data(context.tx, *id, port.to_json());
  // Its time may be over by now; that is no reason to refuse the machine's report.
  if (!kept && kept.error().kind != ErrorKind::conflict) return std::unexpected(kept.error());
  return {};
}

Result<JsonObject> Service::view(store::Reader& reader, const Grant& grant) {
  const PortGrant port = TRY(PortGrant::from_json(grant.data));
  return view(grant, port, TRY(platform_.machines.by_resource(reader, port.vm_id)));
}

JsonObject Service::view(const Grant& grant, const PortGrant& port,
                         const std::optional<Machine>& machine) const {
  const Timestamp now = platform_.grants.now();
  Said said = machine_says(machine, grant, port, now);
  JsonObject properties = {{"virtualMachineId", port.vm_id},
                           {"port", port.number},
                           {"protocol", machine::protocol_text(port.protocol)},
                           {"sources", texts_json(port.sources)},
                           {"requestor", grant.holder_name},
                           {"requestorId", grant.holder},
                           {"justification", grant.justification},
                           {"startTimeUtc", to_rfc3339(grant.start)},
                           {"endTimeUtc", to_rfc3339(grant.deadline)},
                           {"status", grant.state == grant::State::active ? "Initiated" : "Revoked"},
                           {"statusReason", grant.end_reason},
                           {"machineState", std::move(said.state)},
                           {"machineMessage", std::move(said.message)},
                           {"cutEstablished", port.cut_established},
                           {"liveServer", port.live_server},
                           {"approvedBy", texts_json(port.approved_by)},
                           {"requestId", port.request_id}};
  if (grant.state == grant::State::active)
    properties["remaining"] = to_iso8601_duration(
        std::chrono::floor<std::chrono::seconds>(std::max(Duration(0), grant.deadline - now)));
  if (port.machine.end) properties["machineEndTimeUtc"] = to_rfc3339(*port.machine.end);
  if (grant.ended) properties["endedTimeUtc"] = to_rfc3339(*grant.ended);
  return JsonObject{{"id", port.policy_id + "/providers/Merlon.Jit/openings/" + grant.id.text()},
                    {"name", grant.id.text()},
                    {"type", "Merlon.Jit/openings"},
                    {"properties", std::move(properties)}};
}

// Of the policies that the caller may read, and their own.
Result<JsonArray> Service::openings(const resource::Call& call, store::Reader& reader,
                                    std::string_view scope) {
  // One request may have opened ten thousand: of each policy and machine what is asked is asked once.
  std::map<std::string, bool> may_read;
  std::map<std::string, std::optional<Machine>> machines;
  JsonArray value;
  for (const Grant& grant : TRY(platform_.grants.active(reader, kOpeningKind))) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    const ResourceId policy = TRY(ResourceId::parse(port.policy_id));
    if (!policy.is_within(scope)) continue;
    if (grant.holder != call.principal.object_id.text()) {
      const auto [may, is_new] = may_read.try_emplace(policy.key());
      if (is_new) may->second = TRY(platform_.resources.may(reader, call, kReadPermission, policy.text()));
      if (!may->second) continue;
    }
    const auto [machine, is_new] = machines.try_emplace(port.vm_id);
    if (is_new) machine->second = TRY(platform_.machines.by_resource(reader, port.vm_id));
    value.push_back(view(grant, port, machine->second));
  }
  return value;
}

Result<JsonObject> Service::opening(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  return view(reader, TRY(opening_grant(reader, policy, id)));
}

}  // namespace merlon::jit

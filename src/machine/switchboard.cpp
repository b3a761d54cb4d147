// Joining.
#include "machine/switchboard.h"

#include <algorithm>

#include "net/tunnel_pair.h"

namespace merlon::machine {
namespace {

constexpr Duration kCallWithin{20'000};
constexpr size_t kWaitingMax = 512;  // of all machines

}  // namespace

void Switchboard::seen_at(const Machine& machine, const IpAddress& address) {
  const std::lock_guard lock(mutex_);
  if (machine.removed)
    contacts_.erase(machine.id.text());
  else
    contacts_[machine.id.text()] = address;
}

bool Switchboard::is_behind_translation(const Machine& machine) {
  const std::lock_guard lock(mutex_);
  const auto seen = contacts_.find(machine.id.text());
  if (seen == contacts_.end() || seen->second.is_loopback() || seen->second.is_unspecified()) return false;
  for (const ReportedInterface& interface : machine.facts.interfaces)
    for (const auto& [address, length] : interface.addresses)
      if (address == seen->second) return false;
  return !machine.facts.interfaces.empty();
}

Result<int> Switchboard::reach(const Machine& machine, const IpAddress& address, uint16_t port) {
  const AgentCall call{.id = to_base64url(random_.bytes(24)), .address = address, .port = port};
  const std::string machine_id = machine.id.text();
  {
    const std::lock_guard lock(mutex_);
    const auto mine = std::ranges::count_if(
        waiting_, [&](const auto& entry) { return entry.second.machine == machine_id; });
    if (stopped_ || waiting_.size() >= kWaitingMax || mine >= static_cast<ptrdiff_t>(kCallsMax))
      return fail(
          ErrorKind::throttled, "TooManyCalls",
          "Too many connections wait for the agent of '" + machine.name + "'. Try again in a moment.");
    waiting_.emplace(call.id, Waiting{.machine = machine_id, .call = call, .refusal = {}});
  }
  hurry_(machine_id);
  std::unique_lock lock(mutex_);
  called_.wait_for(lock, kCallWithin, [&] { return stopped_ || waiting_.at(call.id).is_over(); });
  const Waiting found = waiting_.at(call.id);
  waiting_.erase(call.id);
  if (found.descriptor >= 0) return found.descriptor;
  if (!found.refusal.empty())
    return fail(ErrorKind::unavailable, "MachineNotReached",
                "The agent of '" + machine.name + "' does not lead to port " + std::to_string(port) + ": " +
                    found.refusal);
  return fail(ErrorKind::unavailable, "AgentDidNotCall",
              "'" + machine.name + "' is reached through its agent, which has not called within " +
                  std::to_string(kCallWithin.count() / 1000) + " s. Does it run ('merlon machine show " +
                  machine.name + "')?");
}

bool Switchboard::has_calls(const std::string& machine_id) {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(
      waiting_, [&](const auto& entry) { return entry.second.machine == machine_id && !entry.second.told; });
}

std::vector<AgentCall> Switchboard::take_calls(const std::string& machine_id) {
  const std::lock_guard lock(mutex_);
  std::vector<AgentCall> calls;
  for (auto& [id, waiting] : waiting_)
    if (waiting.machine == machine_id && !std::exchange(waiting.told, true)) calls.push_back(waiting.call);
  return calls;
}

// mutex_ is held. Whoever guesses learns nothing: another machine's call is none.
Result<Switchboard::Waiting*> Switchboard::open_call(const Machine& machine, const std::string& id) {
  const auto found = waiting_.find(id);
  if (found != waiting_.end() && found->second.machine == machine.id.text() && !found->second.is_over())
    return &found->second;
  return fail(ErrorKind::not_found, "CallNotKnown",
              "Nobody waits for this call here, or it was made already.");
}

Result<net::TunnelPlan> Switchboard::answer(const Machine& machine, const std::string& id) {
  const std::lock_guard lock(mutex_);
  Waiting* const waiting = TRY(open_call(machine, id));
  const auto [here, there] = TRY(net::make_tunnel_pair());
  waiting->descriptor = here;
  called_.notify_all();
  net::TunnelPlan plan;
  plan.descriptor = there;
  return plan;
}

Result<void> Switchboard::refuse(const Machine& machine, const CallRefusal& refusal) {
  const std::lock_guard lock(mutex_);
  Waiting* const waiting = TRY(open_call(machine, refusal.id));
  waiting->refusal = refusal.message;
  called_.notify_all();
  return {};
}

void Switchboard::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  called_.notify_all();
}

}  // namespace merlon::machine

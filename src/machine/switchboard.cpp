// Joining.
#include "machine/switchboard.h"

#include <algorithm>

#include "base/log.h"
#include "net/tunnel_pair.h"

namespace merlon::machine {
namespace {

constexpr Duration kCallWithin{20'000};
constexpr size_t kWaitingMax = 512;  // of all machines
// An agent that asks here is told here, at once or when it comes back in a moment; after this it is told
// through the others too, in case it has gone there.
constexpr Duration kCalledHereWithin{2'000};
// An agent asks at least once in half a minute (0038).
constexpr Duration kAsksHereFor{60'000};
// Whoever waited has been gone for long.
constexpr Duration kLeftFor{60'000};

}  // namespace

void Switchboard::seen_at(const Machine& machine, const IpAddress& address) {
  const std::lock_guard lock(mutex_);
  if (machine.removed)
    contacts_.erase(machine.id.text());
  else
    contacts_[machine.id.text()] = {
        .address = address, .at = core_.clock.now(), .boottime = core_.clock.boottime()};
}

// By whoever heard it last: this server, or another one that has written it down.
std::optional<IpAddress> Switchboard::seen_from(const Machine& machine) {
  const std::lock_guard lock(mutex_);
  const auto seen = contacts_.find(machine.id.text());
  if (seen != contacts_.end() &&
      (!machine.seen_from || !machine.last_seen || seen->second.at >= *machine.last_seen))
    return seen->second.address;
  return machine.seen_from;
}

bool Switchboard::is_behind_translation(const Machine& machine) {
  const std::optional<IpAddress> from = seen_from(machine);
  if (!from || from->is_loopback() || from->is_unspecified()) return false;
  for (const ReportedInterface& interface : machine.facts.interfaces)
    for (const auto& [address, length] : interface.addresses)
      if (address == *from) return false;
  return !machine.facts.interfaces.empty();
}

Result<void> Switchboard::begin(const Machine& machine, const AgentCall& call) {
  const std::string machine_id = machine.id.text();
  const std::lock_guard lock(mutex_);
  const auto mine =
      std::ranges::count_if(waiting_, [&](const auto& entry) { return entry.second.machine == machine_id; });
  if (stopped_ || waiting_.size() >= kWaitingMax || mine >= static_cast<ptrdiff_t>(kCallsMax))
    return fail(ErrorKind::throttled, "TooManyCalls",
                "Too many connections wait for the agent of '" + machine.name + "'. Try again in a moment.");
  waiting_.emplace(call.id, Waiting{.machine = machine_id, .call = call, .refusal = {}});
  return {};
}

bool Switchboard::is_over_within(const std::string& id, Duration time) {
  std::unique_lock lock(mutex_);
  return called_.wait_for(lock, time, [&] { return stopped_ || waiting_.at(id).is_over(); });
}

bool Switchboard::asks_here(const std::string& machine_id) {
  const std::lock_guard lock(mutex_);
  const auto seen = contacts_.find(machine_id);
  return seen != contacts_.end() && core_.clock.boottime() - seen->second.boottime < kAsksHereFor;
}

Result<void> Switchboard::leave(const Machine& machine, AgentCall call) {
  call.server = advertised_;
  return core_.store.write([&](store::Transaction& tx) {
    return store::put(tx, core_.tenant, LeftCall{.machine = machine.id, .call = call, .refusal = {}});
  });
}

Switchboard::Waiting Switchboard::take_out(const std::string& id, bool left) {
  const std::lock_guard lock(mutex_);
  Waiting found = waiting_.at(id);
  waiting_.erase(id);
  if (left) taken_back_.insert(id);
  return found;
}

Error Switchboard::did_not_call(const Machine& machine) {
  std::string message = "'" + machine.name + "' is reached through its agent, which has not called within " +
                        std::to_string(kCallWithin.count() / 1000) +
                        " s. Does it run ('merlon machine show " + machine.name + "')?";
  if (!advertised_ && !asks_here(machine.id.text()))
    message +=
        " If it asks another server for news: this one is called by agents of others only when it was "
        "started "
        "with --advertise.";
  return fail(ErrorKind::unavailable, "AgentDidNotCall", message).error();
}

Result<int> Switchboard::reach(const Machine& machine, const IpAddress& address, uint16_t port) {
  const AgentCall call{.id = to_base64url(core_.random.bytes(24)), .address = address, .port = port};
  TRY(begin(machine, call));
  hurry_(machine.id.text());
  const bool here_first = !advertised_ || asks_here(machine.id.text());
  bool left = false;
  if (!here_first || !is_over_within(call.id, advertised_ ? kCalledHereWithin : kCallWithin)) {
    if (advertised_) {
      const auto written = leave(machine, call);
      left = written.has_value();
      if (!left) log_error("a call could not be left for the agent's server", written.error());
      is_over_within(call.id, kCallWithin);
    }
  }
  const Waiting found = take_out(call.id, left);
  if (found.descriptor >= 0) return found.descriptor;
  if (!found.refusal.empty())
    return fail(ErrorKind::unavailable, "MachineNotReached",
                "The agent of '" + machine.name + "' does not lead to port " + std::to_string(port) + ": " +
                    found.refusal);
  return std::unexpected(did_not_call(machine));
}

bool Switchboard::has_calls(const std::string& machine_id) {
  const auto untold = [&](const auto& entry) {
    return entry.second.machine == machine_id && !entry.second.told;
  };
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(waiting_, untold) || std::ranges::any_of(elsewhere_, untold);
}

// No more than an agent takes of one answer; it comes back for the others.
std::vector<AgentCall> Switchboard::take_calls(const std::string& machine_id) {
  const std::lock_guard lock(mutex_);
  std::vector<AgentCall> calls;
  const auto take = [&](auto& from) {
    for (auto& [id, each] : from)
      if (calls.size() < kCallsMax && each.machine == machine_id && !std::exchange(each.told, true))
        calls.push_back(each.call);
  };
  take(waiting_);
  take(elsewhere_);
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
  Error unknown;
  {
    const std::lock_guard lock(mutex_);
    const auto waiting = open_call(machine, refusal.id);
    if (waiting) {
      (*waiting)->refusal = refusal.message;
      called_.notify_all();
      return {};
    }
    unknown = waiting.error();
  }
  // Whoever waits for it at another server hears of it there.
  return core_.store.write([&](store::Transaction& tx) -> Result<void> {
    auto left = TRY(store::get<LeftCall>(tx, core_.tenant, refusal.id));
    if (!left || left->machine != machine.id || !left->refusal.empty()) return std::unexpected(unknown);
    left->refusal = refusal.message;
    return store::put(tx, core_.tenant, *left);
  });
}

std::set<std::string> Switchboard::follow(const std::vector<LeftCall>& left) {
  const Duration now = core_.clock.boottime();
  std::set<std::string> to_tell;
  std::map<std::string, Elsewhere> known;
  const std::lock_guard lock(mutex_);
  for (const LeftCall& each : left) {
    const std::string& id = each.call.id;
    if (const auto own = waiting_.find(id); own != waiting_.end()) {
      if (each.refusal.empty() || own->second.is_over()) continue;
      own->second.refusal = each.refusal;
      called_.notify_all();
      continue;
    }
    if (taken_back_.contains(id)) continue;
    const auto before = elsewhere_.find(id);
    Elsewhere call = before != elsewhere_.end()
                         ? before->second
                         : Elsewhere{.machine = each.machine.text(), .call = each.call, .known_since = now};
    // This server's own, of before it was started anew: nobody waits any more.
    if (!each.refusal.empty() || each.call.server == advertised_) call.told = true;
    if (!call.told) to_tell.insert(call.machine);
    known.emplace(id, std::move(call));
  }
  elsewhere_ = std::move(known);
  return to_tell;
}

// Also of servers that have died: any of those that live takes theirs back.
void Switchboard::tick() {
  std::set<std::string> over;
  {
    const Duration now = core_.clock.boottime();
    const std::lock_guard lock(mutex_);
    over = taken_back_;
    for (const auto& [id, call] : elsewhere_)
      if (now - call.known_since > kLeftFor) over.insert(id);
  }
  if (over.empty()) return;
  const auto erased = core_.store.write([&](store::Transaction& tx) -> Result<void> {
    for (const std::string& id : over) TRY(store::erase<LeftCall>(tx, core_.tenant, id));
    return {};
  });
  if (!erased) {
    log_error("calls that are over could not be taken back; it is tried again", erased.error());
    return;
  }
  const std::lock_guard lock(mutex_);
  for (const std::string& id : over) {
    taken_back_.erase(id);
    elsewhere_.erase(id);
  }
}

void Switchboard::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  called_.notify_all();
}

}  // namespace merlon::machine

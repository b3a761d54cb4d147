// What goes wrong: processes die, machines sleep and start, clocks are set, somebody flushes the rules, disks
// fill.
#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "simulate/world.h"

namespace merlon::simulate {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void World::server_fault() {
  if (is_shared()) return shared_fault();
  if (!server().is_up()) return;
  switch (chance_.below(options_.gentle ? 4 : 9)) {
    case 4:
      return back_up();
    case 5:
      return restore();
    case 0:
      server().faults().kill_in = static_cast<int>(1 + chance_.below(8));
      return note("the server is going to die at a write");
    case 1:
      return server_died(0, Death::killed);
    case 6:
      return server_died(0, Death::power_lost);
    case 7:
    case 8:
      server().fail_disk_in(static_cast<int>(1 + chance_.below(chance_.chance(500) ? 12 : 200)));
      return note("an operation of the server's disk is going to fail");
    case 2:
      server().stop();
      server_went();
      note("the server stops");
      return at(chance_.between(seconds(1), seconds(30)), [this] { start_server(0); });
    default:
      server().fill_disk(!server().disk_is_full());
      return note(server().disk_is_full() ? "the server's disk is full" : "the server's disk has room");
  }
}

void World::turn_rate(ComputerClock& clock, const std::string& whose, int64_t most) {
  const int64_t rate = static_cast<int64_t>(chance_.below(static_cast<size_t>(2 * most + 1))) - most;
  clock.turn_rate(rate);
  slowest_ = std::min(slowest_, rate);
  fastest_ = std::max(fastest_, rate);
  note(fmt::format("{}: its clocks run {} ppm {}", whose, std::abs(rate), rate < 0 ? "slow" : "fast"));
}

Duration World::drift_in(Duration time) const {
  return slowest_ == fastest_ ? Duration(0) : Duration(time.count() * (fastest_ - slowest_) / 1'000'000 + 5);
}

void World::clock_fault() {
  if (chance_.chance(400)) {
    const size_t whose = chance_.below(machines_.size() + hosts_.size());
    if (whose >= machines_.size()) {
      Host& one = hosts_[whose - machines_.size()];
      return turn_rate(one.server->clock(), one.name, ComputerClock::kRateMost);
    }
    return turn_rate(machine(whose).clock(), names_[whose], ComputerClock::kRateMost);
  }
  const std::vector<Duration> steps = {Duration(700), seconds(30), minutes(10), hours(1), hours(24)};
  const Duration by = chance_.pick(steps);
  const bool back = chance_.chance(500);
  if (chance_.chance(300) || is_shared()) {
    SimMachine& m = machine(chance_.below(machines_.size()));
    m.clock().step_wall(back ? -by : by);
    return note(fmt::format("{}: its wall clock steps {} {}", m.name(), back ? "back" : "ahead",
                            to_human_duration(by)));
  }
  // A server that is down has gone with the right time: what it knew beyond its mark is lost by this step.
  if (!server().is_up() && !clock_stepped_) server_time_seen_ -= unmarked_;
  clock_stepped_ = stepped_since_mark_ = true;
  hosts_[0].wake = true;  // the product looks five times a second whether its mark must be stored
  if (server().clock().wrong_by() != Duration(0) && chance_.chance(500)) {
    server().clock().set_right();
    return note("the server's clock is set right");
  }
  server().clock().step_wall(back ? -by : by);
  note(fmt::format("the server's clock steps {} {}", back ? "back" : "ahead", to_human_duration(by)));
}

void World::machine_fault(size_t i) {
  SimMachine& m = machine(i);
  switch (chance_.below(options_.gentle ? 5 : 8)) {
    case 0:
      m.cut = !m.cut;
      return note(m.name() + (m.cut ? " is cut off" : " is connected again"));
    case 1:
      if (m.agent_runs()) m.kill_in(static_cast<int>(1 + chance_.below(12)));
      return note(m.name() + ": the agent is going to die at a change of the kernel");
    case 2:
      if (m.agent_runs()) agent_died(i);
      return;
    case 3:
      m.flush_ruleset();
      note(m.name() + ": somebody flushes the ruleset");
      // The kernel tells the agent, which runs at once.
      if (m.agent_runs() && awake(i)) tick_machine(i);
      return;
    case 4:
      if (!m.enrolled || !awake(i)) return;
      if (m.released) {
        m.protect_again();
      } else if (chance_.chance(300)) {
        m.release();
      }
      note(m.name() + (m.released ? ": is released by its administrator" : ": is protected"));
      if (m.agent_runs()) tick_machine(i);
      return;
    case 5:
      if (!m.enrolled || m.clock().asleep()) return;
      m.kill_agent();
      flight_[i].reset();
      ask_at_[i].reset();
      tick_at_[i].reset();
      m.reboot();
      note(m.name() + ": starts anew");
      return at(chance_.between(seconds(20), minutes(2)), [this, i] { start_agent(i); });
    default: {
      if (m.clock().asleep()) return;
      m.suspend();
      const Duration sleeps =
          chance_.between(seconds(1), chance_.chance(300) ? Duration(hours(5)) : minutes(10));
      note(fmt::format("{}: sleeps for {}", m.name(), to_human_duration(sleeps)));
      return at(sleeps, [this, i] {
        machine(i).resume();
        note(names_[i] + ": wakes");
        if (machine(i).agent_runs()) tick_machine(i);
        for (const auto& late : std::exchange(on_waking_[i], {})) late();
      });
    }
  }
}

void World::fault() {
  const size_t roll = chance_.below(10);
  if (roll < 3) return server_fault();
  if (roll < 4 && !options_.gentle) return clock_fault();
  machine_fault(chance_.below(machines_.size()));
}

void World::step() {
  ++steps_;
  if (options_.agents_die > 0 && chance_.chance(options_.agents_die)) {
    const size_t i = chance_.below(machines_.size());
    if (machine(i).agent_runs()) agent_died(i);
  }
  if (options_.power_fails > 0 && chance_.chance(options_.power_fails)) {
    if (is_shared()) {
      if (database_->is_up()) database_died(Death::power_lost);
    } else if (server().is_up()) {
      server_died(0, Death::power_lost);
    }
  }
  const size_t roll = chance_.below(100);
  if (roll < 50) {
    client_acts();
  } else if (roll < 60) {
    fault();
  } else if (options_.gentle) {
    advance(chance_.between(Duration(1), Duration(700)));
  } else if (roll < 70) {
    // To one side or the other of a deadline: the most likely place for a mistake of one.
    Duration to_deadline = seconds(1);
    if (choose_server() && !documents_.grants.empty())
      to_deadline = documents_.grants.begin()->second - server().time();
    to_deadline += chance_.pick(
        std::vector<Duration>{Duration(-51), Duration(-1), Duration(0), Duration(1), Duration(40)});
    advance(std::clamp(to_deadline, Duration(1), Duration(hours(3))));
  } else if (roll < 90) {
    advance(chance_.between(Duration(1), seconds(20)));
  } else if (roll < 97) {
    advance(chance_.between(seconds(1), minutes(5)));
  } else if (roll < 99) {
    advance(chance_.between(minutes(1), hours(4)));
  } else {
    advance(chance_.between(hours(1), hours(24 * 20)));
  }
  advance(Duration(static_cast<int64_t>(chance_.below(30))));
  check();
}

void World::end() {
  calm_ = true;
  note("everything is mended");
  if (!is_shared()) server().fill_disk(false);
  for (size_t h = 0; h < hosts_.size(); ++h) {
    if (is_shared()) database_->cut_off(h, false);
    host(h).fail_disk_in(0);
    host(h).faults().kill_in = 0;
  }
  for (size_t i = 0; i < machines_.size(); ++i) {
    machine(i).cut = false;
    machine(i).kill_in(0);
    if (machine(i).clock().asleep()) {
      machine(i).resume();
      if (machine(i).agent_runs()) tick_machine(i);
      for (const auto& late : std::exchange(on_waking_[i], {})) late();
    }
  }
  if (is_shared()) start_database();
  for (size_t h = 0; h < hosts_.size(); ++h) {
    start_server(h);
    host(h).faults().kill_in = 0;
  }
  for (size_t i = 0; i < machines_.size(); ++i) {
    start_agent(i);
    if (!options_.gentle) continue;
    // In real time nobody waits for what a lost answer or a server that was away would cost.
    if (flight_[i]) fail_sync(i, flight_[i]->id, "ConnectionLost", Duration(5));
    if (ask_at_[i]) ask_at_[i] = std::min(*ask_at_[i], now_ + Duration(10));
  }
  advance(minutes(options_.gentle ? 0 : 2) + seconds(options_.gentle ? 3 : 0));
  if (!options_.gentle && !has_converged()) {  // something ran out just now, or a certificate that could not
                                               // be renewed: ten minutes
    advance(minutes(15));
    advance(minutes(1));
  }
  for (int i = 0; i < 3 && !has_converged(); ++i) advance(seconds(2));
  check();
  check_converged();
  check_ledger(true);
}

}  // namespace merlon::simulate

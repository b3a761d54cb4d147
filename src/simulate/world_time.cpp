// Time passes: what is due happens, in order; processes die and start.
#include <fmt/format.h>

#include <filesystem>

#include "crypto/x509.h"
#include "simulate/world.h"

namespace merlon::simulate {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kFine = seconds(40);  // beyond this not every poll and tick is played
constexpr int kStrides = 6;
constexpr Duration kAfterStride = seconds(1);
constexpr Duration kServerTick{200};
constexpr Duration kMarkEvery = minutes(1);
constexpr Duration kLeaseTick = seconds(2);  // within the lifetime of a lease
constexpr int64_t kCrystal = 100;            // millionths, of a computer that nobody has told the time
constexpr Timestamp kNever = Timestamp::max();

class RenewOnly final : public agent::Exchange {
 public:
  using Farewell = std::function<Result<machine::SyncAnswer>(const machine::SyncRequest&)>;
  RenewOnly(std::function<Result<std::string>()> renew, Farewell farewell,
            std::function<const std::string&()> certificate)
      : renew_(std::move(renew)), farewell_(std::move(farewell)), certificate_(std::move(certificate)) {}
  // The simulated network carries all but the last one by itself.
  Result<machine::SyncAnswer> sync(const machine::SyncRequest& request) override {
    return farewell_(request);
  }
  Result<std::string> renew() override { return renew_(); }
  Timestamp renew_after() const override {
    if (read_ == certificate_()) return renew_after_;
    read_ = certificate_();
    const auto facts = crypto::read_certificate(read_);
    renew_after_ = facts ? facts->not_before + (facts->not_after - facts->not_before) / 2 : Timestamp::max();
    return renew_after_;
  }

 private:
  std::function<Result<std::string>()> renew_;
  Farewell farewell_;
  std::function<const std::string&()> certificate_;
  mutable std::string read_;
  mutable Timestamp renew_after_ = Timestamp::max();
};

}  // namespace

World::World(const Setting& setting, RuleCache& rules, std::string directory, const WorldOptions& options,
             RealKernel* real)
    : setting_(setting),
      directory_(std::move(directory)),
      options_(options),
      real_(real),
      chance_(options.seed),
      product_(options.seed ^ 0x5eedU),
      trace_(options.trace) {
  make_servers();
  for (size_t i = 0; i < options.machines; ++i) {
    SimMachine::Place place = setting.machines[i];
    place.directory = directory_ + "/" + place.name;
    names_.push_back(place.name);
    machines_.push_back(std::make_unique<SimMachine>(place, now_, product_, rules));
    machines_[i]->kernel().have(options.bugs.kernel);
    machines_[i]->lengthen(options.bugs.agent_lengthens);
    machines_[i]->certificate = setting.certificates[i];
    machines_[i]->enrolled = true;
    channels_.push_back(std::make_unique<RenewOnly>(
        [this, i] { return renew(i); },
        [this, i](const machine::SyncRequest& request) { return say_farewell(i, request); },
        [this, i]() -> const std::string& { return machine(i).certificate; }));
    if (real != nullptr)
      machines_[i]->mirror([this](const std::string& commands, bool accepted) {
        const auto done = real_->run(commands);
        if (done.has_value() != accepted)
          violated("the model of the kernel", "nftables " + std::string(done ? "took" : "refused") +
                                                  " what the model did not: " + commands +
                                                  (done ? "" : done.error().message + done.error().cause));
      });
  }
  home_.resize(options.machines);
  flight_.resize(options.machines);
  ask_at_.resize(options.machines);
  tick_at_.resize(options.machines);
  on_waking_.resize(options.machines);
  old_answer_.resize(options.machines);
}

World::~World() = default;

void World::begin() {
  for (size_t h = 0; h < hosts_.size(); ++h) {
    fs::create_directories(host(h).directory());
    fs::permissions(host(h).directory(), fs::perms::owner_all);
    for (const auto& entry : fs::directory_iterator(setting_.directory + "/server"))
      fs::copy(entry.path(), host(h).directory() + "/" + entry.path().filename().string(),
               fs::copy_options::recursive);
  }
  for (const std::string& name : names_) {
    fs::copy(setting_.directory + "/" + name, directory_ + "/" + name);
    fs::permissions(directory_ + "/" + name, fs::perms::owner_all);
  }
  secrets_ = {setting_.owner.secret, setting_.op.secret, setting_.stranger.secret};
  if (is_shared()) start_database();
  for (size_t h = 0; h < hosts_.size(); ++h) start_server(h);
  const auto seen = observe(server(), names_, setting_.group, setting_.op.object_id);
  if (!seen) violated("the set-up", seen.error().message + seen.error().cause);
  documents_ = seen->documents;
  ledger_key_ = server().assembly().core().ledger.public_key_pem();
  for (size_t h = 0; h < hosts_.size(); ++h) host(h).faults().loses_writes = options_.bugs.store_loses_writes;
  for (size_t i = 0; i < machines_.size(); ++i) start_agent(i);
  if (!options_.gentle) {
    for (Host& each : hosts_) turn_rate(each.server->clock(), each.name, kCrystal);
    for (size_t i = 0; i < machines_.size(); ++i) turn_rate(machine(i).clock(), names_[i], kCrystal);
    set_clocks_apart();
  }
  advance(seconds(2));
  check();
}

std::string World::clock_text() const {
  const Duration since = now_ - kBeginning;
  const auto ms = since.count();
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

void World::note(const std::string& what) {
  trace_.line(fmt::format("{} {} {}", steps_, clock_text(), what));
}

void World::at(Duration from_now, std::function<void()> run) {
  events_.push({now_ + from_now, ++order_, std::move(run)});
}

// ---- Processes.

void World::guard_server(size_t h, const std::function<void()>& work) {
  try {
    work();
  } catch (const ServerKilled&) {
    server_died(h, chance_.chance(300) ? Death::power_lost : Death::killed);
  }
  notice_database();
}

void World::server_died(size_t h, Death how) {
  host(h).die(how);
  server_went();
  note(hosts_[h].name + (how == Death::killed ? " is killed" : " loses power"));
  for (size_t i = 0; i < machines_.size(); ++i)
    if (flight_[i] && flight_[i]->at_server && flight_[i]->host == h)
      fail_sync(i, flight_[i]->id, "ConnectionLost", Duration(5));
  at(chance_.between(Duration(500), chance_.chance(200) ? Duration(hours(2)) : Duration(seconds(40))),
     [this, h] { start_server(h); });
}

// What it knew of the time beyond its last mark is gone with it, where its clock does not know better.
void World::server_went() {
  unmarked_ = now_ - marked_at_ + drift_in(now_ - marked_at_);
  if (clock_stepped_) server_time_seen_ -= unmarked_;
  if (stepped_since_mark_) server_time_seen_ = {};
}

void World::start_server(size_t h) {
  SimServer& starting = host(h);
  if (starting.is_up()) return;
  const unsigned failures = starting.disk_failures();
  if (const auto started = starting.start(); !started) {
    const bool disk_failed = starting.disk_failures() != failures;
    if (disk_failed || (is_shared() && !database_->reaches(h))) {
      starting.die(Death::killed);
      note(hosts_[h].name + " does not start: its " + (disk_failed ? "disk fails" : "database is away"));
      at(seconds(5), [this, h] { start_server(h); });
      return notice_database();
    }
    violated("4: the server starts after whatever happened to it",
             started.error().message + started.error().cause);
  }
  starting.assembly().machines().on_wake([this, h] { hosts_[h].wake = true; });
  starting.faults().loses_writes = options_.bugs.store_loses_writes && steps_ > 0;
  starting.faults().alters = options_.bugs.store_alters;
  starting.disk()->faults().lies = options_.bugs.disk_lies;
  hosts_[h].ticked = now_;
  if (is_shared()) return server_serves(h);
  if (clock_stepped_) {
    // Its time goes on from the last mark, as if it had not been away.
    unseen_ += now_ - marked_at_ + drift_in(now_ - marked_at_) + kMarkEvery + seconds(1);
  }
  marked_at_ = now_;
  checked_commits_.reset();
  documents_.expire(server().time());
  if (instead_) instead_->expire(server().time());
  note("the server serves");
  if (!documents_.machines.empty()) check_documents();  // nobody has asked for anything before the beginning
}

void World::guard_agent(size_t i, const std::function<void()>& work) {
  try {
    work();
  } catch (const AgentKilled&) {
    agent_died(i);
  }
}

void World::agent_died(size_t i) {
  machine(i).kill_agent();
  flight_[i].reset();
  ask_at_[i].reset();
  tick_at_[i].reset();
  note(names_[i] + ": the agent is killed");
  at(chance_.between(seconds(1), chance_.chance(200) ? Duration(hours(2)) : Duration(minutes(1))),
     [this, i] { start_agent(i); });
}

void World::start_agent(size_t i) {
  SimMachine& m = machine(i);
  if (m.agent_runs() || !m.enrolled) return;
  if (!awake(i)) {
    on_waking_[i].push_back([this, i] { start_agent(i); });
    return;
  }
  guard_agent(i, [&] {
    if (const auto started = m.start_agent(*channels_[i]); !started)
      violated("7: the agent starts after whatever happened to it",
               started.error().message + started.error().cause);
    note(names_[i] + ": the agent runs");
    tick_at_[i] = now_;
    ask_at_[i] = now_ + Duration(1);
  });
  check_machine(i, 4);
}

// ---- What is due.

Timestamp World::server_due(size_t h) {
  SimServer& due_one = host(h);
  if (!due_one.is_up()) return kNever;
  if (hosts_[h].wake && !is_shared()) return now_;
  // By its own clock: a tick that came before its minute was over would leave the mark for the next one.
  Timestamp due = hosts_[h].wake ? now_
                                 : hosts_[h].ticked + due_one.clock().true_time_for(std::max(
                                                          is_shared() ? kLeaseTick : kMarkEvery, stride_));
  const Timestamp time = due_one.time();
  // Of several servers one ends what is due, sooner or later.
  for (const auto& [key, deadline] : documents_.grants)
    if (!is_shared() || deadline > time)
      due = std::min(due, now_ + due_one.clock().true_time_for(deadline - time));
  for (const auto& flight : flight_)
    if (flight && flight->at_server && flight->host == h && flight->asked.request.wait_ms > 0)
      due = std::min(due, flight->until);
  return std::max(due, hosts_[h].ticked + kServerTick);
}

void World::tick_server(size_t h) {
  hosts_[h].wake = false;
  hosts_[h].ticked = now_;
  const unsigned failures = host(h).disk_failures();
  guard_server(h, [&] {
    if (!options_.bugs.server_forgets_deadlines) host(h).tick();
    if (is_shared()) return;
    // The mark spends no reserve.
    if (!server().disk_is_full() && server().disk_failures() == failures) {
      marked_at_ = now_;
      stepped_since_mark_ = false;
    }
    documents_.expire(server().time());
    if (instead_) instead_->expire(server().time());
  });
  if (is_shared()) database_->idle();
  notice_database();
}

void World::tick_machine(size_t i) {
  SimMachine& m = machine(i);
  guard_agent(i, [&] {
    m.tick();
    tick_at_[i] = now_ + std::max({stride_, Duration(1), m.clock().true_time_for(m.until_tick())});
  });
  if (m.is_overdue())
    violated("8: changes are confirmed by contact or taken back", names_[i] + " keeps an unconfirmed change");
  check_machine(i, 1);
}

bool World::run_next(Timestamp end) {
  Timestamp next = server_due(0);
  int who = -1;  // the servers, from the last; then machines' ticks, machines' questions, events
  const auto consider = [&](Timestamp due, int candidate) {
    if (due < next) {
      next = due;
      who = candidate;
    }
  };
  for (size_t h = 1; h < hosts_.size(); ++h) consider(server_due(h), -1 - static_cast<int>(h));
  const int count = static_cast<int>(machines_.size());
  for (int i = 0; i < count; ++i) {
    if (!machine(i).agent_runs() || !awake(i)) continue;
    if (tick_at_[i]) consider(*tick_at_[i], i);
    if (ask_at_[i] && !flight_[i]) consider(*ask_at_[i], count + i);
  }
  if (!events_.empty()) consider(events_.top().at, 2 * count);
  if (next > end) return false;
  now_ = std::max(now_, next);
  if (who < 0) {
    tick_server(static_cast<size_t>(-1 - who));
  } else if (who < count) {
    tick_machine(static_cast<size_t>(who));
  } else if (who < 2 * count) {
    send_sync(static_cast<size_t>(who - count));
  } else {
    const auto run = events_.top().run;
    events_.pop();
    run();
  }
  return true;
}

void World::advance(Duration by) {
  const Timestamp end = now_ + by;
  const Timestamp fine_until = now_ + kFine;
  const Duration stride = std::max(Duration(minutes(1)), by / kStrides);
  do {
    stride_ = now_ > fine_until ? stride : Duration(0);
    follow_real_time();
  } while (run_next(end));
  if (stride_ > Duration(0)) {  // who was to be played a long stride from now is due again as at other times
    for (auto* due : {&ask_at_, &tick_at_})
      for (auto& moment : *due)
        if (moment) moment = std::min(*moment, end + kAfterStride);
  }
  stride_ = {};
  now_ = end;
  follow_real_time();
}

void World::follow_real_time() {
  if (real_ != nullptr) real_lag_ = std::max(real_lag_, real_->wait_until(now_ - kBeginning));
}

}  // namespace merlon::simulate

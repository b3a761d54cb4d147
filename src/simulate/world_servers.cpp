// Several servers on one database: who is asked, what each hears of the others, and what goes wrong between
// them and their database.
#include <fmt/format.h>

#include <algorithm>

#include "simulate/world.h"

namespace merlon::simulate {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr unsigned kSharedInThousand = 50;
constexpr unsigned kApartInThousand = 300;
constexpr Duration kNewsWithin{500};  // store/server_store.h
constexpr Duration kRetry{250};
constexpr Duration kApart = seconds(30);

}  // namespace

void World::make_servers() {
  // Apart from what happens: a seed's history with one server is none of this one's business.
  SeededRandom seed(options_.seed ^ 0x5e72e25U);
  const bool shared =
      options_.servers == 0 ? !options_.gentle && seed.chance(kSharedInThousand) : options_.servers > 1;
  if (!shared) {
    hosts_.emplace_back(
        std::make_unique<SimServer>(directory_ + "/server", setting_.disk->after_kill(), now_, product_),
        "the server");
    return;
  }
  database_ = std::make_unique<SimDatabase>(setting_.disk->after_kill(), [this](size_t h) { has_news(h); });
  database_->hide_changes(options_.bugs.store_hides_changes);
  for (size_t h = 0; h < std::max<size_t>(options_.servers, 2); ++h)
    hosts_.emplace_back(std::make_unique<SimServer>(fmt::format("{}/server-{}", directory_, h + 1),
                                                    *database_, h, now_, product_),
                        fmt::format("server {}", h + 1));
}

bool World::choose_server() {
  if (!is_shared()) return server().is_up();
  front_ = chance_.below(hosts_.size());
  for (size_t n = 0; n < hosts_.size() && !server().is_up(); ++n) front_ = (front_ + 1) % hosts_.size();
  return server().is_up();
}

bool World::choose_observer() {
  for (size_t n = 0; n < hosts_.size(); ++n)
    if (host(n).can_work()) {
      front_ = n;
      return true;
    }
  return false;
}

// The one that it spoke to last, until that one is away or the other is closer.
size_t World::host_for(size_t i) {
  if (is_shared() && (!host(home_[i]).is_up() || chance_.chance(100)))
    home_[i] = (home_[i] + 1) % hosts_.size();
  return home_[i];
}

void World::has_news(size_t h) {
  if (std::exchange(hosts_[h].news, true)) return;
  at(chance_.between(Duration(1), kNewsWithin), [this, h] { deliver_news(h); });
}

void World::deliver_news(size_t h) {
  if (!host(h).is_up()) {
    hosts_[h].news = false;
  } else if (!database_->reaches(h)) {
    at(kRetry, [this, h] { deliver_news(h); });  // its watcher looks again and again
  } else {
    hosts_[h].news = false;
    database_->tell(h);
    // Two threads hear of it at once: the one that answers agents may come before the one that ticks.
    if (chance_.chance(500)) guard_server(h, [&] { host(h).answer_waits(); });
  }
}

void World::start_database() {
  if (database_->is_up()) return;
  const unsigned failures = database_->disk_failures();
  if (const auto started = database_->start(); !started) {
    if (database_->disk_failures() == failures)
      violated("4: the database starts after whatever happened to it",
               started.error().message + started.error().cause);
    database_->die(Death::killed, product_);
    note("the database does not start: its disk fails");
    return at(seconds(5), [this] { start_database(); });
  }
  note("the database serves");
  for (size_t h = 0; h < hosts_.size(); ++h) has_news(h);  // whoever connects anew looks
}

void World::database_died(Death how) {
  database_->die(how, chance_);
  note(how == Death::killed ? "the database is killed" : "the database loses power");
  at(chance_.between(Duration(500), seconds(40)), [this] { start_database(); });
}

// It may have died under whoever wrote.
void World::notice_database() {
  if (is_shared() && database_->has_crashed()) database_died(Death::killed);
}

void World::server_serves(size_t h) {
  host(h).assembly().listen_to_others([this, h] { hosts_[h].wake = true; });
  note(hosts_[h].name + " serves");
  // The others' time is marked once a minute, and not at all while none is there: if this one's clock is
  // behind theirs, it begins that much behind them.
  const Duration behind = now_ + most_ahead_.value_or(Duration(0)) - host(h).time();
  if (behind <= Duration(0)) return;
  const bool alone = std::ranges::none_of(hosts_, [&](const Host& other) {
    return other.server.get() != hosts_[h].server.get() && other.server->can_work();
  });
  if (alone) {
    unseen_ += behind;
  } else {
    behind_ = std::max(behind_, behind + seconds(1));
  }
}

// Of each its own, by up to ten minutes; or all right.
void World::set_clocks_apart() {
  if (!is_shared() || !chance_.chance(kApartInThousand)) return;
  clock_stepped_ = true;
  for (Host& each : hosts_) {
    const Duration by = chance_.between(Duration(0), minutes(20)) - minutes(10);
    each.server->clock().step_wall(by);
    note(fmt::format("{}: its wall clock is {} s {}", each.name, std::abs(by.count()) / 1000,
                     by < Duration(0) ? "behind" : "ahead"));
  }
}

void World::shared_fault() {
  const size_t h = chance_.below(hosts_.size());
  const std::string& name = hosts_[h].name;
  switch (chance_.below(8)) {
    case 0:
      if (!host(h).is_up()) return;
      host(h).faults().kill_in = static_cast<int>(1 + chance_.below(8));
      return note(name + " is going to die at a write");
    case 1:
    case 2:
      if (host(h).is_up()) server_died(h, Death::killed);
      return;
    case 3:
      if (!host(h).is_up()) return;
      guard_server(h, [&] { host(h).stop(); });
      note(name + " stops");
      return at(chance_.between(seconds(1), minutes(2)), [this, h] { start_server(h); });
    case 4:
      database_->cut_off(h, true);
      note(name + " is cut off from the database");
      return at(chance_.between(seconds(1), chance_.chance(200) ? Duration(hours(1)) : minutes(2)),
                [this, h] {
                  database_->cut_off(h, false);
                  note(hosts_[h].name + " reaches the database again");
                });
    case 5:
      if (database_->is_up()) database_died(chance_.chance(500) ? Death::killed : Death::power_lost);
      return;
    default:
      host(h).fail_disk_in(static_cast<int>(1 + chance_.below(chance_.chance(500) ? 12 : 200)));
      return note("an operation of the database's disk is going to fail");
  }
}

World::TrueEnd World::true_end_of(const GrantKey& key) {
  if (is_shared()) return granted_.at(key);
  const Duration remaining = documents_.grants.at(key) - server().time();
  return {now_ + remaining, remaining};
}

Timestamp World::earliest_time() {
  Timestamp earliest = Timestamp::max();
  for (const Host& each : hosts_)
    if (each.server->is_up()) earliest = std::min(earliest, each.server->time());
  return earliest;
}

void World::look_at_clocks() {
  for (const Host& each : hosts_)
    if (each.server->is_up()) server_time_seen_ = std::max(server_time_seen_, each.server->time());
  // Then an opening ends sooner than the one promised that is behind.
  if (server_time_seen_ - earliest_time() > kApart) clock_stepped_ = true;
  const Duration ahead = server_time_seen_ - now_;
  most_ahead_ = std::max(most_ahead_.value_or(ahead), ahead);
}

// One of several servers ends what is due, and none but it knows when.
void World::settle(Documents& documents, const Documents& seen) {
  std::erase_if(documents.grants, [&](const auto& grant) {
    return grant.second <= server_time_seen_ && !seen.grants.contains(grant.first);
  });
}

}  // namespace merlon::simulate

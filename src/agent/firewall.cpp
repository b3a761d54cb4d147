// Applying, opening, repairing.
#include "agent/firewall.h"

#include <fmt/format.h>

#include <algorithm>

namespace merlon::agent {
namespace {

// An element can run out between the addition and the deletion of a transaction; then it fails whole, and the
// next try finds it gone.
constexpr int kTries = 3;
constexpr Duration kSlackMost{5'000};

template <class Work>
Result<void> repeat_when_missing(const Work& work) {
  Result<void> done = work();
  for (int i = 1; i < kTries && !done && done.error().kind == ErrorKind::not_found; ++i) done = work();
  return done;
}

}  // namespace

Result<Firewall> Firewall::open(const Clock& clock) {
  Nft nft = TRY(Nft::open());
  FirewallMonitor monitor = TRY(FirewallMonitor::open());
  Firewall firewall(clock, std::move(nft), std::move(monitor));
  firewall.hear_flows_by(open_flow_events);
  firewall.end_connections_by([](const WhichConnections& which) { return forget_connections(which); });
  return firewall;
}

Result<void> Firewall::commit(const std::string& commands) {
  const auto note = [this](const FirewallMonitor::News& news, unsigned own) {
    pending_.table_removed |= news.table_removed;
    pending_.missed |= news.missed;
    pending_.our_commits += news.our_commits - std::min(news.our_commits, own);
    pending_.other_commits += news.other_commits;
  };
  note(TRY(monitor_.drain()), 0);
  const auto done = nft_.run(commands);
  // The kernel queues a transaction's events before it answers the one who sent it, so ours have come.
  note(TRY(monitor_.drain()), done ? 1 : 0);
  return done;
}

Firewall::Doors Firewall::live_doors() const {
  Doors live{elements_of(openings_), marks_of(openings_)};
  const auto over = [now = clock_.boottime()](Duration deadline) {
    return deadline - now - kCommitMargin < kShortestTimeout;
  };
  std::erase_if(live.elements, [&](const auto& element) { return over(element.second.deadline); });
  std::erase_if(live.marks, [&](const auto& mark) { return over(mark.second); });
  return live;
}

std::string Firewall::door_changes_text(const Doors& before, const Doors& after) const {
  const Duration now = clock_.boottime() + slack_;
  return element_changes_text(before.elements, after.elements, now) +
         mark_changes_text(before.marks, after.marks, now);
}

std::vector<OpeningSet> Firewall::sets_in_use() const { return {sets_.begin(), sets_.end()}; }

Result<std::vector<std::string>> Firewall::stale_chains(const machine::DesiredState& state) {
  const std::vector<std::string> wanted = chain_names(state);
  std::vector<std::string> stale;
  const JsonArray listing = TRY(nft_.list("list chains inet"));
  for (const JsonObject* chain : objects_of(listing, "chain")) {
    const std::string name = string_at(*chain, "name").value_or("");
    if (string_at(*chain, "table") == "merlon" && !chain->contains("hook") &&
        std::find(wanted.begin(), wanted.end(), name) == wanted.end())
      stale.push_back(name);
  }
  return stale;
}

Result<void> Firewall::apply(const machine::DesiredState& state, const Platform& platform) {
  for (const OpeningSet& set : sets_of(live_doors().elements)) sets_.insert(set);
  // A chain to remove may be gone by then: somebody else's flush came between.
  TRY(repeat_when_missing([&]() -> Result<void> {
    const std::vector<std::string> stale = TRY(stale_chains(state));
    return commit(base_text() + rules_text(state, platform, sets_in_use(), stale));
  }));
  state_ = state;
  state_->openings.clear();
  platform_ = platform;
  return {};
}

Result<void> Firewall::set_openings(const std::vector<LiveOpening>& openings) {
  if (!state_) return internal_error("openings before rules");
  // Without its check a mark would be a promise that nobody keeps.
  if (platform_.mark_mask == 0 && !marks_of(openings).empty())
    return internal_error("an opening that cuts, before rules that do");
  openings_ = openings;
  return write_openings();
}

Result<void> Firewall::write_openings() {
  bool on_time = false;
  for (int i = 0; i < kTries && !on_time; ++i)
    TRY(repeat_when_missing([&]() -> Result<void> {
      const Duration begun = clock_.boottime();
      const Doors live = live_doors();
      const std::vector<OpeningSet> sets = sets_of(live.elements);
      const bool new_set =
          std::any_of(sets.begin(), sets.end(), [&](const OpeningSet& set) { return !sets_.contains(set); });
      std::set<OpeningSet> all = sets_;
      all.insert(sets.begin(), sets.end());
      const std::string commands =
          (new_set ? opening_lookups_text({all.begin(), all.end()}, platform_.mark_mask, opening_log(*state_))
                   : std::string()) +
          door_changes_text(in_kernel_, live);
      if (!commands.empty()) TRY(commit(commands));
      sets_ = std::move(all);
      on_time = note_written(in_kernel_, live, begun);
      return {};
    }));
  return {};
}

bool Firewall::note_written(const Doors& before, Doors after, Duration begun) {
  const Duration took = clock_.boottime() - begun;
  const bool on_time = took <= kCommitMargin + slack_;
  slack_ = on_time ? slack_ / 2 : std::min(kSlackMost, took + took / 4);
  if (!on_time) {
    for (auto& [key, value] : after.elements)
      if (const auto it = before.elements.find(key); it == before.elements.end() || it->second != value)
        value.deadline = Duration::min();
    for (auto& [mark, deadline] : after.marks)
      if (const auto it = before.marks.find(mark); it == before.marks.end() || it->second != deadline)
        deadline = Duration::min();
  }
  in_kernel_ = std::move(after);
  return on_time;
}

Result<void> Firewall::reassert_openings() {
  // Deadlines that differ from what we believe the kernel has are written anew, so: believe nothing.
  for (auto& [key, value] : in_kernel_.elements) value.deadline = Duration::min();
  for (auto& [mark, deadline] : in_kernel_.marks) deadline = Duration::min();
  return set_openings(std::vector<LiveOpening>(openings_));
}

Result<bool> Firewall::is_open(const LiveOpening& opening) {
  for (const ElementKey& key : keys_of(opening))
    if (TRY(nft_.exists(fmt::format("get element inet merlon {} {{ {} }}", key.set().name(), key.text()))))
      return true;
  return false;
}

void Firewall::forget() {
  state_.reset();
  openings_.clear();
  in_kernel_ = {};
  known_.clear();
  sets_.clear();
}

Result<void> Firewall::remove() {
  forget();
  // Deleting fails when it is not there: make sure that it is.
  return commit(fmt::format("add table {0}\ndelete table {0}\n", kTable));
}

Result<bool> Firewall::table_exists() { return nft_.exists("list table inet merlon"); }

Result<void> Firewall::recreate() {
  const Duration begun = clock_.boottime();
  const Doors live = live_doors();
  const std::vector<OpeningSet> sets = sets_of(live.elements);
  TRY(monitor_.drain());
  pending_ = {};
  // Taking away what is left first also takes away what somebody added: elements that we did not open.
  const auto done = commit(fmt::format("add table {0}\ndelete table {0}\n", kTable) + base_text() +
                           rules_text(*state_, platform_, sets, {}) + door_changes_text({}, live) +
                           known_sessions_text(known_, known_until_ - begun - kCommitMargin));
  if (!done) {
    pending_.table_removed = true;  // still to be repaired
    return done;
  }
  if (pending_.our_commits == 0) pending_.table_removed = false;  // that was our own removal
  sets_ = {sets.begin(), sets.end()};
  counted_ = {};
  counted_flows_.clear();
  if (!note_written({}, live, begun)) TRY(write_openings());
  return {};
}

Result<void> Firewall::begin(const machine::DesiredState& state, const Platform& platform,
                             const std::vector<LiveOpening>& openings) {
  state_ = state;
  state_->openings.clear();
  platform_ = platform;
  openings_ = openings;
  return recreate();
}

Result<Firewall::Interference> Firewall::watch(bool repair) {
  const Duration heard = clock_.boottime();
  Interference seen;
  for (int i = 0; i < kTries; ++i) {
    const FirewallMonitor::News news = TRY(monitor_.drain());
    const FirewallMonitor::News before = std::exchange(pending_, {});
    const bool missed = news.missed || before.missed;
    const bool lost = news.table_removed || before.table_removed;
    const bool changed = lost || missed || news.our_commits + before.our_commits > 0;
    seen.others_changed |= missed || news.other_commits + before.other_commits > 0;
    seen.table_lost |= lost;
    seen.changed |= changed;
    if (!changed || !repair || !state_) break;
    TRY(recreate());
    seen.gap = clock_.boottime() - heard;
  }
  return seen;
}

}  // namespace merlon::agent

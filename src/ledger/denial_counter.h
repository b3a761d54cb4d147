// Counts denied reads and unauthenticated failures in bounded memory, so that an attacker can neither fill
// the disk with entries nor the memory with counters. Not for other rooms: ledger.h is theirs.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "ledger/entry.h"

namespace merlon::ledger {

class DenialCounter {
 public:
  static constexpr size_t kCallersPerMinuteMax = 10'000;
  // Those who have not signed in have room of their own: however many addresses ask, the refusals of the
  // others keep their names.
  static constexpr size_t kStrangersPerMinuteMax = 1'000;
  // In both, while finished minutes wait to be written: as much again.
  static constexpr size_t kSamplesMax = 5;

  // A few of the values that were seen, and what they have in common.
  struct Samples {
    std::vector<std::string> values;
    bool more = false;
    void add(std::string value);
    void add(const Samples& other);
  };
  struct Summary {
    Entry first;  // of the denials counted here
    Timestamp last_time;
    int64_t count = 0;
    std::string common_resource;  // the longest folder that holds every resource
    Samples resources, addresses, reasons;
    bool overflow = false;
    bool source_is_prefix = false;  // counted by address, not by who it was
    bool of_stranger = false;
    void add(const Summary& other);
    Entry entry() const;
  };
  using Minute = std::chrono::sys_time<std::chrono::minutes>;
  struct Key {
    Minute minute;
    std::string caller;
    std::string action;
    Decision decision = Decision::denied;
    auto operator<=>(const Key&) const = default;
  };
  using Counts = std::map<Key, Summary>;

  void note(const Entry& entry);
  // The minutes that are over at `now`, taken out; give them back with restore() when they could not be
  // written.
  Counts take_finished(Timestamp now);
  void restore(Counts counts);

 private:
  struct Room {
    std::string overflow_caller;  // no caller has such a name
    size_t per_minute_max = 0;
    Counts counts{};
    std::map<Minute, size_t> per_minute{};
  };
  void add_locked(Room& room, Key key, Summary summary);

  std::mutex mutex_;
  Room known_{.overflow_caller = "known", .per_minute_max = kCallersPerMinuteMax};
  Room strangers_{.overflow_caller = "strangers", .per_minute_max = kStrangersPerMinuteMax};
};

}  // namespace merlon::ledger

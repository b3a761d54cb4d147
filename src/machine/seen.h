// When each machine was last heard, and from which address: a small row of its own, since a machine's record
// is large and most of what an agent says is nothing new. Kept in memory and written now and then.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/uuid.h"
#include "store/table.h"

namespace merlon::machine {

struct Seen {
  Uuid machine;
  Timestamp at;
  std::optional<IpAddress> from = {};  // where its agent is seen
  static const store::TableSpec& table();
  std::string key() const { return machine.text(); }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<Seen> from_json(const JsonObject& json);
};

// What this server has heard and not written yet. Another server has its own; the later row stands. A server
// that is killed forgets what it has not written: a machine then counts as heard a minute earlier, until it
// speaks again. Thread-safe.
class SeenBook {
 public:
  // False when it is time to write it at once: nobody has for a while, or it comes from somewhere else, for
  // the first time in a minute.
  bool note(const Seen& seen);
  void written(const Seen& seen);
  void forget(const Uuid& machine);
  // Some of those that are to be written now, so that no write is long.
  std::vector<Seen> due(Timestamp now) const;

 private:
  struct Entry {
    Timestamp heard, written;
    std::optional<IpAddress> from, written_from;
    std::optional<Timestamp> moved;  // when another address than before was last written
  };
  mutable std::mutex mutex_;
  std::map<Uuid, Entry> entries_;
};

}  // namespace merlon::machine

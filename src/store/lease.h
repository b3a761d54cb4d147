// A lease on work that one server at a time shall do. The holder shows that it lives by counting up; who sees
// no change for the lease's lifetime, by a clock of its own that never steps, takes it over with a higher
// epoch. So servers' clocks are never compared. A holder that was stopped and wakes up late may believe for a
// moment that it still holds: check(), inside each write of the work, refuses then (fencing).
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "store/table.h"

namespace merlon::store {

const TableSpec& leases_table();

class Lease {
 public:
  static constexpr Duration kLifetime = std::chrono::seconds(4);
  static constexpr Duration kRenewEvery = std::chrono::seconds(1);

  // `holder` is different for every process.
  Lease(Store& store, const Clock& clock, std::string name, std::string holder)
      : store_(store), clock_(clock), name_(std::move(name)), holder_(std::move(holder)) {}

  // Takes it when it is free, renews it when that is due: call it before the work, often. Whether this server
  // holds it.
  Result<bool> hold();
  // In a transaction of the work: an error (LeaseLost) unless this server still holds it, under its own
  // epoch.
  Result<void> check(Reader& reader) const;
  Result<void> release();  // so that another need not wait

 private:
  struct Record {
    std::string holder;  // empty: nobody
    int64_t epoch = 0;   // grows with each change of the holder
    int64_t beat = 0;    // grows with each renewal
    bool operator==(const Record&) const = default;
  };

  Result<Record> read(Reader& reader) const;
  Result<void> put(Transaction& tx, const Record& record) const;
  Result<bool> take(Transaction& tx, const Record& expected);

  Store& store_;
  const Clock& clock_;
  const std::string name_;
  const std::string holder_;
  mutable std::mutex mutex_;
  int64_t epoch_ = 0;           // ours; 0: not held
  std::optional<Record> seen_;  // as another held it, unchanged since
  Duration since_{};            // CLOCK_BOOTTIME: of seen_, or of our last renewal
};

}  // namespace merlon::store

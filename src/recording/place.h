// Whose a directory of blobs is, where several servers share one database. Its id lies in it, and a copy of
// it (of a cloned machine) has the id of the original: without asking, the copy would take what the original
// records at the moment for what a dead server left, find that it is shorter here, and call it damaged.
//
// Whoever has a place says so by counting up in its row. A server that finds the row said by another looks on
// for a while: if that one counts on, this directory is a copy.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "store/store.h"

namespace merlon::recording {

const store::TableSpec& places_table();

// Where a directory is, so that it is the same only for one that is started again there: the running kernel,
// and the directory itself.
Result<std::string> whereabouts(const std::string& directory);

class PlaceClaim {
 public:
  static constexpr Duration kRenewEvery = std::chrono::seconds(2);
  static constexpr Duration kQuiet = std::chrono::seconds(10);

  PlaceClaim(store::Store& store, const Clock& clock, std::string place, std::string whereabouts)
      : store_(store), clock_(clock), place_(std::move(place)), where_(std::move(whereabouts)) {}

  enum class Whose { ours, anothers, unknown };
  // Takes it when it may; unknown: ask again in a moment.
  Result<Whose> look();
  // That it is ours still. An error (PlaceTaken): another has it, since this server was silent for long. When
  // due.
  Result<void> renew();
  Result<void> release();  // at the end, so that nobody need wait

 private:
  struct Row {
    std::string where;  // empty: nobody's
    int64_t beat = 0;
    bool operator==(const Row&) const = default;
  };
  Result<Row> read(store::Reader& reader) const;
  Result<void> put(store::Transaction& tx, const Row& row) const;

  store::Store& store_;
  const Clock& clock_;
  const std::string place_, where_;
  std::optional<Row> seen_;  // of another
  Duration since_{0};        // unchanged, or of our last renewal
};

}  // namespace merlon::recording

// The real store, under a process that dies when the simulator says so, before or after a commit; and bugs.
// What goes wrong with the disk is below SQLite: sim_disk.h.
#pragma once

#include <functional>
#include <memory>

#include "store/server_store.h"

namespace merlon::simulate {

// Thrown through the server to whoever plays the process: it is dead from here on.
struct ServerKilled {};

struct StoreFaults {
  bool dead = false;  // the process is gone; what still unwinds writes nothing
  int kill_in = 0;    // counts down at each write before and after its commit; at 1 the process is killed
  // Bugs, for the test that the simulator notices: writes are acknowledged and not done, or done otherwise.
  bool loses_writes = false;
  std::function<void(const store::TableSpec&, store::Row&)> alters;
};

std::unique_ptr<store::ServerStore> make_faulty(std::unique_ptr<store::ServerStore> inner,
                                                StoreFaults& faults);

}  // namespace merlon::simulate

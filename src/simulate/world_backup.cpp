// The server's state is lost, and a backup of it is restored elsewhere: what was written since is gone,
// nothing that was open is open, and the machines follow.
#include <fmt/format.h>

#include "simulate/world.h"

namespace merlon::simulate {

void World::back_up() {
  if (instead_ || server().disk_is_full()) return;
  const auto file = server().back_up(directory_);
  if (!file) violated("4: a backup can be made beside a server", file.error().message + file.error().cause);
  backup_ = Backup{*file, documents_, acknowledged_, enrolments_};
  note("a backup is made");
}

// Not where a machine came or went since: whoever restores must enrol or remove it again. Nor under a clock
// that was set: an epoch is a time, so that the second restore of one backup is later than the first.
void World::restore() {
  if (!backup_ || backup_->enrolments != enrolments_ || clock_stepped_ || server().disk_is_full()) return;
  server().faults().kill_in = 0;
  server().fail_disk_in(0);
  server().stop();
  for (size_t i = 0; i < machines_.size(); ++i)
    if (flight_[i] && flight_[i]->at_server) fail_sync(i, flight_[i]->id, "ConnectionLost", Duration(5));
  const auto restored = server().restore(backup_->file);
  if (!restored) violated("4: a backup can be restored", restored.error().message + restored.error().cause);
  documents_ = backup_->documents;
  documents_.grants.clear();
  acknowledged_ = backup_->acknowledged;
  heads_.clear();  // of a history that is gone
  copies_.clear();
  grant_ids_.clear();
  server_time_seen_ = {};
  note("the state is lost, and restored from the backup");
  start_server(0);
}

}  // namespace merlon::simulate

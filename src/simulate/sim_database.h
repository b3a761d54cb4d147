// A database that several servers share, as PostgreSQL is to them (store/server_store.h, decision 0005):
// writers take turns, what one has acknowledged all others read, each hears late that another has written,
// and each can lose its connection. Here it is the product's SQLite store on a simulated disk. A process of
// its own: it dies without its servers, and they without it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "simulate/faulty_store.h"
#include "simulate/seeded_random.h"
#include "simulate/sim_disk.h"

namespace merlon::simulate {

class SimDatabase {
 public:
  // `has_news(server)`: another one has written. Whoever plays the world calls tell() within half a second.
  SimDatabase(std::shared_ptr<SimDisk> disk, std::function<void(size_t server)> has_news)
      : disk_(std::move(disk)), has_news_(std::move(has_news)) {}
  ~SimDatabase();
  SimDatabase(const SimDatabase&) = delete;
  SimDatabase& operator=(const SimDatabase&) = delete;

  Result<void> start();
  void die(Death how, SeededRandom& random);
  bool is_up() const { return store_ != nullptr && !crashed_; }
  // It met an error after which nobody knows what is on the disk: whoever was writing has died with it.
  bool has_crashed() const { return crashed_; }
  void idle();
  uint64_t commit_count() const { return commits_before_ + store_->commit_count(); }
  unsigned disk_failures() const { return failed_before_ + disk_->faults().failed; }
  const std::shared_ptr<SimDisk>& disk() const { return disk_; }

  std::unique_ptr<store::ServerStore> connect(size_t server);
  void cut_off(size_t server, bool cut) {
    if (cut) {
      cut_.insert(server);
    } else {
      cut_.erase(server);
    }
  }
  bool reaches(size_t server) const { return is_up() && !cut_.contains(server); }
  void tell(size_t server);
  // A bug, for the test that the simulator notices: servers take what they know for what is there.
  void hide_changes(bool hide) { hides_changes_ = hide; }

 private:
  class Connection;
  class Snapshot;

  std::shared_ptr<SimDisk> disk_;
  const std::function<void(size_t server)> has_news_;
  std::unique_ptr<store::EmbeddedStore> store_;
  bool crashed_ = false, hides_changes_ = false;
  unsigned failed_before_ = 0;  // of disks that were
  uint64_t commits_before_ = 0;
  std::map<size_t, Connection*> connections_;
  std::set<size_t> cut_;
  Connection* writing_ = nullptr;
};

}  // namespace merlon::simulate

// A server without sockets: the product's Assembly on a simulated disk of its own, which can be killed at any
// write, or lose power at any time, and starts again on what is on its disk then. Or on a database that it
// shares.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "server/assembly.h"
#include "simulate/faulty_store.h"
#include "simulate/seeded_random.h"
#include "simulate/sim_database.h"
#include "simulate/world_clock.h"

namespace merlon::simulate {

inline constexpr std::string_view kDomain = "merlon.localhost";
inline constexpr std::string_view kHost = "merlon.localhost:8443";

// Who signs in with a client secret.
struct Client {
  std::string name, client_id, secret, object_id;
  IpAddress address;
};

struct Ask {
  std::string method, target;
  std::string body;
  std::string token;
  std::string if_match;
  IpAddress peer;
  net::Plane plane = net::Plane::control;
  std::string certificate;
};

class SimServer {
 public:
  // `directory` has what is not in the database: the root key, notes. `disk` has the database.
  SimServer(std::string directory, std::shared_ptr<SimDisk> disk, const Timestamp& truth,
            SeededRandom& random)
      : directory_(std::move(directory)), disk_(std::move(disk)), clock_(truth), random_(random) {}
  // One of several, by number.
  SimServer(std::string directory, SimDatabase& database, size_t number, const Timestamp& truth,
            SeededRandom& random)
      : directory_(std::move(directory)),
        database_(&database),
        number_(number),
        clock_(truth),
        random_(random) {}
  ~SimServer();
  SimServer(const SimServer&) = delete;
  SimServer& operator=(const SimServer&) = delete;

  Result<void> start();  // as server::run does, until it would serve
  void die(Death how);
  void stop();  // SIGTERM
  bool is_up() const { return assembly_ != nullptr; }
  // As `merlon state backup` beside it; and as `merlon state restore` into another directory, on which it
  // starts next.
  Result<std::string> back_up(const std::string& directory);
  Result<void> restore(const std::string& file);

  // The rest may throw ServerKilled; the caller then calls kill().
  void deliver(const Ask& ask, std::function<void(net::Response)> respond);
  net::Response call(const Ask& ask);  // status 0: no answer
  net::Response call(const Client& client, std::string method, const std::string& path,
                     const JsonObject& body = {}, const std::string& if_match = {});
  void tick();
  void answer_waits();  // as the thread does that answers agents, beside the one that ticks

  server::Assembly& assembly() { return *assembly_; }
  ComputerClock& clock() { return clock_; }
  StoreFaults& faults() { return faults_; }
  const std::string& directory() const { return directory_; }
  const std::shared_ptr<SimDisk>& disk() const { return database_ == nullptr ? disk_ : database_->disk(); }
  // With its database too.
  bool can_work() const { return is_up() && (database_ == nullptr || database_->reaches(number_)); }
  bool disk_is_full() const { return disk()->faults().full; }
  void fill_disk(bool full);
  // How often the disk has failed this server's own requests; and whether it is going to.
  unsigned disk_failures() const {
    return database_ == nullptr ? disk_failures_ + disk_->faults().failed : database_->disk_failures();
  }
  bool disk_may_fail() const { return fail_in_ > 0; }
  void fail_disk_in(int operations) { fail_in_ = operations; }
  const std::string& last_request_id() const { return last_request_id_; }
  uint64_t handled() const { return handled_; }
  // Time for deadlines, as the server has it.
  Timestamp time() { return assembly_->grants().now(); }

 private:
  struct Token {
    std::string text;
    Timestamp issued;
  };
  // While the server itself is at work: the simulator's own looks never meet a failing disk.
  class AtWork;
  std::string token_of(const Client& client);
  Result<void> start_process();
  Result<std::unique_ptr<store::ServerStore>> open_store();

  std::string directory_;
  std::shared_ptr<SimDisk> disk_;    // its own, or
  SimDatabase* database_ = nullptr;  // shared
  size_t number_ = 0;
  ComputerClock clock_;
  SeededRandom& random_;
  StoreFaults faults_;
  std::unique_ptr<server::Assembly> assembly_;
  store::EmbeddedStore* store_ = nullptr;  // the assembly's, on a disk of its own
  int fail_in_ = 0;
  unsigned disk_failures_ = 0;       // of disks that were
  std::optional<uint64_t> commits_;  // at the last tick, and when that was
  Duration quiet_since_{};
  std::map<std::string, Token> tokens_;
  std::string last_request_id_;
  uint64_t handled_ = 0;
  unsigned lives_ = 0, backups_ = 0;
  bool serving_ = false;  // answers reach whoever asked
};

}  // namespace merlon::simulate

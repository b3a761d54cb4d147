// A server without sockets: the product's Assembly on a state directory of its own, which can be killed at
// any write and started again on what was on its disk at that moment.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "server/assembly.h"
#include "simulate/faulty_store.h"
#include "simulate/seeded_random.h"
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
  SimServer(std::string directory, const Timestamp& truth, SeededRandom& random)
      : directory_(std::move(directory)), clock_(truth), random_(random) {}
  ~SimServer();
  SimServer(const SimServer&) = delete;
  SimServer& operator=(const SimServer&) = delete;

  Result<void> start();  // as server::run does, until it would serve
  void kill();           // -9: the next start finds the files as they are now
  void stop();           // SIGTERM
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

  server::Assembly& assembly() { return *assembly_; }
  ComputerClock& clock() { return clock_; }
  StoreFaults& faults() { return faults_; }
  const std::string& directory() const { return directory_; }
  const std::string& last_request_id() const { return last_request_id_; }
  uint64_t handled() const { return handled_; }
  // Time for deadlines, as the server has it.
  Timestamp time() { return assembly_->grants().now(); }

 private:
  struct Token {
    std::string text;
    Timestamp issued;
  };
  std::string token_of(const Client& client);

  std::string directory_;
  ComputerClock clock_;
  SeededRandom& random_;
  StoreFaults faults_;
  std::unique_ptr<server::Assembly> assembly_;
  std::map<std::string, Token> tokens_;
  std::string last_request_id_;
  uint64_t handled_ = 0;
  unsigned lives_ = 0, backups_ = 0;
  bool serving_ = false;  // answers reach whoever asked
};

}  // namespace merlon::simulate

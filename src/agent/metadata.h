// The identity endpoint of this machine: what local programs ask for tokens, as they ask Azure's. Two faces:
// Azure Arc's at 127.0.0.1:40342, with its challenge file; and, where the owner wants it, the one at
// 169.254.169.254, whose connections the firewall brings here. Who a caller is decides the door that the
// firewall brought it to: users and units are told apart by the kernel when the connection begins, never by
// looking for it afterwards. (Whose account a request goes to is looked for afterwards.)
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/challenges.h"
#include "agent/request_rate.h"
#include "agent/token_cache.h"
#include "machine/identity_endpoint.h"
#include "net/loopback_server.h"

namespace merlon::agent {

inline constexpr uint16_t kArcPort = 40342;
inline constexpr uint16_t kLinkLocalPort = 80;

// What the privileged half is asked to bring to which port.
struct IdentityDoor {
  uint16_t port = 0;
  std::vector<std::string> users, units;
  bool operator==(const IdentityDoor&) const = default;
};
struct IdentityDoors {
  std::vector<IdentityDoor> doors;  // the first that fits decides
  bool link_local = false;
  bool operator==(const IdentityDoors&) const = default;
  JsonObject to_json() const;
  static Result<IdentityDoors> from_json(const JsonObject& json);
};

// The answers, without sockets.
class Metadata {
 public:
  Metadata(TokenSource& source, const Clock& clock, Random& random, std::string boot_id,
           std::string challenge_directory);

  // From any thread.
  net::Response answer(const net::Request& request, const net::Door& door);

  // `callers`: the rule whose callers come in at each port; whoever comes in at another one is nobody in
  // particular. `leaving`: ports to which the kernel may bring callers still, until it knows of the others.
  void follow(const machine::IdentityEndpoint& endpoint, std::map<uint16_t, std::string> callers,
              std::set<uint16_t> leaving = {});

 private:
  struct State {
    machine::IdentityEndpoint endpoint;
    std::map<uint16_t, std::string> callers;  // by port
    std::set<uint16_t> leaving;
  };
  struct Asker {
    bool link_local = false;
    const machine::CallerRule* rule = nullptr;  // that let the caller in
    std::optional<uint32_t> user{};
    std::string name() const { return rule == nullptr ? std::string() : rule->name; }
    // Who has requests and challenge files of their own, so that nobody uses up another's: the callers of a
    // rule; where the file decides, each user, root too. Users who cannot be told are one.
    std::string account() const;
  };
  std::shared_ptr<const State> state() const;
  static std::optional<Asker> asker_at(const State& state, const net::Door& door);
  net::Response token(const State& state, const Asker& asker, const net::Request& request);
  // Nothing when the caller has shown the content of a file that was made for it.
  std::optional<net::Response> challenge(const Asker& asker, const net::Request& request);

  TokenCache cache_;
  RequestRate rate_;
  const std::string boot_id_;
  mutable std::mutex mutex_;
  std::shared_ptr<const State> state_ = std::make_shared<State>();
  std::mutex challenges_mutex_;
  Challenges challenges_;
};

// The endpoint on its ports.
class MetadataServer {
 public:
  MetadataServer(Metadata& metadata, const Clock& clock);
  // Opens and closes doors; those of rules that stay as they are stay open. An error when the endpoint cannot
  // be served: nothing is then.
  Result<IdentityDoors> follow(const machine::IdentityEndpoint& endpoint);
  // The kernel brings callers to the doors of the last follow() alone. Until then those from before stay
  // open: who is brought there is told to try again, and is not turned away as if no agent were there.
  void settle();

 private:
  void close_all();
  Result<std::vector<uint16_t>> open_doors(const machine::IdentityEndpoint& endpoint);
  bool may_serve_link_local();
  Metadata& metadata_;
  const Clock& clock_;
  std::unique_ptr<net::LoopbackServer> server_;
  bool is_open_ = false;
  std::vector<machine::CallerRule> rules_;  // whose doors are open
  std::vector<uint16_t> rule_ports_;
  std::set<uint16_t> leaving_;
  std::optional<bool> is_cloud_;
  Duration look_again_{};
};

}  // namespace merlon::agent

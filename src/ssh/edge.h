// The listener of the bastion for plain SSH clients. It reads nothing of what they send: each connection gets
// a process of its own, which can do nothing but talk, and which asks here for the little that it needs
// (desk.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ssh/desk.h"
#include "ssh/program.h"

namespace merlon::ssh {

struct EdgeLimits {
  size_t connections_max = 4000;
  size_t per_source_max = 100;         // connections at once of one address (IPv6: of one /64)
  size_t unknown_per_source_max = 10;  // of them, nobody has signed in yet (IPv6: of one /48)
  // Nobody has signed in yet, whatever the address: up to `unknown_free` all are let in, then fewer and
  // fewer, and none beyond `unknown_max` (sshd_config(5), MaxStartups). Each has a process for as long as
  // `grace`, and who is known needs no room of theirs.
  size_t unknown_free = 100;
  size_t unknown_max = 300;
  // Connections of one address within `failures_for` whose keys and codes were all refused: then it waits.
  size_t failures_max = 30;
  Duration failures_for = std::chrono::minutes(5);
  Duration grace = std::chrono::minutes(2);  // to sign in
  Duration obey_within =
      std::chrono::seconds(10);  // for a process to end a session as it is told; then it is killed
  size_t sessions_max = 16;      // of one connection
  unsigned workers = 16;
};

struct EdgeParameters {
  std::vector<std::string> listen;  // "192.0.2.1:22", "[::]:2222"; port 0: any; none: pages alone
  Program program{{}};              // the process of a connection: run_session_process()
  EdgeLimits limits{};
};

class Edge {
 public:
  // `desk` and `clock` must outlive it. An error: an address cannot be listened on.
  static Result<std::unique_ptr<Edge>> start(EdgeParameters parameters, Desk& desk, const Clock& clock);
  virtual ~Edge() = default;
  virtual std::vector<std::string> addresses() const = 0;
  virtual size_t connections() const = 0;
  // Somebody who has signed in already, at a page: a session of theirs to where the server has settled that
  // they go. Answers with the page's end of a stream of frames (browser_frames.h), which the caller owns.
  // From any thread.
  virtual Result<int> serve(std::shared_ptr<Person> person, const Destination& to, const Source& source) = 0;
  // The same for somebody who speaks SSH there: inside a tunnel that is theirs alone, so that they are not
  // asked who they are. The login is the one that they name, and `to` has none.
  virtual Result<int> serve_ssh(std::shared_ptr<Person> person, const Destination& to,
                                const Source& source) = 0;
  // Ends every session, saying so to the people; then everything. Idempotent.
  virtual void stop() = 0;
};

}  // namespace merlon::ssh

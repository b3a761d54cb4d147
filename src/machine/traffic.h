// What a machine in audit mode sees: who listens, who is connected, what its rules would drop. It comes from
// the agent's reports, is material for a proposal and for the question whom enforcement would lock out, and
// changes no rule by itself: a machine can lie about itself here and no further.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "machine/desired_state.h"
#include "store/table.h"

namespace merlon::machine {

// The facts of an observation "traffic".
struct TrafficReport {
  struct Listener {
    Protocol protocol = Protocol::tcp;
    IpAddress address;
    uint16_t port = 0;
  };
  struct Session {  // TCP, begun by the peer
    IpAddress peer, address;
    uint16_t port = 0;
  };
  std::vector<Listener> listeners;
  std::vector<Session> sessions;
  bool more = false;                              // than a report holds
  int64_t connections = 0, connections_most = 0;  // in the kernel's table of tracked connections
  std::vector<std::string> untracked_by;          // others' chains that take packets out of tracking
  int64_t foreign_marks = 0;                      // packets with a connection mark in the bits that are ours
  JsonObject to_json() const;
  static Result<TrafficReport> from_json(const JsonObject& json);
};

inline constexpr size_t kReportedMax = 256;  // listeners, and sessions

struct Traffic {
  Uuid machine;
  Timestamp since, updated;
  TrafficReport last;
  // Who has come to a port, whether it was let in or would be dropped.
  struct Seen {
    std::set<IpAddress> peers;
    bool more = false;  // than are kept
  };
  std::map<std::pair<Protocol, uint16_t>, Seen> inbound;

  void note(const TrafficReport& report, Timestamp now);
  void note_would_drop(const JsonObject& facts, Timestamp now);

  static const store::TableSpec& table();
  std::string key() const { return machine.text(); }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<Traffic> from_json(const JsonObject& json);

 private:
  void see(Protocol protocol, uint16_t port, const IpAddress& peer);
};

}  // namespace merlon::machine

// Hears of flows while a flow log wants them: new ones from the log statements in the rules (nfnetlink_log),
// ended ones from connection tracking. Nothing of it is open while no flow log is on, and the rules then hold
// no log statement: it costs no packet anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/logged_packet.h"
#include "base/result.h"

namespace merlon::agent {

// The nfnetlink_log group of our log statements.
inline constexpr uint16_t kFlowLogGroup = 19'788;
// Bytes of a packet that are of use: both IP heads with some extensions, and ports.
inline constexpr unsigned kFlowLogBytes = 128;

struct LoggedPacket {
  std::string label;  // of the log statement
  FlowKey key;
};

struct EndedConnection {
  FlowKey original, reply;  // as tracked: the reply's source is the original's destination, but for NAT
  int64_t packets_sent = 0, bytes_sent = 0, packets_back = 0, bytes_back = 0;
};

struct FlowNews {
  std::vector<LoggedPacket> packets;
  std::vector<EndedConnection> ended;
  int64_t lost = 0;  // what the kernel could not deliver, at least
};

class FlowEvents {
 public:
  virtual ~FlowEvents() = default;
  // What has come since, without waiting; at most `most` messages, the rest stays.
  virtual Result<FlowNews> drain(size_t most) = 0;
};

// This network namespace's. Counting packets of connections is switched on for as long as it lives.
Result<std::unique_ptr<FlowEvents>> open_flow_events();

}  // namespace merlon::agent

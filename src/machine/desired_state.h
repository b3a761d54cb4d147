// What a machine must look like, in neutral terms: no nftables words. The server compiles it
// (services/network, services/jit); the agent carries it out (agent/firewall). Versions are (epoch, number).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"
#include "machine/identity_endpoint.h"
#include "machine/ssh_trust.h"

namespace merlon::machine {

struct Version {
  int64_t epoch = 0;   // grows when a server's state is restored from a backup
  int64_t number = 0;  // grows with every change
  auto operator<=>(const Version&) const = default;
};

enum class Access : uint8_t { deny, allow };
enum class Protocol : uint8_t { any, tcp, udp, icmp, esp, ah };
enum class Mode : uint8_t { audit, enforce };

struct PortRange {
  uint16_t first = 0, last = 65535;
  auto operator<=>(const PortRange&) const = default;
};

// One security rule, tags and groups already expanded. Empty lists match nothing; "any" is 0.0.0.0/0 and
// ::/0, 0-65535.
struct FilterRule {
  std::string name;
  int64_t priority = 0;
  Access access = Access::deny;
  Protocol protocol = Protocol::any;
  std::vector<IpPrefix> sources, destinations;
  std::vector<PortRange> source_ports, destination_ports;
};

// One security group as seen by one network interface, ordered by priority, default rules last.
struct FilterLayer {
  std::string name;  // the group's resource id
  std::vector<FilterRule> inbound, outbound;
};

// Every layer must allow (Azure: subnet's then NIC's inbound). No layer = allowed.
struct InterfacePolicy {
  std::string nic_id;
  std::vector<IpAddress> addresses;  // the private addresses of the NIC: they select the policy
  bool primary = false;              // takes traffic of unknown interfaces and addresses
  bool flush_connections = false;  // a change of rules ends connections that the new ones would not let begin
  bool flow_log = false;           // new, ended and denied flows are reported (flow_report.h)
  std::vector<FilterLayer> inbound_layers, outbound_layers;
};

// One just-in-time opening: passes before any layer, until the deadline, for this source, destination and
// port alone.
struct Opening {
  std::string id;  // grant id + position
  Protocol protocol = Protocol::tcp;
  IpPrefix source;
  IpAddress destination;
  uint16_t port = 0;
  Timestamp deadline;  // server time
  // Connections that began under this opening end with it: the kernel cuts them. Else they go on, as in
  // Azure.
  bool cut_established = false;
  // Open only while the server answers: gone at most 15 s after it falls silent, back when it speaks again.
  bool live_server = false;
};

struct DesiredState {
  Version version;
  Mode mode = Mode::audit;
  std::vector<InterfacePolicy> interfaces;
  std::vector<Opening> openings;
  IdentityEndpoint identity;
  SshTrust ssh;
  JsonObject to_json() const;
  static Result<DesiredState> from_json(
      const JsonObject& json);  // bounded and strict: the agent trusts nothing
};

std::string_view protocol_text(Protocol protocol);
std::string_view access_text(Access access);
std::string_view mode_text(Mode mode);

// The verdict of the model on one new flow: what `explain` shows, and what tests compare nftables with.
struct Flow {
  bool inbound = true;
  Protocol protocol = Protocol::tcp;
  IpAddress source, destination;
  uint16_t source_port = 0, destination_port = 0;
};
struct Verdict {
  Access access = Access::deny;
  std::string layer;  // which group decided; empty = platform rule, opening or no group
  std::string rule;   // which rule: "DenyAllInBound", an opening's id, "platform: loopback"
};
Verdict judge(const DesiredState& state, const Flow& flow, Timestamp now);

}  // namespace merlon::machine

// What people have asked Merlon for, kept a second time by the simulator in the simplest form there is: the
// state that a server must have, whatever happened to it, and a reading of it that owes nothing to the
// product's.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "simulate/kernel_rule.h"
#include "simulate/sim_server.h"

namespace merlon::simulate {

// A person's inbound rule: one source, one port or all.
struct BaseRule {
  std::string name;
  int64_t priority = 0;
  bool allow = false;
  std::string protocol;  // "Tcp", "Udp", "*"
  std::string source;    // prefix or "*"
  std::string port;      // number or "*"
  auto operator<=>(const BaseRule&) const = default;
};

struct PolicyPort {
  uint16_t number = 0;
  std::string source;  // from where it may be asked for
  Duration longest{};
  auto operator<=>(const PolicyPort&) const = default;
};

struct MachineDocuments {
  bool enrolled = false;
  bool enforce = false;
  std::vector<BaseRule> rules;  // by name
  auto operator<=>(const MachineDocuments&) const = default;
};

// One opening that was granted: to whom it is open, and until when in the server's time. Another person's for
// the same door is another one.
struct GrantKey {
  size_t machine = 0;
  uint16_t port = 0;
  std::string source;
  bool is_operators = false;  // the owner's, else
  auto operator<=>(const GrantKey&) const = default;
};

struct Documents {
  std::vector<MachineDocuments> machines;
  std::optional<std::map<size_t, std::vector<PolicyPort>>> policy;  // by machine
  std::map<GrantKey, Timestamp> grants;
  bool operator_has_role = false;
  bool operator==(const Documents&) const = default;

  const PolicyPort* port(size_t machine, uint16_t number) const;
  void expire(Timestamp server_time);
  std::string text() const;
};

// Does the security group of this machine let a new flow in, by Azure's words alone: base rules by priority,
// then the policy's closed ports, then the default rules? Openings apart.
bool lets_in(const Documents& documents, size_t machine, const Packet& packet);
bool covers(const GrantKey& grant, const Packet& packet, const std::vector<IpAddress>& addresses);

// The same out of the server's store.
struct Observed {
  Documents documents;
  std::map<GrantKey, std::string> grant_ids;
  std::vector<std::optional<machine::Machine>> machines;
};
Result<Observed> observe(SimServer& server, const std::vector<std::string>& names, const std::string& group,
                         const std::string& operator_id);

}  // namespace merlon::simulate

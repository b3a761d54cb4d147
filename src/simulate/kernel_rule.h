// One rule of nftables as the agent writes it, read and applied to a packet. It knows the words that
// agent/firewall* uses and refuses every other, so that a rule can not come to mean something here that it
// does not mean there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace merlon::simulate {

// A packet as it looks at one of the two hooks.
struct Packet {
  bool inbound = true;
  IpAddress source, destination;
  uint8_t protocol = 6;  // IANA number
  uint16_t source_port = 50'000, destination_port = 0;
  std::string interface = "eth0";  // that it came from, or leaves by
  bool loopback = false;
  bool established = false;  // connection tracking knows its flow
  bool invalid = false;      // it makes nothing of it: from the middle of a flow, where it is not loose
  bool begins_flow = true;   // TCP: a bare SYN; else a bare ACK
  uint32_t uid = 0;          // of the sending process, outbound
  uint32_t mark = 0;         // of its tracked connection
  std::string text() const;  // for people: "in 198.51.100.7 to 10.1.0.4 tcp/22"
};

// Is this key in the named set, now?
using SetLookup = std::function<bool(const std::string& set, const std::string& key)>;

struct RuleVerdict {
  enum class Kind { next, accept, drop, leave, jump, follow };  // leave: "return"; follow: "goto"
  Kind kind = Kind::next;
  std::string chain;    // of jump and follow
  std::string counter;  // counted on the way
};

class Rule {
 public:
  // Error: FirewallRefused, with the word that is not known.
  static Result<std::shared_ptr<const Rule>> parse(const std::string& text);
  RuleVerdict apply(const Packet& packet, const SetLookup& lookup) const;
  const std::string& text() const { return text_; }

 private:
  using Match = std::function<bool(const Packet&, const SetLookup&)>;
  friend class RuleParser;
  std::string text_;
  std::vector<Match> matches_;
  RuleVerdict verdict_;
  // ip daddr vmap { address : goto chain }
  std::function<std::string(const Packet&)> mapped_field_;
  std::map<std::string, std::string> map_;
};

std::string protocol_name(uint8_t protocol);

}  // namespace merlon::simulate

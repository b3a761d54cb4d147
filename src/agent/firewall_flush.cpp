// flushConnection: what goes on although the rules would not let it begin ends with the change of rules.
#include <fmt/format.h>

#include <algorithm>

#include "agent/firewall.h"

namespace merlon::agent {
namespace {

using machine::Flow;
using machine::InterfacePolicy;
using machine::Protocol;

constexpr uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kEsp = 50, kAh = 51, kIcmp6 = 58;
constexpr uint16_t kDns = 53;

Protocol protocol_of(uint8_t number) {
  switch (number) {
    case kTcp:
      return Protocol::tcp;
    case kUdp:
      return Protocol::udp;
    case kIcmp:
    case kIcmp6:
      return Protocol::icmp;
    case kEsp:
      return Protocol::esp;
    case kAh:
      return Protocol::ah;
    default:
      return Protocol::any;
  }
}

Flow flow_of(bool inbound, const FlowKey& key) {
  return {.inbound = inbound,
          .protocol = protocol_of(key.protocol),
          .source = key.source,
          .destination = key.destination,
          .source_port = key.source_port,
          .destination_port = key.destination_port};
}

bool holds(const std::vector<IpAddress>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

// What passes before any rule, outbound (kernel.md, "What must always pass"): without its entry it would go
// on all the same, and its replies would be stopped for a moment.
bool is_own_traffic(const FlowKey& leaving, const Platform& platform) {
  if (leaving.destination_port == kDns && holds(platform.resolvers, leaving.destination)) return true;
  return leaving.protocol == kTcp && platform.contact.holds(leaving.destination, leaving.destination_port);
}

}  // namespace

const InterfacePolicy* Firewall::flushed_at(const IpAddress& address) const {
  for (const InterfacePolicy& policy : state_->interfaces)
    if (holds(policy.addresses, address)) return policy.flush_connections ? &policy : nullptr;
  return nullptr;
}

bool Firewall::is_denied(const FlowKey& original, const FlowKey& reply) const {
  // Inbound it is judged as it came, outbound as it leaves, after both translations.
  const FlowKey leaving{.protocol = original.protocol,
                        .source = reply.destination,
                        .destination = reply.source,
                        .source_port = reply.destination_port,
                        .destination_port = reply.source_port};
  if (original.source.is_loopback() || original.destination.is_loopback()) return false;
  if (flushed_at(original.destination) != nullptr) {
    for (const LiveOpening& opening : openings_)
      if (opening.destination == original.destination && opening.port == original.destination_port &&
          opening.source.contains(original.source))
        return false;
    return machine::judge(*state_, flow_of(true, original), {}).access == machine::Access::deny;
  }
  return flushed_at(leaving.source) != nullptr && !is_own_traffic(leaving, platform_) &&
         machine::judge(*state_, flow_of(false, leaving), {}).access == machine::Access::deny;
}

// Sessions that are older than enforcement pass by their names, not by their entries.
Result<void> Firewall::forget_denied_sessions() {
  const Duration left = known_until_ - clock_.boottime() - kCommitMargin;
  const size_t before = known_.size();
  std::erase_if(known_, [&](const ConnectedSocket& session) {
    const FlowKey in{.protocol = kTcp,
                     .source = session.peer,
                     .destination = session.local,
                     .source_port = session.peer_port,
                     .destination_port = session.local_port};
    const FlowKey back{.protocol = kTcp,
                       .source = in.destination,
                       .destination = in.source,
                       .source_port = in.destination_port,
                       .destination_port = in.source_port};
    // Whoever began it: it stays when either way is allowed.
    return is_denied(in, back) && is_denied(back, in);
  });
  if (known_.size() == before || left <= kShortestTimeout) return {};
  return commit(fmt::format("flush set {0} known4\nflush set {0} known6\n", kTable) +
                known_sessions_text(known_, left));
}

Result<size_t> Firewall::end_denied_connections() {
  const bool wanted = state_ && state_->mode == machine::Mode::enforce && forget_ &&
                      std::any_of(state_->interfaces.begin(), state_->interfaces.end(),
                                  [](const InterfacePolicy& policy) { return policy.flush_connections; });
  if (!wanted) return size_t{0};
  TRY(forget_denied_sessions());
  return forget_(
      [this](const FlowKey& original, const FlowKey& reply) { return is_denied(original, reply); });
}

}  // namespace merlon::agent

// Flow logs at the machine: what the kernel logged, told by the rules' own names.
#include <algorithm>

#include "agent/firewall.h"
#include "base/log.h"

namespace merlon::agent {
namespace {

// Of one look: a flood fills the kernel's buffer, which counts what it drops, and takes no more of our time.
constexpr size_t kMessagesMax = 5000;
constexpr Duration kOpenAgain{60'000};
// Azure's default rules stand behind all of people's (priorities up to 4096).
constexpr int64_t kFirstDefaultPriority = 65'000;

}  // namespace

bool Firewall::logs_flows() const {
  return state_ && std::any_of(state_->interfaces.begin(), state_->interfaces.end(),
                               [](const machine::InterfacePolicy& policy) { return policy.flow_log; });
}

// The openings' log statement stands before the choice of an interface: its flow is told when that one is
// logged.
std::optional<FlowBook::Rule> Firewall::opening_of(const FlowKey& key) const {
  const machine::InterfacePolicy* at = nullptr;
  for (const machine::InterfacePolicy& policy : state_->interfaces) {
    const auto& addresses = policy.addresses;
    if (std::find(addresses.begin(), addresses.end(), key.destination) != addresses.end()) {
      at = &policy;
      break;
    }
    if (policy.primary && at == nullptr) at = &policy;
  }
  if (at == nullptr || !at->flow_log) return std::nullopt;
  FlowBook::Rule rule{.nic = at->nic_id, .group = {}, .name = {}, .is_default = false, .is_opening = true};
  for (const LiveOpening& opening : openings_)
    if (opening.destination == key.destination && opening.port == key.destination_port &&
        opening.source.contains(key.source))
      rule.name = opening.id;
  return rule;
}

void Firewall::note_packet(const LoggedPacket& packet, FlowBook& book) const {
  const auto logged = read_label(packet.label, *state_);
  if (!logged) {  // of rules that have been replaced meanwhile
    book.lost(1);
    return;
  }
  const Duration now = clock_.boottime();
  if (logged->is_opening) {
    if (const auto rule = opening_of(packet.key)) book.decided(packet.key, *rule, true, false, now);
    return;
  }
  const machine::InterfacePolicy& policy = state_->interfaces[logged->interface];
  FlowBook::Rule rule{
      .nic = policy.nic_id, .group = {}, .name = {}, .is_default = false, .is_opening = false};
  bool denied = false;
  if (logged->layer) {
    const machine::FilterLayer& layer =
        (logged->inbound ? policy.inbound_layers : policy.outbound_layers)[*logged->layer];
    rule.group = layer.name;
    denied = true;
    if (logged->rule) {
      const machine::FilterRule& filter = (logged->inbound ? layer.inbound : layer.outbound)[*logged->rule];
      rule.name = filter.name;
      rule.is_default = filter.priority >= kFirstDefaultPriority;
      denied = filter.access == machine::Access::deny;
    }
  }
  // In audit mode it has passed all the same, and that is what is told.
  denied = denied && state_->mode == machine::Mode::enforce;
  book.decided(packet.key, rule, logged->inbound, denied, now);
}

Result<void> Firewall::follow_flows(FlowBook& book) {
  if (!logs_flows()) {
    if (flows_) book.clear();
    flows_.reset();
    return {};
  }
  if (!flows_) {
    const Duration now = clock_.boottime();
    if (!open_flows_ || now < open_flows_again_) return {};
    open_flows_again_ = now + kOpenAgain;
    flows_ = TRY(open_flows_());
  }
  const FlowNews news = TRY(flows_->drain(kMessagesMax));
  book.lost(news.lost);
  for (const LoggedPacket& packet : news.packets) note_packet(packet, book);
  for (const EndedConnection& connection : news.ended) book.ended(connection, clock_.boottime());
  return {};
}

}  // namespace merlon::agent

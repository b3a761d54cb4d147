// The proposal. What it lets in is what was seen, never more, and it says what it leaves to a person.
#include "machine/proposal.h"

#include <fmt/format.h>

#include <algorithm>

namespace merlon::machine {
namespace {

constexpr size_t kSourcesMax = 16;
constexpr int64_t kFirstPriority = 1000;
constexpr int64_t kLastPriority = 4000;
// The ports that Azure's just-in-time access recommends to guard.
constexpr std::array<uint16_t, 4> kManagementPorts = {22, 3389, 5985, 5986};

bool is_management(Protocol protocol, uint16_t port) {
  return protocol == Protocol::tcp &&
         std::find(kManagementPorts.begin(), kManagementPorts.end(), port) != kManagementPorts.end();
}

// By the names that Azure gives such rules.
bool is_just_in_time(std::string_view rule) {
  return rule.starts_with("SecurityCenter-JITRule") || rule.starts_with("MicrosoftDefenderForCloud-JITRule");
}

std::optional<IpAddress> own_address(const DesiredState& state, IpFamily family) {
  std::optional<IpAddress> found;
  for (const InterfacePolicy& policy : state.interfaces)
    for (const IpAddress& address : policy.addresses)
      if (address.family() == family && (!found || policy.primary)) {
        found = address;
        if (policy.primary) return found;
      }
  return found;
}

std::optional<Verdict> verdict_of(const DesiredState& state, Protocol protocol, const IpAddress& peer,
                                  const std::optional<IpAddress>& local, uint16_t port, Timestamp now) {
  if (peer.is_loopback() || peer.is_link_local() || !local) return std::nullopt;
  return judge(state,
               {.inbound = true,
                .protocol = protocol,
                .source = peer,
                .destination = *local,
                .source_port = 50'000,
                .destination_port = port},
               now);
}

bool listens(const Traffic& traffic, Protocol protocol, uint16_t port) {
  const auto& sessions = traffic.last.sessions;
  return std::any_of(
             traffic.last.listeners.begin(), traffic.last.listeners.end(),
             [&](const auto& listener) { return listener.protocol == protocol && listener.port == port; }) ||
         (protocol == Protocol::tcp &&
          std::any_of(sessions.begin(), sessions.end(),
                      [&](const auto& session) { return session.port == port; }));
}

// Single addresses while they are few, else their networks (/24, /64) while these are few, else nothing.
std::vector<IpPrefix> sources_of(const std::vector<IpAddress>& peers) {
  std::set<IpPrefix> prefixes;
  for (const IpAddress& peer : peers) prefixes.insert(IpPrefix(peer));
  if (prefixes.size() > kSourcesMax) {
    prefixes.clear();
    for (const IpAddress& peer : peers)
      if (const auto prefix = IpPrefix::make(peer, peer.is_v4() ? 24 : 64)) prefixes.insert(*prefix);
  }
  if (prefixes.size() > kSourcesMax) return {};
  return {prefixes.begin(), prefixes.end()};
}

std::set<int64_t> priorities_in_use(const DesiredState& state) {
  std::set<int64_t> used;
  for (const InterfacePolicy& policy : state.interfaces)
    for (const FilterLayer& layer : policy.inbound_layers)
      for (const FilterRule& rule : layer.inbound) used.insert(rule.priority);
  return used;
}

std::string place(Protocol protocol, uint16_t port) {
  return fmt::format("{} port {}", protocol == Protocol::tcp ? "TCP" : "UDP", port);
}

}  // namespace

JsonObject ProposedRule::to_json() const {
  JsonObject properties = {{"description", description},
                           {"protocol", protocol_text(protocol)},
                           {"sourcePortRange", "*"},
                           {"destinationPortRange", std::to_string(port)},
                           {"destinationAddressPrefix", "*"},
                           {"access", access_text(Access::allow)},
                           {"priority", priority},
                           {"direction", "Inbound"}};
  if (sources.size() > 1) {
    JsonArray prefixes;
    for (const IpPrefix& source : sources) prefixes.emplace_back(source.text());
    properties["sourceAddressPrefixes"] = std::move(prefixes);
  } else {
    properties["sourceAddressPrefix"] = sources.empty() ? "*" : sources.front().text();
  }
  return {{"name", name}, {"properties", std::move(properties)}};
}

Proposal propose(const DesiredState& state, const Traffic& traffic, Timestamp now) {
  Proposal proposal;
  const std::set<int64_t> used = priorities_in_use(state);
  int64_t priority = kFirstPriority;
  size_t without_listener = 0;
  for (const auto& [key, seen] : traffic.inbound) {
    const auto& [protocol, port] = key;
    std::vector<IpAddress> denied;
    bool guarded = false;
    for (const IpAddress& peer : seen.peers) {
      const auto verdict = verdict_of(state, protocol, peer, own_address(state, peer.family()), port, now);
      if (!verdict || verdict->access == Access::allow) continue;
      guarded = guarded || is_just_in_time(verdict->rule);
      denied.push_back(peer);
    }
    if (denied.empty()) continue;
    if (!listens(traffic, protocol, port)) {
      ++without_listener;
      continue;
    }
    if (guarded) {
      proposal.notes.push_back(place(protocol, port) +
                               " is guarded by a just-in-time policy: who needs it asks for it.");
      continue;
    }
    const std::vector<IpPrefix> sources = seen.more ? std::vector<IpPrefix>() : sources_of(denied);
    if (is_management(protocol, port)) {
      proposal.notes.push_back(
          place(protocol, port) + " is for administration" +
          (sources.empty() ? " and is tried from many places, so no rule is proposed for it" : "") +
          ". Better than any rule: a just-in-time policy ('merlon jit policy').");
      if (sources.empty()) continue;
    }
    while (used.contains(priority)) ++priority;
    if (priority > kLastPriority) {
      proposal.notes.emplace_back("There are more ports in use than priorities left: clean up first.");
      break;
    }
    proposal.rules.push_back({.name = fmt::format("Seen-{}-{}", protocol_text(protocol), port),
                              .priority = priority++,
                              .protocol = protocol,
                              .port = port,
                              .sources = sources,
                              .description = sources.empty() ? "Seen in audit mode from many addresses"
                                                             : "Seen in audit mode from these addresses"});
  }
  if (without_listener > 0)
    proposal.notes.push_back(
        fmt::format("{} ports were tried on which nothing listens: they stay closed.", without_listener));
  return proposal;
}

std::vector<std::string> enforcement_obstacles(const DesiredState& state, const Traffic& traffic,
                                               Timestamp now) {
  std::vector<std::string> obstacles;
  std::set<std::string> told;
  for (const TrafficReport::Session& session : traffic.last.sessions) {
    const auto verdict = verdict_of(state, Protocol::tcp, session.peer, session.address, session.port, now);
    // A just-in-time policy is there to close its port.
    if (!verdict || verdict->access == Access::allow || is_just_in_time(verdict->rule)) continue;
    const std::string text = fmt::format("{} is connected to port {} and could not connect again",
                                         session.peer.text(), session.port);
    if (told.insert(text).second) obstacles.push_back(text);
  }
  for (const std::string& chain : traffic.last.untracked_by)
    obstacles.push_back("the chain '" + chain +
                        "' takes packets out of connection tracking, so answers to "
                        "connections that they belong to would be dropped");
  if (traffic.last.connections_most > 0 && traffic.last.connections * 10 > traffic.last.connections_most * 9)
    obstacles.push_back(
        fmt::format("the kernel's table of connections holds {} of at most {}; when it is full "
                    "new connections are dropped (raise net.netfilter.nf_conntrack_max)",
                    traffic.last.connections, traffic.last.connections_most));
  if (traffic.last.foreign_marks > 0)
    obstacles.push_back(
        "other software on the machine sets connection marks in the bits that Merlon reserves; its "
        "connections "
        "would be cut once an opening cuts (choose other bits: mark_mask in the agent's local.json)");
  return obstacles;
}

std::string group_for_proposal(const DesiredState& state) {
  std::string group;
  for (const InterfacePolicy& policy : state.interfaces)
    if (!policy.inbound_layers.empty() && (group.empty() || policy.primary))
      group = policy.inbound_layers.back().name;
  return group;
}

}  // namespace merlon::machine

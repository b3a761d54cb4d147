// Desired state to nftables text: the table's frame, its platform rules, and the choice of a policy.
#include "agent/firewall_compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "agent/firewall_flows.h"
#include "agent/firewall_layer.h"
#include "base/text.h"

namespace merlon::agent {
namespace {

using machine::DesiredState;
using machine::InterfacePolicy;
using machine::Mode;

constexpr size_t kInterfaceNameMax = 15;  // IFNAMSIZ without its NUL

// A side of the table: how a packet looks from there.
struct Side {
  bool inbound;
  std::string_view word;       // of chain and counter names
  std::string_view base;       // base chain
  std::string_view interface;  // the matches on the interface that the packet came from or leaves by
  std::string_view interface_type;
  std::string_view local;  // which address is this machine's
  std::string_view peer;
};
constexpr Side kInbound{true, "in", "prerouting", "iifname", "iiftype", "daddr", "saddr"};
constexpr Side kOutbound{false, "out", "postrouting", "oifname", "oiftype", "saddr", "daddr"};

// Rules change, and with them what stands in a place: the label says of which rules it is.
std::string flow_label(const DesiredState& state, std::string_view place) {
  return fmt::format("f{}_{}_{}", state.version.epoch, state.version.number, place);
}

class Text {
 public:
  void rule(std::string_view chain, std::string_view rule) {
    out_ += fmt::format("add rule {} {} {}\n", kTable, chain, rule);
  }
  void line(std::string_view command, std::string_view object) {
    out_ += fmt::format("{} {} {}\n", command, kTable, object);
  }
  void append(std::string_view text) { out_ += text; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// RFC 4861 sections 6 and 7: hop limit 255 proves that the sender is on the link. RFC 2710 and RFC 3810
// section 5: multicast listener discovery has hop limit 1 and a link-local source (or none yet, RFC 3590).
// These packets are untracked: without these rules a closed table ends IPv6 altogether.
constexpr std::string_view kNeighbours =
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
    "ip6 hoplimit 255 accept";
constexpr std::string_view kListeners =
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } "
    "ip6 hoplimit 1 ip6 saddr { ::, fe80::/10 } accept";

std::string address_set(const std::vector<IpAddress>& addresses, IpFamily family) {
  std::set<std::string> texts;
  for (const IpAddress& address : addresses)
    if (address.family() == family) texts.insert(address.text());
  return texts.empty() ? std::string() : fmt::format("{{ {} }}", fmt::join(texts, ", "));
}

std::string interface_set(const std::vector<std::string>& patterns) {
  std::set<std::string> names;
  for (const std::string& pattern : patterns)
    if (is_interface_pattern(pattern)) names.insert('"' + pattern + '"');
  return names.empty() ? std::string() : fmt::format("{{ {} }}", fmt::join(names, ", "));
}

void add_own_traffic(Text& text, const Platform& platform) {
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
    const std::string_view ip = family == IpFamily::v4 ? "ip" : "ip6";
    if (const std::string to = address_set(platform.resolvers, family); !to.empty())
      text.rule("postrouting",
                fmt::format("{} daddr {} meta l4proto {{ tcp, udp }} th dport 53 accept", ip, to));
    if (const std::string to = address_set(platform.contact.addresses, family); !to.empty())
      text.rule("postrouting", fmt::format("meta skuid {} {} daddr {} tcp dport {} accept",
                                           platform.contact.uid, ip, to, platform.contact.port));
    for (const ServerRange& range : platform.contact.others)
      if (range.network.family() == family)
        text.rule("postrouting", fmt::format("meta skuid {} {} daddr {} tcp dport {} accept",
                                             platform.contact.uid, ip, range.network.text(), range.port));
  }
}

std::string ended_match(uint32_t mask) {
  return fmt::format("ct mark & {0:#010x} != 0 ct mark & {0:#010x} != @live", mask);
}

// Packets of connections whose opening has ended, in either direction (kernel.md, "Established connections").
// Before all that lets known connections pass. A reset may leave: it is how the far end hears of it.
void add_ended(Text& text, const Side& side, uint32_t mask) {
  if (mask == 0) return;
  text.rule(side.base, fmt::format("{} goto ended_{}", ended_match(mask), side.word));
  const std::string chain = fmt::format("ended_{}", side.word);
  // A datagram begins no session: under the next opening the sender's flow is let in anew.
  text.rule(chain, side.inbound ? "meta l4proto udp ct direction original jump reopened"
                                : "tcp flags & rst == rst accept");
}

// nftables can refuse with a reset where packets come in and where this machine's own leave (nft(8), REJECT
// STATEMENT), but not in postrouting.
void add_ended_verdicts(Text& text, Mode mode, uint32_t mask) {
  if (mask == 0) return;
  if (mode == Mode::audit) {
    text.rule("ended_in", "goto denied_in");
    text.rule("ended_out", "goto denied_out");
    return;
  }
  text.rule("output", "oiftype loopback accept");
  text.rule("output", ended_match(mask) +
                          " meta l4proto tcp tcp flags & rst != rst counter name cut_out "
                          "reject with tcp reset");
  text.rule("ended_in", "meta l4proto tcp counter name cut_in reject with tcp reset");
  text.rule("ended_in", "counter name cut_in drop");
  text.rule("ended_out", "counter name cut_out drop");
}

// kernel.md also names 168.63.129.16 and 169.254.169.254 "where they are served": this agent serves neither
// on an address that is not the loopback interface's, so no rule opens them.
void add_platform(Text& text, const Side& side, const Platform& platform) {
  text.rule(side.base, fmt::format("{} loopback accept", side.interface_type));
  add_ended(text, side, platform.mark_mask);
  const std::string internal = interface_set(platform.internal_interfaces);
  const std::string uplinks = interface_set(platform.uplinks);
  // An uplink may be a bridge, or a tunnel that carries the default route: it is outside all the same.
  if (!internal.empty())
    text.rule(side.base, fmt::format("{0} {1} {2}accept", side.interface, internal,
                                     uplinks.empty() ? std::string()
                                                     : fmt::format("{} != {} ", side.interface, uplinks)));
  // ICMP errors about known flows are "related".
  text.rule(side.base, "ct state established,related accept");
  text.rule(side.base, kNeighbours);
  text.rule(side.base, kListeners);
  if (side.inbound) {
    text.rule(side.base, "meta nfproto ipv4 udp sport 67 udp dport 68 accept");      // RFC 2131 section 4.1
    text.rule(side.base, "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept");  // RFC 8415 section 7.2
  } else {
    text.rule(side.base, "meta nfproto ipv4 udp sport 68 udp dport 67 accept");
    text.rule(side.base, "ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept");
    add_own_traffic(text, platform);
  }
  // Sessions that are older than enforcement; where tracking is not loose they stay "invalid".
  for (const int family : {4, 6})
    text.rule(
        side.base,
        fmt::format("ct state new,invalid tcp flags & (syn | rst) == 0 {0} {1} . tcp {3} . {0} {2} . tcp "
                    "{4} @known{5} accept",
                    family == 4 ? "ip" : "ip6", side.local, side.peer, side.inbound ? "dport" : "sport",
                    side.inbound ? "sport" : "dport", family));
  // Loose tracking takes a segment from the middle of a forgotten or cut connection for a new flow, and the
  // session would live on. A new flow begins with a bare SYN.
  text.rule(side.base,
            fmt::format("ct state new tcp flags & (fin | syn | rst | ack) != syn goto denied_{}", side.word));
}

// For a flow log: the packet is told to the agent (firewall_flows.h) with the place of the rule. A label of
// our own words and numbers needs no quotes.
std::string log_statement(const DesiredState& state, std::string_view place) {
  return fmt::format("log prefix {} group {} snaplen {} ", flow_label(state, place), kFlowLogGroup,
                     kFlowLogBytes);
}

// The policy of the address that the packet is for or from; the first policy that names it, as judge() has
// it.
void add_selection(Text& text, const Side& side, const DesiredState& state) {
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
    std::vector<std::string> entries;
    std::set<IpAddress> seen;
    for (size_t i = 0; i < state.interfaces.size(); ++i)
      for (const IpAddress& address : state.interfaces[i].addresses)
        if (address.family() == family && seen.insert(address).second)
          entries.push_back(fmt::format("{} : goto {}_{}", address.text(), side.word, i));
    if (!entries.empty())
      text.rule(side.base, fmt::format("{} {} vmap {{ {} }}", family == IpFamily::v4 ? "ip" : "ip6",
                                       side.local, fmt::join(entries, ", ")));
  }
  const auto primary = std::find_if(state.interfaces.begin(), state.interfaces.end(),
                                    [](const InterfacePolicy& policy) { return policy.primary; });
  if (primary != state.interfaces.end())
    text.rule(side.base, fmt::format("goto {}_{}", side.word, primary - state.interfaces.begin()));
}

void add_layers(Text& text, const Side& side, const DesiredState& state) {
  for (size_t i = 0; i < state.interfaces.size(); ++i) {
    const std::string chain = fmt::format("{}_{}", side.word, i);
    const auto& layers =
        side.inbound ? state.interfaces[i].inbound_layers : state.interfaces[i].outbound_layers;
    const auto log = [&](const std::string& place) {
      return state.interfaces[i].flow_log ? log_statement(state, fmt::format("{}_{}", chain, place))
                                          : std::string();
    };
    for (size_t j = 0; j < layers.size(); ++j) {
      const std::string layer = fmt::format("{}_{}", chain, j);
      text.rule(chain, "jump " + layer);
      const auto& rules = side.inbound ? layers[j].inbound : layers[j].outbound;
      for (size_t k = 0; k < rules.size(); ++k)
        for (const std::string& matches : rule_matches(rules[k]))
          text.rule(layer, matches + log(fmt::format("{}_{}", j, k)) +
                               (rules[k].access == machine::Access::allow
                                    ? "return"
                                    : fmt::format("goto denied_{}", side.word)));
      text.rule(layer, log(fmt::format("{}_x", j)) + fmt::format("goto denied_{}", side.word));
    }
    text.rule(chain, (layers.empty() ? log("x") : std::string()) + "accept");
  }
}

// Audit: the same way to the same place, where what would be dropped is counted, noted and let through.
void add_denied(Text& text, const Side& side, Mode mode) {
  const std::string chain = fmt::format("denied_{}", side.word);
  if (mode == Mode::enforce) {
    text.rule(chain, fmt::format("counter name dropped_{} drop", side.word));
    return;
  }
  for (const int family : {4, 6})
    text.rule(chain,
              fmt::format("meta nfproto ipv{} meta l4proto {{ tcp, udp }} update @would_{}{} {{ {} {} . "
                          "meta l4proto . th dport counter }}",
                          family, side.word, family, family == 4 ? "ip" : "ip6", side.peer));
  text.rule(chain, fmt::format("counter name would_{} accept", side.word));
}

}  // namespace

bool is_interface_pattern(std::string_view text) {
  const std::string_view name = text.ends_with('*') ? text.substr(0, text.size() - 1) : text;
  return !name.empty() && name.size() <= kInterfaceNameMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '_' || c == '.' || c == '@';
         });
}

std::string base_text() {
  Text text;
  text.append(fmt::format("add table {}\n", kTable));
  for (const std::string_view name :
       {"dropped_in", "dropped_out", "would_in", "would_out", "cut_in", "cut_out", "foreign_marks"})
    text.line("add counter", name);
  text.line("add set", "live { type mark; flags timeout; timeout 1s; }");
  for (const int family : {4, 6})
    text.line("add set",
              fmt::format("known{0} {{ type ipv{0}_addr . inet_service . ipv{0}_addr . inet_service; "
                          "flags timeout; timeout 1s; }}",
                          family));
  for (const std::string_view word : {"in", "out"})
    for (const int family : {4, 6})
      // Bounded: a port scan from many addresses fills it and no more.
      text.line("add set",
                fmt::format("would_{}{} {{ type ipv{}_addr . inet_proto . inet_service; size 1024; "
                            "flags dynamic,timeout; timeout 3m; }}",
                            word, family, family));
  text.line("add chain", "prerouting { type filter hook prerouting priority -150; policy accept; }");
  text.line("add chain", "output { type filter hook output priority 150; policy accept; }");
  text.line("add chain", "postrouting { type filter hook postrouting priority 150; policy accept; }");
  return text.take();
}

std::vector<std::string> chain_names(const DesiredState& state) {
  std::vector<std::string> names = {"openings",   "reopened", "denied_in",
                                    "denied_out", "ended_in", "ended_out"};
  for (size_t i = 0; i < state.interfaces.size(); ++i)
    for (const bool inbound : {true, false}) {
      const std::string chain = fmt::format("{}_{}", inbound ? "in" : "out", i);
      names.push_back(chain);
      const auto& layers = inbound ? state.interfaces[i].inbound_layers : state.interfaces[i].outbound_layers;
      for (size_t j = 0; j < layers.size(); ++j) names.push_back(fmt::format("{}_{}", chain, j));
    }
  return names;
}

std::string rules_text(const DesiredState& state, const Platform& platform,
                       const std::vector<OpeningSet>& opening_sets, const std::vector<std::string>& stale) {
  Text text;
  text.append(fmt::format("flush table {}\n", kTable));  // rules of every chain; sets and counters stay
  for (const std::string& chain : stale) text.line("delete chain", chain);
  for (const std::string& chain : chain_names(state)) text.line("add chain", chain);
  for (const Side& side : {kInbound, kOutbound}) {
    if (side.inbound && state.mode == Mode::audit && platform.mark_mask == 0 && platform.reserved_marks != 0)
      text.rule(side.base,
                fmt::format("ct mark & {:#010x} != 0 counter name foreign_marks", platform.reserved_marks));
    add_platform(text, side, platform);
    if (side.inbound) text.rule(side.base, "jump openings");
    add_selection(text, side, state);
    add_layers(text, side, state);
    add_denied(text, side, state.mode);
  }
  add_ended_verdicts(text, state.mode, platform.mark_mask);
  text.append(opening_lookups_text(opening_sets, platform.mark_mask, opening_log(state)));
  return text.take();
}

// Maps come first: a connection that two openings would let in ends with the one that cuts. A packet without
// a tracked connection cannot be marked, so no map lets it in. Setting a mark takes the bits of others away
// that were set on the connection's first packet before this chain: joining two values needs a kernel of
// 2025.
std::string opening_lookups_text(const std::vector<OpeningSet>& opening_sets, uint32_t mark_mask,
                                 std::string_view log) {
  Text text;
  text.append(opening_sets_text(opening_sets));
  text.line("flush chain", "openings");
  text.line("flush chain", "reopened");
  std::vector<std::string> plain;
  std::vector<std::string> reopening;
  for (const OpeningSet& set : opening_sets) {
    const bool v4 = set.family == IpFamily::v4;
    const std::string_view ip = v4 ? "ip" : "ip6";
    std::string source;
    if (set.length == (v4 ? 32U : 128U)) {
      source = fmt::format("{} saddr . ", ip);
    } else if (set.length != 0) {
      std::array<uint8_t, 16> ones{};
      ones.fill(0xff);
      const auto mask =
          IpPrefix::make(v4 ? IpAddress::from_v4(UINT32_MAX) : IpAddress::from_v6(ones), set.length);
      MERLON_CHECK(mask.has_value());
      source = fmt::format("{} saddr & {} . ", ip, mask->address().text());
    }
    const std::string key = fmt::format("{}{} daddr . meta l4proto . th dport", source, ip);
    if (set.marks) {
      const std::string lookup = fmt::format("ct mark set {} map @{} ", key, set.name());
      text.rule("openings", fmt::format("ct state new {}{}accept", lookup, log));
      text.rule("reopened", lookup + "accept");
    } else {
      plain.push_back(fmt::format("{} @{} {}accept", key, set.name(), log));
      reopening.push_back(
          fmt::format("{} @{} ct mark set ct mark & {:#010x} accept", key, set.name(), ~mark_mask));
    }
  }
  for (const std::string& rule : plain) text.rule("openings", rule);
  if (mark_mask != 0)
    for (const std::string& rule : reopening) text.rule("reopened", rule);
  return text.take();
}

std::string opening_log(const DesiredState& state) {
  const bool any = std::any_of(state.interfaces.begin(), state.interfaces.end(),
                               [](const InterfacePolicy& policy) { return policy.flow_log; });
  return any ? log_statement(state, "o") : std::string();
}

std::optional<LoggedRule> read_label(std::string_view label, const DesiredState& state) {
  const std::string own = flow_label(state, "");
  if (!label.starts_with(own)) return std::nullopt;
  std::vector<std::string_view> parts = split(label.substr(own.size()), '_');
  LoggedRule logged;
  if (parts.size() == 1 && parts[0] == "o") {
    logged.is_opening = true;
    return logged;
  }
  if (parts.size() < 3 || (parts[0] != "in" && parts[0] != "out")) return std::nullopt;
  logged.inbound = parts[0] == "in";
  const auto number = [](std::string_view text, size_t below) -> std::optional<size_t> {
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value >= below) return std::nullopt;
    return value;
  };
  const auto interface = number(parts[1], state.interfaces.size());
  if (!interface) return std::nullopt;
  logged.interface = *interface;
  if (parts[2] == "x") return logged;
  const InterfacePolicy& policy = state.interfaces[*interface];
  const auto& layers = logged.inbound ? policy.inbound_layers : policy.outbound_layers;
  logged.layer = number(parts[2], layers.size());
  if (!logged.layer || parts.size() != 4) return std::nullopt;
  if (parts[3] == "x") return logged;
  const machine::FilterLayer& layer = layers[*logged.layer];
  logged.rule = number(parts[3], (logged.inbound ? layer.inbound : layer.outbound).size());
  return logged.rule ? std::optional(logged) : std::nullopt;
}

bool Contact::holds(const IpAddress& address, uint16_t to_port) const {
  if (to_port == port && std::ranges::find(addresses, address) != addresses.end()) return true;
  return std::ranges::any_of(others, [&](const ServerRange& range) {
    return range.port == to_port && range.network.contains(address);
  });
}

DesiredState closed_state() {
  DesiredState state;
  state.mode = Mode::enforce;
  InterfacePolicy policy;
  policy.primary = true;
  policy.inbound_layers.push_back({"closed", {}, {}});
  policy.outbound_layers.push_back({"closed", {}, {}});
  state.interfaces.push_back(std::move(policy));
  return state;
}

}  // namespace merlon::agent

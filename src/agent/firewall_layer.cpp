// One security rule as nftables matches, with the meaning that machine::judge gives it.
#include "agent/firewall_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace merlon::agent {
namespace {

using machine::FilterRule;
using machine::PortRange;
using machine::Protocol;

// "" = matches all; nothing = matches none.
using Match = std::optional<std::string>;

// Anonymous interval sets refuse overlaps: what lies inside another prefix goes, as it adds nothing.
std::vector<IpPrefix> widest(const std::vector<IpPrefix>& prefixes, IpFamily family) {
  std::vector<IpPrefix> sorted;
  for (const IpPrefix& prefix : prefixes)
    if (prefix.family() == family) sorted.push_back(prefix);
  std::sort(sorted.begin(), sorted.end());  // by address, then the shorter length: the container comes first
  std::vector<IpPrefix> kept;
  for (const IpPrefix& prefix : sorted)
    if (kept.empty() || !kept.back().contains(prefix)) kept.push_back(prefix);
  return kept;
}

Match address_match(const std::vector<IpPrefix>& prefixes, IpFamily family, std::string_view field) {
  const std::vector<IpPrefix> kept = widest(prefixes, family);
  if (kept.empty()) return std::nullopt;
  if (kept.front().length() == 0) return std::string();
  std::vector<std::string> texts;
  texts.reserve(kept.size());
  for (const IpPrefix& prefix : kept) texts.push_back(prefix.text());
  const std::string value =
      texts.size() == 1 ? texts.front() : fmt::format("{{ {} }}", fmt::join(texts, ", "));
  return fmt::format("{} {} {} ", family == IpFamily::v4 ? "ip" : "ip6", field, value);
}

std::vector<PortRange> merged(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PortRange> out;
  for (const PortRange& range : ranges) {
    if (!out.empty() && static_cast<uint32_t>(range.first) <= static_cast<uint32_t>(out.back().last) + 1U) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

Match port_match(const std::vector<PortRange>& ranges, std::string_view field) {
  const std::vector<PortRange> all = merged(ranges);
  if (all.empty()) return std::nullopt;
  if (all.front().first == 0 && all.front().last == 65535) return std::string();
  std::vector<std::string> texts;
  for (const PortRange& range : all)
    texts.push_back(range.first == range.last ? fmt::format("{}", range.first)
                                              : fmt::format("{}-{}", range.first, range.last));
  const std::string value =
      texts.size() == 1 ? texts.front() : fmt::format("{{ {} }}", fmt::join(texts, ", "));
  return fmt::format("th {} {} ", field, value);
}

// Said in one range, not in pieces: judge() takes pieces for a rule about ports.
bool says_all_ports(const std::vector<PortRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [](const PortRange& range) { return range.first == 0 && range.last == 65535; });
}

Match protocol_match(Protocol protocol, IpFamily family, bool all_ports) {
  switch (protocol) {
    case Protocol::any:
      // A rule that names ports says nothing about protocols that have none.
      return all_ports ? std::string() : std::string("meta l4proto { tcp, udp } ");
    case Protocol::tcp:
      return "meta l4proto tcp ";
    case Protocol::udp:
      return "meta l4proto udp ";
    case Protocol::icmp:
      if (!all_ports) return std::nullopt;
      return family == IpFamily::v4 ? "meta l4proto icmp " : "meta l4proto ipv6-icmp ";
    case Protocol::esp:
      if (!all_ports) return std::nullopt;
      return "meta l4proto esp ";
    case Protocol::ah:
      if (!all_ports) return std::nullopt;
      // In IPv6 the authentication header is an extension header, which meta l4proto steps over.
      return family == IpFamily::v4 ? "meta l4proto ah " : "ip6 nexthdr ah ";
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> rule_matches(const FilterRule& rule) {
  std::vector<std::string> lines;
  const bool all_ports = says_all_ports(rule.source_ports) && says_all_ports(rule.destination_ports);
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
    const Match source = address_match(rule.sources, family, "saddr");
    const Match destination = address_match(rule.destinations, family, "daddr");
    const Match protocol = protocol_match(rule.protocol, family, all_ports);
    const Match source_ports = port_match(rule.source_ports, "sport");
    const Match destination_ports = port_match(rule.destination_ports, "dport");
    if (!source || !destination || !protocol || !source_ports || !destination_ports) continue;
    const std::string_view family_match =
        family == IpFamily::v4 ? "meta nfproto ipv4 " : "meta nfproto ipv6 ";
    lines.push_back(std::string(source->empty() && destination->empty() ? family_match : "") + *source +
                    *destination + *protocol + *source_ports + *destination_ports);
  }
  return lines;
}

}  // namespace merlon::agent

// Openings as nftables text.
#include "agent/firewall_openings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace merlon::agent {
namespace {

constexpr uint8_t kTcp = 6;  // IANA protocol numbers
constexpr uint8_t kUdp = 17;
// nft reads its commands with a parser of its own: lines of this many elements keep it in small memory.
constexpr size_t kElementsPerCommand = 256;

using BySet = std::map<OpeningSet, std::vector<std::string>>;

void append_commands(std::string& out, std::string_view verb, const BySet& by_set) {
  for (const auto& [set, texts] : by_set)
    for (size_t i = 0; i < texts.size(); i += kElementsPerCommand) {
      const auto last =
          texts.begin() + static_cast<ptrdiff_t>(std::min(texts.size(), i + kElementsPerCommand));
      out += fmt::format("{} element inet merlon {} {{ {} }}\n", verb, set.name(),
                         fmt::join(texts.begin() + static_cast<ptrdiff_t>(i), last, ", "));
    }
}

}  // namespace

std::string OpeningSet::name() const {
  return fmt::format("open{}_{}", family == IpFamily::v4 ? 4 : 6, length);
}

std::string ElementKey::text() const {
  const std::string rest = fmt::format("{} . {} . {}", destination.text(), protocol, port);
  return source.length() == 0 ? rest : source.address().text() + " . " + rest;
}

std::vector<ElementKey> keys_of(const LiveOpening& opening) {
  std::vector<ElementKey> keys;
  const auto add = [&](uint8_t protocol) {
    keys.push_back({opening.source, opening.destination, protocol, opening.port});
  };
  const bool any = opening.protocol == machine::Protocol::any;
  if (any || opening.protocol == machine::Protocol::tcp) add(kTcp);
  if (any || opening.protocol == machine::Protocol::udp) add(kUdp);
  return keys;
}

Elements elements_of(const std::vector<LiveOpening>& openings) {
  Elements elements;
  for (const LiveOpening& opening : openings)
    for (const ElementKey& key : keys_of(opening)) {
      const auto [it, added] = elements.emplace(key, opening.deadline);
      if (!added) it->second = std::max(it->second, opening.deadline);
    }
  return elements;
}

std::vector<OpeningSet> sets_of(const Elements& elements) {
  std::set<OpeningSet> sets;
  for (const auto& [key, deadline] : elements) sets.insert(key.set());
  return {sets.begin(), sets.end()};
}

std::string opening_sets_text(const std::vector<OpeningSet>& sets) {
  std::string out;
  for (const OpeningSet& set : sets) {
    const std::string_view address = set.family == IpFamily::v4 ? "ipv4_addr" : "ipv6_addr";
    const std::string source = set.length == 0 ? std::string() : fmt::format("{} . ", address);
    // The default of one second: an element that somebody adds without a timeout is not permanent.
    out += fmt::format(
        "add set inet merlon {} {{ type {}{} . inet_proto . inet_service; flags timeout; timeout 1s; }}\n",
        set.name(), source, address);
  }
  return out;
}

std::string element_changes_text(const Elements& before, const Elements& after, Duration now) {
  BySet touched;  // present with any timeout, so that the deletion finds it
  BySet deleted;
  BySet added;
  const auto remaining = [&](Duration deadline) { return deadline - now - kCommitMargin; };
  const auto remove = [&](const ElementKey& key) {
    touched[key.set()].push_back(key.text() + " timeout 1s");
    deleted[key.set()].push_back(key.text());
  };
  for (const auto& [key, deadline] : before)
    if (const auto it = after.find(key); it == after.end() || remaining(it->second) < kShortestTimeout)
      remove(key);
  for (const auto& [key, deadline] : after) {
    if (remaining(deadline) < kShortestTimeout) continue;
    if (const auto it = before.find(key); it != before.end() && it->second == deadline) continue;
    remove(key);
    added[key.set()].push_back(fmt::format("{} timeout {}ms", key.text(), remaining(deadline).count()));
  }
  std::string out;
  append_commands(out, "add", touched);
  append_commands(out, "delete", deleted);
  append_commands(out, "add", added);
  return out;
}

}  // namespace merlon::agent

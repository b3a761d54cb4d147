// Openings as nftables text.
#include "agent/firewall_openings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace merlon::agent {
namespace {

constexpr uint8_t kTcp = 6;  // IANA protocol numbers
constexpr uint8_t kUdp = 17;
// nft reads its commands with a parser of its own: lines of this many elements keep it in small memory.
constexpr size_t kElementsPerCommand = 256;

using BySet = std::map<std::string, std::vector<std::string>>;

void append_commands(std::string& out, std::string_view verb, const BySet& by_set) {
  for (const auto& [set, texts] : by_set)
    for (size_t i = 0; i < texts.size(); i += kElementsPerCommand) {
      const auto last =
          texts.begin() + static_cast<ptrdiff_t>(std::min(texts.size(), i + kElementsPerCommand));
      out += fmt::format("{} element inet merlon {} {{ {} }}\n", verb, set,
                         fmt::join(texts.begin() + static_cast<ptrdiff_t>(i), last, ", "));
    }
}

Duration remaining(Duration deadline, Duration now) { return deadline - now - kCommitMargin; }

// What a map's element leads to; nothing for a set's.
std::string data_text(uint32_t mark) { return mark == 0 ? std::string() : fmt::format(" : {:#010x}", mark); }

struct Changes {
  BySet touched;  // present with any timeout, so that the deletion finds it
  BySet deleted, added;

  void remove(const std::string& set, const std::string& key, uint32_t mark) {
    touched[set].push_back(key + " timeout 1s" + data_text(mark));
    deleted[set].push_back(key + data_text(mark));
  }
  void add(const std::string& set, const std::string& key, Duration left, uint32_t mark) {
    added[set].push_back(fmt::format("{} timeout {}ms{}", key, left.count(), data_text(mark)));
  }
  std::string text() const {
    std::string out;
    append_commands(out, "add", touched);
    append_commands(out, "delete", deleted);
    append_commands(out, "add", added);
    return out;
  }
};

}  // namespace

std::string OpeningSet::name() const {
  return fmt::format("{}{}_{}", marks ? "cut" : "open", family == IpFamily::v4 ? 4 : 6, length);
}

std::string ElementKey::text() const {
  const std::string rest = fmt::format("{} . {} . {}", destination.text(), protocol, port);
  return source.length() == 0 ? rest : source.address().text() + " . " + rest;
}

std::vector<ElementKey> keys_of(const LiveOpening& opening) {
  std::vector<ElementKey> keys;
  const auto add = [&](uint8_t protocol) {
    keys.push_back({opening.source, opening.destination, protocol, opening.port, opening.mark != 0});
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
      const auto [it, added] = elements.emplace(key, ElementValue{opening.deadline, opening.mark});
      if (!added && opening.deadline > it->second.deadline) it->second = {opening.deadline, opening.mark};
    }
  return elements;
}

Marks marks_of(const std::vector<LiveOpening>& openings) {
  Marks marks;
  for (const LiveOpening& opening : openings)
    if (opening.mark != 0) marks[opening.mark] = std::max(marks[opening.mark], opening.deadline);
  return marks;
}

std::optional<uint32_t> mark_at(uint32_t index, uint32_t mask) {
  uint32_t mark = 0;
  for (uint32_t bits = mask; bits != 0; bits &= bits - 1, index >>= 1)
    if ((index & 1) != 0) mark |= uint32_t{1} << std::countr_zero(bits);
  if (index != 0 || mark == 0) return std::nullopt;
  return mark;
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
        "add {} inet merlon {} {{ type {}{} . inet_proto . inet_service{}; flags timeout; timeout 1s; }}\n",
        set.marks ? "map" : "set", set.name(), source, address, set.marks ? " : mark" : "");
  }
  return out;
}

std::string element_changes_text(const Elements& before, const Elements& after, Duration now) {
  Changes changes;
  for (const auto& [key, value] : before) {
    const auto it = after.find(key);
    if (it == after.end() || remaining(it->second.deadline, now) < kShortestTimeout)
      changes.remove(key.set().name(), key.text(), value.mark);
  }
  for (const auto& [key, value] : after) {
    if (remaining(value.deadline, now) < kShortestTimeout) continue;
    const auto it = before.find(key);
    if (it != before.end() && it->second == value) continue;
    changes.remove(key.set().name(), key.text(), it == before.end() ? value.mark : it->second.mark);
    changes.add(key.set().name(), key.text(), remaining(value.deadline, now), value.mark);
  }
  return changes.text();
}

std::string mark_changes_text(const Marks& before, const Marks& after, Duration now) {
  Changes changes;
  const auto text = [](uint32_t mark) { return fmt::format("{:#010x}", mark); };
  for (const auto& [mark, deadline] : before)
    if (const auto it = after.find(mark); it == after.end() || remaining(it->second, now) < kShortestTimeout)
      changes.remove("live", text(mark), 0);
  for (const auto& [mark, deadline] : after) {
    if (remaining(deadline, now) < kShortestTimeout) continue;
    if (const auto it = before.find(mark); it != before.end() && it->second == deadline) continue;
    changes.remove("live", text(mark), 0);
    changes.add("live", text(mark), remaining(deadline, now), 0);
  }
  return changes.text();
}

}  // namespace merlon::agent

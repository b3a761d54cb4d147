// Openings in the kernel: set elements with timeouts. Hash sets only: in an interval set a prefix over a
// narrower one, or an address inside one, is refused with EEXIST. One set per family and source prefix length
// in use; a set's key holds the masked source, so /0 needs none. An opening whose connections end with it has
// its elements in maps instead, which give each connection the opening's mark (kernel.md, "Established
// connections").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "machine/desired_state.h"

namespace merlon::agent {

// An opening with its end on this machine's CLOCK_BOOTTIME.
struct LiveOpening {
  std::string id;
  machine::Protocol protocol = machine::Protocol::tcp;
  IpPrefix source;
  IpAddress destination;
  uint16_t port = 0;
  Duration deadline{};
  uint32_t mark = 0;  // not 0: its connections carry it, and pass only while it is live
};

struct OpeningSet {
  IpFamily family = IpFamily::v4;
  unsigned length = 32;
  bool marks = false;  // a map from keys to connection marks
  auto operator<=>(const OpeningSet&) const = default;
  std::string name() const;  // "open4_24", "cut4_24"
};

struct ElementKey {
  IpPrefix source;
  IpAddress destination;
  uint8_t protocol = 6;  // IANA number
  uint16_t port = 0;
  bool marks = false;
  auto operator<=>(const ElementKey&) const = default;
  OpeningSet set() const { return {source.family(), source.length(), marks}; }
  std::string text() const;  // "192.0.2.7 . 10.0.0.4 . 6 . 22"
};

struct ElementValue {
  Duration deadline{};
  uint32_t mark = 0;
  bool operator==(const ElementValue&) const = default;
};

// Each key with the opening on it that ends last. Openings share keys: two people behind one NAT.
using Elements = std::map<ElementKey, ElementValue>;
// The marks whose connections may go on, each with its end.
using Marks = std::map<uint32_t, Duration>;
std::vector<ElementKey> keys_of(const LiveOpening& opening);
Elements elements_of(const std::vector<LiveOpening>& openings);
Marks marks_of(const std::vector<LiveOpening>& openings);
std::vector<OpeningSet> sets_of(const Elements& elements);
// The index'th mark, from 1, within the bits of `mask`; nothing beyond the last.
std::optional<uint32_t> mark_at(uint32_t index, uint32_t mask);

// An element with less time left than this is not added. A timeout that rounds to zero ticks (10 ms at
// HZ=100) would be none: a permanent element.
inline constexpr Duration kShortestTimeout{50};
// Taken off each timeout: the kernel counts from its commit, later than the moment that we computed at.
inline constexpr Duration kCommitMargin{20};

std::string opening_sets_text(const std::vector<OpeningSet>& sets);  // creates what is missing
// From `before` to `after` at boot time `now`. An element is deleted and added again, never just added: older
// kernels keep the timeout of an element that is present. Since deleting what is absent fails the whole
// transaction, each deletion stands behind an addition.
std::string element_changes_text(const Elements& before, const Elements& after, Duration now);
std::string mark_changes_text(const Marks& before, const Marks& after, Duration now);

}  // namespace merlon::agent

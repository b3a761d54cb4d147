// Openings in the kernel: set elements with timeouts. Hash sets only: in an interval set a prefix over a
// narrower one, or an address inside one, is refused with EEXIST. One set per family and source prefix length
// in use; a set's key holds the masked source, so /0 needs none.
#pragma once

#include <cstdint>
#include <map>
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
};

struct OpeningSet {
  IpFamily family = IpFamily::v4;
  unsigned length = 32;
  auto operator<=>(const OpeningSet&) const = default;
  std::string name() const;  // "open4_24"
};

struct ElementKey {
  IpPrefix source;
  IpAddress destination;
  uint8_t protocol = 6;  // IANA number
  uint16_t port = 0;
  auto operator<=>(const ElementKey&) const = default;
  OpeningSet set() const { return {source.family(), source.length()}; }
  std::string text() const;  // "192.0.2.7 . 10.0.0.4 . 6 . 22"
};

// Each key with the latest deadline of the openings on it. Openings share keys: two people behind one NAT.
using Elements = std::map<ElementKey, Duration>;
std::vector<ElementKey> keys_of(const LiveOpening& opening);
Elements elements_of(const std::vector<LiveOpening>& openings);
std::vector<OpeningSet> sets_of(const Elements& elements);

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

}  // namespace merlon::agent

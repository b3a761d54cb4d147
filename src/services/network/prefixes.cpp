// Complement by halving: a prefix that meets none of the set is kept whole, one that lies inside it is
// dropped, the rest is halved. The work is bounded by the set's size times the address length.
#include "services/network/prefixes.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace merlon::network {
namespace {

IpPrefix half(const IpPrefix& prefix, bool upper) {
  const unsigned bit = prefix.length();
  std::array<uint8_t, 16> bytes = prefix.address().bytes();
  if (upper) bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  IpAddress address;
  if (prefix.family() == IpFamily::v4) {
    uint32_t host_order = 0;
    for (size_t i = 0; i < 4; ++i) host_order = (host_order << 8) | bytes[i];
    address = IpAddress::from_v4(host_order);
  } else {
    address = IpAddress::from_v6(bytes);
  }
  return IpPrefix::make(address, bit + 1).value_or(prefix);
}

void outside(const IpPrefix& whole, const std::vector<IpPrefix>& inside, std::vector<IpPrefix>& out) {
  std::vector<IpPrefix> meeting;
  for (const IpPrefix& prefix : inside) {
    if (prefix.contains(whole)) return;
    if (whole.contains(prefix)) meeting.push_back(prefix);
  }
  if (meeting.empty()) {
    out.push_back(whole);
    return;
  }
  for (const bool upper : {false, true}) {
    const IpPrefix part = half(whole, upper);
    // IPv4-mapped space has no IPv6 prefix of its own (base/ip.h); nothing there is routed.
    if (part == whole || part.family() != whole.family()) continue;
    outside(part, meeting, out);
  }
}

// The prefix that both halves make, when they are the halves of one.
std::optional<IpPrefix> whole_of(const IpPrefix& lower, const IpPrefix& upper) {
  if (lower.family() != upper.family() || lower.length() != upper.length() || lower.length() == 0)
    return std::nullopt;
  const auto whole = IpPrefix::make(lower.address(), lower.length() - 1);
  if (!whole || whole->address() != lower.address() || !whole->contains(upper)) return std::nullopt;
  return whole;
}

}  // namespace

std::vector<IpPrefix> everything() { return {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")}; }

std::vector<IpPrefix> complement(const std::vector<IpPrefix>& prefixes) {
  std::vector<IpPrefix> out;
  for (const IpPrefix& whole : everything()) outside(whole, prefixes, out);
  return out;
}

std::vector<IpPrefix> merged(std::vector<IpPrefix> prefixes) {
  // By address, then the shorter length: what contains another comes just before it.
  std::sort(prefixes.begin(), prefixes.end());
  std::vector<IpPrefix> out;
  for (const IpPrefix& prefix : prefixes) {
    if (!out.empty() && out.back().contains(prefix)) continue;
    out.push_back(prefix);
    while (out.size() > 1) {
      const auto whole = whole_of(out[out.size() - 2], out.back());
      if (!whole) break;
      out.pop_back();
      out.back() = *whole;
    }
  }
  return out;
}

std::vector<IpPrefix> widest(std::vector<IpPrefix> prefixes) {
  std::ranges::sort(prefixes);
  std::vector<IpPrefix> kept;
  for (const IpPrefix& prefix : prefixes)
    if (kept.empty() || !kept.back().contains(prefix)) kept.push_back(prefix);
  return kept;
}

bool is_within(const std::vector<IpPrefix>& space, const IpPrefix& prefix) {
  const auto after = std::ranges::upper_bound(space, prefix);
  return after != space.begin() && std::prev(after)->contains(prefix);
}

bool overlap(const std::vector<IpPrefix>& left, const std::vector<IpPrefix>& right) {
  const auto a = widest(left), b = widest(right);
  return std::ranges::any_of(a, [&](const IpPrefix& prefix) { return is_within(b, prefix); }) ||
         std::ranges::any_of(b, [&](const IpPrefix& prefix) { return is_within(a, prefix); });
}

std::vector<IpPrefix> subnet_prefixes(const JsonObject& subnet) {
  std::vector<IpPrefix> prefixes;
  if (const auto one = string_at(subnet, "properties.addressPrefix"))
    if (const auto prefix = IpPrefix::parse(*one)) prefixes.push_back(*prefix);
  if (const JsonArray* many = array_at(subnet, "properties.addressPrefixes"))
    for (const Json& element : *many)
      if (element.is_string())
        if (const auto prefix = IpPrefix::parse(element.get_string())) prefixes.push_back(*prefix);
  return prefixes;
}

std::optional<IpAddress> host_of(const IpPrefix& prefix, uint32_t number) {
  std::array<uint8_t, 16> bytes = prefix.address().bytes();
  const size_t last = prefix.family() == IpFamily::v4 ? 3 : 15;
  uint32_t carry = number;
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t sum = bytes[last - i] + (carry & 0xffU);
    bytes[last - i] = static_cast<uint8_t>(sum);
    carry = (carry >> 8) + (sum >> 8);
  }
  IpAddress address;
  if (prefix.family() == IpFamily::v6) {
    address = IpAddress::from_v6(bytes);
  } else {
    uint32_t host_order = 0;
    for (size_t i = 0; i < 4; ++i) host_order = (host_order << 8) | bytes[i];
    address = IpAddress::from_v4(host_order);
  }
  return prefix.contains(address) ? std::optional<IpAddress>(address) : std::nullopt;
}

const JsonObject* find_subnet(const JsonObject& network, std::string_view name) {
  if (const JsonArray* subnets = array_at(network, "properties.subnets"))
    for (const Json& subnet : *subnets)
      if (ascii_iequal(string_at(subnet.as_object(), "name").value_or(""), name)) return &subnet.as_object();
  return nullptr;
}

}  // namespace merlon::network

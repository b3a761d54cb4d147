// IP addresses and prefixes, both families. IPv4-mapped IPv6 addresses are unmapped on the way in: "who is
// asking" has one spelling.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merlon {

enum class IpFamily : uint8_t { v4 = 4, v6 = 6 };

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  // Dotted quad without leading zeros, or RFC 4291 text; no zone, no brackets.
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress from_v4(uint32_t host_order);
  static IpAddress from_v6(const std::array<uint8_t, 16>& bytes);  // unmaps ::ffff:0:0/96
  IpFamily family() const { return family_; }
  bool is_v4() const { return family_ == IpFamily::v4; }
  unsigned bits() const { return is_v4() ? 32 : 128; }
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }  // IPv4 in the first four
  std::string text() const;                                        // canonical, RFC 5952
  bool is_loopback() const;
  bool is_link_local() const;
  bool is_multicast() const;
  bool is_unspecified() const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  IpFamily family_ = IpFamily::v4;
  std::array<uint8_t, 16> bytes_{};
};

class IpPrefix {
 public:
  IpPrefix() = default;  // 0.0.0.0/32
  explicit IpPrefix(const IpAddress& host) : address_(host), length_(host.bits()) {}
  // Host bits below the length are cleared, as Azure's own tools do. Empty for a length beyond the family's.
  static std::optional<IpPrefix> make(const IpAddress& address, unsigned length);
  static std::optional<IpPrefix> parse(
      std::string_view text);  // "10.0.0.0/8", "fd00::/8", or a single address
  const IpAddress& address() const { return address_; }
  unsigned length() const { return length_; }
  IpFamily family() const { return address_.family(); }
  bool is_host() const { return length_ == address_.bits(); }
  bool contains(const IpAddress& address) const;
  bool contains(const IpPrefix& other) const;  // other lies wholly inside
  std::string text() const;                    // "192.0.2.7" for a host, else with its length
  auto operator<=>(const IpPrefix&) const = default;

 private:
  IpAddress address_;
  unsigned length_ = 32;
};

}  // namespace merlon

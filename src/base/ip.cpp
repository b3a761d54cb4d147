// IP addresses over the C library's inet_pton and inet_ntop, which are strict and write RFC 5952.
#include "base/ip.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace merlon {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

IpAddress IpAddress::from_v4(uint32_t host_order) {
  IpAddress address;
  for (size_t i = 0; i < 4; ++i) address.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::from_v6(const std::array<uint8_t, 16>& bytes) {
  IpAddress address;
  if (std::memcmp(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0) {
    std::memcpy(address.bytes_.data(), bytes.data() + 12, 4);
    return address;
  }
  address.family_ = IpFamily::v6;
  address.bytes_ = bytes;
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() > INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string zero_terminated(text);
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, zero_terminated.c_str(), bytes.data()) == 1) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
  }
  if (inet_pton(AF_INET6, zero_terminated.c_str(), bytes.data()) == 1) return from_v6(bytes);
  return std::nullopt;
}

std::string IpAddress::text() const {
  if (is_v4()) {  // by hand: a machine's rules hold hundreds of them
    std::string text;
    for (size_t i = 0; i < 4; ++i) {
      const unsigned byte = bytes_[i];
      if (i > 0) text += '.';
      if (byte >= 100) text += static_cast<char>('0' + byte / 100);
      if (byte >= 10) text += static_cast<char>('0' + byte / 10 % 10);
      text += static_cast<char>('0' + byte % 10);
    }
    return text;
  }
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(AF_INET6, bytes_.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  std::array<uint8_t, 16> one{};
  one[15] = 1;
  return bytes_ == one;
}

bool IpAddress::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool IpAddress::is_unspecified() const { return bytes_ == std::array<uint8_t, 16>{}; }

std::optional<IpPrefix> IpPrefix::make(const IpAddress& address, unsigned length) {
  if (length > address.bits()) return std::nullopt;
  std::array<uint8_t, 16> bytes = address.bytes();
  for (unsigned bit = length; bit < address.bits(); ++bit)
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  IpPrefix prefix;
  if (address.is_v4()) {
    uint32_t host_order = 0;
    for (size_t i = 0; i < 4; ++i) host_order = (host_order << 8) | bytes[i];
    prefix.address_ = IpAddress::from_v4(host_order);
  } else {
    prefix.address_ = IpAddress::from_v6(bytes);
    // ::/0 to ::/96 cleared down to the mapped prefix would change family; there is no such IPv6 prefix in
    // use.
    if (prefix.address_.is_v4()) return std::nullopt;
  }
  prefix.length_ = length;
  return prefix;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return IpPrefix(*address);
  const std::string_view digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0'))
    return std::nullopt;
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return make(*address, length);
}

bool IpPrefix::contains(const IpAddress& address) const {
  if (address.family() != family()) return false;
  const auto own = make(address, length_);
  return own && own->address_ == address_;
}

bool IpPrefix::contains(const IpPrefix& other) const {
  return other.length_ >= length_ && contains(other.address_);
}

std::string IpPrefix::text() const {
  return is_host() ? address_.text() : address_.text() + "/" + std::to_string(length_);
}

}  // namespace merlon

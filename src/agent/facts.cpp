// Collecting facts.
#include "agent/facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include <fmt/format.h>

#include "base/text.h"
#include "crypto/digest.h"

namespace merlon::agent {
namespace {

constexpr size_t kFileBytesMax = 1024 * 1024;
constexpr size_t kInterfacesMax = 256;  // as the server's reader has it
constexpr size_t kAddressesMax = 64;
constexpr unsigned kRouteUp = 0x1;        // RTF_UP, linux/route.h
constexpr unsigned kRouteReject = 0x200;  // RTF_REJECT

std::string content_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kFileBytesMax, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  return content;
}

std::string first_line(const char* path) {
  const std::string content = content_of(path);
  return std::string(trim(std::string_view(content).substr(0, content.find('\n'))));
}

std::vector<std::string> words(std::string_view line) {
  std::istringstream stream{std::string(line)};
  std::vector<std::string> out;
  for (std::string word; stream >> word;) out.push_back(word);
  return out;
}

unsigned hex_number(const std::string& text) {
  unsigned value = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9'                 ? c - '0'
                      : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                           : -1;
    if (digit < 0) return 0;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return value;
}

// os-release(5): NAME=value or NAME="value".
std::map<std::string, std::string> os_release() {
  std::map<std::string, std::string> values;
  const std::string content = content_of("/etc/os-release");
  for (const std::string_view line : split(content, '\n')) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    values.emplace(line.substr(0, equals), value.substr(0, 128));
  }
  return values;
}

std::set<std::string> default_route_interfaces() {
  std::set<std::string> names;
  const std::string v4 = content_of("/proc/net/route");
  for (const std::string_view line : split(v4, '\n')) {
    const auto column = words(line);  // Iface Destination Gateway Flags RefCnt Use Metric Mask ...
    if (column.size() >= 8 && column[1] == "00000000" && column[7] == "00000000" &&
        (hex_number(column[3]) & (kRouteUp | kRouteReject)) == kRouteUp)
      names.insert(column[0]);
  }
  const std::string v6 = content_of("/proc/net/ipv6_route");
  for (const std::string_view line : split(v6, '\n')) {
    const auto column =
        words(line);  // destination length source length next-hop metric refs use flags device
    if (column.size() >= 10 && column[1] == "00" && column[0].find_first_not_of('0') == std::string::npos &&
        (hex_number(column[8]) & (kRouteUp | kRouteReject)) == kRouteUp && column[9] != "lo")
      names.insert(column[9]);
  }
  return names;
}

struct FreeAddresses {
  void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

std::optional<IpAddress> to_address(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET)
    return IpAddress::from_v4(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  if (address->sa_family != AF_INET6) return std::nullopt;
  std::array<uint8_t, 16> bytes{};
  std::copy_n(reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr.s6_addr, bytes.size(), bytes.begin());
  return IpAddress::from_v6(bytes);
}

unsigned mask_length(const IpAddress& mask) {
  unsigned length = 0;
  for (unsigned i = 0; i < mask.bits() / 8; ++i)
    length += static_cast<unsigned>(std::popcount(mask.bytes().at(i)));
  return length;
}

std::vector<machine::ReportedInterface> interfaces() {
  ifaddrs* raw = nullptr;
  if (::getifaddrs(&raw) != 0) return {};
  const std::unique_ptr<ifaddrs, FreeAddresses> list(raw);
  const std::set<std::string> routed = default_route_interfaces();
  std::map<std::string, machine::ReportedInterface> found;
  for (const ifaddrs* entry = raw; entry != nullptr; entry = entry->ifa_next) {
    if ((entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    if (!found.contains(entry->ifa_name) && found.size() >= kInterfacesMax) continue;
    machine::ReportedInterface& interface = found[entry->ifa_name];
    interface.name = entry->ifa_name;
    interface.default_route = routed.contains(interface.name);
    if (entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_PACKET) {
      const auto* link = reinterpret_cast<const sockaddr_ll*>(entry->ifa_addr);
      const size_t length = std::min<size_t>(link->sll_halen, sizeof link->sll_addr);
      for (size_t i = 0; i < length; ++i)
        interface.mac += fmt::format("{}{:02x}", i == 0 ? "" : ":", link->sll_addr[i]);
    }
    const auto address = to_address(entry->ifa_addr);
    const auto mask = to_address(entry->ifa_netmask);
    if (address && mask && interface.addresses.size() < kAddressesMax)
      interface.addresses.emplace_back(*address, std::min(mask_length(*mask), address->bits()));
  }
  std::vector<machine::ReportedInterface> out;
  for (auto& [name, interface] : found) {
    std::sort(interface.addresses.begin(), interface.addresses.end());
    out.push_back(std::move(interface));
  }
  return out;
}

}  // namespace

Result<std::string> boot_id() {
  std::string id = first_line("/proc/sys/kernel/random/boot_id");
  if (id.empty())
    return fail(ErrorKind::unavailable, "BootIdUnknown",
                "The kernel's boot id could not be read: is /proc mounted? Without it the agent cannot tell "
                "a restart of the machine, and will not open anything.");
  return id;
}

machine::MachineFacts collect_facts() {
  machine::MachineFacts facts;
  utsname names{};
  if (::uname(&names) == 0) {
    facts.hostname = std::string(names.nodename).substr(0, 256);
    facts.kernel = std::string(names.release).substr(0, 128);
    facts.architecture = std::string(names.machine).substr(0, 64);
  }
  auto release = os_release();
  facts.os_name = release["ID"];
  facts.os_version = release["VERSION_ID"];
  if (const std::string id = first_line("/etc/machine-id"); !id.empty())
    facts.machine_id_hash = to_hex(crypto::sha256(as_bytes(id)));
  facts.boot_id = boot_id().value_or("");
  facts.cpus = std::max<int64_t>(0, ::sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo memory{};
  if (::sysinfo(&memory) == 0)
    facts.memory_bytes = static_cast<int64_t>(memory.totalram) * static_cast<int64_t>(memory.mem_unit);
  facts.interfaces = interfaces();
  return facts;
}

std::vector<IpAddress> resolvers_of(std::string_view resolv_conf) {
  constexpr size_t kResolversMax = 16;
  std::vector<IpAddress> found;
  for (const std::string_view line : split(resolv_conf, '\n')) {
    const auto word = words(line);
    if (word.size() < 2 || word[0] != "nameserver") continue;
    const auto address = IpAddress::parse(std::string_view(word[1]).substr(0, word[1].find('%')));
    if (address && found.size() < kResolversMax) found.push_back(*address);
  }
  return found;
}

std::vector<IpAddress> configured_resolvers() { return resolvers_of(content_of("/etc/resolv.conf")); }

std::pair<int64_t, int64_t> tracked_connections() {
  const auto number = [](const char* path) {
    const std::string text = first_line(path);
    int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  return {number("/proc/sys/net/netfilter/nf_conntrack_count"),
          number("/proc/sys/net/netfilter/nf_conntrack_max")};
}

std::set<std::string> uplinks(const std::vector<IpAddress>& addresses) {
  std::set<std::string> names = default_route_interfaces();
  for (const machine::ReportedInterface& interface : interfaces())
    for (const auto& [address, length] : interface.addresses)
      if (std::find(addresses.begin(), addresses.end(), address) != addresses.end())
        names.insert(interface.name);
  return names;
}

}  // namespace merlon::agent

// The platform's tags are built in; the others are data that somebody loads (service_tags.h).
#include "services/network/address_names.h"

#include <algorithm>

#include "base/text.h"
#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

constexpr std::string_view kVirtualNetwork = "VirtualNetwork";
constexpr std::string_view kInternet = "Internet";
constexpr size_t kTagNameMax = 128;

// Azure's virtual public address of the platform: DNS, DHCP and health probes.
const IpPrefix& platform_address() {
  static const IpPrefix address = *IpPrefix::parse("168.63.129.16");
  return address;
}

const std::vector<std::string>* fixed_tag(std::string_view text) {
  for (const auto& [name, prefixes] : fixed_platform_tags())
    if (ascii_iequal(text, name)) return &prefixes;
  return nullptr;
}

std::vector<IpPrefix> with_platform(std::vector<IpPrefix> prefixes) {
  prefixes.push_back(platform_address());
  return prefixes;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

bool is_any(std::string_view text) { return text == "*" || ascii_iequal(text, "any"); }

// AzurePlatformLKM: Azure docs, troubleshoot Windows virtual machine activation: kms.core.windows.net and
// azkms.core.windows.net.
const std::map<std::string, std::vector<std::string>>& fixed_platform_tags() {
  static const std::map<std::string, std::vector<std::string>> tags = {
      {"AzureLoadBalancer", {"168.63.129.16/32"}},
      {"AzurePlatformDNS", {"168.63.129.16/32"}},
      {"AzurePlatformIMDS", {"169.254.169.254/32"}},
      {"AzurePlatformLKM", {"20.118.99.224/32", "23.102.135.246/32", "40.83.235.53/32"}}};
  return tags;
}

bool is_platform_tag(std::string_view text) {
  return ascii_iequal(text, kVirtualNetwork) || ascii_iequal(text, kInternet) || fixed_tag(text) != nullptr;
}

bool is_tag_name(std::string_view text) {
  if (text.empty() || text.size() > kTagNameMax || is_any(text) || IpPrefix::parse(text)) return false;
  const char first = ascii_lower(text.front());
  return first >= 'a' && first <= 'z' && is_word(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

std::optional<std::string> service_tag_in(std::string_view text) {
  if (is_any(text) || is_platform_tag(text) || IpPrefix::parse(text)) return std::nullopt;
  return ascii_lower(text);
}

std::vector<IpPrefix> expand_name(std::string_view text, const Meanings& meanings) {
  if (is_any(text)) return everything();
  if (ascii_iequal(text, kVirtualNetwork)) return with_platform(meanings.virtual_network);
  if (ascii_iequal(text, kInternet)) return complement(with_platform(meanings.virtual_network));
  std::vector<IpPrefix> prefixes;
  if (const auto* fixed = fixed_tag(text)) {
    for (const std::string& prefix : *fixed) prefixes.push_back(*IpPrefix::parse(prefix));
    return prefixes;
  }
  if (const auto prefix = IpPrefix::parse(text)) return {*prefix};
  const auto tag = meanings.service_tags.find(ascii_lower(text));
  return tag == meanings.service_tags.end() ? prefixes : tag->second;
}

std::optional<std::string> check_address_prefix(std::string_view text) {
  if (is_any(text) || IpPrefix::parse(text) || is_tag_name(text)) return std::nullopt;
  return "is not *, an IP address, a CIDR prefix or the name of a service tag";
}

}  // namespace merlon::network

// What may stand for addresses in a security rule: "*", addresses, prefixes, service tags; and what each
// means at one interface. Source: Azure docs, service-tags-overview.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace merlon::network {

// What the names in rules stand for, as one interface sees them.
struct Meanings {
  std::vector<IpPrefix> virtual_network;  // its network's space and that of connected peers
  std::map<std::string, std::vector<IpPrefix>> service_tags;  // by lower-case name
  std::map<std::string, std::vector<IpPrefix>> groups;        // application security groups, by lower-case id
};

bool is_any(std::string_view text);  // "*" or "any"
// VirtualNetwork, Internet, AzureLoadBalancer and AzurePlatform…: known without anybody loading them.
bool is_platform_tag(std::string_view text);
// The platform tags whose addresses are the same everywhere, by their names as Azure spells them.
const std::map<std::string, std::vector<std::string>>& fixed_platform_tags();
// A name that a service tag may have: "Storage.WestEurope", "corp-offices".
bool is_tag_name(std::string_view text);
// The tag's lower-case name when `text` can only be one that must be looked up, else nothing.
std::optional<std::string> service_tag_in(std::string_view text);

// The prefixes that `text` stands for. A name without a meaning stands for none.
std::vector<IpPrefix> expand_name(std::string_view text, const Meanings& meanings);

// What is wrong with the spelling; whether a tag exists only the store knows.
std::optional<std::string> check_address_prefix(std::string_view text);

}  // namespace merlon::network

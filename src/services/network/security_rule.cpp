// Reading and expanding security rules.
#include "services/network/security_rule.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "base/text.h"
#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

using machine::Access;
using machine::PortRange;
using machine::Protocol;

constexpr std::string_view kVirtualNetwork = "VirtualNetwork";
constexpr std::string_view kInternet = "Internet";
constexpr std::string_view kLoadBalancer = "AzureLoadBalancer";
// Azure's virtual public address of the platform: DNS, DHCP and health probes.
constexpr std::string_view kPlatformAddress = "168.63.129.16/32";

bool is_any(std::string_view text) { return text == "*" || ascii_iequal(text, "any"); }

bool is_tag(std::string_view text) {
  return ascii_iequal(text, kVirtualNetwork) || ascii_iequal(text, kInternet) ||
         ascii_iequal(text, kLoadBalancer);
}

std::optional<uint16_t> read_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > 65535) return std::nullopt;
  return static_cast<uint16_t>(value);
}

std::optional<PortRange> read_range(std::string_view text) {
  if (text == "*") return PortRange{0, 65535};
  const size_t dash = text.find('-');
  const auto first = read_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : read_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::unexpected<Error> bad_rule(std::string_view code, const std::string& rule, std::string_view field,
                                std::string_view what) {
  return fail(ErrorKind::invalid, code, fmt::format("Security rule '{}': {}.", rule, what),
              fmt::format("securityRules[{}].properties.{}", rule, field));
}

// Azure has a singular and a plural spelling of each list; a rule uses one of them.
Result<std::vector<std::string>> one_or_many(const JsonObject& properties, const std::string& rule,
                                             std::string_view singular, std::string_view plural) {
  std::vector<std::string> values;
  if (const JsonArray* many = array_at(properties, plural))
    for (const Json& element : *many)
      if (element.is_string()) values.emplace_back(element.get_string());
  const auto one = string_at(properties, singular);
  if (one && !one->empty() && !values.empty())
    return bad_rule("SecurityRuleParameterContainsBothSingularAndPlural", rule, singular,
                    fmt::format("'{}' and '{}' exclude each other", singular, plural));
  if (one && !one->empty()) values.push_back(*one);
  if (values.empty())
    return bad_rule("SecurityRuleParameterIsMissing", rule, singular,
                    fmt::format("one of '{}' and '{}' is needed", singular, plural));
  if (values.size() > kPrefixesPerRuleMax)
    return bad_rule("SecurityRuleTooManyValues", rule, plural,
                    fmt::format("'{}' has {} values; at most {} are accepted", plural, values.size(),
                                kPrefixesPerRuleMax));
  if (values.size() > 1)
    for (const std::string& value : values)
      if (is_any(value) || is_tag(value))
        return bad_rule("SecurityRuleInvalidAddressPrefix", rule, plural,
                        fmt::format("'{}' can stand only by itself, not in a list", value));
  return values;
}

Result<std::vector<std::string>> read_prefixes(const JsonObject& properties, const std::string& rule,
                                               std::string_view singular, std::string_view plural) {
  auto values = TRY(one_or_many(properties, rule, singular, plural));
  for (const std::string& value : values)
    if (const auto problem = check_address_prefix(value))
      return bad_rule("SecurityRuleInvalidAddressPrefix", rule, singular,
                      fmt::format("'{}' {}", value, *problem));
  return values;
}

Result<std::vector<PortRange>> read_ports(const JsonObject& properties, const std::string& rule,
                                          std::string_view singular, std::string_view plural) {
  std::vector<PortRange> ranges;
  for (const std::string& value : TRY(one_or_many(properties, rule, singular, plural))) {
    const auto range = read_range(value);
    if (!range)
      return bad_rule("SecurityRuleInvalidPortRange", rule, singular,
                      fmt::format("'{}' is not a port, a range like 1000-2000, or *", value));
    ranges.push_back(*range);
  }
  return ranges;
}

Protocol read_protocol(std::string_view text) {
  if (ascii_iequal(text, "Tcp")) return Protocol::tcp;
  if (ascii_iequal(text, "Udp")) return Protocol::udp;
  if (ascii_iequal(text, "Icmp")) return Protocol::icmp;
  if (ascii_iequal(text, "Esp")) return Protocol::esp;
  if (ascii_iequal(text, "Ah")) return Protocol::ah;
  return Protocol::any;
}

std::vector<IpPrefix> expand_prefixes(const std::vector<std::string>& values, const TagPrefixes& tags) {
  std::vector<IpPrefix> prefixes;
  for (const std::string& value : values) {
    if (is_any(value)) {
      const auto all = everything();
      prefixes.insert(prefixes.end(), all.begin(), all.end());
    } else if (ascii_iequal(value, kVirtualNetwork)) {
      prefixes.insert(prefixes.end(), tags.virtual_network.begin(), tags.virtual_network.end());
      prefixes.push_back(*IpPrefix::parse(kPlatformAddress));
    } else if (ascii_iequal(value, kInternet)) {
      std::vector<IpPrefix> inside = tags.virtual_network;
      inside.push_back(*IpPrefix::parse(kPlatformAddress));
      const auto outside = complement(inside);
      prefixes.insert(prefixes.end(), outside.begin(), outside.end());
    } else if (ascii_iequal(value, kLoadBalancer)) {
      prefixes.push_back(*IpPrefix::parse(kPlatformAddress));
    } else if (const auto prefix = IpPrefix::parse(value)) {
      prefixes.push_back(*prefix);
    }
  }
  return prefixes;
}

}  // namespace

std::string_view direction_text(Direction direction) {
  return direction == Direction::inbound ? "Inbound" : "Outbound";
}

std::optional<std::string> check_address_prefix(std::string_view text) {
  if (is_any(text) || is_tag(text) || IpPrefix::parse(text)) return std::nullopt;
  return "is not *, an IP address, a CIDR prefix, or one of the tags VirtualNetwork, Internet and "
         "AzureLoadBalancer";
}

std::optional<std::string> check_port_range(std::string_view text) {
  if (read_range(text)) return std::nullopt;
  return "is not a port, a range like 1000-2000, or *";
}

std::optional<std::string> check_rule_name(std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  bool fits = !name.empty() && name.size() <= 80 && is_word(name.front()) && name.front() != '_' &&
              is_word(name.back());
  for (const char c : name) fits = fits && (is_word(c) || c == '.' || c == '-');
  if (fits) return std::nullopt;
  return "must have 1 to 80 letters, digits, '.', '-' or '_', start with a letter or digit and not end with "
         "'.' or '-'";
}

Result<SecurityRule> read_rule(const JsonObject& element) {
  SecurityRule rule;
  rule.name = string_at(element, "name").value_or("");
  if (const auto problem = check_rule_name(rule.name))
    return fail(ErrorKind::invalid, "InvalidResourceName",
                fmt::format("The security rule name '{}' {}.", rule.name, *problem), "securityRules.name");
  const JsonObject* properties = object_at(element, "properties");
  if (properties == nullptr)
    return bad_rule("InvalidRequestContent", rule.name, "", "its 'properties' are missing");
  rule.priority = int_at(*properties, "priority").value_or(0);
  if (rule.priority < kPriorityMin || rule.priority > kPriorityMax)
    return bad_rule(
        "SecurityRuleInvalidPriority", rule.name, "priority",
        fmt::format("priority {} is not from {} to {}", rule.priority, kPriorityMin, kPriorityMax));
  rule.direction = ascii_iequal(string_at(*properties, "direction").value_or(""), "Outbound")
                       ? Direction::outbound
                       : Direction::inbound;
  rule.access =
      ascii_iequal(string_at(*properties, "access").value_or(""), "Allow") ? Access::allow : Access::deny;
  rule.protocol = read_protocol(string_at(*properties, "protocol").value_or("*"));
  rule.sources = TRY(read_prefixes(*properties, rule.name, "sourceAddressPrefix", "sourceAddressPrefixes"));
  rule.destinations =
      TRY(read_prefixes(*properties, rule.name, "destinationAddressPrefix", "destinationAddressPrefixes"));
  rule.source_ports = TRY(read_ports(*properties, rule.name, "sourcePortRange", "sourcePortRanges"));
  rule.destination_ports =
      TRY(read_ports(*properties, rule.name, "destinationPortRange", "destinationPortRanges"));
  return rule;
}

Result<std::vector<SecurityRule>> read_rules(const JsonArray& elements) {
  if (elements.size() > kRulesMax)
    return fail(ErrorKind::invalid, "SecurityRulesLimitExceeded",
                fmt::format("A network security group has at most {} rules; this one would have {}.",
                            kRulesMax, elements.size()),
                "properties.securityRules");
  std::vector<SecurityRule> rules;
  std::set<std::string> names;
  std::map<std::pair<Direction, int64_t>, std::string> priorities;
  for (const Json& element : elements) {
    if (!element.is_object()) continue;  // the shape has refused it
    SecurityRule rule = TRY(read_rule(element.get_object()));
    if (!names.insert(ascii_lower(rule.name)).second)
      return fail(ErrorKind::invalid, "SecurityRuleConflict",
                  fmt::format("Two security rules have the name '{}'.", rule.name),
                  "properties.securityRules");
    const auto [other, is_new] = priorities.try_emplace({rule.direction, rule.priority}, rule.name);
    if (!is_new)
      return fail(
          ErrorKind::invalid, "SecurityRuleConflict",
          fmt::format(
              "Security rule '{}' conflicts with rule '{}': both have priority {} and direction {}. Give "
              "one of them another priority.",
              rule.name, other->second, rule.priority, direction_text(rule.direction)),
          fmt::format("securityRules[{}].properties.priority", rule.name));
    rules.push_back(std::move(rule));
  }
  return rules;
}

machine::FilterRule expand(const SecurityRule& rule, const TagPrefixes& tags) {
  return {.name = rule.name,
          .priority = rule.priority,
          .access = rule.access,
          .protocol = rule.protocol,
          .sources = expand_prefixes(rule.sources, tags),
          .destinations = expand_prefixes(rule.destinations, tags),
          .source_ports = rule.source_ports,
          .destination_ports = rule.destination_ports};
}

std::vector<SecurityRule> default_rules(Direction direction) {
  const std::vector<PortRange> all = {{0, 65535}};
  const auto rule = [&](std::string name, int64_t priority, Access access, std::string source,
                        std::string destination) {
    return SecurityRule{
        std::move(name),          priority, direction, access, Protocol::any, {std::move(source)},
        {std::move(destination)}, all,      all};
  };
  if (direction == Direction::inbound)
    return {rule("AllowVnetInBound", 65000, Access::allow, "VirtualNetwork", "VirtualNetwork"),
            rule("AllowAzureLoadBalancerInBound", 65001, Access::allow, "AzureLoadBalancer", "*"),
            rule("DenyAllInBound", 65500, Access::deny, "*", "*")};
  return {rule("AllowVnetOutBound", 65000, Access::allow, "VirtualNetwork", "VirtualNetwork"),
          rule("AllowInternetOutBound", 65001, Access::allow, "*", "Internet"),
          rule("DenyAllOutBound", 65500, Access::deny, "*", "*")};
}

JsonArray default_rules_json(const std::string& group_id) {
  JsonArray array;
  for (const Direction direction : {Direction::inbound, Direction::outbound})
    for (const SecurityRule& rule : default_rules(direction))
      array.push_back(
          JsonObject{{"name", rule.name},
                     {"id", group_id + "/defaultSecurityRules/" + rule.name},
                     {"type", "Microsoft.Network/networkSecurityGroups/defaultSecurityRules"},
                     {"properties", JsonObject{{"provisioningState", "Succeeded"},
                                               {"protocol", "*"},
                                               {"sourcePortRange", "*"},
                                               {"destinationPortRange", "*"},
                                               {"sourceAddressPrefix", rule.sources.front()},
                                               {"destinationAddressPrefix", rule.destinations.front()},
                                               {"access", machine::access_text(rule.access)},
                                               {"priority", rule.priority},
                                               {"direction", direction_text(direction)}}}});
  return array;
}

}  // namespace merlon::network

// Reading and expanding security rules.
#include "services/network/security_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/text.h"
#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

using machine::Access;
using machine::PortRange;
using machine::Protocol;

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

// One side of a rule, or its ports: Azure has a singular and a plural spelling of each; a rule uses one.
struct Field {
  std::string_view singular, plural, groups;
};
constexpr Field kSource{"sourceAddressPrefix", "sourceAddressPrefixes", "sourceApplicationSecurityGroups"};
constexpr Field kDestination{"destinationAddressPrefix", "destinationAddressPrefixes",
                             "destinationApplicationSecurityGroups"};
constexpr Field kSourcePorts{"sourcePortRange", "sourcePortRanges", {}};
constexpr Field kDestinationPorts{"destinationPortRange", "destinationPortRanges", {}};

std::vector<std::string> texts_in(const JsonObject& properties, std::string_view key) {
  std::vector<std::string> values;
  if (const JsonArray* many = array_at(properties, key))
    for (const Json& element : *many)
      if (element.is_string()) values.emplace_back(element.get_string());
  return values;
}

std::vector<std::string> groups_in(const JsonObject& properties, std::string_view key) {
  std::vector<std::string> ids;
  if (const JsonArray* many = array_at(properties, key))
    for (const Json& element : *many)
      if (element.is_object()) ids.push_back(ascii_lower(string_at(element.get_object(), "id").value_or("")));
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// What a list cannot hold: Azure takes tags and "*" only by themselves, in the singular.
Result<void> check_list(const std::string& rule, std::string_view plural,
                        const std::vector<std::string>& values) {
  for (const std::string& value : values)
    if (is_any(value) || is_platform_tag(value) || is_tag_name(value))
      return bad_rule("SecurityRuleParameterContainsUnsupportedValue", rule, plural,
                      fmt::format("'{}' cannot specify '*', VirtualNetwork, Internet, AzureLoadBalancer or "
                                  "another tag. Unsupported value used: {}. Give it a rule of its own",
                                  plural, value));
  return {};
}

Result<std::vector<std::string>> one_or_many(const JsonObject& properties, const std::string& rule,
                                             const Field& field, bool has_groups) {
  std::vector<std::string> values = texts_in(properties, field.plural);
  const std::string one = string_at(properties, field.singular).value_or("");
  const int given = (one.empty() ? 0 : 1) + (values.empty() ? 0 : 1) + (has_groups ? 1 : 0);
  const std::string names = field.groups.empty()
                                ? fmt::format("{}, {}", field.plural, field.singular)
                                : fmt::format("{}, {}, {}", field.plural, field.singular, field.groups);
  if (given > 1)
    return bad_rule(
        "SecurityRuleParameterContainsBothSingularAndPlural", rule, field.singular,
        fmt::format("it must specify a non empty value for exactly one of: {}; it has {}", names, given));
  if (given == 0)
    return bad_rule(
        "SecurityRuleParameterIsMissing", rule, field.singular,
        fmt::format("it must specify a non empty value for exactly one of: {}; it has none", names));
  TRY(check_list(rule, field.plural, values));
  if (!one.empty()) values.push_back(one);
  return values;
}

Result<std::vector<std::string>> read_prefixes(const JsonObject& properties, const std::string& rule,
                                               const Field& field, bool has_groups) {
  auto values = TRY(one_or_many(properties, rule, field, has_groups));
  for (const std::string& value : values)
    if (const auto problem = check_address_prefix(value))
      return bad_rule("SecurityRuleInvalidAddressPrefix", rule, field.singular,
                      fmt::format("'{}' {}", value, *problem));
  return values;
}

Result<std::vector<PortRange>> read_ports(const JsonObject& properties, const std::string& rule,
                                          const Field& field) {
  std::vector<PortRange> ranges;
  for (const std::string& value : TRY(one_or_many(properties, rule, field, false))) {
    const auto range = read_range(value);
    if (!range)
      return bad_rule("SecurityRuleInvalidPortRange", rule, field.singular,
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

std::vector<IpPrefix> expand_side(const std::vector<std::string>& values,
                                  const std::vector<std::string>& groups, const Meanings& meanings) {
  std::vector<IpPrefix> prefixes;
  for (const std::string& value : values) {
    const auto meant = expand_name(value, meanings);
    prefixes.insert(prefixes.end(), meant.begin(), meant.end());
  }
  for (const std::string& group : groups)
    if (const auto members = meanings.groups.find(group); members != meanings.groups.end())
      prefixes.insert(prefixes.end(), members->second.begin(), members->second.end());
  return merged(std::move(prefixes));
}

// Azure's limits count what all rules of a group have in one field (Azure limits, Networking limits).
struct Counts {
  size_t sources = 0, destinations = 0, source_ports = 0, destination_ports = 0;
  std::set<std::string> groups;

  Result<void> add(const SecurityRule& rule) {
    sources += rule.sources.size();
    destinations += rule.destinations.size();
    source_ports += rule.source_ports.size();
    destination_ports += rule.destination_ports.size();
    groups.merge(application_groups_of(rule));
    for (const auto& [count, what] :
         {std::pair(sources, "source addresses"), std::pair(destinations, "destination addresses"),
          std::pair(source_ports, "source ports"), std::pair(destination_ports, "destination ports")})
      if (count > kValuesPerGroupMax)
        return fail(ErrorKind::invalid, "SecurityRuleTooManyValues",
                    fmt::format("The rules of a network security group have at most {} {}; with rule '{}' "
                                "they would have {}. Use wider prefixes or another group.",
                                kValuesPerGroupMax, what, rule.name, count),
                    "properties.securityRules");
    if (groups.size() <= kApplicationGroupsPerGroupMax) return {};
    return fail(ErrorKind::invalid, "SecurityRuleTooManyApplicationSecurityGroups",
                fmt::format("The rules of a network security group name at most {} application security "
                            "groups; with rule '{}' they would name {}.",
                            kApplicationGroupsPerGroupMax, rule.name, groups.size()),
                "properties.securityRules");
  }
};

}  // namespace

std::string_view direction_text(Direction direction) {
  return direction == Direction::inbound ? "Inbound" : "Outbound";
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
  rule.source_groups = groups_in(*properties, kSource.groups);
  rule.destination_groups = groups_in(*properties, kDestination.groups);
  rule.sources = TRY(read_prefixes(*properties, rule.name, kSource, !rule.source_groups.empty()));
  rule.destinations =
      TRY(read_prefixes(*properties, rule.name, kDestination, !rule.destination_groups.empty()));
  rule.source_ports = TRY(read_ports(*properties, rule.name, kSourcePorts));
  rule.destination_ports = TRY(read_ports(*properties, rule.name, kDestinationPorts));
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
  Counts counts;
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
    TRY(counts.add(rule));
    rules.push_back(std::move(rule));
  }
  return rules;
}

machine::FilterRule expand(const SecurityRule& rule, const Meanings& meanings) {
  return {.name = rule.name,
          .priority = rule.priority,
          .access = rule.access,
          .protocol = rule.protocol,
          .sources = expand_side(rule.sources, rule.source_groups, meanings),
          .destinations = expand_side(rule.destinations, rule.destination_groups, meanings),
          .source_ports = rule.source_ports,
          .destination_ports = rule.destination_ports};
}

std::set<std::string> service_tags_of(const SecurityRule& rule) {
  std::set<std::string> tags;
  for (const auto* values : {&rule.sources, &rule.destinations})
    for (const std::string& value : *values)
      if (auto tag = service_tag_in(value)) tags.insert(*std::move(tag));
  return tags;
}

std::set<std::string> application_groups_of(const SecurityRule& rule) {
  std::set<std::string> groups(rule.source_groups.begin(), rule.source_groups.end());
  groups.insert(rule.destination_groups.begin(), rule.destination_groups.end());
  return groups;
}

}  // namespace merlon::network

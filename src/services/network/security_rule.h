// A security rule as Merlon understands it: Azure's JSON read, checked, and expanded to prefixes. Source of
// the rules: Azure docs, network-security-groups-overview; contract nsg.md.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "machine/desired_state.h"
#include "services/network/address_names.h"

namespace merlon::network {

inline constexpr int64_t kPriorityMin = 100;
inline constexpr int64_t kPriorityMax = 4096;
inline constexpr size_t kRulesMax = 1000;
inline constexpr size_t kValuesPerGroupMax = 4000;  // of one field: source addresses, destination ports, …
inline constexpr size_t kApplicationGroupsPerGroupMax = 100;

enum class Direction { inbound, outbound };
std::string_view direction_text(Direction direction);

struct SecurityRule {
  std::string name;
  int64_t priority = 0;
  Direction direction = Direction::inbound;
  machine::Access access = machine::Access::deny;
  machine::Protocol protocol = machine::Protocol::any;
  std::vector<std::string> sources, destinations;  // prefixes, "*" and tags, as written
  // Application security groups, lower-case ids; a side has either these or the above.
  std::vector<std::string> source_groups, destination_groups;
  std::vector<machine::PortRange> source_ports, destination_ports;
};

// `element` is {name, properties}, already conformed to the declared shape. Errors name the field and the
// rule.
Result<SecurityRule> read_rule(const JsonObject& element);
// No two rules of a direction share a priority or a name (SecurityRuleConflict).
Result<std::vector<SecurityRule>> read_rules(const JsonArray& elements);

// Expands tags and application security groups for one interface.
machine::FilterRule expand(const SecurityRule& rule, const Meanings& meanings);

// What must be looked up before a rule can be expanded.
std::set<std::string> service_tags_of(const SecurityRule& rule);        // lower-case names
std::set<std::string> application_groups_of(const SecurityRule& rule);  // lower-case ids

// Azure's six default rules, which nobody can remove.
std::vector<SecurityRule> default_rules(Direction direction);
JsonArray default_rules_json(const std::string& group_id);

// "Tcp", "TCP" and so on to Azure's canonical spelling is the shape's work; this is for what a rule refers
// to.
std::optional<std::string> check_port_range(std::string_view text);
std::optional<std::string> check_rule_name(std::string_view name);

}  // namespace merlon::network

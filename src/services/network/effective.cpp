// Source of the shapes: azure-rest-api-specs, Microsoft.Network: networkInterface.json
// (EffectiveNetworkSecurityRule) and networkWatcher.json (SecurityGroupViewResult).
#include "services/network/effective.h"

#include <fmt/format.h>

#include <algorithm>

#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

std::string cidr(const IpPrefix& prefix) {
  return fmt::format("{}/{}", prefix.address().text(), prefix.length());
}

JsonArray cidrs(const std::vector<IpPrefix>& prefixes) {
  JsonArray array;
  for (const IpPrefix& prefix : prefixes) array.emplace_back(cidr(prefix));
  return array;
}

void put_list(JsonObject& json, const std::string& singular, const std::string& plural, JsonArray values) {
  if (values.size() == 1) json[singular] = values.front();
  json[plural] = std::move(values);
}

// As it was written, and what it comes to when that is not the same: a tag, "*", or a group's members.
void put_side(JsonObject& json, std::string_view side, const std::vector<std::string>& written,
              const std::vector<std::string>& groups, const std::vector<IpPrefix>& meant) {
  JsonArray values;
  bool is_named = !groups.empty();
  for (const std::string& value : written) {
    const auto prefix = IpPrefix::parse(value);
    is_named = is_named || !prefix;
    values.emplace_back(prefix ? cidr(*prefix) : value);
  }
  if (!groups.empty()) values = cidrs(meant);
  const std::string name(side);
  put_list(json, name + "AddressPrefix", name + "AddressPrefixes", std::move(values));
  if (is_named)
    json[(name == "source" ? "expandedSource" : "expandedDestination") + std::string("AddressPrefix")] =
        cidrs(meant);
}

JsonArray ports(const std::vector<machine::PortRange>& ranges) {
  JsonArray array;
  for (const machine::PortRange& range : ranges)
    array.emplace_back(fmt::format("{}-{}", range.first, range.last));
  return array;
}

JsonObject effective_rule_json(const CompiledRule& compiled) {
  const SecurityRule& rule = compiled.rule;
  JsonObject json = {
      {"name", effective_name(compiled)},
      {"protocol", rule.protocol == machine::Protocol::any ? "All" : machine::protocol_text(rule.protocol)}};
  put_list(json, "sourcePortRange", "sourcePortRanges", ports(rule.source_ports));
  put_list(json, "destinationPortRange", "destinationPortRanges", ports(rule.destination_ports));
  put_side(json, "source", rule.sources, rule.source_groups, compiled.filter.sources);
  put_side(json, "destination", rule.destinations, rule.destination_groups, compiled.filter.destinations);
  json["access"] = machine::access_text(rule.access);
  json["priority"] = rule.priority;
  json["direction"] = direction_text(rule.direction);
  return json;
}

JsonArray effective_rules_json(const CompiledLayer& layer) {
  JsonArray rules;
  for (const auto* direction : {&layer.inbound, &layer.outbound})
    for (const CompiledRule& rule : *direction) rules.push_back(effective_rule_json(rule));
  return rules;
}

JsonObject tag_map(const CompiledLayer& layer, const Meanings& meanings) {
  JsonObject map;
  for (const auto* direction : {&layer.inbound, &layer.outbound})
    for (const CompiledRule& rule : *direction)
      for (const auto* values : {&rule.rule.sources, &rule.rule.destinations})
        for (const std::string& value : *values)
          if (!is_any(value) && !IpPrefix::parse(value) && !map.contains(value))
            map[value] = cidrs(merged(expand_name(value, meanings)));
  return map;
}

JsonArray written_rules(const CompiledLayer& layer) {
  JsonArray rules;
  for (const auto* direction : {&layer.inbound, &layer.outbound})
    for (const CompiledRule& rule : *direction) {
      if (rule.is_default) continue;
      JsonObject shown = rule.shown;
      shown["id"] = layer.group_id + "/securityRules/" + rule.rule.name;
      rules.push_back(std::move(shown));
    }
  return rules;
}

}  // namespace

std::string effective_name(const CompiledRule& rule) {
  return (rule.is_default ? "defaultSecurityRules/" : "securityRules/") + rule.rule.name;
}

JsonObject effective_groups_json(const CompiledInterface& compiled) {
  JsonArray groups;
  for (const CompiledLayer& layer : compiled.layers) {
    const bool at_subnet = !layer.subnet_id.empty();
    groups.push_back(JsonObject{
        {"networkSecurityGroup", JsonObject{{"id", layer.group_id}}},
        {"association", JsonObject{{at_subnet ? "subnet" : "networkInterface",
                                    JsonObject{{"id", at_subnet ? layer.subnet_id : layer.nic_id}}}}},
        {"effectiveSecurityRules", effective_rules_json(layer)},
        {"tagMap", tag_map(layer, compiled.meanings)}});
  }
  return {{"value", std::move(groups)}};
}

JsonObject security_group_view_json(const CompiledInterface& compiled) {
  JsonObject associations;
  JsonArray effective;
  JsonArray defaults;
  for (const CompiledLayer& layer : compiled.layers) {
    const bool at_subnet = !layer.subnet_id.empty();
    associations[at_subnet ? "subnetAssociation" : "networkInterfaceAssociation"] = JsonObject{
        {"id", at_subnet ? layer.subnet_id : layer.nic_id}, {"securityRules", written_rules(layer)}};
    for (Json& rule : effective_rules_json(layer)) effective.push_back(std::move(rule));
    defaults = default_rules_json(layer.group_id);
  }
  associations["defaultSecurityRules"] = std::move(defaults);
  associations["effectiveSecurityRules"] = std::move(effective);
  return {{"id", compiled.link.nic_text}, {"securityRuleAssociations", std::move(associations)}};
}

}  // namespace merlon::network

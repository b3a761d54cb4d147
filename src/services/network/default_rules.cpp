// Azure's default rules, as it spells and describes them (Azure docs, network-security-groups-overview).
#include "services/network/security_rule.h"

namespace merlon::network {
namespace {

using machine::Access;

std::string_view description_of(const SecurityRule& rule) {
  if (rule.name == "AllowVnetInBound") return "Allow inbound traffic from all VMs in VNET";
  if (rule.name == "AllowAzureLoadBalancerInBound") return "Allow inbound traffic from azure load balancer";
  if (rule.name == "DenyAllInBound") return "Deny all inbound traffic";
  if (rule.name == "AllowVnetOutBound") return "Allow outbound traffic from all VMs to all VMs in VNET";
  if (rule.name == "AllowInternetOutBound") return "Allow outbound traffic from all VMs to Internet";
  return "Deny all outbound traffic";
}

}  // namespace

std::vector<SecurityRule> default_rules(Direction direction) {
  const auto rule = [&](std::string name, int64_t priority, Access access, std::string source,
                        std::string destination) {
    SecurityRule made;
    made.name = std::move(name);
    made.priority = priority;
    made.direction = direction;
    made.access = access;
    made.sources = {std::move(source)};
    made.destinations = {std::move(destination)};
    made.source_ports = made.destination_ports = {{0, 65535}};
    return made;
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
                                               {"description", description_of(rule)},
                                               {"protocol", "*"},
                                               {"sourcePortRange", "*"},
                                               {"destinationPortRange", "*"},
                                               {"sourceAddressPrefix", rule.sources.front()},
                                               {"destinationAddressPrefix", rule.destinations.front()},
                                               {"sourcePortRanges", JsonArray()},
                                               {"destinationPortRanges", JsonArray()},
                                               {"sourceAddressPrefixes", JsonArray()},
                                               {"destinationAddressPrefixes", JsonArray()},
                                               {"access", machine::access_text(rule.access)},
                                               {"priority", rule.priority},
                                               {"direction", direction_text(direction)}}}});
  return array;
}

}  // namespace merlon::network

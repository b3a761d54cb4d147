// Where packets of an interface go: Azure's system routes, and what a subnet's route table says instead.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"

namespace merlon::network {

struct EffectiveRoute {
  IpPrefix prefix;
  std::string next_hop;  // "VnetLocal", "VNetPeering", "Internet", "None", "VirtualAppliance", …
  std::optional<IpAddress> appliance;
  std::string name;             // of a route of the user's own
  std::string table;            // the route table's id; empty = a system route
  bool by_service_tag = false;  // of two routes for a prefix the one that says the prefix wins
  bool active = true;           // false: another route for the same prefix wins
};

// The active route with the longest prefix that holds the address; null when there is none.
const EffectiveRoute* route_to(const std::vector<EffectiveRoute>& routes, const IpAddress& destination);

}  // namespace merlon::network

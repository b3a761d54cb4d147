// Azure's questions about a virtual network's addresses: which are free, and how many a subnet has in use.
// Source: azure-rest-api-specs, Microsoft.Network, virtualNetwork.json (CheckIPAddressAvailability,
// ListUsage).
#include <algorithm>
#include <set>

#include "base/text.h"
#include "services/network/declarations.h"
#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

using resource::Call;
using resource::Resource;
using resource::ResourceId;
using resource::Route;

constexpr const char* kNetworkPath =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Network/"
    "virtualNetworks/{virtualNetworkName}";
constexpr size_t kSuggestedMax = 5;  // as many as Azure's answer has
constexpr uint32_t kFirstHost = 4;   // Azure keeps the first four addresses of a subnet, and the last
constexpr uint32_t kHostsTriedMax = 65'536;
constexpr unsigned kKeptAddresses = 5;
constexpr unsigned kCountedBitsMax = 32;  // of a larger prefix the number of addresses says nothing

Result<Resource> network_of(const Platform& platform, const Call& call, store::Reader& reader) {
  const ResourceId id = TRY(ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") +
                                              "/resourceGroups/" + call.parameter("resourceGroupName") +
                                              "/providers/Microsoft.Network/virtualNetworks/" +
                                              call.parameter("virtualNetworkName")));
  auto network = TRY(platform.resources.get(reader, id));
  if (network) return *std::move(network);
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The Resource '" + id.type() + "/" + id.name() + "' under resource group '" +
                  id.resource_group() + "' was not found.");
}

// The addresses of a subnet's interfaces.
Result<std::set<IpAddress>> taken_in(const Platform& platform, store::Reader& reader,
                                     const std::string& subnet) {
  std::set<IpAddress> taken;
  for (const NicLink& link :
       TRY(store::find<NicLink>(reader, platform.core.tenant, "subnet", ascii_lower(subnet))))
    taken.insert(link.addresses.begin(), link.addresses.end());
  return taken;
}

std::string subnet_id(const Resource& network, const JsonObject& subnet) {
  return network.id.text() + "/subnets/" + string_at(subnet, "name").value_or("");
}

bool holds(const std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

JsonArray free_in(const std::vector<IpPrefix>& prefixes, const std::set<IpAddress>& taken) {
  JsonArray found;
  for (const IpPrefix& prefix : prefixes)
    for (uint32_t number = kFirstHost; number < kHostsTriedMax && found.size() < kSuggestedMax; ++number) {
      const auto address = host_of(prefix, number);
      if (!address) break;
      if (!taken.contains(*address)) found.emplace_back(address->text());
    }
  return found;
}

Result<net::Response> check_availability(const Platform& platform, const Call& call, store::Reader& reader) {
  const std::string* text = call.request.query.find("ipAddress");
  const auto address = text == nullptr ? std::nullopt : IpAddress::parse(*text);
  if (!address)
    return fail(ErrorKind::invalid, "InvalidParameter",
                "The query parameter 'ipAddress' must be an IP address.", "ipAddress");
  const Resource network = TRY(network_of(platform, call, reader));
  if (const JsonArray* subnets = array_at(network.body, "properties.subnets"))
    for (const Json& element : *subnets) {
      const JsonObject& subnet = element.as_object();
      const auto prefixes = subnet_prefixes(subnet);
      if (!holds(prefixes, *address)) continue;
      const auto taken = TRY(taken_in(platform, reader, subnet_id(network, subnet)));
      if (!taken.contains(*address)) return resource::json_response(200, {{"available", true}});
      return resource::json_response(
          200, {{"available", false}, {"availableIPAddresses", free_in(prefixes, taken)}});
    }
  return fail(ErrorKind::invalid, "PrivateIPAddressNotInAnySubnet",
              "Private static IP address " + address->text() +
                  " does not belong to the range of any subnet of virtual network " + network.id.text() + ".",
              "ipAddress");
}

JsonObject usage_of(const std::string& subnet, const std::vector<IpPrefix>& prefixes, size_t taken) {
  double limit = 0;
  for (const IpPrefix& prefix : prefixes) {
    const unsigned bits = prefix.address().bits() - prefix.length();
    if (bits > kCountedBitsMax) continue;
    const double all = static_cast<double>(uint64_t{1} << bits);
    limit += all > kKeptAddresses ? all - kKeptAddresses : 0;
  }
  return {{"currentValue", static_cast<double>(taken)},
          {"id", subnet},
          {"limit", limit},
          {"name", JsonObject{{"localizedValue", "Subnet size and usage"}, {"value", "SubnetSpace"}}},
          {"unit", "Count"}};
}

Result<net::Response> list_usage(const Platform& platform, const Call& call, store::Reader& reader) {
  const Resource network = TRY(network_of(platform, call, reader));
  JsonArray values;
  if (const JsonArray* subnets = array_at(network.body, "properties.subnets"))
    for (const Json& element : *subnets) {
      const std::string id = subnet_id(network, element.as_object());
      values.push_back(
          usage_of(id, subnet_prefixes(element.as_object()), TRY(taken_in(platform, reader, id)).size()));
    }
  return resource::json_response(200, {{"value", std::move(values)}});
}

}  // namespace

void add_address_routes(const Platform& platform) {
  Route check;
  check.method = "GET";
  check.path = std::string(kNetworkPath) + "/CheckIPAddressAvailability";
  check.permission = "Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read";
  check.checked_at = kNetworkPath;
  check.summary = "Whether an address of a virtual network is free";
  check.read = [&platform](const Call& call, store::Reader& reader) {
    return check_availability(platform, call, reader);
  };
  platform.resources.add(std::move(check));
  Route usage;
  usage.method = "GET";
  usage.path = std::string(kNetworkPath) + "/usages";
  usage.permission = "Microsoft.Network/virtualNetworks/usages/read";
  usage.checked_at = kNetworkPath;
  usage.summary = "How many addresses of each subnet are in use";
  usage.read = [&platform](const Call& call, store::Reader& reader) {
    return list_usage(platform, call, reader);
  };
  platform.resources.add(std::move(usage));
}

}  // namespace merlon::network

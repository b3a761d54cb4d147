// Route tables: kept, checked, and shown with the subnets that use them. What they mean is in next_hop.cpp.
#include <fmt/format.h>

#include <set>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::ResourceId;
using resource::WriteContext;

constexpr size_t kRoutesMax = 400;  // Azure's limit

std::unexpected<Error> bad_route(std::string_view code, const std::string& name, std::string_view field,
                                 std::string_view what) {
  return fail(ErrorKind::invalid, code, fmt::format("Route '{}': {}", name, what),
              fmt::format("properties.routes[{}].properties.{}", name, field));
}

Result<void> check_route(const JsonObject& route, std::set<std::string>& seen) {
  const std::string name = string_at(route, "name").value_or("");
  const std::string prefix = string_at(route, "properties.addressPrefix").value_or("");
  const bool is_prefix = prefix.find('/') != std::string::npos && IpPrefix::parse(prefix).has_value();
  if (!is_prefix && !is_tag_name(prefix))
    return bad_route("InvalidAddressPrefixFormat", name, "addressPrefix",
                     "the address prefix must be a CIDR prefix such as 10.0.0.0/24, or a service tag.");
  if (!seen.insert(is_prefix ? IpPrefix::parse(prefix)->text() : ascii_lower(prefix)).second)
    return bad_route("RouteConflict", name, "addressPrefix",
                     "another route of the table has the same address prefix.");
  const bool is_appliance = string_at(route, "properties.nextHopType") == "VirtualAppliance";
  const bool has_address = string_at(route, "properties.nextHopIpAddress").has_value();
  if (is_appliance && !has_address)
    return bad_route("NextHopIpAddressRequired", name, "nextHopIpAddress",
                     "a virtual appliance needs its address.");
  if (!is_appliance && has_address)
    return bad_route("NextHopIpAddressNotAllowed", name, "nextHopIpAddress",
                     "an address is allowed with the next hop type VirtualAppliance alone.");
  return {};
}

}  // namespace

Result<JsonArray> Service::subnets_of_route_table(store::Reader& reader, const std::string& key) {
  JsonArray subnets;
  for (const SubnetLink& link : TRY(store::scan_all<SubnetLink>(reader, platform_.core.tenant)))
    if (link.route_table == key) subnets.push_back(JsonObject{{"id", link.subnet_text}});
  return subnets;
}

Result<JsonObject> Service::put_route_table(WriteContext& context, const ResourceId& id,
                                            const resource::Resource* existing, JsonObject wanted) {
  if (!wanted["properties"].is_object())
    wanted["properties"] = JsonObject{{"disableBgpRoutePropagation", false}};
  JsonObject& properties = wanted["properties"].get_object();
  if (!properties.contains("routes")) properties["routes"] = JsonArray();
  JsonArray& routes = properties["routes"].as_array();
  if (routes.size() > kRoutesMax)
    return fail(ErrorKind::invalid, "TooManyRoutes",
                fmt::format("A route table has at most {} routes, not {}.", kRoutesMax, routes.size()),
                "properties.routes");
  std::set<std::string> seen;
  for (Json& element : routes) {
    JsonObject& route = element.as_object();
    TRY(check_route(route, seen));
    JsonObject& of_route = route["properties"].as_object();
    of_route["hasBgpOverride"] = false;
    of_route["provisioningState"] = "Succeeded";
  }
  const auto kept = existing == nullptr ? std::nullopt : string_at(existing->body, "properties.resourceGuid");
  properties["resourceGuid"] = kept.value_or(Uuid::generate(context.core.random).text());
  JsonArray subnets = TRY(subnets_of_route_table(context.tx, id.key()));
  if (!subnets.empty()) properties["subnets"] = std::move(subnets);
  properties["provisioningState"] = "Succeeded";
  return wanted;
}

Result<void> Service::remove_route_table(WriteContext& context, const resource::Resource& existing) {
  const JsonArray subnets = TRY(subnets_of_route_table(context.tx, existing.id.key()));
  if (subnets.empty()) return {};
  return fail(ErrorKind::invalid, "InUseRouteTableCannotBeDeleted",
              "Route table " + existing.id.text() + " is in use and cannot be deleted: the subnet " +
                  std::string(subnets.front().as_object().at("id").as_string()) +
                  " has it. Detach it there first.",
              existing.id.text());
}

Result<void> Service::refresh_route_table(WriteContext& context, const std::string& key) {
  if (key.empty()) return {};
  const auto table = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(key))));
  if (!table) return {};
  JsonObject document = table->body;
  JsonObject& properties = document["properties"].as_object();
  properties.erase("subnets");
  JsonArray subnets = TRY(subnets_of_route_table(context.tx, key));
  if (!subnets.empty()) properties["subnets"] = std::move(subnets);
  if (document == table->body) return {};
  TRY(platform_.resources.store_document(context, table->id, std::move(document)));
  return {};
}

}  // namespace merlon::network

// The link records.
#include "services/network/links.h"

namespace merlon::network {
namespace {

std::optional<std::string> indexed(const std::string& value) {
  return value.empty() ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

const store::TableSpec& NicLink::table() {
  static const store::TableSpec spec{
      "nic_links", {{"subnet", store::Unique::no}, {"nsg", store::Unique::no}, {"vm", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> NicLink::index_values() const {
  return {indexed(subnet), indexed(group), indexed(vm)};
}

JsonObject NicLink::to_json() const {
  JsonArray address_array;
  for (const IpAddress& address : addresses) address_array.emplace_back(address.text());
  JsonObject json = {{"nic", nic}, {"subnet", subnet},    {"group", group},
                     {"vm", vm},   {"nicText", nic_text}, {"addresses", std::move(address_array)}};
  JsonArray links;
  for (const IpPrefix& prefix : on_link) links.emplace_back(prefix.text());
  if (!links.empty()) json["onLink"] = std::move(links);
  return json;
}

Result<NicLink> NicLink::from_json(const JsonObject& json) {
  NicLink link;
  link.nic = TRY(require_string(json, "nic"));
  link.subnet = TRY(require_string(json, "subnet"));
  link.group = TRY(require_string(json, "group"));
  link.vm = TRY(require_string(json, "vm"));
  link.nic_text = TRY(require_string(json, "nicText"));
  if (const JsonArray* addresses = array_at(json, "addresses"))
    for (const Json& element : *addresses)
      if (const auto address = IpAddress::parse(element.as_string())) link.addresses.push_back(*address);
  if (const JsonArray* links = array_at(json, "onLink"))
    for (const Json& element : *links)
      if (const auto prefix = IpPrefix::parse(element.as_string())) link.on_link.push_back(*prefix);
  return link;
}

const store::TableSpec& SubnetLink::table() {
  static const store::TableSpec spec{"subnet_links",
                                     {{"nsg", store::Unique::no}, {"network", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> SubnetLink::index_values() const {
  return {indexed(group), indexed(network)};
}

JsonObject SubnetLink::to_json() const {
  JsonObject json = {{"subnet", subnet}, {"group", group}, {"network", network}, {"subnetText", subnet_text}};
  if (!route_table.empty()) json["routeTable"] = route_table;
  return json;
}

Result<SubnetLink> SubnetLink::from_json(const JsonObject& json) {
  SubnetLink link;
  link.subnet = TRY(require_string(json, "subnet"));
  link.group = TRY(require_string(json, "group"));
  link.network = TRY(require_string(json, "network"));
  link.subnet_text = TRY(require_string(json, "subnetText"));
  link.route_table = string_at(json, "routeTable").value_or("");
  return link;
}

}  // namespace merlon::network

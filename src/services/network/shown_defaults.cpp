// Fills in what a request left out, at the time that the resource is shown or stored, one function per type.
#include "services/network/shown_defaults.h"

namespace merlon::network {
namespace {

constexpr int64_t kIdleTimeoutMinutes = 4;

void show(JsonObject& json, std::string_view key, Json value) {
  if (!json.contains(key)) json[key] = std::move(value);
}

JsonObject& object_in(JsonObject& json, std::string_view key) {
  Json& member = json[key];
  if (!member.is_object()) member = JsonObject();
  return member.get_object();
}

}  // namespace

void show_interface_defaults(JsonObject& properties) {
  show(object_in(properties, "dnsSettings"), "dnsServers", JsonArray());
  show(properties, "enableAcceleratedNetworking", false);
  show(properties, "enableIPForwarding", false);
}

void show_public_address_defaults(JsonObject& document) {
  JsonObject& properties = object_in(document, "properties");
  show(properties, "publicIPAddressVersion", "IPv4");
  show(properties, "publicIPAllocationMethod", "Dynamic");
  show(properties, "idleTimeoutInMinutes", kIdleTimeoutMinutes);
  JsonObject& sku = object_in(document, "sku");
  show(sku, "name", "Basic");
  show(sku, "tier", "Regional");
}

}  // namespace merlon::network

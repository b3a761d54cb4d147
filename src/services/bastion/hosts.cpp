// Microsoft.Network/bastionHosts: what may be written, and what goes with a host. Each SKU has exactly its
// features; a SKU is only ever raised.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "resource/documents.h"
#include "resource/preconditions.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using resource::Resource;
using resource::ResourceId;
using resource::WriteContext;

constexpr unsigned kSubnetLengthMax = 26;

std::unexpected<Error> bad(std::string_view code, std::string message, std::string target) {
  return fail(ErrorKind::invalid, code, std::move(message), std::move(target));
}

struct Feature {
  std::string_view property;
  Sku from;
};
// The vendor's table (bastion-sku-comparison): from which SKU on a switch may be on.
constexpr std::array kFeatures = {
    Feature{"disableCopyPaste", Sku::standard},       Feature{"enableFileCopy", Sku::standard},
    Feature{"enableIpConnect", Sku::standard},        Feature{"enableShareableLink", Sku::standard},
    Feature{"enableTunneling", Sku::standard},        Feature{"enableSessionRecording", Sku::premium},
    Feature{"enablePrivateOnlyBastion", Sku::premium}};

std::unexpected<Error> not_supported(Sku sku, std::string_view property) {
  return bad(
      fmt::format("FeatureNotSupportedFor{}BastionSku", sku_text(sku)),
      fmt::format("The feature '{}' is not supported for the Bastion SKU {}. Use a higher SKU, or leave "
                  "the feature out.",
                  property, sku_text(sku)),
      "properties." + std::string(property));
}

Result<void> check_features(Sku sku, const JsonObject& properties) {
  for (const Feature& feature : kFeatures)
    if (sku < feature.from && bool_at(properties, feature.property).value_or(false))
      return not_supported(sku, feature.property);
  const auto units = int_at(properties, "scaleUnits");
  if (sku < Sku::standard && units && *units != 2) return not_supported(sku, "scaleUnits");
  const JsonArray* rules = array_at(properties, "networkAcls.ipRules");
  if (sku != Sku::developer && rules != nullptr && !rules->empty()) return not_supported(sku, "networkAcls");
  return {};
}

const JsonObject* first_configuration(const JsonObject& properties) {
  const JsonArray* configurations = array_at(properties, "ipConfigurations");
  if (configurations == nullptr || configurations->empty()) return nullptr;
  return configurations->front().if_object();
}

Result<void> check_developer(const JsonObject& properties) {
  if (first_configuration(properties) != nullptr) return not_supported(Sku::developer, "ipConfigurations");
  const auto network = ResourceId::parse(string_at(properties, "virtualNetwork.id").value_or(""));
  if (network && ascii_iequal(network->type(), "Microsoft.Network/virtualNetworks")) return {};
  return bad(
      "VirtualNetworkRequiredForDeveloperBastionSku",
      "A Developer bastion names the virtual network that it serves in 'properties.virtualNetwork.id'.",
      "properties.virtualNetwork.id");
}

bool is_large_enough(const JsonObject& subnet) {
  const auto fits = [](std::string_view text) {
    const auto prefix = IpPrefix::parse(text);
    return prefix && prefix->family() == IpFamily::v4 && prefix->length() <= kSubnetLengthMax;
  };
  if (const auto prefix = string_at(subnet, "properties.addressPrefix"); prefix && fits(*prefix)) return true;
  const JsonArray* prefixes = array_at(subnet, "properties.addressPrefixes");
  return prefixes != nullptr && std::ranges::any_of(*prefixes, [&](const Json& element) {
           return element.is_string() && fits(element.get_string());
         });
}

Result<ResourceId> check_subnet(WriteContext& context, resource::Manager& resources, const ResourceId& host,
                                const JsonObject& configuration) {
  const std::string target = "properties.ipConfigurations[0].properties.subnet.id";
  const std::string text = string_at(configuration, "properties.subnet.id").value_or("");
  const auto id = ResourceId::parse(text);
  if (!id || !ascii_iequal(id->type(), "Microsoft.Network/virtualNetworks/subnets") ||
      id->name() != kSubnetName)
    return bad(
        "SubnetNameMustBeAzureBastionSubnet",
        fmt::format("Subnet name {} is invalid for Azure Bastion. Azure Bastion can only be created in "
                    "subnet with name '{}'.",
                    text, kSubnetName),
        target);
  if (!ascii_iequal(id->resource_group(), host.resource_group()))
    return bad("SubnetNotInSameResourceGroup",
               fmt::format("The virtual network of the bastion '{}' must be in its own resource group '{}'.",
                           host.name(), host.resource_group()),
               target);
  const auto subnet = TRY(resources.get(context.tx, *id));
  if (!subnet) return internal_error("a subnet that was checked is gone");
  if (!is_large_enough(subnet->body))
    return bad(
        "SubnetPrefixTooSmallForBastion",
        fmt::format("The subnet {} is too small for a bastion: it needs an IPv4 prefix of /{} or larger.",
                    id->text(), kSubnetLengthMax),
        target);
  if (string_at(subnet->body, "properties.routeTable.id"))
    return bad("RouteTableCannotBeAttachedForAzureBastionSubnet",
               fmt::format("Route table cannot be attached to subnet {}.", id->text()), target);
  if (const JsonArray* delegations = array_at(subnet->body, "properties.delegations");
      delegations != nullptr && !delegations->empty())
    return bad(
        "DelegationCannotBeAttachedForAzureBastionSubnet",
        fmt::format("The subnet {} has a delegation, which a bastion's subnet may not have.", id->text()),
        target);
  for (const Resource& nic : TRY(resources.list(context.tx, "Microsoft.Network/networkInterfaces",
                                                "/subscriptions/" + host.subscription())))
    if (const JsonArray* configurations = array_at(nic.body, "properties.ipConfigurations"))
      for (const Json& element : *configurations)
        if (ascii_iequal(string_at(element.as_object(), "properties.subnet.id").value_or(""), id->text()))
          return bad(
              "SubnetInUseByOtherResources",
              fmt::format("The subnet {} holds the interface {}; a bastion's subnet holds nothing else.",
                          id->text(), nic.id.text()),
              target);
  return *id;
}

Result<void> check_public_address(WriteContext& context, resource::Manager& resources, bool private_only,
                                  const JsonObject& configuration) {
  const std::string target = "properties.ipConfigurations[0].properties.publicIPAddress.id";
  const auto text = string_at(configuration, "properties.publicIPAddress.id");
  if (private_only) {
    if (!text) return {};
    return bad("PublicIPAddressNotAllowedForPrivateOnlyBastion",
               "A private-only bastion has no public IP address. Leave it out.", target);
  }
  if (!text)
    return bad("PublicIPAddressRequiredForBastion",
               "A bastion needs a public IP address (Standard, Static), unless it is a Premium one with "
               "'enablePrivateOnlyBastion'.",
               target);
  const auto address = TRY(resources.get(context.tx, TRY(ResourceId::parse(*text))));
  if (!address) return internal_error("a public address that was checked is gone");
  const bool fits =
      ascii_iequal(string_at(address->body, "sku.name").value_or("Basic"), "Standard") &&
      ascii_iequal(string_at(address->body, "properties.publicIPAllocationMethod").value_or(""), "Static") &&
      ascii_iequal(string_at(address->body, "properties.publicIPAddressVersion").value_or("IPv4"), "IPv4");
  if (fits) return {};
  return bad("PublicIPAddressNotSupportedForBastion",
             fmt::format("The public IP address {} cannot be a bastion's: its SKU must be Standard, its "
                         "allocation Static, its version IPv4.",
                         address->id.text()),
             target);
}

std::string port_of(const std::string& origin) {
  const size_t host = origin.find("//") + 2;
  const size_t bracket = origin.find(']', host);
  const size_t colon = origin.find(':', bracket == std::string::npos ? host : bracket);
  return colon == std::string::npos ? std::string() : origin.substr(colon);
}

std::string without_port(std::string_view host) { return ascii_lower(host.substr(0, host.rfind(':'))); }

void show_defaults(const ResourceId& id, JsonObject& wanted, Sku sku) {
  JsonObject& properties = wanted["properties"].as_object();
  const auto put_default = [&](std::string_view key, Json value) {
    if (!properties.contains(key)) properties[key] = std::move(value);
  };
  wanted["sku"] = JsonObject{{"name", sku_text(sku)}};
  put_default("scaleUnits", 2);
  for (const std::string_view flag :
       {"disableCopyPaste", "enableIpConnect", "enableShareableLink", "enableTunneling", "enableKerberos",
        "enableSessionRecording", "enablePrivateOnlyBastion"})
    put_default(flag, false);
  if (Json* configurations = properties.if_contains("ipConfigurations"))
    for (Json& element : configurations->as_array()) {
      JsonObject& configuration = element.as_object();
      const std::string name = string_at(configuration, "name").value_or("");
      configuration["id"] = id.text() + "/bastionHostIpConfigurations/" + name;
      configuration["type"] = "Microsoft.Network/bastionHosts/bastionHostIpConfigurations";
      JsonObject& own = configuration["properties"].as_object();
      own["privateIPAllocationMethod"] = "Dynamic";
      own["provisioningState"] = "Succeeded";
      configuration.erase("etag");
      configuration["etag"] = resource::entity_tag(resource::hash_of(to_text(configuration)));
    }
  properties["provisioningState"] = "Succeeded";
}

// Whatever runs under what is allowed no more has to end.
bool is_tighter(const Host& before, const Host& now) {
  return (now.recording && !before.recording) || (now.private_only && !before.private_only) ||
         (!now.tunneling && before.tunneling) || (!now.shareable_link && before.shareable_link) ||
         (!now.ip_connect && before.ip_connect);
}

}  // namespace

Result<JsonObject> Service::put_host(WriteContext& context, const ResourceId& id, const Resource* existing,
                                     JsonObject wanted) {
  if (!wanted["properties"].is_object()) wanted["properties"] = JsonObject();
  JsonObject& properties = wanted["properties"].as_object();
  const std::optional<Host> before = existing ? std::optional(TRY(read_host(*existing))) : std::nullopt;
  const auto named = string_at(wanted, "sku.name");
  const Sku sku = named ? sku_of(*named).value_or(Sku::basic) : before ? before->sku : Sku::basic;
  if (before && sku < before->sku)
    return bad("BastionHostSkuDowngradeNotSupported",
               fmt::format("The SKU of the bastion '{}' can only be raised: it is {}, and {} was asked for. "
                           "Delete the bastion and create it anew for a lower one.",
                           id.name(), sku_text(before->sku), sku_text(sku)),
               "sku.name");
  TRY(check_features(sku, properties));
  if (sku == Sku::developer) {
    TRY(check_developer(properties));
  } else {
    const JsonObject* configuration = first_configuration(properties);
    if (configuration == nullptr || !configuration->contains("properties"))
      return bad("IpConfigurationRequiredForBastion",
                 "A bastion has one entry in 'properties.ipConfigurations', with its subnet.",
                 "properties.ipConfigurations");
    const ResourceId subnet = TRY(check_subnet(context, platform_.resources, id, *configuration));
    TRY(check_public_address(context, platform_.resources,
                             bool_at(properties, "enablePrivateOnlyBastion").value_or(false),
                             *configuration));
    if (string_at(properties, "virtualNetwork.id") &&
        TRY(ResourceId::parse(*string_at(properties, "virtualNetwork.id"))) != subnet.parent())
      return bad("PropertyChangeNotAllowed", "The virtual network must be that of the subnet.",
                 "properties.virtualNetwork.id");
  }
  const std::string kept =
      existing ? string_at(existing->body, "properties.dnsName").value_or("") : std::string();
  properties["dnsName"] =
      !kept.empty() ? kept
                    : fmt::format("bst-{}.bastion.{}{}", Uuid::generate(platform_.core.random).text(),
                                  platform_.core.domain, port_of(context.call.origin));
  show_defaults(id, wanted, sku);
  const Host now = TRY(read_host({.id = id, .body = wanted, .etag = {}}));
  if (before && before->network != now.network)
    return fail(ErrorKind::conflict, "PropertyChangeNotAllowed",
                "The virtual network of a bastion cannot change. Delete the bastion and create it anew.",
                "properties.ipConfigurations");
  for (const Host& other : TRY(hosts(context.tx)))
    if (other.id != id && other.network == now.network)
      return fail(
          ErrorKind::conflict, "VirtualNetworkAlreadyHasBastion",
          fmt::format("The virtual network {} has a bastion already: {}.", now.network, other.id.text()));
  if (before && is_tighter(*before, now))
    TRY(end_sessions_of(context, "bastion", now.id.key(), "BastionChanged"));
  return wanted;
}

Result<void> Service::remove_host(WriteContext& context, const Resource& existing) {
  TRY(end_sessions_of(context, "bastion", existing.id.key(), "BastionDeleted"));
  TRY(delete_links_of(context, "place", existing.id.key() + "\n", "BastionDeleted"));
  const auto policies =
      TRY(store::scan_all<StoredPolicy>(context.tx, platform_.core.tenant, existing.id.key() + "\n"));
  // Made anew, the bastion would ask nothing of what they ask.
  if (!policies.empty()) TRY(context.require("Merlon.Bastion/sessionPolicies/delete", existing.id.text()));
  for (const StoredPolicy& policy : policies)
    TRY(store::erase<StoredPolicy>(context.tx, platform_.core.tenant, policy.key()));
  return {};
}

Result<Host> Service::host(store::Reader& reader, const ResourceId& id) {
  const auto resource = TRY(platform_.resources.get(reader, id));
  if (resource) return read_host(*resource);
  return fail(ErrorKind::not_found, "ResourceNotFound",
              fmt::format("The Resource '{}/{}' under resource group '{}' was not found.", kHostType,
                          id.name(), id.resource_group()));
}

Result<std::vector<Host>> Service::hosts(store::Reader& reader) {
  std::vector<Host> found;
  for (const Resource& resource : TRY(platform_.resources.list(
           reader, kHostType, "/subscriptions/" + platform_.core.subscription.text())))
    found.push_back(TRY(read_host(resource)));
  return found;
}

Result<std::optional<std::string>> Service::user_of(store::Reader& reader, const ResourceId& used) {
  for (const Host& host : TRY(hosts(reader))) {
    const std::string subnet = host.network + "/subnets/" + std::string(kSubnetName);
    const bool in_subnet = host.sku != Sku::developer && ascii_iequal(subnet, used.text());
    if (in_subnet || ascii_iequal(host.network, used.text())) return std::optional(host.id.text());
  }
  return std::optional<std::string>();
}

// By id, by the name that clients connect to, or by its own name where only one has it.
Result<std::optional<Host>> Service::host_named(store::Reader& reader, std::string_view name) {
  std::vector<Host> named;
  for (Host& host : TRY(hosts(reader))) {
    if (name.starts_with('/') ? ascii_iequal(host.id.text(), name)
                              : without_port(host.dns_name) == without_port(name))
      return std::optional<Host>(std::move(host));
    if (ascii_iequal(host.id.name(), name)) named.push_back(std::move(host));
  }
  if (named.empty()) return std::optional<Host>();
  if (named.size() == 1) return std::optional<Host>(std::move(named.front()));
  return fail(
      ErrorKind::conflict, "BastionNameNotUnique",
      fmt::format("{} bastions are called '{}'. Give the resource id of the one that you mean, such as "
                  "{}.",
                  named.size(), name, named.front().id.text()));
}

}  // namespace merlon::bastion

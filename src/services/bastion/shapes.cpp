// Source: azure-rest-api-specs, Microsoft.Network, bastionHost.json (2025-05-01; identity of 2026-01-01).
#include "services/bastion/shapes.h"

#include "base/ip.h"
#include "services/bastion/links.h"

namespace merlon::bastion {
namespace {

using schema::anything;
using schema::array_of;
using schema::boolean;
using schema::integer;
using schema::map_of;
using schema::object;
using schema::optional;
using schema::read_only;
using schema::required;
using schema::Shape;
using schema::text;
using schema::text_of;

constexpr int64_t kUnitsMin = 2, kUnitsMax = 50;
constexpr int64_t kAskedMax = 1000;
constexpr int64_t kLinksAtOnce = 100;

Shape reference() { return object({required("id", text())}); }

std::optional<std::string> check_prefix(std::string_view value) {
  if (IpPrefix::parse(value)) return std::nullopt;
  return "is not an IP address or a CIDR prefix";
}

Shape ip_configuration() {
  return object({required("name", text()),
                 optional("properties",
                          object({required("subnet", reference()), optional("publicIPAddress", reference()),
                                  optional("privateIPAllocationMethod", text_of({"Static", "Dynamic"})),
                                  read_only("provisioningState", text())}))});
}

}  // namespace

Shape host_shape() {
  const auto rule = object({optional("addressPrefix", text().with_check(check_prefix))});
  return object(
      {optional("location", text()), optional("tags", map_of(text())), optional("zones", array_of(text())),
       optional("sku", object({optional("name", text_of({"Developer", "Basic", "Standard", "Premium"}))})),
       optional("identity", anything()),
       optional("properties",
                object({optional("ipConfigurations", array_of(ip_configuration()).with_range(0, 1)),
                        read_only("dnsName", text()), optional("virtualNetwork", reference()),
                        optional("networkAcls", object({optional("ipRules", array_of(rule))})),
                        optional("scaleUnits", integer().with_range(kUnitsMin, kUnitsMax)),
                        optional("disableCopyPaste", boolean()), optional("enableFileCopy", boolean()),
                        optional("enableIpConnect", boolean()), optional("enableShareableLink", boolean()),
                        optional("enableTunneling", boolean()), optional("enableKerberos", boolean()),
                        optional("enableSessionRecording", boolean()),
                        optional("enablePrivateOnlyBastion", boolean()),
                        read_only("provisioningState", text()), read_only("resourceGuid", text())}))});
}

Shape machines_shape() {
  const auto one = object({required("vm", reference())});
  return object({optional("vms", array_of(one).with_range(0, kAskedMax))});
}

Shape links_shape() {
  const auto one = object({required("vm", reference())});
  return object(
      {required("vms", array_of(one).with_range(1, kLinksAtOnce)),
       optional("expiresIn",
                text().describe("ISO 8601: how long the links work; P1D unless said, P90D at most")),
       optional("maximumUses",
                integer().with_range(1, kLinkUsesMax).describe("sessions by each; 20 unless said")),
       optional("signInRequired", boolean().describe("their holder must have signed in here, as anybody")),
       optional("mfaRequired", boolean().describe("and with a second factor")),
       optional("port", integer().with_range(1, 65535).describe("of the machine; 22 unless said")),
       optional("login", text().with_range(1, 64).describe(
                             "of the machine, that its holder gets; its maker must be able to log in as it")),
       optional("justification",
                text().with_range(0, 1024).describe("why; in the ledger, and for policies"))});
}

Shape tokens_shape() { return object({required("tokens", array_of(text()).with_range(0, kAskedMax))}); }

Shape session_ids_shape() {
  return object({required("sessionIds", array_of(text()).with_range(0, kAskedMax))});
}

}  // namespace merlon::bastion

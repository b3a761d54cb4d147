// Source: azure-rest-api-specs, Microsoft.Compute, virtualMachine.json. Merlon protects machines and does not
// make them, so what describes their making is kept as it came; what Merlon acts on is typed.
#include "services/compute/shapes.h"

#include "services/compute/machine_identity.h"

namespace merlon::compute {
namespace {

using schema::anything;
using schema::array_of;
using schema::boolean;
using schema::map_of;
using schema::object;
using schema::optional;
using schema::read_only;
using schema::required;
using schema::text;
using schema::text_of;

constexpr int64_t kInterfacesMax =
    256;  // of one machine, as its agent takes them (machine/desired_state.cpp)

schema::Shape network_profile() {
  return object({optional(
      "networkInterfaces",
      array_of(
          object({required("id", text().describe("resource id of a network interface")),
                  optional("properties", object({optional("primary", boolean()),
                                                 optional("deleteOption", text_of({"Delete", "Detach"}))}))}))
          .with_range(0, kInterfacesMax))});
}

// adminPassword, customData and secrets are accepted and dropped: they serve the making of a machine, and are
// secrets.
schema::Shape os_profile() {
  return object({optional("computerName", text().with_range(1, 64)),
                 optional("adminUsername", text().with_range(1, 64)),
                 optional("linuxConfiguration", anything()), optional("windowsConfiguration", anything()),
                 optional("allowExtensionOperations", boolean())});
}

schema::Shape properties() {
  return object(
      {optional("hardwareProfile", object({optional("vmSize", text())})),
       optional("storageProfile", anything()), optional("osProfile", os_profile()),
       optional("networkProfile", network_profile()), optional("securityProfile", anything()),
       optional("diagnosticsProfile", anything()), optional("availabilitySet", anything()),
       optional("proximityPlacementGroup", anything()), optional("additionalCapabilities", anything()),
       optional("licenseType", text()), optional("priority", text_of({"Regular", "Low", "Spot"})),
       optional("evictionPolicy", text_of({"Deallocate", "Delete"})), read_only("provisioningState", text()),
       read_only("vmId", text()), read_only("timeCreated", text()), read_only("instanceView", anything())});
}

}  // namespace

schema::Shape virtual_machine_shape() {
  return object({optional("location", text()), optional("tags", map_of(text())),
                 optional("zones", array_of(text())), optional("identity", machine_identity_shape()),
                 optional("plan", anything()), optional("extendedLocation", anything()),
                 optional("properties", properties())});
}

}  // namespace merlon::compute

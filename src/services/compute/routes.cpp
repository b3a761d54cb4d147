// What the compute service declares.
#include "base/text.h"
#include "services/compute/machine_identity.h"
#include "services/compute/service.h"
#include "services/compute/shapes.h"

namespace merlon::compute {
namespace {

using resource::Call;
using resource::ResourceId;
using resource::WriteContext;

resource::ResourceType virtual_machines(Service& service) {
  resource::ResourceType type;
  type.provider = "Microsoft.Compute";
  type.type = "virtualMachines";
  type.api_versions = {"2024-07-01", "2023-09-01", "2022-11-01", "2022-03-01", "2021-11-01",
                       "2020-06-01", "2019-12-01", "2018-06-01", "2017-12-01"};
  type.shape = virtual_machine_shape();
  type.summary = "A machine: enrolled by its agent, or described by a person";
  type.links = {{"properties.networkProfile.networkInterfaces[].id",
                 "Microsoft.Network/networkInterfaces/join/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const resource::Resource* existing,
                        JsonObject wanted) { return service.put(context, id, existing, std::move(wanted)); };
  type.changed = [&service](WriteContext& context, const ResourceId& vm) {
    return service.changed(context, vm);
  };
  type.remove = [&service](WriteContext& context, const resource::Resource& vm) {
    return service.remove(context, vm);
  };
  return type;
}

resource::Route instance_view(Service& service) {
  resource::Route route;
  route.method = "GET";
  route.path =
      "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute/"
      "virtualMachines/"
      "{vmName}/instanceView";
  route.permission = "Microsoft.Compute/virtualMachines/instanceView/read";
  route.summary = "The machine's state as its agent reports it";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const ResourceId vm =
        TRY(ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                              call.parameter("resourceGroupName") +
                              "/providers/Microsoft.Compute/virtualMachines/" + call.parameter("vmName")));
    return resource::json_response(200, TRY(service.instance_view(reader, vm, call.now)));
  };
  return route;
}

resource::Route list_by_location(Platform& platform) {
  resource::Route route;
  route.method = "GET";
  route.path =
      "/subscriptions/{subscriptionId}/providers/Microsoft.Compute/locations/{location}/virtualMachines";
  route.permission = "Microsoft.Compute/virtualMachines/read";
  route.checked_at = "/subscriptions/{subscriptionId}";
  route.summary = "Lists the machines of a location";
  route.read = [&platform](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const std::string scope = "/subscriptions/" + call.parameter("subscriptionId");
    JsonArray values;
    for (const resource::Resource& vm :
         TRY(platform.resources.list(reader, "Microsoft.Compute/virtualMachines", scope))) {
      if (ascii_iequal(string_at(vm.body, "location").value_or(""), call.parameter("location")))
        values.push_back(vm.body);
    }
    return resource::json_response(200, {{"value", std::move(values)}});
  };
  return route;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs;
  return specs;
}

std::unique_ptr<Compute> install(Platform& platform) {
  auto service = std::make_unique<Service>(platform);
  platform.resources.add(virtual_machines(*service));
  platform.resources.add(instance_view(*service));
  platform.resources.add(list_by_location(platform));
  platform.machines.on_invite([&platform](store::Reader& reader, const identity::Principal& maker,
                                          const std::string& machine) -> Result<void> {
    return check_may_become(platform, reader, maker, TRY(resource::ResourceId::parse(machine)));
  });
  platform.machines.on_enrol([s = service.get()](WriteContext& context, machine::Machine& machine,
                                                 const std::string&) { return s->enrol(context, machine); });
  platform.machines.on_remove([s = service.get()](WriteContext& context, const machine::Machine& machine) {
    return s->forget(context, machine);
  });
  return service;
}

}  // namespace merlon::compute

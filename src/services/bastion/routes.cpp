// The type of bastion hosts, and how the service is put together.
#include "services/bastion/routes.h"

#include "services/bastion/shapes.h"
#include "services/bastion/tokens.h"

namespace merlon::bastion {
namespace {

using resource::Resource;
using resource::ResourceId;
using resource::WriteContext;

resource::ResourceType host_type(Service& service) {
  resource::ResourceType type;
  type.provider = "Microsoft.Network";
  type.type = "bastionHosts";
  type.api_versions = {"2026-01-01", "2025-05-01", "2024-05-01", "2023-11-01", "2023-05-01", "2022-11-01",
                       "2022-07-01", "2022-01-01", "2021-08-01", "2020-11-01", "2019-11-01", "2018-10-01"};
  type.shape = host_shape();
  type.etag_in_body = true;
  type.patch_replaces_tags = true;
  type.put_is_operation = true;
  type.deleted_status = 202;
  type.summary = "A bastion: the way in to the machines of its virtual network and those peered with it";
  type.links = {{"properties.ipConfigurations[].properties.subnet.id",
                 "Microsoft.Network/virtualNetworks/subnets/join/action"},
                {"properties.ipConfigurations[].properties.publicIPAddress.id",
                 "Microsoft.Network/publicIPAddresses/join/action"},
                {"properties.virtualNetwork.id", "Microsoft.Network/virtualNetworks/subnets/join/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const Resource* existing,
                        JsonObject wanted) {
    return service.put_host(context, id, existing, std::move(wanted));
  };
  type.remove = [&service](WriteContext& context, const Resource& host) {
    return service.remove_host(context, host);
  };
  return type;
}

}  // namespace

Result<ResourceId> host_in(const resource::Call& call) {
  return ResourceId::parse("/subscriptions/" + call.parameter("subscriptionId") + "/resourceGroups/" +
                           call.parameter("resourceGroupName") +
                           "/providers/Microsoft.Network/bastionHosts/" + call.parameter("bastionHostName"));
}

void add_host_routes(resource::Manager& resources, Service& service) { resources.add(host_type(service)); }

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {
      Session::table(), CarryingServer::table(), StoredPolicy::table(), TunnelToken::table(), Link::table()};
  return specs;
}

Service::Service(Platform& platform, compute::Compute& compute, network::Network& network, jit::Jit& jit,
                 BastionParameters parameters)
    : platform_(platform),
      compute_(compute),
      network_(network),
      jit_(jit),
      parameters_(std::move(parameters)),
      server_(Uuid::generate(platform.core.random).text()) {}

std::unique_ptr<Bastion> install(Platform& platform, compute::Compute& compute, network::Network& network,
                                 jit::Jit& jit, BastionParameters parameters) {
  auto service = std::make_unique<Service>(platform, compute, network, jit, std::move(parameters));
  add_host_routes(platform.resources, *service);
  add_session_routes(platform.resources, *service);
  add_policy_routes(platform.resources, *service);
  add_link_routes(platform.resources, *service);
  add_moderation_routes(platform.resources, *service);
  network.on_deletion_ask([s = service.get()](store::Reader& reader, const ResourceId& used) {
    return s->user_of(reader, used);
  });
  compute.on_remove([s = service.get()](WriteContext& context, const ResourceId& vm) -> Result<void> {
    TRY(s->delete_links_of(context, "target", vm.key(), "MachineRemoved"));
    return s->end_sessions_of(context, "target", vm.key(), "MachineRemoved");
  });
  return service;
}

}  // namespace merlon::bastion

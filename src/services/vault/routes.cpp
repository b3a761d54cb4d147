// What the vault service declares on the control plane.
#include "resource/paging.h"
#include "services/vault/service.h"
#include "services/vault/shapes.h"

namespace merlon::vault {

std::optional<std::string> vault_name_problem(std::string_view name);  // control.cpp

namespace {

using resource::Call;
using resource::ResourceId;
using resource::WriteContext;

constexpr const char* kSubscription = "/subscriptions/{subscriptionId}";
const std::string kProvider = std::string(kSubscription) + "/providers/Microsoft.KeyVault/";

resource::ResourceType vaults(Service& service) {
  resource::ResourceType type;
  type.provider = "Microsoft.KeyVault";
  type.type = "vaults";
  type.api_versions = {"2026-02-01", "2025-05-01", "2024-11-01", "2023-07-01", "2023-02-01",
                       "2022-07-01", "2021-10-01", "2019-09-01", "2018-02-14", "2016-10-01"};
  type.shape = vault_shape();
  type.summary = "A vault for secrets and keys";
  type.created_status = 200;
  type.check_name = vault_name_problem;
  type.links = {{"properties.networkAcls.virtualNetworkRules[].id",
                 "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action"}};
  type.put = [&service](WriteContext& context, const ResourceId& id, const resource::Resource* existing,
                        JsonObject wanted) { return service.put(context, id, existing, std::move(wanted)); };
  type.changed = [&service](WriteContext& context, const ResourceId& id) {
    return service.changed(context, id);
  };
  type.remove = [&service](WriteContext& context, const resource::Resource& vault) {
    return service.remove(context, vault);
  };
  return type;
}

resource::Route access_policies(Service& service) {
  resource::Route route;
  route.method = "PUT";
  route.path =
      std::string(kSubscription) +
      "/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/{vaultName}/accessPolicies/"
      "{operationKind}";
  route.checked_at = std::string(kSubscription) +
                     "/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/{vaultName}";
  route.permission = "Microsoft.KeyVault/vaults/accessPolicies/write";
  route.summary = "Adds, replaces or removes access policies of a vault";
  route.body = access_policies_shape();
  route.write = [&service](WriteContext& context) -> Result<net::Response> {
    return resource::json_response(200,
                                   TRY(service.change_policies(context, context.call.id.parent(),
                                                               context.call.parameter("operationKind"))));
  };
  return route;
}

resource::Route name_availability(Service& service) {
  resource::Route route;
  route.method = "POST";
  route.path = kProvider + "checkNameAvailability";
  route.checked_at = kSubscription;
  route.permission = "Microsoft.KeyVault/checkNameAvailability/read";
  route.summary = "Says whether a vault may have a name";
  route.body = name_availability_shape();
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200,
                                   TRY(service.name_availability(reader, *string_at(call.body, "name"))));
  };
  return route;
}

resource::Route deleted_list(Service& service) {
  resource::Route route;
  route.method = "GET";
  route.path = kProvider + "deletedVaults";
  route.checked_at = kSubscription;
  route.permission = "Microsoft.KeyVault/deletedVaults/read";
  route.summary = "Lists the deleted vaults";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const resource::Page page = TRY(resource::page_of(call));
    std::vector<std::string> values;
    const std::string after = TRY(resource::walk_keys(
        reader, Vault::table(), call.tenant, "", page, [&](const resource::WalkRow& at) -> Result<bool> {
          const Vault vault = TRY(store::decode<Vault>(at.row));
          if (!vault.deleted) return false;
          values.push_back(to_text(service.shown_deleted(vault)));
          return true;
        }));
    return resource::text_response(
        200, resource::list_text(values, after.empty() ? std::string() : resource::next_link(call, after)));
  };
  return route;
}

resource::Route deleted_get(Service& service) {
  resource::Route route;
  route.method = "GET";
  route.path = kProvider + "locations/{location}/deletedVaults/{vaultName}";
  route.checked_at = kSubscription;
  route.permission = "Microsoft.KeyVault/locations/deletedVaults/read";
  route.summary = "Gets a deleted vault";
  route.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(
        200, TRY(service.deleted_vault(reader, call.parameter("location"), call.parameter("vaultName"))));
  };
  return route;
}

resource::Route deleted_purge(Service& service, Platform& platform) {
  resource::Route route;
  route.method = "POST";
  route.path = kProvider + "locations/{location}/deletedVaults/{vaultName}/purge";
  route.checked_at = kSubscription;
  route.permission = "Microsoft.KeyVault/locations/deletedVaults/purge/action";
  route.summary = "Destroys a deleted vault and all that is in it, for good";
  route.write = [&service, &platform](WriteContext& context) -> Result<net::Response> {
    const Vault gone =
        TRY(service.purge(context, context.call.parameter("location"), context.call.parameter("vaultName")));
    const ResourceId id = TRY(ResourceId::parse(gone.resource_id));
    // With something to show: clients of this operation take an empty answer for a failure.
    const auto operation =
        TRY(platform.resources.start_operation(context, id, "Succeeded", {{"status", "Succeeded"}}));
    return platform.resources.accepted(context.call, operation);
  };
  return route;
}

}  // namespace

Service::Service(Platform& platform, std::unique_ptr<crypto::Hsm> hsm)
    : platform_(platform), hsm_(platform.core, std::move(hsm)), plane_(platform, hsm_) {}

std::unique_ptr<Vaults> install(Platform& platform, std::unique_ptr<crypto::Hsm> hsm) {
  auto service = std::make_unique<Service>(platform, std::move(hsm));
  platform.resources.add(vaults(*service));
  platform.resources.add(access_policies(*service));
  platform.resources.add(name_availability(*service));
  platform.resources.add(deleted_list(*service));
  platform.resources.add(deleted_get(*service));
  platform.resources.add(deleted_purge(*service, platform));
  add_arm_object_routes(platform, service->hsm());
  return service;
}

}  // namespace merlon::vault

// The rules of just-in-time access.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "services/jit/access_request.h"
#include "services/jit/api.h"

namespace merlon::jit {

inline constexpr std::string_view kGrantKind = "jit";
inline constexpr std::string_view kPolicyType = "Microsoft.Security/locations/jitNetworkAccessPolicies";

// What a grant of this kind holds: one port of one machine.
struct PortGrant {
  std::string policy_id;
  std::string vm_id;
  uint16_t number = 0;
  machine::Protocol protocol = machine::Protocol::tcp;
  std::vector<std::string> sources;
  std::string request_id;  // the request it came with: one request may open several ports
  JsonObject to_json() const;
  static Result<PortGrant> from_json(const JsonObject& json);
};

class Service final : public Jit {
 public:
  Service(Platform& platform, compute::Compute& compute, network::Network& network)
      : platform_(platform), compute_(compute), network_(network) {}

  // Hooks of the declared type.
  Result<JsonObject> put_policy(resource::WriteContext& context, const resource::ResourceId& id,
                                const resource::Resource* existing, JsonObject wanted);
  Result<void> policy_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_policy(resource::WriteContext& context, const resource::Resource& existing);

  Result<JsonObject> initiate(resource::WriteContext& context, const resource::ResourceId& policy);
  Result<JsonObject> revoke(resource::WriteContext& context, const resource::ResourceId& policy,
                            const Uuid& grant);
  Result<JsonArray> openings(store::Reader& reader, std::string_view scope);
  Result<JsonObject> opening(store::Reader& reader, const resource::ResourceId& policy, const Uuid& grant);

  Result<void> ended(resource::WriteContext& context, const grant::Grant& grant);
  Result<void> allow_removed(resource::WriteContext& context, const network::OverlayRule& rule);
  Result<void> layout_changed(resource::WriteContext& context, const resource::ResourceId& vm);

 private:
  using GroupRules = std::map<std::string, std::vector<network::OverlayRule>>;  // by group key

  Result<Policy> policy_of(store::Reader& reader, const resource::ResourceId& id);
  Result<void> check_rights(resource::WriteContext& context, const Policy& policy,
                            const AccessRequest& request);
  Result<void> check_reachable(store::Reader& reader, const Policy& policy);
  Result<grant::Grant> open_port(resource::WriteContext& context, const Policy& policy,
                                 const AccessRequest& request, const PortRequest& port,
                                 const std::string& request_id);
  Result<void> end_grants(resource::WriteContext& context, const resource::ResourceId& policy,
                          std::string_view reason, const std::function<bool(const PortGrant&)>& which);
  // Brings overlays and openings in line with the policies and the live grants.
  Result<void> sync_overlay(resource::WriteContext& context, const resource::ResourceId& policy_id);
  Result<void> add_deny_rules(store::Reader& reader, const Policy& policy, GroupRules& rules);
  Result<void> add_allow_rules(store::Reader& reader, const resource::ResourceId& policy_id,
                               GroupRules& rules);
  Result<void> sync_openings(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<std::vector<IpAddress>> addresses_of(store::Reader& reader, const resource::ResourceId& vm);
  Result<std::vector<network::VmInterface>> interfaces_of(store::Reader& reader,
                                                          const resource::ResourceId& vm);
  Result<void> remember_request(resource::WriteContext& context, const resource::ResourceId& policy,
                                JsonObject request);
  Result<JsonObject> view(store::Reader& reader, const grant::Grant& grant);

  Platform& platform_;
  compute::Compute& compute_;
  network::Network& network_;
};

std::string overlay_owner(const resource::ResourceId& policy);

}  // namespace merlon::jit

// The rules of just-in-time access.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "services/jit/access_request.h"
#include "services/jit/api.h"
#include "services/jit/options.h"
#include "services/jit/records.h"

namespace merlon::jit {

inline constexpr std::string_view kPolicyType = "Microsoft.Security/locations/jitNetworkAccessPolicies";
inline constexpr std::string_view kReadPermission =
    "Microsoft.Security/locations/jitNetworkAccessPolicies/read";
inline constexpr std::string_view kInitiatePermission =
    "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action";
inline constexpr std::string_view kRevokePermission = "Merlon.Jit/openings/revoke/action";
inline constexpr std::string_view kOptionsPart =
    "/providers/Merlon.Jit/options/default";  // after a policy's id
inline constexpr std::string_view kOptionsDeletePermission = "Merlon.Jit/options/delete";
inline constexpr std::string_view kRequestReadPermission = "Merlon.Jit/requests/read";
inline constexpr std::string_view kApprovePermission = "Merlon.Jit/requests/approve/action";
inline constexpr std::string_view kCancelPermission = "Merlon.Jit/requests/cancel/action";

// A right that somebody needs, beyond that of the route.
using Need = std::function<Result<void>(std::string_view action, std::string_view scope)>;

class Service final : public Jit {
 public:
  Service(Platform& platform, network::Network& network) : platform_(platform), network_(network) {}

  // Hooks of the declared type.
  Result<JsonObject> put_policy(resource::WriteContext& context, const resource::ResourceId& id,
                                const resource::Resource* existing, JsonObject wanted);
  Result<void> policy_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_policy(resource::WriteContext& context, const resource::Resource& existing);

  // Its options (options.h).
  Result<JsonObject> put_options(resource::WriteContext& context, const resource::ResourceId& policy);
  Result<bool> remove_options(resource::WriteContext& context, const resource::ResourceId& policy);
  Result<JsonObject> options(store::Reader& reader, const resource::ResourceId& policy);

  // Openings.
  Result<JsonObject> initiate(resource::WriteContext& context, const resource::ResourceId& policy);
  Result<JsonObject> extend(resource::WriteContext& context, const resource::ResourceId& policy,
                            const Uuid& opening);
  Result<JsonObject> revoke(resource::WriteContext& context, const resource::ResourceId& policy,
                            const Uuid& opening);
  Result<JsonArray> openings(const resource::Call& call, store::Reader& reader, std::string_view scope);
  Result<JsonObject> opening(store::Reader& reader, const resource::ResourceId& policy, const Uuid& id);

  // For other services (port_access.cpp).
  Result<bool> guards(store::Reader& reader, const resource::ResourceId& vm, uint16_t port) override;
  Result<std::optional<PortAccess>> port_access(resource::WriteContext& context,
                                                const PortAccessRequest& request) override;
  Result<void> tick(const grant::Grants::Guard& guard) override;

  // Requests that others must agree to.
  Result<JsonObject> approve(resource::WriteContext& context, const resource::ResourceId& policy,
                             const Uuid& request);
  Result<JsonObject> deny(resource::WriteContext& context, const resource::ResourceId& policy,
                          const Uuid& request);
  Result<JsonObject> cancel(resource::WriteContext& context, const resource::ResourceId& policy,
                            const Uuid& request);
  Result<JsonArray> requests(const resource::Call& call, store::Reader& reader, std::string_view scope);
  Result<JsonObject> request(store::Reader& reader, const resource::ResourceId& policy, const Uuid& id);

  // What happens to them from elsewhere.
  Result<void> openings_ended(resource::WriteContext& context, const std::vector<grant::Grant>& grants);
  Result<void> request_ended(resource::WriteContext& context, const grant::Grant& grant);
  Result<void> allow_removed(resource::WriteContext& context, const network::OverlayRule& rule);
  Result<void> layout_changed(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> observed(resource::WriteContext& context, const machine::Machine& machine,
                        const machine::Observation& observation);

 private:
  using GroupRules = std::map<std::string, std::vector<network::OverlayRule>>;  // by group key
  // For whom ports are opened, and how.
  struct Terms {
    identity::Principal holder;
    std::string request_id;
    std::vector<std::string> approved_by;
    Options options;
  };
  // Openings that ended because a newer request took their place.
  struct Replaced {
    std::set<std::string> grants, vms;  // ids
  };
  // While there is one, an opening that ends leaves it to whoever ends it to say so in the group, to the
  // machine and in the history.
  class InOneGo {
   public:
    explicit InOneGo(bool& flag) : flag_(flag) { flag_ = true; }
    InOneGo(const InOneGo&) = delete;
    InOneGo& operator=(const InOneGo&) = delete;
    ~InOneGo() { flag_ = false; }

   private:
    bool& flag_;
  };

  Result<Policy> policy_of(store::Reader& reader, const resource::ResourceId& id);
  Result<Options> options_of(store::Reader& reader, const resource::ResourceId& policy);
  Result<std::optional<Policy>> policy_guarding(store::Reader& reader, const resource::ResourceId& vm,
                                                uint16_t port);
  Result<std::optional<PortAccess>> approved_access(store::Reader& reader, const Policy& policy,
                                                    const PortAccessRequest& request, const Uuid& holder);
  Result<void> check_reachable(store::Reader& reader, const Policy& policy);
  Result<void> check_principals(store::Reader& reader, const Options& options);

  // Who may ask, and whether the options let them ask for that (rights.cpp).
  Result<void> check_asker(store::Reader& reader, const Policy& policy, const Options& options,
                           const AccessRequest& request, const identity::Principal& asker, const Need& need);
  Result<void> check_requesters(store::Reader& reader, const Options& options, const AccessRequest& request,
                                const identity::Principal& asker);
  Need need_of(resource::WriteContext& context) const;
  Need need_of(store::Reader& reader, const identity::Principal& principal) const;
  Result<bool> is_among(store::Reader& reader, const Uuid& principal, const std::vector<Uuid>& listed);
  Result<std::optional<identity::Principal>> principal_of(store::Reader& reader, const std::string& object_id,
                                                          const std::string& name);

  Result<void> open_ports(resource::WriteContext& context, const Policy& policy, const AccessRequest& request,
                          const Terms& terms);
  Result<Replaced> end_older(resource::WriteContext& context, const Policy& policy,
                             const AccessRequest& request, const Terms& terms);
  Result<grant::Grant> open_port(resource::WriteContext& context, const Policy& policy,
                                 const AccessRequest& request, const PortRequest& port, const Terms& terms);
  Result<void> prolong(resource::WriteContext& context, const grant::Grant& opening, Timestamp end,
                       const std::vector<std::string>& approved_by);
  Result<grant::Grant> opening_grant(store::Reader& reader, const resource::ResourceId& policy,
                                     const Uuid& id);
  Result<grant::Grant> live_opening(store::Reader& reader, const resource::ResourceId& policy,
                                    const Uuid& id);
  Result<void> end_openings(resource::WriteContext& context, const resource::ResourceId& policy,
                            std::string_view reason, const std::function<bool(const PortGrant&)>& which);

  Result<JsonObject> wait_for_approval(resource::WriteContext& context, const Policy& policy,
                                       const Options& options, const AccessRequest& request,
                                       const std::string& extends);
  Result<void> make_room_for(resource::WriteContext& context, const Policy& policy,
                             const WaitingRequest& waiting);
  Result<grant::Grant> request_grant(store::Reader& reader, const resource::ResourceId& policy,
                                     const Uuid& id);
  Result<grant::Grant> pending_grant(store::Reader& reader, const resource::ResourceId& policy,
                                     const Uuid& id);
  Result<bool> may_approve(store::Reader& reader, const Options& options, const resource::ResourceId& policy,
                           const identity::Principal& approver);
  Result<void> carry_out(resource::WriteContext& context, const Policy& policy, const Options& options,
                         const grant::Grant& grant, const WaitingRequest& waiting);
  Result<void> end_requests(resource::WriteContext& context, const resource::ResourceId& policy,
                            std::string_view reason, const std::function<bool(const WaitingRequest&)>& which);
  Result<JsonObject> request_view(store::Reader& reader, const grant::Grant& grant);

  // The requests that the policy shows (history.cpp).
  using EditPort = std::function<void(const JsonObject& vm, JsonObject& port)>;
  Result<void> show_request(resource::WriteContext& context, const resource::ResourceId& policy,
                            JsonObject request);
  Result<void> edit_request(resource::WriteContext& context, const resource::ResourceId& policy,
                            const std::string& request_id, const EditPort& edit);
  Result<void> show_opening(resource::WriteContext& context, const grant::Grant& grant);
  Result<void> show_openings(resource::WriteContext& context, const resource::ResourceId& policy,
                             const std::vector<grant::Grant>& grants);

  // Brings overlays and openings in line with the policies and the live grants.
  Result<void> sync_overlay(resource::WriteContext& context, const resource::ResourceId& policy_id);
  Result<void> add_deny_rules(store::Reader& reader, const Policy& policy, GroupRules& rules);
  using Interfaces = std::map<std::string, std::vector<network::VmInterface>>;  // of machines, by id
  Result<void> add_allow_rules(store::Reader& reader, const grant::Grant& grant, Interfaces& known,
                               GroupRules& rules);
  Result<void> show_rules(resource::WriteContext& context, const resource::ResourceId& policy,
                          const std::vector<grant::Grant>& grants, const Replaced& replaced);
  Result<void> hide_rules(resource::WriteContext& context, const std::vector<grant::Grant>& grants);
  Result<void> sync_openings(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<std::vector<IpAddress>> addresses_of(store::Reader& reader, const resource::ResourceId& vm);
  Result<std::vector<network::VmInterface>> interfaces_of(store::Reader& reader,
                                                          const resource::ResourceId& vm);
  Result<JsonObject> view(store::Reader& reader, const grant::Grant& grant);
  JsonObject view(const grant::Grant& grant, const PortGrant& port,
                  const std::optional<machine::Machine>& machine) const;

  Result<std::vector<grant::Grant>> openings_of_nobody(store::Reader& reader);  // holders.cpp

  Platform& platform_;
  network::Network& network_;
  Duration look_again_{};             // tick's alone, as is:
  std::optional<uint64_t> people_{};  // the directory as it was when no opening was without its holder
  bool in_one_go_ = false;            // of the one transaction that is going on: writes take turns
};

std::string overlay_owner(const resource::ResourceId& policy);
// The request as Azure shows it, each port in the status that is given.
JsonObject shown_request(const AccessRequest& request, const std::string& id, Timestamp start,
                         const std::string& requestor, std::string_view status);
// Longer than it lasts, and no longer than the policy lets one opening last.
Result<void> check_extension(const Policy& policy, const grant::Grant& opening, const PortRequest& wanted);
std::string options_etag(const JsonObject& properties);
schema::Shape extension_shape();
schema::Shape verdict_shape();

}  // namespace merlon::jit

// Networks, interfaces and security groups, for the services after this one. A security group is a base,
// which people edit, and an overlay, which services own. What GET shows is base ⊕ overlay, rendered when
// either changes; dropping the overlay restores the base by construction (architecture.md, invariant 2).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "machine/desired_state.h"
#include "machine/platform.h"
#include "services/compute/api.h"

namespace merlon::network {

// One rule of the overlay. Deny rules take priorities from 4096 downward and are compiled into the machine's
// filter; allow rules take them from 100 upward, shifting people's rules that are in the way, and are only
// shown: their enforcement is an opening with a kernel timeout (machine::Opening), never a rule without an
// end.
struct OverlayRule {
  std::string id;  // stable and unique within the group: "<policy>/<vm>/<port>" or "<grant>/<position>"
  machine::Access access = machine::Access::deny;
  std::string name;  // "SecurityCenter-JITRule_…"
  std::string description;
  machine::Protocol protocol = machine::Protocol::tcp;
  std::vector<std::string> sources;  // prefixes, or "*"
  IpAddress destination;             // private address of the machine
  uint16_t port = 0;
  bool operator==(const OverlayRule&) const = default;
  JsonObject to_json() const;
  static Result<OverlayRule> from_json(const JsonObject& json);
};

struct VmInterface {
  resource::ResourceId nic;
  std::vector<IpAddress> addresses;          // private ones, primary first
  std::vector<resource::ResourceId> groups;  // subnet's first, then the interface's own
  bool primary = false;
};

struct Explanation {
  machine::Verdict verdict;
  machine::Flow flow;
  std::string nic_id;
  bool enforced = false;              // false: audit mode, the kernel lets it pass whatever the verdict
  std::vector<std::string> blockers;  // other firewall chains on the machine that may still drop it
};

// What IP flow verify answers.
struct FlowAnswer {
  machine::Access access = machine::Access::deny;
  std::string rule_name;  // as effective rules name it, or what else decided
};

class Network {
 public:
  virtual ~Network() = default;

  virtual Result<std::vector<VmInterface>> interfaces_of(store::Reader& reader,
                                                         const resource::ResourceId& vm) = 0;

  // Replaces the overlay rules of one owner ("jit:<policy id>") in one group; renders the view, and
  // recompiles the machines that the group protects when its deny rules changed. An absent group is
  // ResourceNotFound.
  virtual Result<void> set_overlay(resource::WriteContext& context, const resource::ResourceId& group,
                                   std::string_view owner, std::vector<OverlayRule> rules) = 0;
  // The same to the rules as `edit` leaves them.
  virtual Result<void> change_overlay(resource::WriteContext& context, const resource::ResourceId& group,
                                      std::string_view owner,
                                      const std::function<void(std::vector<OverlayRule>&)>& edit) = 0;
  // Groups that hold overlay rules of this owner.
  virtual Result<std::vector<resource::ResourceId>> groups_with_overlay(store::Reader& reader,
                                                                        std::string_view owner) = 0;
  // A person's PUT or DELETE left this allow rule out: its owner must revoke what it stands for.
  virtual void on_allow_removed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId& group,
                                 const OverlayRule&)>
          hook) = 0;
  // Interfaces, addresses or groups of a virtual machine changed: overlays may have to move.
  virtual void on_layout_changed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId& vm)> hook) = 0;

  // Who uses a subnet beside interfaces, or a whole network: the id of what does, if something does. What is
  // used is not deleted.
  using AskForUser =
      std::function<Result<std::optional<std::string>>(store::Reader&, const resource::ResourceId& used)>;
  virtual void on_deletion_ask(AskForUser ask) = 0;

  // The model's verdict for a flow to or from a machine's primary interface (or the one that holds the local
  // address).
  virtual Result<Explanation> explain(store::Reader& reader, const resource::ResourceId& vm,
                                      machine::Flow flow) = 0;
  // The same for any machine, enrolled or not; of one interface when `nic` is given. Error: an address that
  // is not the machine's.
  virtual Result<FlowAnswer> verify_flow(store::Reader& reader, const resource::ResourceId& vm,
                                         const machine::Flow& flow, std::string_view nic) = 0;
  // Writes what flow logs wait with, and removes what is too old in them: several times a second, on a thread
  // that may wait for the disk.
  virtual void tick_flow_logs() = 0;
};

// Without a directory for flow logs what machines report for them is kept nowhere.
std::unique_ptr<Network> install(Platform& platform, compute::Compute& compute,
                                 std::string flow_log_directory = {});
const std::vector<store::TableSpec>& tables();
// Of before a just-in-time rule was kept once for all views: writes every group anew, and where overlays are.
Result<void> rewrite_security_groups(store::Transaction& tx, const TenantId& tenant);

}  // namespace merlon::network

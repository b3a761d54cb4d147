// The rules of networks, interfaces and security groups, and the compilation of both into what machines
// enforce.
#pragma once

#include <set>
#include <vector>

#include "services/network/api.h"
#include "services/network/compiled.h"
#include "services/network/flow_log.h"
#include "services/network/flow_log_files.h"
#include "services/network/links.h"
#include "services/network/memberships.h"
#include "services/network/next_hop.h"
#include "services/network/security_group.h"
#include "services/network/service_tags.h"

namespace merlon::network {

inline constexpr std::string_view kApplicationGroupType = "Microsoft.Network/applicationSecurityGroups";

class Service final : public Network {
 public:
  Service(Platform& platform, compute::Compute& compute, std::string flow_log_directory)
      : platform_(platform), compute_(compute), flow_files_(std::move(flow_log_directory)) {}

  Result<std::vector<VmInterface>> interfaces_of(store::Reader& reader,
                                                 const resource::ResourceId& vm) override;
  Result<void> set_overlay(resource::WriteContext& context, const resource::ResourceId& group,
                           std::string_view owner, std::vector<OverlayRule> rules) override;
  Result<void> change_overlay(resource::WriteContext& context, const resource::ResourceId& group,
                              std::string_view owner,
                              const std::function<void(std::vector<OverlayRule>&)>& edit) override;
  Result<std::vector<resource::ResourceId>> groups_with_overlay(store::Reader& reader,
                                                                std::string_view owner) override;
  void on_allow_removed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&, const OverlayRule&)>
          hook) override {
    allow_removed_.push_back(std::move(hook));
  }
  void on_layout_changed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)> hook) override {
    layout_changed_.push_back(std::move(hook));
  }
  void on_deletion_ask(AskForUser ask) override { other_users_.push_back(std::move(ask)); }
  Result<Explanation> explain(store::Reader& reader, const resource::ResourceId& vm,
                              machine::Flow flow) override;
  void tick_flow_logs() override;

  // Hooks of the declared types (types.cpp).
  Result<JsonObject> put_group(resource::WriteContext& context, const resource::ResourceId& id,
                               const resource::Resource* existing, JsonObject wanted);
  Result<void> group_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_group(resource::WriteContext& context, const resource::Resource& existing);
  Result<JsonObject> put_application_group(resource::WriteContext& context,
                                           const resource::Resource* existing, JsonObject wanted);
  Result<void> remove_application_group(resource::WriteContext& context, const resource::Resource& existing);
  Result<void> may_move_group(store::Reader& reader, const resource::Resource& group);
  Result<JsonObject> put_network(resource::WriteContext& context, const resource::ResourceId& id,
                                 const resource::Resource* existing, JsonObject wanted);
  Result<void> network_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> check_unused(store::Reader& reader, const resource::ResourceId& used, std::string_view what);
  Result<void> remove_network(resource::WriteContext& context, const resource::Resource& existing);
  Result<JsonObject> put_interface(resource::WriteContext& context, const resource::ResourceId& id,
                                   const resource::Resource* existing, JsonObject wanted);
  Result<void> interface_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_interface(resource::WriteContext& context, const resource::Resource& existing);

  Result<JsonObject> put_route_table(resource::WriteContext& context, const resource::ResourceId& id,
                                     const resource::Resource* existing, JsonObject wanted);
  Result<void> remove_route_table(resource::WriteContext& context, const resource::Resource& existing);

  // flow_log_service.cpp
  Result<JsonObject> put_flow_log(resource::WriteContext& context, const resource::ResourceId& id,
                                  const resource::Resource* existing, JsonObject wanted);
  Result<void> flow_log_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_flow_log(resource::WriteContext& context, const resource::Resource& existing);
  Result<void> note_flows(resource::WriteContext& context, const machine::Machine& machine,
                          const machine::Observation& observation);
  const FlowLogFiles& flow_files() const { return flow_files_; }

  // What enrolment makes, and what removal takes away (enrolment.cpp).
  Result<void> enrol(resource::WriteContext& context, const machine::Machine& machine,
                     const std::string& group_id);
  Result<void> machine_changed(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> machine_removed(resource::WriteContext& context, const resource::ResourceId& vm);

  // What guards an interface or a machine now (compile.cpp).
  // With the openings as rules, for people; without them it is the same whatever is open, for machines.
  enum class Openings : uint8_t { shown, left_out };
  Result<std::vector<CompiledInterface>> compile(store::Reader& reader, const resource::ResourceId& vm,
                                                 Openings openings = Openings::shown);
  Result<CompiledInterface> compile_interface(store::Reader& reader, const NicLink& link, bool primary,
                                              Openings openings = Openings::shown);

  // Where packets of an interface go, as Azure would route them (next_hop.cpp).
  Result<std::vector<EffectiveRoute>> effective_routes(store::Reader& reader, const NicLink& link);

  // watcher_routes.cpp
  Result<FlowAnswer> verify_flow(store::Reader& reader, const resource::ResourceId& vm,
                                 const machine::Flow& flow, std::string_view nic) override;

  // Sets of service tags (tag_sets.cpp).
  struct TagChange {
    ServiceTagSet set;
    size_t added = 0, changed = 0, removed = 0, machines = 0;
    std::map<std::string, std::set<std::string>> retired;  // tag → the security groups that still name it
  };
  Result<TagChange> load_tags(resource::WriteContext& context, const std::string& set_name,
                              ServiceTagFile file);
  Result<TagChange> remove_tags(resource::WriteContext& context, const std::string& set_name);

 private:
  // enrolment.cpp
  using Addresses = std::vector<std::pair<IpAddress, IpPrefix>>;
  Result<std::optional<resource::ResourceId>> described_as(store::Reader& reader,
                                                           const std::vector<resource::ResourceId>& described,
                                                           const machine::ReportedInterface& interface,
                                                           bool is_first);
  Result<void> enrol_group(resource::WriteContext& context, const resource::ResourceId& nsg);
  Result<void> check_address_free(store::Reader& reader, const resource::ResourceId& nic,
                                  const std::string& subnet, const IpAddress& address);
  Result<Addresses> settle_described(store::Reader& reader, const resource::ResourceId& nic,
                                     JsonArray& configurations, const machine::ReportedInterface& interface);
  Result<std::string> enrol_network(resource::WriteContext& context, const std::string& provider,
                                    const IpPrefix& on_link);
  Result<void> note_links(resource::WriteContext& context, const resource::ResourceId& vm,
                          const resource::ResourceId& nic, const Addresses& addresses);
  Result<void> require_interfaces(resource::WriteContext& context, const resource::ResourceId& vm,
                                  const std::vector<resource::ResourceId>& wanted);
  Result<bool> goes_with(resource::WriteContext& context, const NicLink& link,
                         const std::optional<resource::Resource>& vm);
  Result<Addresses> enrol_interface(resource::WriteContext& context, const resource::ResourceId& vm,
                                    const resource::ResourceId& nic, const resource::ResourceId& nsg,
                                    const machine::ReportedInterface& interface, const std::string& provider);
  // route_tables.cpp
  Result<JsonArray> subnets_of_route_table(store::Reader& reader, const std::string& key);
  Result<void> refresh_route_table(resource::WriteContext& context, const std::string& key);
  // flow_log_service.cpp
  Result<std::vector<FlowLog>> flow_logs(store::Reader& reader);
  Result<void> remove_flow_logs_of(resource::WriteContext& context, const resource::ResourceId& target);
  Result<void> refresh_target(resource::WriteContext& context, const resource::ResourceId& target);
  Result<std::vector<std::string>> guards_of(store::Reader& reader, const NicLink& link);
  Result<std::vector<FlowLog>> logs_over(store::Reader& reader, const std::vector<FlowLog>& logs,
                                         const NicLink& link);
  Result<std::vector<machine::FlowReport::Rule>> rules_of_opening(store::Reader& reader,
                                                                  const std::vector<std::string>& groups,
                                                                  const machine::FlowReport::Rule& opening,
                                                                  const IpAddress& destination);
  Result<std::vector<std::vector<machine::FlowReport::Rule>>> meanings_of(
      store::Reader& reader, const NicLink& link, const machine::FlowReport& report,
      const std::vector<std::string>& groups);
  Result<void> note_flows_of(resource::WriteContext& context, const NicLink& link,
                             const machine::FlowReport& report, Duration age,
                             const std::vector<FlowLog>& logs);
  // compile.cpp
  Result<void> recompile(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> recompile_all(resource::WriteContext& context, const std::set<std::string>& vms);
  Result<std::optional<CompiledLayer>> layer(store::Reader& reader, const std::string& group_key,
                                             Meanings& meanings, Openings openings);
  // rule_names.cpp
  Result<std::set<std::string>> networks_of(store::Reader& reader, const std::set<std::string>& groups,
                                            const std::string& except_nic);
  Result<void> check_names(store::Reader& reader, const resource::ResourceId& group,
                           const std::vector<SecurityRule>& rules);
  Result<void> check_rules_of(store::Reader& reader, const std::string& application_group,
                              const std::string& nic, const std::string& network);
  Result<void> note_names(store::Transaction& tx, const std::string& group_key,
                          const std::vector<SecurityRule>& rules);
  Result<void> forget_retired(store::Transaction& tx, const std::string& target);
  Result<std::set<std::string>> machines_naming(store::Reader& reader, const std::string& target);
  Result<void> learn(store::Reader& reader, const std::vector<SecurityRule>& rules, Meanings& meanings);
  // application_groups.cpp
  Result<void> check_joined(store::Reader& reader, const resource::ResourceId& nic, const JsonObject& wanted);
  Result<std::set<std::string>> update_memberships(store::Transaction& tx, const NicLink& link,
                                                   const JsonObject& nic);
  Result<std::set<std::string>> leave_groups(store::Transaction& tx, const std::string& nic);
  // peerings.cpp
  using Spaces = std::map<std::string, std::vector<IpPrefix>>;  // of networks, by key
  Result<void> check_peer_space(store::Reader& reader, const std::string& peering,
                                const resource::ResourceId& own, const std::vector<IpPrefix>& own_space,
                                const resource::Resource& remote, Spaces& known);
  Result<std::string> peering_state(resource::WriteContext& context, const resource::ResourceId& own,
                                    const std::string& name, const std::string& remote,
                                    const PeeringLink* back);
  Result<void> settle_peerings(resource::WriteContext& context, const resource::ResourceId& id,
                               const resource::Resource* existing, JsonObject& properties);
  Result<void> refresh_peer(resource::WriteContext& context, const std::string& remote_key,
                            const std::string& own_key, const JsonObject* own_document);
  Result<std::set<std::string>> update_peering_links(store::Transaction& tx, const resource::ResourceId& id,
                                                     const JsonObject* document);
  Result<std::vector<IpPrefix>> network_space(store::Reader& reader, const NicLink& link);
  // groups.cpp
  Result<SecurityGroup> group_record(store::Reader& reader, const resource::ResourceId& id);
  Result<void> show_group(resource::WriteContext& context, const resource::ResourceId& id,
                          SecurityGroup group);
  Result<JsonObject> shown_document(store::Reader& reader, const resource::ResourceId& id, JsonArray rules,
                                    JsonObject document);
  Result<void> note_place(store::Transaction& tx, const OverlayPlace& place, bool holds);
  Result<void> put_overlay(resource::WriteContext& context, const resource::ResourceId& id,
                           SecurityGroup group, std::string_view owner, std::vector<OverlayRule> rules);
  Result<std::set<std::string>> machines_of_group(store::Reader& reader, const std::string& group_key);
  Result<void> refresh_references(resource::WriteContext& context, const std::string& group_key);
  Result<void> layout_changed(resource::WriteContext& context, const std::string& vm_key);

  Platform& platform_;
  compute::Compute& compute_;
  FlowLogFiles flow_files_;
  std::optional<Duration> retained_;  // CLOCK_BOOTTIME: when old flow logs were last looked for
  std::vector<
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&, const OverlayRule&)>>
      allow_removed_;
  std::vector<std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)>>
      layout_changed_;
  std::vector<AskForUser> other_users_;
};

}  // namespace merlon::network

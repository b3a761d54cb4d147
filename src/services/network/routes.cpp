// The network service, put together: tables, types, routes, and what it hears from the rooms above.
#include "services/network/declarations.h"

namespace merlon::network {

using resource::ResourceId;
using resource::WriteContext;

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {
      SecurityGroup::table(), NicLink::table(),     SubnetLink::table(), Membership::table(),
      RuleReference::table(), PeeringLink::table(), ServiceTag::table(), ServiceTagSet::table(),
      FlowMark::table(),      OverlayPlace::table()};
  return specs;
}

std::unique_ptr<Network> install(Platform& platform, compute::Compute& compute,
                                 std::string flow_log_directory) {
  auto service = std::make_unique<Service>(platform, compute, std::move(flow_log_directory));
  add_types(platform.resources, *service);
  add_tag_routes(platform, *service);
  add_address_routes(platform);
  add_question_routes(platform, *service);
  add_next_hop_routes(platform, *service);
  add_diagnostic_route(platform, *service);
  add_flow_log_routes(platform, *service);
  add_explain_route(platform.resources, *service);
  Service* s = service.get();
  platform.machines.on_enrol(
      [s](WriteContext& context, machine::Machine& machine, const std::string& group_id) {
        return s->enrol(context, machine, group_id);
      });
  platform.machines.on_observation([s](WriteContext& context, const machine::Machine& machine,
                                       const machine::Observation& observation) -> Result<void> {
    if (observation.kind != "flows") return {};
    return s->note_flows(context, machine, observation);
  });
  compute.on_changed(
      [s](WriteContext& context, const ResourceId& vm) { return s->machine_changed(context, vm); });
  compute.on_remove(
      [s](WriteContext& context, const ResourceId& vm) { return s->machine_removed(context, vm); });
  return service;
}

}  // namespace merlon::network

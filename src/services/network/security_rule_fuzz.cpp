// A security rule from anybody: through its declared shape, read, and expanded to what a machine is told.
// Whatever it says, a machine can read it.
#include <cstdlib>

#include "base/bytes.h"
#include "machine/desired_state.h"
#include "services/network/security_rule.h"
#include "services/network/shapes.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = parse_json_object(as_text({data, size}));
  if (!json) return 0;
  const auto conformed = schema::conform(network::security_rule_shape(), *json);
  if (!conformed) return 0;
  const auto rule = network::read_rule(*conformed);
  if (!rule) {
    if (rule.error().kind == ErrorKind::internal || rule.error().message.empty()) std::abort();
    return 0;
  }
  if (rule->priority < network::kPriorityMin || rule->priority > network::kPriorityMax) std::abort();
  for (const auto* ports : {&rule->source_ports, &rule->destination_ports})
    for (const machine::PortRange& range : *ports)
      if (range.first > range.last) std::abort();
  machine::InterfacePolicy interface;
  interface.nic_id = "nic";
  interface.addresses = {*IpAddress::parse("10.0.0.4")};
  interface.inbound_layers = {{.name = "group", .inbound = {network::expand(*rule, {})}, .outbound = {}}};
  machine::DesiredState state;
  state.interfaces = {interface};
  const auto told = parse_json_object(to_text(state.to_json()));
  if (!told || !machine::DesiredState::from_json(*told)) std::abort();
  return 0;
}

// The desired state's JSON form. Both ends use it; the agent reads it with bounds, since a stolen server must
// not be able to exhaust the machines that it commands.
#include "machine/desired_state.h"

#include <array>

#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kInterfacesMax = 256;
constexpr size_t kLayersMax = 8;
constexpr size_t kRulesMax = 4096;
constexpr size_t kPrefixesMax = 20'000;
constexpr size_t kOpeningsMax = 16'384;

constexpr std::array<std::string_view, 6> kProtocols = {"*", "Tcp", "Udp", "Icmp", "Esp", "Ah"};

Result<Protocol> protocol_field(const JsonObject& json) {
  const std::string text = TRY(text_field(json, "protocol", 16));
  for (size_t i = 0; i < kProtocols.size(); ++i)
    if (kProtocols[i] == text) return static_cast<Protocol>(i);
  return wrong_field("protocol", "one of *, Tcp, Udp, Icmp, Esp, Ah");
}

JsonArray prefixes_json(const std::vector<IpPrefix>& prefixes) {
  JsonArray array;
  for (const IpPrefix& prefix : prefixes) array.emplace_back(prefix.text());
  return array;
}

Result<std::vector<IpPrefix>> prefixes_field(const JsonObject& json, std::string_view key) {
  std::vector<IpPrefix> prefixes;
  for (const std::string& text : TRY(texts_field(json, key, kPrefixesMax))) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) return wrong_field(key, "an array of IP prefixes");
    prefixes.push_back(*prefix);
  }
  return prefixes;
}

JsonArray ports_json(const std::vector<PortRange>& ranges) {
  JsonArray array;
  for (const PortRange& range : ranges) array.push_back(JsonArray{int64_t{range.first}, int64_t{range.last}});
  return array;
}

Result<std::vector<PortRange>> ports_field(const JsonObject& json, std::string_view key) {
  std::vector<PortRange> ranges;
  const Json* value = json.if_contains(key);
  if (value == nullptr || !value->is_array() || value->get_array().size() > kRulesMax)
    return wrong_field(key, "an array of port ranges");
  for (const Json& element : value->get_array()) {
    const JsonArray* pair = element.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_int64() || !(*pair)[1].is_int64())
      return wrong_field(key, "an array of [first, last] pairs");
    const int64_t first = (*pair)[0].get_int64();
    const int64_t last = (*pair)[1].get_int64();
    if (first < 0 || last > 65535 || first > last) return wrong_field(key, "port ranges within 0 to 65535");
    ranges.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(last)});
  }
  return ranges;
}

JsonObject rule_json(const FilterRule& rule) {
  return {{"name", rule.name},
          {"priority", rule.priority},
          {"access", access_text(rule.access)},
          {"protocol", protocol_text(rule.protocol)},
          {"sources", prefixes_json(rule.sources)},
          {"destinations", prefixes_json(rule.destinations)},
          {"sourcePorts", ports_json(rule.source_ports)},
          {"destinationPorts", ports_json(rule.destination_ports)}};
}

Result<FilterRule> read_rule(const JsonObject& json) {
  FilterRule rule;
  rule.name = TRY(text_field(json, "name", 256));
  rule.priority = TRY(int_field(json, "priority", 0, 65535));
  const std::string access = TRY(text_field(json, "access", 8));
  if (access != "Allow" && access != "Deny") return wrong_field("access", "Allow or Deny");
  rule.access = access == "Allow" ? Access::allow : Access::deny;
  rule.protocol = TRY(protocol_field(json));
  rule.sources = TRY(prefixes_field(json, "sources"));
  rule.destinations = TRY(prefixes_field(json, "destinations"));
  rule.source_ports = TRY(ports_field(json, "sourcePorts"));
  rule.destination_ports = TRY(ports_field(json, "destinationPorts"));
  return rule;
}

JsonArray layers_json(const std::vector<FilterLayer>& layers) {
  JsonArray array;
  for (const FilterLayer& layer : layers) {
    JsonArray inbound;
    JsonArray outbound;
    for (const FilterRule& rule : layer.inbound) inbound.push_back(rule_json(rule));
    for (const FilterRule& rule : layer.outbound) outbound.push_back(rule_json(rule));
    array.push_back(
        JsonObject{{"name", layer.name}, {"inbound", std::move(inbound)}, {"outbound", std::move(outbound)}});
  }
  return array;
}

Result<std::vector<FilterLayer>> read_layers(const JsonObject& json, std::string_view key) {
  std::vector<FilterLayer> layers;
  for (const JsonObject* object : TRY(objects_field(json, key, kLayersMax))) {
    FilterLayer layer;
    layer.name = TRY(text_field(*object, "name"));
    for (const JsonObject* rule : TRY(objects_field(*object, "inbound", kRulesMax)))
      layer.inbound.push_back(TRY(read_rule(*rule)));
    for (const JsonObject* rule : TRY(objects_field(*object, "outbound", kRulesMax)))
      layer.outbound.push_back(TRY(read_rule(*rule)));
    layers.push_back(std::move(layer));
  }
  return layers;
}

Result<InterfacePolicy> read_interface(const JsonObject& json) {
  InterfacePolicy policy;
  policy.nic_id = TRY(text_field(json, "nicId"));
  for (const std::string& text : TRY(texts_field(json, "addresses", 256))) {
    const auto address = IpAddress::parse(text);
    if (!address) return wrong_field("addresses", "an array of IP addresses");
    policy.addresses.push_back(*address);
  }
  policy.primary = TRY(bool_field(json, "primary"));
  policy.flow_log = TRY(bool_field_or_false(json, "flowLog"));
  policy.flush_connections = TRY(bool_field_or_false(json, "flushConnections"));
  policy.inbound_layers = TRY(read_layers(json, "inboundLayers"));
  policy.outbound_layers = TRY(read_layers(json, "outboundLayers"));
  return policy;
}

Result<Opening> read_opening(const JsonObject& json) {
  Opening opening;
  opening.id = TRY(text_field(json, "id", 128));
  opening.protocol = TRY(protocol_field(json));
  opening.source = TRY(prefix_field(json, "source"));
  opening.destination = TRY(address_field(json, "destination"));
  opening.port = static_cast<uint16_t>(TRY(int_field(json, "port", 1, 65535)));
  opening.deadline = TRY(time_field(json, "deadline"));
  opening.cut_established = TRY(bool_field_or_false(json, "cutEstablished"));
  opening.live_server = TRY(bool_field_or_false(json, "liveServer"));
  if (opening.source.family() != opening.destination.family())
    return wrong_field("source", "of the same address family as the destination");
  return opening;
}

}  // namespace

std::string_view protocol_text(Protocol protocol) { return kProtocols[static_cast<size_t>(protocol)]; }
std::string_view access_text(Access access) { return access == Access::allow ? "Allow" : "Deny"; }
std::string_view mode_text(Mode mode) { return mode == Mode::enforce ? "enforce" : "audit"; }

JsonObject DesiredState::to_json() const {
  JsonArray interface_array;
  for (const InterfacePolicy& policy : interfaces) {
    JsonArray addresses;
    for (const IpAddress& address : policy.addresses) addresses.emplace_back(address.text());
    JsonObject object = {{"nicId", policy.nic_id},
                         {"addresses", std::move(addresses)},
                         {"primary", policy.primary},
                         {"inboundLayers", layers_json(policy.inbound_layers)},
                         {"outboundLayers", layers_json(policy.outbound_layers)}};
    // Said when it is on alone: an agent from before it knows the others.
    if (policy.flow_log) object["flowLog"] = true;
    if (policy.flush_connections) object["flushConnections"] = true;
    interface_array.push_back(std::move(object));
  }
  JsonArray opening_array;
  for (const Opening& opening : openings)
    opening_array.push_back(JsonObject{{"id", opening.id},
                                       {"protocol", protocol_text(opening.protocol)},
                                       {"source", opening.source.text()},
                                       {"destination", opening.destination.text()},
                                       {"port", int64_t{opening.port}},
                                       {"deadline", to_rfc3339(opening.deadline)},
                                       {"cutEstablished", opening.cut_established},
                                       {"liveServer", opening.live_server}});
  JsonObject json = {{"epoch", version.epoch},
                     {"number", version.number},
                     {"mode", mode_text(mode)},
                     {"interfaces", std::move(interface_array)},
                     {"openings", std::move(opening_array)}};
  if (!identity.empty()) json["identity"] = identity.to_json();
  if (!ssh.empty()) json["ssh"] = ssh.to_json();
  return json;
}

Result<DesiredState> DesiredState::from_json(const JsonObject& json) {
  DesiredState state;
  state.version.epoch = TRY(int_field(json, "epoch", 0, INT64_MAX));
  state.version.number = TRY(int_field(json, "number", 0, INT64_MAX));
  const std::string mode = TRY(text_field(json, "mode", 16));
  if (mode != "audit" && mode != "enforce") return wrong_field("mode", "audit or enforce");
  state.mode = mode == "enforce" ? Mode::enforce : Mode::audit;
  for (const JsonObject* object : TRY(objects_field(json, "interfaces", kInterfacesMax)))
    state.interfaces.push_back(TRY(read_interface(*object)));
  for (const JsonObject* object : TRY(objects_field(json, "openings", kOpeningsMax)))
    state.openings.push_back(TRY(read_opening(*object)));
  if (json.contains("identity"))
    state.identity = TRY(IdentityEndpoint::from_json(*TRY(object_field(json, "identity"))));
  if (json.contains("ssh")) state.ssh = TRY(SshTrust::from_json(*TRY(object_field(json, "ssh"))));
  return state;
}

}  // namespace merlon::machine

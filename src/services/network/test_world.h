// Test only: an evaluator that takes Azure's JSON word by word, as its documentation reads
// (network-security-groups-overview, network-security-group-how-it-works), and random rule sets and flows for
// it. It shares nothing with the product but the parsing of one address.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "machine/desired_state.h"
#include "services/network/address_names.h"

namespace merlon::network::test {

// What names mean, in text.
struct World {
  std::vector<std::string> virtual_network;
  std::map<std::string, std::vector<std::string>> tags;    // as spelled in rules
  std::map<std::string, std::vector<std::string>> groups;  // id → addresses
};

struct Layer {
  std::string name;
  JsonArray rules;
};

struct Decision {
  bool allowed = false;
  std::string layer, rule;
};

inline bool bits_agree(const IpAddress& a, const IpAddress& b, unsigned bits) {
  if (a.is_v4() != b.is_v4()) return false;
  for (unsigned i = 0; i < bits; ++i) {
    const auto bit = [&](const IpAddress& address) { return (address.bytes()[i / 8] >> (7 - i % 8)) & 1; };
    if (bit(a) != bit(b)) return false;
  }
  return true;
}

inline bool literal_covers(const std::string& text, const IpAddress& address) {
  const size_t slash = text.find('/');
  const IpAddress base = *IpAddress::parse(text.substr(0, slash));
  const unsigned bits = slash == std::string::npos
                            ? base.is_v4() ? 32U : 128U
                            : static_cast<unsigned>(std::stoul(text.substr(slash + 1)));
  return bits_agree(base, address, bits);
}

inline bool any_covers(const std::vector<std::string>& texts, const IpAddress& address) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return literal_covers(text, address); });
}

inline bool word_covers(const World& world, const std::string& word, const IpAddress& address) {
  const bool is_platform = address.text() == "168.63.129.16";
  if (word == "*") return true;
  if (word == "VirtualNetwork") return is_platform || any_covers(world.virtual_network, address);
  if (word == "Internet") return !word_covers(world, "VirtualNetwork", address);
  if (word == "AzureLoadBalancer") return is_platform;
  if (const auto tag = world.tags.find(word); tag != world.tags.end())
    return any_covers(tag->second, address);
  return literal_covers(word, address);
}

inline bool side_covers(const World& world, const JsonObject& rule, const std::string& side,
                        const IpAddress& address) {
  if (const auto one = string_at(rule, "properties." + side + "AddressPrefix"))
    return word_covers(world, *one, address);
  if (const JsonArray* many = array_at(rule, "properties." + side + "AddressPrefixes"))
    for (const Json& word : *many)
      if (word_covers(world, std::string(word.as_string()), address)) return true;
  if (const JsonArray* groups = array_at(rule, "properties." + side + "ApplicationSecurityGroups"))
    for (const Json& group : *groups)
      if (any_covers(world.groups.at(*string_at(group.as_object(), "id")), address)) return true;
  return false;
}

// `has_ports`: TCP and UDP; a rule that names ports says nothing about other protocols.
inline bool ports_cover(const JsonObject& rule, const std::string& side, uint16_t port, bool has_ports) {
  std::vector<std::string> words;
  if (const auto one = string_at(rule, "properties." + side + "PortRange")) words.push_back(*one);
  if (const JsonArray* many = array_at(rule, "properties." + side + "PortRanges"))
    for (const Json& word : *many) words.emplace_back(word.as_string());
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    if (word == "*" || word == "0-65535") return true;
    if (!has_ports) return false;
    const size_t dash = word.find('-');
    const auto first = std::stoul(word.substr(0, dash));
    const auto last = dash == std::string::npos ? first : std::stoul(word.substr(dash + 1));
    return first <= port && port <= last;
  });
}

inline bool rule_covers(const World& world, const JsonObject& rule, const machine::Flow& flow) {
  const std::string protocol = *string_at(rule, "properties.protocol");
  if (protocol != "*" && protocol != machine::protocol_text(flow.protocol)) return false;
  const bool has_ports = flow.protocol == machine::Protocol::tcp || flow.protocol == machine::Protocol::udp;
  return string_at(rule, "properties.direction") == (flow.inbound ? "Inbound" : "Outbound") &&
         side_covers(world, rule, "source", flow.source) &&
         side_covers(world, rule, "destination", flow.destination) &&
         ports_cover(rule, "source", flow.source_port, has_ports) &&
         ports_cover(rule, "destination", flow.destination_port, has_ports);
}

inline Decision decide_layer(const World& world, const Layer& layer, const machine::Flow& flow) {
  const JsonObject* first = nullptr;
  for (const Json& element : layer.rules) {
    const JsonObject& rule = element.as_object();
    if (!rule_covers(world, rule, flow)) continue;
    if (first == nullptr || *int_at(rule, "properties.priority") < *int_at(*first, "properties.priority"))
      first = &rule;
  }
  if (first != nullptr)
    return {string_at(*first, "properties.access") == "Allow", layer.name, *string_at(*first, "name")};
  const bool within = word_covers(world, "VirtualNetwork", flow.source) &&
                      word_covers(world, "VirtualNetwork", flow.destination);
  if (flow.inbound) {
    if (within) return {true, layer.name, "AllowVnetInBound"};
    if (word_covers(world, "AzureLoadBalancer", flow.source))
      return {true, layer.name, "AllowAzureLoadBalancerInBound"};
    return {false, layer.name, "DenyAllInBound"};
  }
  if (within) return {true, layer.name, "AllowVnetOutBound"};
  if (word_covers(world, "Internet", flow.destination)) return {true, layer.name, "AllowInternetOutBound"};
  return {false, layer.name, "DenyAllOutBound"};
}

// `layers`: the subnet's group, then the interface's own. Inbound in that order, outbound the other way.
inline Decision decide(const World& world, std::vector<Layer> layers, const machine::Flow& flow) {
  if (flow.source.is_loopback() || flow.destination.is_loopback()) return {true, "", "platform: loopback"};
  if (!flow.inbound) std::reverse(layers.begin(), layers.end());
  Decision decision{true, "", "no security group"};
  for (const Layer& layer : layers) {
    decision = decide_layer(world, layer, flow);
    if (!decision.allowed) break;
  }
  return decision;
}

inline Meanings meanings_of(const World& world) {
  const auto prefixes = [](const std::vector<std::string>& texts) {
    std::vector<IpPrefix> out;
    for (const std::string& text : texts) out.push_back(*IpPrefix::parse(text));
    return out;
  };
  Meanings meanings;
  meanings.virtual_network = prefixes(world.virtual_network);
  for (const auto& [tag, texts] : world.tags) meanings.service_tags[ascii_lower(tag)] = prefixes(texts);
  for (const auto& [id, texts] : world.groups) meanings.groups[ascii_lower(id)] = prefixes(texts);
  return meanings;
}

inline std::string text_of(const machine::Flow& flow) {
  return fmt::format("{} {} {}:{} -> {}:{}", flow.inbound ? "in" : "out",
                     machine::protocol_text(flow.protocol), flow.source.text(), flow.source_port,
                     flow.destination.text(), flow.destination_port);
}

// Few addresses and ports, so that rules and flows meet and touch at their edges.
class RandomWorld {
 public:
  explicit RandomWorld(uint32_t seed) : generator_(seed) {}

  bool chance(unsigned percent) { return below(100) < percent; }
  unsigned below(unsigned limit) { return static_cast<unsigned>(generator_() % limit); }

  World facts() {
    World world;
    world.virtual_network = {"10.1.0.0/24", "fd00:1::/64"};
    if (chance(50)) world.virtual_network.emplace_back("10.2.0.0/23");  // a peer's
    if (chance(20)) world.virtual_network.emplace_back("10.1.0.128/25");
    for (const char* tag : {"Storage.West", "corp-offices"})
      for (unsigned i = 0; i <= below(4); ++i) world.tags[tag].push_back(literal());
    for (const char* group : {"/asg/Web", "/asg/Db", "/asg/Empty"}) world.groups[group];
    for (const char* group : {"/asg/Web", "/asg/Db"})
      for (unsigned i = 0; i < below(4); ++i) world.groups[group].push_back(address().text());
    return world;
  }

  JsonArray rules() {
    JsonArray rules;
    std::set<std::pair<bool, int64_t>> taken;
    for (unsigned i = 0; i < below(9); ++i) {
      const bool inbound = chance(50);
      const int64_t priority = 100 + below(3997);
      if (!taken.insert({inbound, priority}).second) continue;
      JsonObject properties = {{"priority", priority},
                               {"direction", inbound ? "Inbound" : "Outbound"},
                               {"access", chance(60) ? "Allow" : "Deny"},
                               {"protocol", pick({"Tcp", "Tcp", "Udp", "*", "*", "Icmp", "Esp", "Ah"})}};
      add_side(properties, "source");
      add_side(properties, "destination");
      add_ports(properties, "source", 80);
      add_ports(properties, "destination", 40);
      rules.push_back(JsonObject{{"name", "r" + std::to_string(i)}, {"properties", std::move(properties)}});
    }
    return rules;
  }

  machine::Flow flow() {
    machine::Flow flow;
    flow.inbound = chance(60);
    flow.protocol = static_cast<machine::Protocol>(chance(80) ? 1 + below(2) : 3 + below(3));
    const bool v6 = chance(30);
    const IpAddress local = *IpAddress::parse(v6 ? "fd00:1::4" : "10.1.0.4");
    IpAddress remote = address();
    while (remote.is_v4() == v6) remote = address();
    flow.source = flow.inbound ? remote : local;
    flow.destination = flow.inbound ? local : remote;
    flow.source_port = port();
    flow.destination_port = port();
    return flow;
  }

  IpAddress address() {
    const std::string last = std::to_string(below(12));
    return *IpAddress::parse(
        pick({"10.1.0." + last, "10.1.0.12" + std::to_string(below(10)), "10.2.1." + last, "10.2.2." + last,
              "198.51.100." + last, "168.63.129.16", "8.8.8." + last, "fd00:1::" + last, "fd00:2::" + last,
              "2001:db8::" + last}));
  }

 private:
  std::string pick(const std::vector<std::string>& choices) {
    return choices[below(static_cast<unsigned>(choices.size()))];
  }
  uint16_t port() {
    static constexpr std::array<uint16_t, 10> kPorts = {0, 21, 22, 23, 79, 80, 443, 8080, 65534, 65535};
    return kPorts[below(kPorts.size())];
  }
  std::string literal() {
    const IpAddress base = address();
    if (chance(30)) return base.text();
    const unsigned bits = base.is_v4() ? 32 : 128;
    return base.text() + "/" + std::to_string(chance(80) ? bits - below(10) : below(bits + 1));
  }
  void add_side(JsonObject& properties, const std::string& side) {
    switch (below(5)) {
      case 0:
        properties[side + "AddressPrefixes"] = JsonArray{literal(), literal(), literal()};
        break;
      case 1: {
        JsonArray groups = {JsonObject{{"id", pick({"/asg/Web", "/asg/Db", "/asg/Empty"})}}};
        if (chance(40)) groups.push_back(JsonObject{{"id", "/asg/Web"}});
        properties[side + "ApplicationSecurityGroups"] = std::move(groups);
        break;
      }
      default:
        properties[side + "AddressPrefix"] =
            pick({"*", "*", "VirtualNetwork", "Internet", "AzureLoadBalancer", "Storage.West", "corp-offices",
                  literal(), literal()});
    }
  }
  void add_ports(JsonObject& properties, const std::string& side, unsigned all_percent) {
    const auto range = [&] {
      const uint16_t a = port();
      const uint16_t b = port();
      return a == b ? std::to_string(a) : fmt::format("{}-{}", std::min(a, b), std::max(a, b));
    };
    if (chance(all_percent)) {
      properties[side + "PortRange"] = "*";
    } else if (chance(50)) {
      properties[side + "PortRange"] = range();
    } else {
      properties[side + "PortRanges"] = JsonArray{range(), range()};
    }
  }

  std::mt19937 generator_;
};

}  // namespace merlon::network::test

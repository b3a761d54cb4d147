// Who refers to what by name: interfaces to application security groups, security groups to those and to
// service tags, networks to their peers. Indexed both ways, so that a change finds the machines that it
// concerns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "store/table.h"

namespace merlon::network {

// An interface in an application security group.
struct Membership {
  std::string group;  // the application security group; lower-case ids throughout
  std::string nic;
  std::string network;               // the virtual network of the interface
  std::string nic_text;              // as created, for people
  std::vector<IpAddress> addresses;  // of the IP configurations that are in the group
  static const store::TableSpec& table();
  std::string key() const { return group + "\n" + nic; }
  std::vector<std::optional<std::string>> index_values() const { return {group, nic}; }
  JsonObject to_json() const;
  static Result<Membership> from_json(const JsonObject& json);
  bool operator==(const Membership&) const = default;
};

// A security group whose rules name an application security group or a service tag.
struct RuleReference {
  std::string target;  // the application security group's id, or tag_target()
  std::string group;   // the security group
  static std::string tag_target(std::string_view tag) { return "tag:" + std::string(tag); }
  static const store::TableSpec& table();
  std::string key() const { return target + "\n" + group; }
  std::vector<std::optional<std::string>> index_values() const { return {target, group}; }
  JsonObject to_json() const { return {{"target", target}, {"group", group}}; }
  static Result<RuleReference> from_json(const JsonObject& json);
};

// One side of a peering.
struct PeeringLink {
  std::string network;
  std::string name;  // of the peering, lower case
  std::string remote;
  std::string state;  // "Initiated", "Connected", "Disconnected"
  static const store::TableSpec& table();
  std::string key() const { return network + "\n" + name; }
  std::vector<std::optional<std::string>> index_values() const { return {network, remote}; }
  JsonObject to_json() const {
    return {{"network", network}, {"name", name}, {"remote", remote}, {"state", state}};
  }
  static Result<PeeringLink> from_json(const JsonObject& json);
};

}  // namespace merlon::network

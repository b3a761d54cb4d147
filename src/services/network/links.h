// Which interface is in which subnet, under which group, at which machine: the references of the documents,
// indexed, so that a change of a group finds the machines that it protects without reading every document.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "store/table.h"

namespace merlon::network {

struct NicLink {
  std::string nic;                   // lower-case ids throughout
  std::string subnet;                // of the primary IP configuration; may be empty
  std::string group;                 // the interface's own; may be empty
  std::string vm;                    // may be empty
  std::string nic_text;              // as created, for people
  std::vector<IpAddress> addresses;  // primary first
  // Links that its machine said it is on, beside those of the subnet's network: to this machine alone their
  // neighbours are in the virtual network.
  std::vector<IpPrefix> on_link;
  static const store::TableSpec& table();
  std::string key() const { return nic; }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<NicLink> from_json(const JsonObject& json);
};

struct SubnetLink {
  std::string subnet;
  std::string group;    // may be empty
  std::string network;  // the virtual network
  std::string subnet_text;
  std::string route_table;  // may be empty
  static const store::TableSpec& table();
  std::string key() const { return subnet; }
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<SubnetLink> from_json(const JsonObject& json);
};

}  // namespace merlon::network

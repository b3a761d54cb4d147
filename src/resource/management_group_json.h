// Management groups as Azure writes them (Microsoft.Management, api-version 2021-04-01): bodies in, groups,
// children, descendants and entities out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "access/hierarchy.h"
#include "resource/state.h"

namespace merlon::resource {

// The whole tree as one snapshot has it, with the subscription in its place.
class GroupTree {
 public:
  static Result<GroupTree> read(const State& state, store::Reader& reader);

  const std::vector<access::ManagementGroup>& groups() const { return groups_; }
  const access::ManagementGroup* find(std::string_view id) const;
  std::vector<const access::ManagementGroup*> children(std::string_view id) const;
  // Nearest first.
  std::vector<const access::ManagementGroup*> above(const access::ManagementGroup& group) const;
  bool holds_subscription(std::string_view id) const;
  const std::string& subscription_parent() const { return subscription_parent_; }

 private:
  std::vector<access::ManagementGroup> groups_;
  std::multimap<std::string, size_t> by_parent_;
  std::map<std::string, size_t> by_id_;
  std::string subscription_parent_;
};

// What a GET may ask to see beyond the group.
struct Expansion {
  bool children = false;
  bool recurse = false;
  bool path = false;
  bool ancestors = false;
  bool without_subscriptions = false;  // "$filter=children.childType ne Subscription"
};
Result<Expansion> expansion_of(const Call& call);

JsonObject group_json(const State& state, const GroupTree& tree, const access::ManagementGroup& group,
                      const Expansion& expansion);
JsonObject group_info_json(const State& state, const access::ManagementGroup& group);
JsonArray descendants_json(const State& state, const GroupTree& tree, std::string_view id);
JsonObject placed_subscription_json(const State& state, const access::ManagementGroup& parent);
JsonObject entity_json(const State& state, const GroupTree& tree, const access::ManagementGroup* group);

// A parent as bodies give it: "/providers/Microsoft.Management/managementGroups/{id}", or the bare id.
Result<std::string> parent_id_of(std::string_view text);

}  // namespace merlon::resource

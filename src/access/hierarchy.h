// Management groups: a tree above the subscriptions, through which roles and deny assignments reach down
// (Azure docs, management-groups/overview.md). Its root is the tenant's own and is always there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "store/table.h"

namespace merlon::access {

struct ManagementGroup {
  std::string id;  // as its creator wrote it; compared without case
  std::string display_name;
  std::string parent;  // lower-case id; empty for the root
  int64_t version = 1;
  Timestamp created, updated;
  std::string updated_by;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;  // by parent
  JsonObject to_json() const;
  static Result<ManagementGroup> from_json(const JsonObject& json);
  std::string scope() const;  // "/providers/Microsoft.Management/managementGroups/{id}"
};

// A subscription that stands under a group other than the root.
struct SubscriptionPlace {
  std::string subscription;  // its guid
  std::string parent;        // lower-case id
  static const store::TableSpec& table();
  std::string key() const { return subscription; }
  std::vector<std::optional<std::string>> index_values() const { return {parent}; }
  JsonObject to_json() const;
  static Result<SubscriptionPlace> from_json(const JsonObject& json);
};

struct ManagementGroupChange {
  std::string id;
  std::optional<std::string> display_name;  // left out: as it is, or the id of a new group
  std::optional<std::string> parent;        // an id; left out: as it is, or the root
  std::string actor;
};

// The tree as one snapshot has it, for those who keep it in memory.
struct HierarchyFacts {
  std::vector<ManagementGroup> groups;  // the root only if it was ever written
  std::vector<SubscriptionPlace> places;
};

class Hierarchy {
 public:
  static constexpr size_t kLevelsMax = 6;  // without the root and the subscriptions
  static constexpr size_t kGroupsMax = 10'000;
  static constexpr size_t kIdBytesMax = 90;

  Hierarchy(const TenantId& tenant, const Clock& clock, Random& random)
      : tenant_(tenant), clock_(clock), random_(random) {}

  const std::string& root() const { return tenant_.text(); }
  bool is_root(std::string_view id) const;
  Result<std::optional<ManagementGroup>> find(store::Reader& reader, std::string_view id) const;
  // As above; none is 404 NotFound.
  Result<ManagementGroup> require(store::Reader& reader, std::string_view id) const;
  // Groups around it, nearest first, down to the root. Of an id that no group has: the root alone, so that
  // making a group is a right at the root.
  Result<std::vector<ManagementGroup>> above(store::Reader& reader, std::string_view id) const;
  Result<std::vector<ManagementGroup>> children(store::Reader& reader, std::string_view id) const;
  Result<std::vector<ManagementGroup>> all(store::Reader& reader) const;  // with the root
  Result<std::string> parent_of(store::Reader& reader, const Uuid& subscription) const;
  Result<std::vector<std::string>> placed_under(store::Reader& reader, std::string_view id) const;
  Result<HierarchyFacts> facts(store::Reader& reader) const;
  // The scopes of the management groups around a scope in normal form, nearest first, in lower case.
  Result<std::vector<std::string>> scopes_above(store::Reader& reader, std::string_view normal) const;
  // Whether the scope of a management group exists; true for every other scope.
  Result<bool> exists(store::Reader& reader, std::string_view normal) const;
  // The scopes of all groups and placed subscriptions below a group, itself first, in lower case.
  Result<std::vector<std::string>> scopes_below(store::Reader& reader, std::string_view id) const;

  // Creates or changes. Errors are Azure's 400 BadRequest: a name that is none, too deep, a cycle, the root
  // moved.
  Result<ManagementGroup> put(store::Transaction& tx, const ManagementGroupChange& change) const;
  // A group that holds nothing. False: there was none.
  Result<bool> remove(store::Transaction& tx, std::string_view id) const;
  Result<void> place(store::Transaction& tx, const Uuid& subscription, std::string_view parent) const;

  static bool is_id(std::string_view text);

 private:
  ManagementGroup root_as_made() const;
  Result<void> require_room(store::Reader& reader, const ManagementGroup& group,
                            const std::string& parent) const;
  Result<size_t> height(store::Reader& reader, std::string_view id, size_t depth) const;
  Result<void> note(store::Transaction& tx) const;

  TenantId tenant_;
  const Clock& clock_;
  Random& random_;
};

}  // namespace merlon::access

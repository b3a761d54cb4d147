// Groups, directory roles, and what they hold.
#include "identity/membership.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "identity/directory.h"

namespace merlon::identity {
namespace {

constexpr size_t kDepthMax = 64;

std::unexpected<Error> no_such_object(const Uuid& id) {
  return fail(ErrorKind::not_found, "Request_ResourceNotFound",
              "Resource '" + id.text() +
                  "' does not exist or one of its queried reference-property objects are not present.");
}

enum class Direction { up, down };

// The groups that hold `id`, and those that hold them, breadth first; or what it holds. add_member() keeps
// the graph acyclic; `seen` bounds the walk anyhow.
Result<std::vector<Uuid>> walk(store::Reader& reader, const TenantId& tenant, const Uuid& id,
                               Direction direction) {
  std::set<Uuid> seen;
  std::vector<Uuid> found;
  std::deque<std::pair<Uuid, size_t>> queue{{id, 0}};
  while (!queue.empty()) {
    const auto [current, depth] = queue.front();
    queue.pop_front();
    if (depth == kDepthMax) continue;
    const auto next =
        TRY(direction == Direction::up ? relation_owners(reader, membership_table(), tenant, current)
                                       : relation_members(reader, membership_table(), tenant, current));
    for (const Uuid& neighbour : next) {
      if (!seen.insert(neighbour).second) continue;
      found.push_back(neighbour);
      queue.emplace_back(neighbour, depth + 1);
    }
  }
  return found;
}

// The longest chain of groups from `id`. Each node is visited once: many paths can lead to one group.
Result<size_t> height(store::Reader& reader, const TenantId& tenant, const Uuid& id, Direction direction,
                      std::map<Uuid, size_t>& known) {
  if (const auto found = known.find(id); found != known.end()) return found->second;
  const auto next =
      TRY(direction == Direction::up ? relation_owners(reader, membership_table(), tenant, id)
                                     : relation_members(reader, membership_table(), tenant, id));
  size_t longest = 0;
  for (const Uuid& neighbour : next)
    longest = std::max(longest, 1 + TRY(height(reader, tenant, neighbour, direction, known)));
  known.emplace(id, longest);
  return longest;
}

Result<size_t> height(store::Reader& reader, const TenantId& tenant, const Uuid& id, Direction direction) {
  std::map<Uuid, size_t> known;
  return height(reader, tenant, id, direction, known);
}

}  // namespace

const char* const kGlobalAdministrator = "62e90394-69f5-4237-9190-012177145e10";
const char* const kDirectoryReaders = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b";

const store::TableSpec& membership_table() {
  static const store::TableSpec spec{"identity_members", {{"member"}}};
  return spec;
}
const store::TableSpec& directory_role_table() {
  static const store::TableSpec spec{"identity_directory_roles", {{"member"}}};
  return spec;
}
const store::TableSpec& owner_table() {
  static const store::TableSpec spec{"identity_owners", {{"member"}}};
  return spec;
}
const store::TableSpec& identifier_table() {
  static const store::TableSpec spec{"identity_identifiers", {{"application"}}};
  return spec;
}
const store::TableSpec& signing_key_table() {
  static const store::TableSpec spec{"identity_signing_keys", {}};
  return spec;
}

const store::ChangeLog& decision_changes() {
  static const store::ChangeLog log("decision_changes", 4096);
  return log;
}

const store::TableSpec& well_known_table() {
  static const store::TableSpec spec{"identity_well_known", {}};
  return spec;
}

store::Row relation_row(const Uuid& owner, const Uuid& member) {
  return {owner.text() + "/" + member.text(), "{}", {member.text()}};
}

Result<std::vector<Uuid>> relation_owners(store::Reader& reader, const store::TableSpec& table,
                                          const TenantId& tenant, const Uuid& member) {
  std::vector<Uuid> owners;
  for (const store::Row& row : TRY(reader.find(table, tenant, "member", member.text()))) {
    const auto owner = Uuid::parse(std::string_view(row.key).substr(0, 36));
    if (!owner) return internal_error("row " + row.key + " of " + table.name + " has a malformed key");
    owners.push_back(*owner);
  }
  return owners;
}

Result<std::vector<Uuid>> relation_members(store::Reader& reader, const store::TableSpec& table,
                                           const TenantId& tenant, const Uuid& owner) {
  std::vector<Uuid> members;
  store::Range range{.prefix = owner.text() + "/", .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(table, tenant, range));
    for (const store::Row& row : rows) {
      const auto member =
          row.key.size() == 73 ? Uuid::parse(std::string_view(row.key).substr(37)) : std::nullopt;
      if (!member) return internal_error("row " + row.key + " of " + table.name + " has a malformed key");
      members.push_back(*member);
    }
    if (rows.size() < range.limit) return members;
    range.after = rows.back().key;
  }
}

Result<std::vector<std::pair<Uuid, Uuid>>> all_memberships(store::Reader& reader, const TenantId& tenant) {
  std::vector<std::pair<Uuid, Uuid>> pairs;
  store::Range range{.prefix = {}, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(membership_table(), tenant, range));
    for (const store::Row& row : rows) {
      const std::string_view key = row.key;
      const auto group = Uuid::parse(key.substr(0, 36));
      const auto member = key.size() == 73 ? Uuid::parse(key.substr(37)) : std::nullopt;
      if (!group || !member) return internal_error("a membership has the malformed key " + row.key);
      pairs.emplace_back(*group, *member);
    }
    if (rows.size() < range.limit) return pairs;
    range.after = rows.back().key;
  }
}

Result<void> Directory::add_member(store::Transaction& tx, const Uuid& group_id, const Uuid& member_id) {
  if (!TRY(store::get<Group>(tx, tenant_, group_id.text()))) return no_such_object(group_id);
  const auto found = TRY(find_object(tx, member_id));
  if (!found) return no_such_object(member_id);
  store::Row row = relation_row(group_id, member_id);
  if (TRY(tx.get(membership_table(), tenant_, row.key)))
    return fail(ErrorKind::invalid, "Request_BadRequest",
                "One or more added object references already exist for the following modified properties: "
                "'members'.");
  if (found->type == "Group") {
    bool cycle = group_id == member_id;
    for (const Uuid& owner : TRY(walk(tx, tenant_, group_id, Direction::up)))
      cycle = cycle || owner == member_id;
    if (cycle)
      return fail(ErrorKind::invalid, "Request_BadRequest",
                  "Group '" + member_id.text() + "' holds group '" + group_id.text() +
                      "', directly or through other groups, and can not become its member.");
    const size_t above = TRY(height(tx, tenant_, group_id, Direction::up));
    if (above + 1 + TRY(height(tx, tenant_, member_id, Direction::down)) > kDepthMax)
      return fail(ErrorKind::invalid, "Request_BadRequest", "Groups can be nested at most 64 deep.");
  }
  TRY(tx.put(membership_table(), tenant_, row));
  return decision_changes().note(tx, tenant_, random_, {"member/" + member_id.text()});
}

Result<void> Directory::remove_member(store::Transaction& tx, const Uuid& group_id, const Uuid& member_id) {
  const store::Row row = relation_row(group_id, member_id);
  if (!TRY(tx.get(membership_table(), tenant_, row.key))) return no_such_object(member_id);
  TRY(tx.erase(membership_table(), tenant_, row.key));
  return decision_changes().note(tx, tenant_, random_, {"member/" + member_id.text()});
}

Result<std::vector<Uuid>> Directory::members(store::Reader& reader, const Uuid& group_id) {
  return relation_members(reader, membership_table(), tenant_, group_id);
}

Result<std::vector<Uuid>> Directory::transitive_groups(store::Reader& reader, const Uuid& id) {
  return walk(reader, tenant_, id, Direction::up);
}

Result<std::vector<Uuid>> Directory::transitive_members(store::Reader& reader, const Uuid& group_id) {
  return walk(reader, tenant_, group_id, Direction::down);
}

Result<std::vector<Uuid>> Directory::direct_groups(store::Reader& reader, const Uuid& id) {
  return relation_owners(reader, membership_table(), tenant_, id);
}

Result<void> Directory::add_directory_role(store::Transaction& tx, const Uuid& role_template_id,
                                           const Uuid& principal_id) {
  const auto found = TRY(find_object(tx, principal_id));
  if (!found) return no_such_object(principal_id);
  // A group's directory role would make each of its editors a directory administrator.
  if (found->type == "Group")
    return fail(ErrorKind::invalid, "Request_BadRequest",
                "A directory role is held by a user or a service principal.");
  return tx.put(directory_role_table(), tenant_, relation_row(role_template_id, principal_id));
}

Result<void> Directory::remove_directory_role(store::Transaction& tx, const Uuid& role_template_id,
                                              const Uuid& principal_id) {
  return tx.erase(directory_role_table(), tenant_, relation_row(role_template_id, principal_id).key);
}

Result<std::vector<Uuid>> Directory::directory_role_members(store::Reader& reader,
                                                            const Uuid& role_template_id) {
  return relation_members(reader, directory_role_table(), tenant_, role_template_id);
}

Result<bool> Directory::has_directory_role(store::Reader& reader, const Uuid& role_template_id,
                                           const Uuid& principal_id) {
  const auto row =
      TRY(reader.get(directory_role_table(), tenant_, relation_row(role_template_id, principal_id).key));
  return row.has_value();
}

Result<void> Directory::add_owner(store::Transaction& tx, const Uuid& object_id, const Uuid& owner_id) {
  const bool exists = TRY(store::get<Group>(tx, tenant_, object_id.text())) ||
                      TRY(store::get<Application>(tx, tenant_, object_id.text()));
  if (!exists) return no_such_object(object_id);
  const auto found = TRY(find_object(tx, owner_id));
  if (!found) return no_such_object(owner_id);
  if (found->type == "Group")
    return fail(ErrorKind::invalid, "Request_BadRequest", "An owner is a user or a service principal.");
  const store::Row row = relation_row(object_id, owner_id);
  if (TRY(tx.get(owner_table(), tenant_, row.key)))
    return fail(ErrorKind::invalid, "Request_BadRequest",
                "One or more added object references already exist for the following modified properties: "
                "'owners'.");
  return tx.put(owner_table(), tenant_, row);
}

Result<void> Directory::remove_owner(store::Transaction& tx, const Uuid& object_id, const Uuid& owner_id) {
  const store::Row row = relation_row(object_id, owner_id);
  if (!TRY(tx.get(owner_table(), tenant_, row.key))) return no_such_object(owner_id);
  return tx.erase(owner_table(), tenant_, row.key);
}

Result<std::vector<Uuid>> Directory::owners(store::Reader& reader, const Uuid& object_id) {
  return relation_members(reader, owner_table(), tenant_, object_id);
}

Result<std::vector<Uuid>> Directory::owned(store::Reader& reader, const Uuid& owner_id) {
  return relation_owners(reader, owner_table(), tenant_, owner_id);
}

Result<void> Directory::forget_owners(store::Transaction& tx, const Uuid& id) {
  for (const Uuid& object : TRY(relation_owners(tx, owner_table(), tenant_, id)))
    TRY(tx.erase(owner_table(), tenant_, relation_row(object, id).key));
  for (const Uuid& owner : TRY(relation_members(tx, owner_table(), tenant_, id)))
    TRY(tx.erase(owner_table(), tenant_, relation_row(id, owner).key));
  return {};
}

Result<void> Directory::forget_relations(store::Transaction& tx, const Uuid& id) {
  for (const store::TableSpec& table : {membership_table(), directory_role_table()})
    for (const Uuid& owner : TRY(relation_owners(tx, table, tenant_, id)))
      TRY(tx.erase(table, tenant_, relation_row(owner, id).key));
  TRY(forget_owners(tx, id));
  std::vector<std::string> changed = {"member/" + id.text()};
  for (const Uuid& member : TRY(relation_members(tx, membership_table(), tenant_, id))) {
    TRY(tx.erase(membership_table(), tenant_, relation_row(id, member).key));
    changed.push_back("member/" + member.text());
  }
  return decision_changes().note(tx, tenant_, random_, changed);
}

}  // namespace merlon::identity

// Graph: who is in which group, directly or through groups. The same routes exist for users, groups and
// service principals, for any directory object, and for who is asking (/me).
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"

namespace merlon::identity::graph {
namespace {

constexpr int64_t kIdsMax = 1000;

// Whose memberships are asked for. What it is must fit the path, as in Graph.
Result<Uuid> member_argument(const GraphCall& call, store::Reader& reader) {
  if (call.arguments.empty()) return call.principal.object_id;
  const std::string& named = call.arguments.at(0);
  const bool by_name = call.pattern.starts_with("users/") && named.find('@') != std::string::npos;
  auto id = Uuid::parse(named);
  if (by_name)
    if (const auto user = TRY(call.directory.user_by_name(reader, named))) id = user->id;
  // Who may not look gets one answer, whether the object exists or not.
  if (!call.reads_directory && (!id || !call.may_see(*id))) return graph_denied();
  if (!id) return graph_not_found(named);
  const auto found = TRY(call.directory.find_object(reader, *id));
  const auto is = [&](std::string_view path, std::string_view type) {
    return !call.pattern.starts_with(path) || (found && found->type == type);
  };
  if (!found || !is("users/", "User") || !is("groups/", "Group") ||
      !is("servicePrincipals/", "ServicePrincipal"))
    return graph_not_found(named);
  return *id;
}

JsonObject id_list(const GraphCall& call, const std::vector<Uuid>& ids) {
  JsonArray values;
  for (const Uuid& id : ids) values.emplace_back(id.text());
  return {{"@odata.context", call.origin + "/v1.0/$metadata#Collection(Edm.String)"},
          {"value", std::move(values)}};
}

}  // namespace

schema::Shape member_groups() {
  return schema::object({schema::defaulted("securityEnabledOnly", schema::boolean(), false)});
}

schema::Shape checked_groups() {
  return schema::object(
      {schema::required("groupIds", schema::array_of(schema::text()).with_range(1, kIdsMax))});
}

Result<JsonObject> list_members(const GraphCall& call, store::Reader& reader) {
  const Group group = TRY(group_argument(call, reader));
  return graph_objects_page(call, reader, TRY(call.directory.members(reader, group.id)));
}

Result<JsonObject> list_transitive_members(const GraphCall& call, store::Reader& reader) {
  const Group group = TRY(group_argument(call, reader));
  return graph_objects_page(call, reader, TRY(call.directory.transitive_members(reader, group.id)));
}

Result<JsonObject> list_member_of(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(member_argument(call, reader));
  return graph_objects_page(call, reader, TRY(call.directory.direct_groups(reader, id)));
}

Result<JsonObject> list_transitive_member_of(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(member_argument(call, reader));
  return graph_objects_page(call, reader, TRY(call.directory.transitive_groups(reader, id)));
}

// Every group here is a security group, so securityEnabledOnly leaves none out.
Result<JsonObject> get_member_groups(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(member_argument(call, reader));
  auto groups = TRY(call.directory.transitive_groups(reader, id));
  std::ranges::sort(groups);
  return id_list(call, groups);
}

Result<JsonObject> check_member_groups(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(member_argument(call, reader));
  const auto groups = TRY(call.directory.transitive_groups(reader, id));
  std::vector<Uuid> held;
  for (const Json& value : *array_at(call.body, "groupIds")) {
    const auto group = Uuid::parse(std::string_view(value.get_string()));
    if (!group) return graph_bad_request("Invalid GUID in 'groupIds'.", "groupIds");
    if (std::ranges::find(groups, *group) != groups.end()) held.push_back(*group);
  }
  return id_list(call, held);
}

}  // namespace merlon::identity::graph

// Graph: groups, and looking objects up.
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"

namespace merlon::identity::graph {
namespace {

constexpr int64_t kIdsMax = 1000;

Result<JsonArray> objects(const GraphCall& call, store::Reader& reader, const std::vector<Uuid>& ids) {
  JsonArray values;
  for (const Uuid& id : ids)
    if (auto object = TRY(graph_directory_object(reader, call.directory, id)))
      values.push_back(*std::move(object));
  return values;
}

// What a name needs. The whole object may tell more than its readers are to know: when a secret ends, or
// whether an account still has its first password.
JsonObject named(const JsonObject& object) {
  JsonObject kept;
  for (const char* member :
       {"@odata.type", "id", "displayName", "userPrincipalName", "appId", "servicePrincipalType"})
    if (const Json* value = object.if_contains(member)) kept[member] = *value;
  return kept;
}

}  // namespace

Result<Group> group_argument(const GraphCall& call, store::Reader& reader) {
  const auto id = Uuid::parse(call.arguments.at(0));
  if (!call.reads_directory && (!id || !call.may_see(*id))) return graph_denied();
  auto group = id ? TRY(store::get<Group>(reader, call.tenant(), id->text())) : std::nullopt;
  if (!group) return graph_not_found(call.arguments.at(0));
  return *std::move(group);
}

// "https://graph.microsoft.com/v1.0/directoryObjects/{id}": only the id counts.
Result<Uuid> reference_in(const JsonObject& body) {
  const std::string reference(body.at("@odata.id").as_string());  // the name has a dot: no path
  const size_t slash = reference.rfind('/');
  const auto id = Uuid::parse(std::string_view(reference).substr(slash == std::string::npos ? 0 : slash + 1));
  if (!id)
    return graph_bad_request("'@odata.id' must be a URL that ends in directoryObjects/{id}.", "@odata.id");
  return *id;
}

schema::Shape new_group() {
  return schema::object({schema::required("displayName", schema::text()),
                         schema::optional("description", schema::text().with_range(0, 1024)),
                         schema::optional("mailNickname", schema::text().with_range(0, 64)),
                         schema::optional("mailEnabled", schema::boolean()),
                         schema::optional("securityEnabled", schema::boolean())});
}

schema::Shape changed_group() {
  return schema::object({schema::optional("displayName", schema::text()),
                         schema::optional("description", schema::text().with_range(0, 1024))});
}

schema::Shape member_reference() { return schema::object({schema::required("@odata.id", schema::text())}); }

schema::Shape object_ids() {
  return schema::object({schema::required("ids", schema::array_of(schema::text()).with_range(0, kIdsMax)),
                         schema::optional("types", schema::array_of(schema::text()).with_range(0, 32))});
}

Result<JsonObject> list_groups(const GraphCall& call, store::Reader& reader) {
  return graph_page<Group>(call, reader, "groups",
                           [](const Group& group) -> Result<JsonObject> { return graph_group(group); });
}

Result<JsonObject> get_group(const GraphCall& call, store::Reader& reader) {
  return graph_single(call, "groups", graph_group(TRY(group_argument(call, reader))));
}

Result<GraphOutcome> create_group(const GraphCall& call, store::Transaction& tx) {
  if (bool_at(call.body, "mailEnabled").value_or(false) ||
      !bool_at(call.body, "securityEnabled").value_or(true))
    return graph_bad_request(
        "Only security groups without mail exist here: send mailEnabled false and "
        "securityEnabled true.",
        "mailEnabled");
  Group group;
  group.display_name = TRY(require_string(call.body, "displayName"));
  group.description = string_at(call.body, "description").value_or(std::string());
  group.mail_nickname = string_at(call.body, "mailNickname").value_or(std::string());
  group = TRY(call.directory.create_group(tx, group));
  return GraphOutcome{.status = 201,
                      .body = graph_single(call, "groups", graph_group(group)),
                      .resource = "groups/" + group.id.text(),
                      .action = {},
                      .details = {{"displayName", group.display_name}}};
}

Result<GraphOutcome> update_group(const GraphCall& call, store::Transaction& tx) {
  Group group = TRY(group_argument(call, tx));
  group.display_name = string_at(call.body, "displayName").value_or(group.display_name);
  group.description = string_at(call.body, "description").value_or(group.description);
  TRY(call.directory.update_group(tx, group));
  return GraphOutcome{
      .status = 204, .body = {}, .resource = "groups/" + group.id.text(), .action = {}, .details = {}};
}

Result<GraphOutcome> delete_group(const GraphCall& call, store::Transaction& tx) {
  const Group group = TRY(group_argument(call, tx));
  tx.urgent();
  TRY(call.directory.erase_group(tx, group.id));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "groups/" + group.id.text(),
                      .action = {},
                      .details = {{"displayName", group.display_name}}};
}

Result<GraphOutcome> add_member(const GraphCall& call, store::Transaction& tx) {
  const Uuid group = TRY(call.id_argument(0));
  const Uuid member = TRY(reference_in(call.body));
  TRY(call.directory.add_member(tx, group, member));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "groups/" + group.text(),
                      .action = {},
                      .details = {{"added", member.text()}}};
}

Result<GraphOutcome> remove_member(const GraphCall& call, store::Transaction& tx) {
  const Uuid group = TRY(call.id_argument(0));
  const Uuid member = TRY(call.id_argument(1));
  tx.urgent();
  TRY(call.directory.remove_member(tx, group, member));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "groups/" + group.text(),
                      .action = {},
                      .details = {{"removed", member.text()}}};
}

Result<JsonObject> get_organization(const GraphCall& call, store::Reader& reader) {
  static_cast<void>(reader);
  return graph_list(
      call, "organization",
      JsonArray{JsonObject{
          {"id", call.tenant().text()},
          {"displayName", call.domain},
          {"tenantType", "AAD"},
          {"verifiedDomains",
           JsonArray{JsonObject{
               {"name", call.domain}, {"isDefault", true}, {"isInitial", true}, {"type", "Managed"}}}}}});
}

// Names for ids that one has already, e.g. of role assignments: people may ask, applications need Directory
// Readers.
Result<JsonObject> get_by_ids(const GraphCall& call, store::Reader& reader) {
  const bool everyone = call.reads_directory || call.principal.kind == PrincipalKind::user;
  std::vector<Uuid> ids;
  for (const Json& value : *array_at(call.body, "ids")) {
    const auto id = Uuid::parse(std::string_view(value.get_string()));
    if (!id) return graph_bad_request("Invalid GUID in 'ids'.", "ids");
    if (everyone || call.may_see(*id)) ids.push_back(*id);
  }
  JsonArray values = TRY(objects(call, reader, ids));
  for (Json& object : values) {
    const auto id = Uuid::parse(std::string_view(object.at("id").as_string()));
    if (!id || !call.may_see(*id)) object = named(object.as_object());
  }
  if (const JsonArray* types = array_at(call.body, "types"); types != nullptr && !types->empty()) {
    const auto wanted = [&](const Json& object) {
      const std::string_view type(object.at("@odata.type").as_string());  // the name has a dot: no path
      return std::ranges::any_of(*types, [&](const Json& name) {
        const std::string_view text(name.get_string());
        return ascii_iequal(text, "directoryObject") ||
               ascii_iequal(type, "#microsoft.graph." + std::string(text));
      });
    };
    JsonArray kept;
    for (Json& object : values)
      if (wanted(object)) kept.push_back(std::move(object));
    values = std::move(kept);
  }
  return graph_list(call, "directoryObjects", std::move(values));
}

Result<JsonObject> get_directory_object(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(call.id_argument(0));
  if (!call.may_see(id)) return graph_denied();
  auto object = TRY(graph_directory_object(reader, call.directory, id));
  if (!object) return graph_not_found(id.text());
  return graph_single(call, "directoryObjects", *std::move(object));
}

}  // namespace merlon::identity::graph

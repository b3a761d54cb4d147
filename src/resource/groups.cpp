// A group's name is its id; its location only says where its record would live in Azure, but it is fixed
// there, so here too.
#include "resource/groups.h"

#include <algorithm>

#include "base/text.h"
#include "resource/document_rules.h"
#include "resource/paging.h"
#include "resource/query_filter.h"
#include "resource/removal.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kPath = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";
constexpr const char* kAction = "Microsoft.Resources/subscriptions/resourceGroups/";
constexpr size_t kNameMax = 90;

std::unexpected<Error> group_not_found(const ResourceId& id) {
  return fail(ErrorKind::not_found, "ResourceGroupNotFound",
              "Resource group '" + id.resource_group() + "' could not be found.");
}

schema::Shape group_shape() {
  return schema::object(
      {schema::optional("location", schema::text().describe("Fixed once the group exists.")),
       schema::optional("tags", schema::map_of(schema::text())),
       schema::optional("managedBy", schema::text()), schema::read_only("properties", schema::anything())});
}

Result<void> check_body(const ResourceId& id, const std::optional<Groups::Group>& existing,
                        JsonObject& body) {
  TRY(check_group_name(id.resource_group()));
  const auto location = string_at(body, "location");
  if (!location) {
    return fail(ErrorKind::invalid, "LocationRequired",
                "The location property is required for this definition.", "location");
  }
  const std::string normal = TRY(check_location(*location));
  const auto before = existing ? string_at(existing->body, "location") : std::nullopt;
  if (before && *before != normal) {
    return fail(ErrorKind::conflict, "InvalidResourceGroupLocation",
                "Invalid resource group location '" + normal +
                    "'. The Resource group already exists in location '" + *before + "'.",
                "location");
  }
  body["location"] = normal;
  if (const JsonObject* tags = object_at(body, "tags")) TRY(check_tags(*tags));
  return {};
}

Result<net::Response> put_group(State& state, WriteContext& context, bool patch) {
  const ResourceId& id = context.call.id;
  const auto existing = TRY(state.groups.get(context.tx, id.text()));
  if (patch && !existing) return group_not_found(id);
  JsonObject wanted = context.call.body;
  if (patch) {
    wanted = existing->body;
    schema::merge_patch(wanted, context.call.body);
    wanted = TRY(schema::conform(group_shape(), wanted));
  }
  TRY(check_body(id, existing, wanted));
  const ResourceId kept = existing ? existing->id : id;
  const JsonObject shown = TRY(state.groups.put(context.tx, kept, wanted));
  return json_response(existing ? 200 : 201, shown);
}

Result<net::Response> delete_group(State& state, WriteContext& context) {
  const auto existing = TRY(state.groups.get(context.tx, context.call.id.text()));
  if (!existing) return group_not_found(context.call.id);
  TRY(context.require_removable(existing->id.text()));
  TRY(remove_group_resources(state, context, existing->id));
  TRY(state.groups.erase(context.tx, existing->id));
  TRY(state.forget_scope(context.tx, existing->id));
  const auto operation = TRY(state.operations.start(context, existing->id, "Succeeded", {}));
  return Operations::accepted_at_subscription(context.call, operation);
}

// tagName eq 'a' [and tagValue eq 'b']
struct TagFilter {
  std::string name;
  std::optional<std::string> value;
};

Result<std::optional<TagFilter>> tag_filter(const Call& call) {
  const std::string* text = call.request.query.find("$filter");
  if (text == nullptr) return std::optional<TagFilter>();
  std::optional<TagFilter> filter;
  for (const FilterTerm& term : TRY(parse_query_filter(*text))) {
    if (!filter) filter.emplace();
    if (term.op == "eq" && ascii_iequal(term.name, "tagName")) {
      filter->name = term.value;
    } else if (term.op == "eq" && ascii_iequal(term.name, "tagValue")) {
      filter->value = term.value;
    } else {
      return unknown_filter_term(term, "tagName eq '…' and tagValue eq '…'");
    }
  }
  return filter;
}

bool has_tag(const JsonObject& body, const TagFilter& filter) {
  const JsonObject* tags = object_at(body, "tags");
  if (tags == nullptr) return false;
  return std::ranges::any_of(*tags, [&](const auto& member) {
    return ascii_iequal(member.key(), filter.name) &&
           (!filter.value || (member.value().is_string() && member.value().get_string() == *filter.value));
  });
}

Result<net::Response> list_groups(const State& state, const Call& call, store::Reader& reader) {
  const Page page = TRY(page_of(call));
  const auto filter = TRY(tag_filter(call));
  std::vector<std::string> values;
  const auto visit = [&](const WalkRow& at) -> Result<bool> {
    if (filter && !has_tag(TRY(parse_json_object(at.row.body)), *filter)) return false;
    if (!TRY(state.may(reader, call, std::string(kAction) + "read", at.row.key))) return false;
    values.push_back(at.row.body);
    return true;
  };
  const std::string after =
      TRY(walk_keys(reader, Groups::table(), state.core.tenant, call.id.key() + "/", page, visit));
  return text_response(200, list_text(values, after.empty() ? std::string() : next_link(call, after)));
}

Route write_route(std::string method, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = kPath;
  route.permission = kAction + std::move(verb);
  route.summary = std::move(summary);
  return route;
}

Route read_route(State& state, std::string method, std::string summary) {
  Route route = write_route(std::move(method), "read", std::move(summary));
  const bool head = route.method == "HEAD";
  route.read = [&state, head](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto group = TRY(state.groups.get(reader, call.id.text()));
    if (!group) return group_not_found(call.id);
    return head ? empty_response(204) : text_response(200, group->text);
  };
  return route;
}

}  // namespace

const store::TableSpec& Groups::table() {
  static const store::TableSpec spec{"resource_groups", {}};
  return spec;
}

Result<std::optional<Groups::Group>> Groups::get(store::Reader& reader, std::string_view id) const {
  const auto row = TRY(reader.get(table(), core_.tenant, ascii_lower(id)));
  if (!row) return std::optional<Group>();
  JsonObject body = TRY(parse_json_object(row->body));
  ResourceId own = TRY(ResourceId::parse(TRY(require_string(body, "id"))));
  return std::optional<Group>(Group{row->body, std::move(body), std::move(own)});
}

Result<bool> Groups::exists(store::Reader& reader, std::string_view id) const {
  return core_.known_rows->has(reader, table(), core_.tenant, ascii_lower(id));
}

Result<void> Groups::require(store::Reader& reader, const ResourceId& id) const {
  if (id.resource_group().empty() || TRY(exists(reader, id.group_id()))) return {};
  return group_not_found(id);
}

Result<JsonObject> Groups::put(store::Transaction& tx, const ResourceId& id, const JsonObject& body) const {
  JsonObject shown{
      {"id", id.text()}, {"name", id.resource_group()}, {"type", "Microsoft.Resources/resourceGroups"}};
  for (const std::string_view key : {"location", "tags", "managedBy"}) {
    if (const Json* value = body.if_contains(key)) shown[key] = *value;
  }
  shown["properties"] = JsonObject{{"provisioningState", "Succeeded"}};
  TRY(tx.put(table(), core_.tenant, {id.key(), to_text(shown), {}}));
  return shown;
}

Result<void> Groups::erase(store::Transaction& tx, const ResourceId& id) const {
  return tx.erase(table(), core_.tenant, id.key());
}

Result<std::vector<Groups::Group>> Groups::all(store::Reader& reader) const {
  std::vector<Group> found;
  store::Range range;
  for (;;) {
    const auto rows = TRY(reader.scan(table(), core_.tenant, range));
    for (const auto& row : rows) {
      JsonObject body = TRY(parse_json_object(row.body));
      ResourceId id = TRY(ResourceId::parse(TRY(require_string(body, "id"))));
      found.push_back({row.body, std::move(body), std::move(id)});
    }
    if (rows.size() < range.limit) return found;
    range.after = rows.back().key;
  }
}

Result<void> check_group_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.()").find(c) != std::string_view::npos;
  };
  if (!name.empty() && name.size() <= kNameMax && name.back() != '.' && std::ranges::all_of(name, fits))
    return {};
  return fail(ErrorKind::invalid, "InvalidResourceGroup",
              "The provided resource group name '" + std::string(name.substr(0, 100)) +
                  "' is invalid. The name can only be letters, digits, '-', '.', '(', ')' or '_', at most 90 "
                  "characters, and "
                  "does not end with '.'.",
              "resourceGroupName");
}

void add_group_routes(State& state, const AddRoute& add) {
  Route put = write_route("PUT", "write", "Creates or updates a resource group.");
  put.body = group_shape();
  put.write = [&state](WriteContext& context) { return put_group(state, context, false); };
  add(std::move(put));
  Route patch = write_route("PATCH", "write", "Changes some properties of a resource group.");
  patch.write = [&state](WriteContext& context) { return put_group(state, context, true); };
  add(std::move(patch));
  Route remove =
      write_route("DELETE", "delete", "Deletes a resource group with everything in it, or nothing at all.");
  remove.write = [&state](WriteContext& context) { return delete_group(state, context); };
  add(std::move(remove));
  add(read_route(state, "GET", "Gets a resource group."));
  add(read_route(state, "HEAD", "Says whether a resource group exists: 204 or 404."));
  Route list = write_route("GET", "read", "Lists the resource groups that the caller may read.");
  list.path = "/subscriptions/{subscriptionId}/resourceGroups";
  list.filter_items = true;
  list.read = [&state](const Call& call, store::Reader& reader) { return list_groups(state, call, reader); };
  add(std::move(list));
}

}  // namespace merlon::resource

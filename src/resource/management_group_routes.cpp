// Microsoft.Management: management groups and the subscription's place among them. Who may move what is
// Azure's rule (management-groups/overview.md, "Moving management groups and subscriptions"); making a group
// is a right at the root, as it is in a directory that requires authorization for it.
#include "base/text.h"
#include "resource/management_group_json.h"
#include "resource/paging.h"

namespace merlon::resource {
namespace {

using access::ManagementGroup;

constexpr const char* kGroups = "/providers/Microsoft.Management/managementGroups";
constexpr const char* kGroup = "/providers/Microsoft.Management/managementGroups/{groupId}";
constexpr const char* kRead = "Microsoft.Management/managementGroups/read";
constexpr const char* kWrite = "Microsoft.Management/managementGroups/write";

access::Hierarchy& tree_of(const State& state) { return state.core.access.hierarchy(); }

Result<net::Response> list_groups(const State& state, const Call& call, store::Reader& reader) {
  JsonArray values;
  for (const ManagementGroup& group : TRY(tree_of(state).all(reader)))
    if (TRY(state.may(reader, call, kRead, group.scope()))) values.push_back(group_info_json(state, group));
  return json_response(200, {{"value", std::move(values)}});
}

Result<net::Response> get_group(const State& state, const Call& call, store::Reader& reader) {
  const Expansion expansion = TRY(expansion_of(call));
  const ManagementGroup group = TRY(tree_of(state).require(reader, call.parameter("groupId")));
  return json_response(200, group_json(state, TRY(GroupTree::read(state, reader)), group, expansion));
}

// A move changes who has power over what is moved, and takes it from one parent to another. The root asks for
// nothing, on either side.
Result<void> require_move(const State& state, WriteContext& context, const std::string& moved,
                          const std::string& from, const std::string& to) {
  TRY(context.require(kWrite, moved));
  TRY(context.require("Microsoft.Authorization/roleAssignments/write", moved));
  // What stands above it may count no more: the policies of the old place are met, whichever the new one has.
  TRY(state.step_ups.require_met(context.call.principal,
                                 TRY(state.step_ups.at_and_above(context.tx, moved))));
  for (const std::string& parent : {from, to})
    if (!tree_of(state).is_root(parent)) TRY(context.require(kWrite, std::string(kGroups) + "/" + parent));
  return {};
}

Result<net::Response> change_group(State& state, WriteContext& context, access::ManagementGroupChange change,
                                   bool may_create) {
  const access::Hierarchy& tree = tree_of(state);
  change.id = context.call.parameter("groupId");
  change.actor = context.actor.object_id;
  const auto before = TRY(tree.find(context.tx, change.id));
  if (!before && !may_create) TRY(tree.require(context.tx, change.id));
  if (before && change.parent && ascii_lower(*change.parent) != before->parent && !tree.is_root(change.id)) {
    TRY(require_move(state, context, before->scope(), before->parent, *change.parent));
  } else if (!before && change.parent && !tree.is_root(*change.parent)) {
    TRY(context.require(kWrite, std::string(kGroups) + "/" + *change.parent));
  }
  const ManagementGroup made = TRY(tree.put(context.tx, change));
  if (before && before->parent != made.parent)
    TRY(state.core.access.require_assignable_below(context.tx, made.scope()));
  context.details = {{"displayName", made.display_name}, {"parent", made.parent}};
  return json_response(200, group_json(state, TRY(GroupTree::read(state, context.tx)), made, {}));
}

Result<std::optional<std::string>> text_of(const JsonObject& json, std::string_view key) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<std::string>();
  return std::optional<std::string>(TRY(require_string(json, key)));
}

Result<net::Response> put_group(State& state, WriteContext& context) {
  access::ManagementGroupChange change;
  if (const JsonObject* properties = object_at(context.call.body, "properties")) {
    change.display_name = TRY(text_of(*properties, "displayName"));
    const JsonObject* details = object_at(*properties, "details");
    const JsonObject* parent = details == nullptr ? nullptr : object_at(*details, "parent");
    const auto id = parent == nullptr ? std::nullopt : TRY(text_of(*parent, "id"));
    if (id) change.parent = TRY(parent_id_of(*id));
  }
  return change_group(state, context, std::move(change), true);
}

Result<net::Response> patch_group(State& state, WriteContext& context) {
  access::ManagementGroupChange change;
  change.display_name = TRY(text_of(context.call.body, "displayName"));
  if (const auto parent = TRY(text_of(context.call.body, "parentGroupId")))
    change.parent = TRY(parent_id_of(*parent));
  return change_group(state, context, std::move(change), false);
}

Result<net::Response> delete_group(State& state, WriteContext& context) {
  const auto group = TRY(tree_of(state).find(context.tx, context.call.parameter("groupId")));
  if (!group) return empty_response(204);
  TRY(context.require_removable(group->scope()));
  TRY(tree_of(state).remove(context.tx, group->id));
  TRY(state.core.access.forget_scope(context.tx, group->scope()));
  context.tx.urgent();  // it takes access away
  context.details = {{"displayName", group->display_name}};
  JsonObject result{{"id", group->scope()},
                    {"type", "Microsoft.Management/managementGroups"},
                    {"name", group->id},
                    {"status", "Succeeded"}};
  const auto operation =
      TRY(state.operations.start(context, context.call.id, "Succeeded", JsonObject(result)));
  net::Response response = json_response(202, result);
  const std::string url = context.call.origin + "/providers/Microsoft.Management/operationResults/" +
                          operation.id + "?api-version=" + context.call.api_version;
  response.headers.set("Location", url);
  response.headers.set("Azure-AsyncOperation", url);
  response.headers.set("Retry-After", "1");
  return response;
}

// Whoever started it may ask; nobody else learns whether there is such an operation.
Result<net::Response> get_operation(const State& state, const Call& call, store::Reader& reader) {
  const std::string& id = call.parameter("operationId");
  const auto record = TRY(state.operations.find(reader, id));
  if (record && record->started_by == call.principal.object_id.text() &&
      ascii_iequal(record->operation.provider, "Microsoft.Management"))
    return json_response(200, record->operation.result);
  return fail(ErrorKind::not_found, "OperationNotFound", "There is no operation '" + id.substr(0, 100) + "'.",
              id.substr(0, 100));
}

Result<net::Response> list_descendants(const State& state, const Call& call, store::Reader& reader) {
  const ManagementGroup group = TRY(tree_of(state).require(reader, call.parameter("groupId")));
  const Page page = TRY(page_of(call));
  JsonArray values;
  std::string last;
  bool more = false;
  bool taking = page.after.empty();
  for (Json& value : descendants_json(state, TRY(GroupTree::read(state, reader)), group.id)) {
    const std::string id = string_at(value.get_object(), "id").value_or("");
    if (!taking) {
      taking = id == page.after;
      continue;
    }
    more = values.size() == page.top;
    if (more) break;
    last = id;
    values.push_back(std::move(value));
  }
  JsonObject body{{"value", std::move(values)}};
  if (more) body["nextLink"] = next_link(call, last);
  return json_response(200, body);
}

// The one subscription of this tenant; any other is 404.
Result<void> require_subscription(const State& state, const Call& call) {
  const std::string& given = call.parameter("subscriptionId");
  if (ascii_iequal(given, state.core.subscription.text())) return {};
  return fail(ErrorKind::not_found, "SubscriptionNotFound",
              "The subscription '" + given.substr(0, 100) + "' could not be found.", given.substr(0, 100));
}

Result<net::Response> get_placed(const State& state, const Call& call, store::Reader& reader, bool one) {
  const ManagementGroup group = TRY(tree_of(state).require(reader, call.parameter("groupId")));
  const bool here = TRY(tree_of(state).parent_of(reader, state.core.subscription)) == group.key();
  if (one) {
    TRY(require_subscription(state, call));
    if (here) return json_response(200, placed_subscription_json(state, group));
    return fail(ErrorKind::not_found, "NotFound",
                "The subscription '" + state.core.subscription.text() +
                    "' does not stand under the management group '" + group.id + "'.");
  }
  JsonArray values;
  if (here) values.push_back(placed_subscription_json(state, group));
  return json_response(200, {{"value", std::move(values)}});
}

Result<net::Response> place_subscription(State& state, WriteContext& context, bool remove) {
  TRY(require_subscription(state, context.call));
  const access::Hierarchy& tree = tree_of(state);
  const ManagementGroup group = TRY(tree.require(context.tx, context.call.parameter("groupId")));
  const std::string from = TRY(tree.parent_of(context.tx, state.core.subscription));
  if (remove && from != group.key()) return empty_response(204);
  const std::string to = remove ? tree.root() : group.key();
  if (from != to) {
    TRY(require_move(state, context, state.subscription_path(), from, to));
    TRY(tree.place(context.tx, state.core.subscription, to));
    TRY(state.core.access.require_assignable_below(context.tx, state.subscription_path()));
    context.tx.urgent();  // it may take access away
  }
  context.details = {{"subscription", state.core.subscription.text()}, {"from", from}, {"to", to}};
  if (remove) return empty_response(200);
  return json_response(200, placed_subscription_json(state, group));
}

Result<net::Response> list_entities(const State& state, const Call& call, store::Reader& reader) {
  const GroupTree tree = TRY(GroupTree::read(state, reader));
  JsonArray values;
  for (const ManagementGroup& group : tree.groups())
    if (TRY(state.may(reader, call, kRead, group.scope())))
      values.push_back(entity_json(state, tree, &group));
  if (TRY(state.may(reader, call, "Microsoft.Resources/subscriptions/read", state.subscription_path())))
    values.push_back(entity_json(state, tree, nullptr));
  const auto count = static_cast<int64_t>(values.size());
  return json_response(200, {{"value", std::move(values)}, {"count", count}});
}

Result<net::Response> check_name(const State& state, const Call& call, store::Reader& reader) {
  const std::string name = string_at(call.body, "name").value_or("");
  if (!access::Hierarchy::is_id(name))
    return json_response(200,
                         {{"nameAvailable", false},
                          {"reason", "Invalid"},
                          {"message", "The name has 1 to 90 letters, digits, '-', '_', '.', '(' or ')'."}});
  if (TRY(tree_of(state).find(reader, name)))
    return json_response(200, {{"nameAvailable", false},
                               {"reason", "AlreadyExists"},
                               {"message", "The group with the specified name already exists."}});
  return json_response(200, {{"nameAvailable", true}});
}

Route group_route(std::string method, std::string path, std::string action, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::move(path);
  route.permission = "Microsoft.Management/" + std::move(action);
  route.summary = std::move(summary);
  return route;
}

void add_groups(State& state, const AddRoute& add) {
  Route list = group_route("GET", kGroups, "managementGroups/read", "Lists the management groups.");
  list.checked_at = "/";
  list.filter_items = true;
  list.read = [&state](const Call& call, store::Reader& reader) { return list_groups(state, call, reader); };
  add(std::move(list));
  Route get = group_route("GET", kGroup, "managementGroups/read", "Gets a management group.");
  get.read = [&state](const Call& call, store::Reader& reader) { return get_group(state, call, reader); };
  add(std::move(get));
  Route put = group_route("PUT", kGroup, "managementGroups/write", "Creates or changes a management group.");
  put.body = schema::object({schema::optional(
      "properties",
      schema::object({schema::optional("displayName", schema::text()),
                      schema::optional("details", schema::object({schema::optional(
                                                      "parent", schema::object({schema::optional(
                                                                    "id", schema::text())}))}))}))});
  put.write = [&state](WriteContext& context) { return put_group(state, context); };
  add(std::move(put));
  Route patch =
      group_route("PATCH", kGroup, "managementGroups/write", "Renames or moves a management group.");
  patch.body = schema::object(
      {schema::optional("displayName", schema::text()), schema::optional("parentGroupId", schema::text())});
  patch.write = [&state](WriteContext& context) { return patch_group(state, context); };
  add(std::move(patch));
  Route remove = group_route("DELETE", kGroup, "managementGroups/delete",
                             "Deletes a management group that holds nothing.");
  remove.write = [&state](WriteContext& context) { return delete_group(state, context); };
  add(std::move(remove));
  Route descendants =
      group_route("GET", std::string(kGroup) + "/descendants", "managementGroups/descendants/read",
                  "Lists everything below a management group.");
  descendants.read = [&state](const Call& call, store::Reader& reader) {
    return list_descendants(state, call, reader);
  };
  add(std::move(descendants));
}

void add_subscriptions(State& state, const AddRoute& add) {
  const std::string list_path = std::string(kGroup) + "/subscriptions";
  for (const bool one : {false, true}) {
    Route get = group_route("GET", one ? list_path + "/{subscriptionId}" : list_path,
                            "managementGroups/subscriptions/read",
                            one ? "Says whether a subscription stands under a management group."
                                : "Lists the subscriptions directly under a management group.");
    get.checked_at = kGroup;
    get.read = [&state, one](const Call& call, store::Reader& reader) {
      return get_placed(state, call, reader, one);
    };
    add(std::move(get));
  }
  for (const bool remove : {false, true}) {
    Route place = group_route(remove ? "DELETE" : "PUT", list_path + "/{subscriptionId}",
                              std::string("managementGroups/subscriptions/") + (remove ? "delete" : "write"),
                              remove ? "Moves a subscription from a management group to the root."
                                     : "Moves a subscription under a management group.");
    place.checked_at = kGroup;
    place.write = [&state, remove](WriteContext& context) {
      return place_subscription(state, context, remove);
    };
    add(std::move(place));
  }
}

}  // namespace

void add_management_group_routes(State& state, const AddRoute& add) {
  add_groups(state, add);
  add_subscriptions(state, add);
  Route operation = group_route("GET", "/providers/Microsoft.Management/operationResults/{operationId}",
                                "managementGroups/read", "What a deletion came to.");
  operation.checked_at = "/";
  operation.filter_items = true;  // its starter may ask, with no other right
  operation.read = [&state](const Call& call, store::Reader& reader) {
    return get_operation(state, call, reader);
  };
  add(std::move(operation));
  Route entities = group_route("POST", "/providers/Microsoft.Management/getEntities", "getEntities/action",
                               "Lists the management groups and subscriptions of the caller.");
  entities.checked_at = "/";
  entities.filter_items = true;
  entities.read = [&state](const Call& call, store::Reader& reader) {
    return list_entities(state, call, reader);
  };
  add(std::move(entities));
  Route name =
      group_route("POST", "/providers/Microsoft.Management/checkNameAvailability",
                  "checkNameAvailability/action", "Says whether a management group may be called so.");
  name.checked_at = "/";
  name.body =
      schema::object({schema::required("name", schema::text()), schema::optional("type", schema::text())});
  name.read = [&state](const Call& call, store::Reader& reader) { return check_name(state, call, reader); };
  add(std::move(name));
}

}  // namespace merlon::resource

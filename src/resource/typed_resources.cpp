// The routes of a declared resource type: PUT, PATCH, GET, HEAD, DELETE, and lists at the group, the
// subscription, the parent.
#include <algorithm>

#include "base/text.h"
#include "resource/document_write.h"
#include "resource/expand.h"
#include "resource/paging.h"
#include "resource/preconditions.h"
#include "resource/removal.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr const char* kSubscription = "/subscriptions/{subscriptionId}";
constexpr const char* kGroup = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";

// "networkSecurityGroups" → "networkSecurityGroupName", "locations" → "location", "policies" → "policyName".
std::string parameter_for(std::string_view type) {
  std::string singular(type);
  if (singular.ends_with("ies")) {
    singular.replace(singular.size() - 3, 3, "y");
  } else if (singular.ends_with("sses") || singular.ends_with("xes")) {
    singular.resize(singular.size() - 2);
  } else if (singular.ends_with('s')) {
    singular.pop_back();
  }
  return ascii_iequal(type, "locations") ? singular : singular + "Name";
}

// "a/b" → "/a/{aName}/b", and with `named` also "/{bName}".
std::string type_path(std::string_view type, bool named) {
  std::string path;
  const auto parts = split(type, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    path += "/" + std::string(parts[i]);
    if (i + 1 < parts.size() || named) path += "/{" + parameter_for(parts[i]) + "}";
  }
  return path;
}

void set_etag(net::Response& response, const std::string& etag) {
  response.headers.set("ETag", entity_tag(etag));
}

std::vector<std::string> tags_of(const std::optional<Resource>& existing) {
  return existing ? std::vector<std::string>{existing->etag} : std::vector<std::string>{};
}

Result<net::Response> put_resource(State& state, const ResourceType& type, WriteContext& context,
                                   bool patch) {
  const ResourceId& asked = context.call.id;
  const auto existing = TRY(state.documents.get(context.tx, asked));
  TRY(state.groups.require(context.tx, asked));
  if (patch && !existing) return std::unexpected(resource_not_found(asked));
  TRY(check_preconditions(context.call.request, tags_of(existing), asked.text()));
  JsonObject wanted = context.call.body;
  if (patch) {
    wanted = without_identity(existing->body);
    schema::merge_patch(wanted, without_identity(context.call.body));
    const JsonObject* tags = type.patch_replaces_tags ? object_at(context.call.body, "tags") : nullptr;
    if (tags != nullptr) wanted["tags"] = *tags;
    wanted = TRY(schema::conform(type.shape, wanted));
  }
  Resource stored = TRY(write_document(state, context,
                                       {.type = type,
                                        .id = existing ? existing->id : asked,
                                        .existing = existing ? &*existing : nullptr,
                                        .wanted = std::move(wanted),
                                        .links = patch ? LinkCheck::changed : LinkCheck::all}));
  std::string text = stored.text.empty() ? to_text(stored.body) : std::move(stored.text);
  net::Response response = text_response(existing ? 200 : type.created_status, std::move(text));
  set_etag(response, stored.etag);
  if (type.put_is_operation && !patch)
    Operations::point_to(response, context.call,
                         TRY(state.operations.start(context, stored.id, "Succeeded", {})));
  return response;
}

Result<net::Response> delete_resource(State& state, const ResourceType& type, WriteContext& context) {
  const ResourceId& id = context.call.id;
  const auto existing = TRY(state.documents.get(context.tx, id));
  if (!existing) TRY(state.groups.require(context.tx, id));
  TRY(check_preconditions(context.call.request, tags_of(existing), id.text()));
  if (!existing) return empty_response(204);
  TRY(remove_resource(state, context, *existing));
  if (type.deleted_status != 202) return empty_response(type.deleted_status);
  const auto operation = TRY(state.operations.start(context, existing->id, "Succeeded", {}));
  return Operations::accepted(context.call, operation);
}

Result<net::Response> get_resource(const State& state, const ResourceType& type, const Call& call,
                                   store::Reader& reader, bool head) {
  const auto text = TRY(state.known_documents.text(reader, state.core.tenant, call.id.key()));
  if (!text) {
    TRY(state.groups.require(reader, call.id));
    if (head) return empty_response(404);
    return std::unexpected(resource_not_found(call.id));
  }
  const std::string etag = Documents::etag_of(*text);
  net::Response response;
  if (head) {
    response = empty_response(204);
  } else if (is_unchanged(call.request, etag)) {
    response = empty_response(304);
  } else if (const std::string* asked = call.request.query.find("$expand");
             asked != nullptr && type.expands) {
    const store::Row row{call.id.key(), *text, {}};
    response = json_response(
        200, TRY(expand(state, call, reader, type.shape, TRY(state.documents.read(row)).body, *asked)));
  } else {
    response = text_response(200, *text);
  }
  set_etag(response, etag);
  return response;
}

bool is_in_location(std::string_view key, const std::string& location) {
  return key.find("/locations/" + ascii_lower(location) + "/") != std::string_view::npos;
}

struct ListPlace {
  bool at_group = false;
  bool by_location = false;  // the path has the location, and only its resources are wanted
};

Result<net::Response> list_resources(const State& state, const ResourceType& type, ListPlace place,
                                     const Call& call, store::Reader& reader) {
  if (place.at_group) TRY(state.groups.require(reader, call.id));
  const Page page = TRY(page_of(call));
  const std::string action = full_type(type) + "/read";
  std::string scope = place.at_group ? call.id.group_id() : "/subscriptions/" + call.id.subscription();
  // A nested list: the parent's id is the scope.
  const bool nested = call.id.parts().size() > (place.by_location ? 1U : 0U);
  if (nested) {
    scope = call.id.text();
    TRY(state.require_parent(reader, TRY(ResourceId::parse(scope + "/x/x"))));
  }
  std::vector<std::string> values;
  const auto visit = [&](const WalkRow& at) -> Result<bool> {
    if (place.by_location && !is_in_location(at.row.key, call.parameter("location"))) return false;
    if (!TRY(state.may(reader, call, action, at.row.key))) return false;
    values.push_back(at.row.body);
    return true;
  };
  const std::string prefix = Documents::type_prefix(full_type(type), scope);
  const std::string after =
      TRY(walk_index(reader, Documents::table(), state.core.tenant, "type", prefix, page, visit));
  if (values.empty()) TRY(state.refuse_if_blind(reader, call, action));
  return text_response(200, list_text(values, after.empty() ? std::string() : next_link(call, after)));
}

Route list_route(State& state, const ResourceType& type, std::string path, ListPlace place) {
  Route route;
  route.method = "GET";
  route.path = std::move(path);
  route.permission = full_type(type) + "/read";
  route.summary = "Lists: " + type.summary;
  route.filter_items = true;
  route.read = [&state, &type, place](const Call& call, store::Reader& reader) {
    return list_resources(state, type, place, call, reader);
  };
  return route;
}

void add_lists(State& state, const ResourceType& type, const AddRoute& add) {
  const std::string provider = "/providers/" + type.provider;
  const std::string first = std::string(split(type.type, '/').front());
  const bool by_location = ascii_iequal(first, "locations");
  const bool nested = type.type.find('/') != std::string::npos && !by_location;
  add(list_route(state, type, kGroup + provider + type_path(type.type, false), {true, by_location}));
  if (nested) return;
  add(list_route(state, type, kSubscription + provider + type_path(type.type, false), {false, by_location}));
  if (type.also_list_as.empty()) return;
  add(list_route(state, type, kGroup + provider + "/" + type.also_list_as, {true, false}));
  add(list_route(state, type, kSubscription + provider + "/" + type.also_list_as, {false, false}));
}

}  // namespace

void add_type_routes(State& state, const ResourceType& type, const AddRoute& add) {
  const auto route = [&type](std::string method, std::string verb, std::string what) {
    Route made;
    made.method = std::move(method);
    made.path = kGroup + std::string("/providers/") + type.provider + type_path(type.type, true);
    made.permission = full_type(type) + "/" + std::move(verb);
    made.summary = std::move(what) + ": " + type.summary;
    made.at_once = true;  // a write gathers nothing before its transaction
    return made;
  };
  Route put = route("PUT", "write", "Creates or replaces");
  put.body = type.shape;
  put.write = [&state, &type](WriteContext& context) { return put_resource(state, type, context, false); };
  add(std::move(put));
  Route patch = route("PATCH", "write", "Changes some properties of");
  patch.write = [&state, &type](WriteContext& context) { return put_resource(state, type, context, true); };
  add(std::move(patch));
  Route remove = route("DELETE", "delete", "Deletes");
  remove.write = [&state, &type](WriteContext& context) { return delete_resource(state, type, context); };
  add(std::move(remove));
  for (const bool head : {false, true}) {
    Route get = route(head ? "HEAD" : "GET", "read", head ? "Says whether it exists" : "Gets");
    get.at_once = !head;
    get.read = [&state, &type, head](const Call& call, store::Reader& reader) {
      return get_resource(state, type, call, reader, head);
    };
    add(std::move(get));
  }
  add_lists(state, type, add);
}

}  // namespace merlon::resource

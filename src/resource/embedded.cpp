// Children that live inside their parent's document. A write of one is a write of the parent: the parent's
// rules see the whole document, before and after, and nothing can be changed through a child that could not
// be changed through the parent.
#include "base/text.h"
#include "resource/document_write.h"
#include "resource/expand.h"
#include "resource/preconditions.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

struct Place {
  Resource parent;
  std::optional<Resource> element;
};

Result<Place> find_place(const State& state, store::Reader& reader, const ResourceId& id) {
  auto parent = TRY(state.documents.get(reader, id.parent()));
  if (!parent) {
    TRY(state.groups.require(reader, id));
    return std::unexpected(resource_not_found(id.parent()));
  }
  return Place{*std::move(parent), TRY(state.documents.get(reader, id))};
}

// A child answers to its own entity tag and to its parent's: Azure shows the parent's on both.
Result<void> check_conditions(const Call& call, const Place& place) {
  std::vector<std::string> tags;
  if (place.element) tags = {place.element->etag, place.parent.etag};
  const std::string* match = call.request.headers.find("If-Match");
  const bool of_parent = match != nullptr && match->find(place.parent.etag) != std::string::npos;
  if (!place.element && of_parent && call.request.headers.find("If-None-Match") == nullptr) return {};
  return check_preconditions(call.request, tags, call.id.text());
}

// The array in `wanted`, made where it is missing: "properties.subnets".
JsonArray& array_for(JsonObject& wanted, std::string_view array_path) {
  JsonObject* object = &wanted;
  const auto keys = split(array_path, '.');
  for (size_t i = 0; i + 1 < keys.size(); ++i) {
    Json& next = (*object)[keys[i]];
    if (!next.is_object()) next = JsonObject();
    object = &next.get_object();
  }
  Json& array = (*object)[keys.back()];
  if (!array.is_array()) array = JsonArray();
  return array.get_array();
}

Result<Resource> write_parent(State& state, WriteContext& context, const Resource& parent,
                              const JsonObject& wanted) {
  const ResourceType* type = state.types.find(parent.id.type());
  MERLON_CHECK(type != nullptr);
  return write_document(state, context,
                        {.type = *type,
                         .id = parent.id,
                         .existing = &parent,
                         .wanted = TRY(schema::conform(type->shape, wanted)),
                         .links = LinkCheck::changed});
}

// In a request for one element the path names it; the body may leave the name out.
schema::Shape without_required_name(schema::Shape shape) {
  for (schema::Member& member : shape.members) {
    if (member.name == "name") member.presence = schema::Presence::optional;
  }
  return shape;
}

Result<net::Response> element_response(int status, const Resource& element) {
  net::Response response = json_response(status, element.body);
  response.headers.set("ETag", entity_tag(element.etag));
  return response;
}

Result<net::Response> put_element(State& state, const EmbeddedType& type, WriteContext& context) {
  const Call& call = context.call;
  Place place = TRY(find_place(state, context.tx, call.id));
  TRY(check_conditions(call, place));
  JsonObject element{{"name", place.element ? place.element->id.name() : call.id.name()}};
  for (const auto& member : call.body) {
    if (member.key() != "name") element.insert(member);
  }
  JsonObject wanted = without_identity(place.parent.body);
  JsonArray& elements = array_for(wanted, type.array_path);
  if (JsonObject* before = find_element(elements, call.id.name())) {
    *before = std::move(element);
  } else {
    elements.push_back(std::move(element));
  }
  TRY(write_parent(state, context, place.parent, wanted));
  const auto stored = TRY(state.documents.get(context.tx, call.id));
  if (!stored)
    return internal_error("element " + call.id.text() + " is not in its parent after its own write");
  return element_response(place.element ? 200 : 201, *stored);
}

Result<net::Response> delete_element(State& state, const EmbeddedType& type, WriteContext& context) {
  const Call& call = context.call;
  Place place = TRY(find_place(state, context.tx, call.id));
  TRY(check_conditions(call, place));
  if (!place.element) return empty_response(204);
  JsonObject wanted = without_identity(place.parent.body);
  JsonArray& elements = array_for(wanted, type.array_path);
  TRY(context.require_removable(call.id.text()));
  const JsonObject* gone = find_element(elements, call.id.name());
  for (auto at = elements.begin(); at != elements.end(); ++at) {
    if (at->if_object() != gone) continue;
    elements.erase(at);
    break;
  }
  TRY(write_parent(state, context, place.parent, wanted));
  if (TRY(state.documents.get(context.tx, call.id))) {
    return fail(ErrorKind::conflict, "Conflict",
                "'" + call.id.text() + "' is kept by its parent and cannot be deleted by itself.",
                call.id.text());
  }
  TRY(state.forget_scope(context.tx, call.id));
  return empty_response(200);
}

Result<net::Response> get_element(const State& state, const EmbeddedType& type, const Call& call,
                                  store::Reader& reader) {
  Place place = TRY(find_place(state, reader, call.id));
  if (!place.element) return std::unexpected(resource_not_found(call.id));
  if (const std::string* asked = call.request.query.find("$expand"); asked != nullptr && type.expands)
    place.element->body =
        TRY(expand(state, call, reader, type.shape, std::move(place.element->body), *asked));
  return element_response(200, *place.element);
}

Result<net::Response> list_elements(const State& state, const EmbeddedType& type, const Call& call,
                                    store::Reader& reader) {
  const auto parent = TRY(state.documents.get(reader, call.id));
  if (!parent) {
    TRY(state.groups.require(reader, call.id));
    return std::unexpected(resource_not_found(call.id));
  }
  const JsonArray* elements = elements_of(parent->body, type.array_path);
  return json_response(200, {{"value", elements == nullptr ? JsonArray() : *elements}});
}

// "networkSecurityGroups/securityRules" → "/networkSecurityGroups/{parentName}/securityRules"
std::string collection_path(const EmbeddedType& type) {
  std::string path =
      "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/" + type.provider;
  const auto parts = split(type.type, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    path += "/" + std::string(parts[i]);
    if (i + 1 < parts.size()) path += i + 2 == parts.size() ? "/{parentName}" : "/{grandparentName}";
  }
  return path;
}

}  // namespace

void add_embedded_routes(State& state, const EmbeddedType& type, const AddRoute& add) {
  const auto route = [&type](std::string method, std::string verb, std::string what) {
    Route made;
    made.method = std::move(method);
    made.path = collection_path(type) + "/{name}";
    made.permission = full_type(type) + "/" + std::move(verb);
    made.summary = std::move(what) + ": " + type.summary;
    return made;
  };
  Route get = route("GET", "read", "Gets");
  get.read = [&state, &type](const Call& call, store::Reader& reader) {
    return get_element(state, type, call, reader);
  };
  add(std::move(get));
  Route head = route("HEAD", "read", "Says whether it exists");
  head.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return empty_response(TRY(find_place(state, reader, call.id)).element ? 204 : 404);
  };
  add(std::move(head));
  Route list = route("GET", "read", "Lists");
  list.path = collection_path(type);
  list.read = [&state, &type](const Call& call, store::Reader& reader) {
    return list_elements(state, type, call, reader);
  };
  add(std::move(list));
  if (type.read_only) return;
  Route put = route("PUT", "write", "Creates or replaces");
  put.body = without_required_name(type.shape);
  put.write = [&state, &type](WriteContext& context) { return put_element(state, type, context); };
  add(std::move(put));
  Route remove = route("DELETE", "delete", "Deletes");
  remove.write = [&state, &type](WriteContext& context) { return delete_element(state, type, context); };
  add(std::move(remove));
}

}  // namespace merlon::resource

// Tags as things of their own: "{scope}/providers/Microsoft.Resources/tags/default", for those who may tag
// and nothing else. A resource's tags are in its document: they are changed by a write of it.
#include "base/text.h"
#include "resource/document_rules.h"
#include "resource/document_write.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

JsonObject tags_in(const JsonObject& body) {
  const JsonObject* tags = object_at(body, "tags");
  return tags == nullptr ? JsonObject() : *tags;
}

std::unexpected<Error> untaggable(const ResourceId& scope) {
  return fail(ErrorKind::invalid, "TagsNotSupported", "'" + scope.text() + "' is of a kind that has no tags.",
              scope.text());
}

// What can carry tags, found by its id.
struct Tagged {
  std::optional<Groups::Group> group;
  std::optional<Resource> resource;
  bool subscription = false;
  JsonObject tags;
};

Result<Tagged> find_tagged(const State& state, store::Reader& reader, const ResourceId& scope) {
  Tagged found;
  if (!scope.provider().empty()) {
    const ResourceType* type = state.types.find(scope.type());
    found.resource = TRY(state.documents.get(reader, scope));
    if (!found.resource) {
      TRY(state.groups.require(reader, scope));
      return std::unexpected(resource_not_found(scope));
    }
    if (type == nullptr || !type->tracked) return untaggable(scope);
    found.tags = tags_in(found.resource->body);
  } else if (!scope.resource_group().empty()) {
    TRY(state.groups.require(reader, scope));
    found.group = TRY(state.groups.get(reader, scope.text()));
    found.tags = tags_in(found.group->body);
  } else if (!scope.subscription().empty()) {
    found.subscription = true;
    const auto row = TRY(reader.get(subscription_tags_table(), state.core.tenant, scope.key()));
    if (row) found.tags = TRY(parse_json_object(row->body));
  } else {
    return untaggable(scope);
  }
  return found;
}

Result<void> set_tags(State& state, WriteContext& context, const ResourceId& scope, const Tagged& at,
                      const JsonObject& tags) {
  TRY(check_tags(tags));
  if (at.subscription) {
    return context.tx.put(subscription_tags_table(), state.core.tenant, {scope.key(), to_text(tags), {}});
  }
  if (at.group) {
    JsonObject body = at.group->body;
    body["tags"] = tags;
    TRY(state.groups.put(context.tx, at.group->id, body));
    return {};
  }
  const ResourceType* type = state.types.find(at.resource->id.type());
  JsonObject wanted = without_identity(at.resource->body);
  wanted["tags"] = tags;
  TRY(write_document(state, context,
                     {.type = *type,
                      .id = at.resource->id,
                      .existing = &*at.resource,
                      .wanted = TRY(schema::conform(type->shape, wanted)),
                      .links = LinkCheck::changed}));
  return {};
}

JsonObject tags_json(const ResourceId& scope, const JsonObject& tags) {
  return {{"id", scope.text() + "/providers/Microsoft.Resources/tags/default"},
          {"name", "default"},
          {"type", "Microsoft.Resources/tags"},
          {"properties", {{"tags", tags}}}};
}

// The member whose name is `name` but for case, or the place for it.
void merge_tag(JsonObject& tags, std::string_view name, const Json& value) {
  for (auto& member : tags) {
    if (ascii_iequal(member.key(), name)) {
      member.value() = value;
      return;
    }
  }
  tags[name] = value;
}

// Delete takes names, and where a value is given only that value (Azure's tags operation).
JsonObject without_tags(const JsonObject& tags, const JsonObject& unwanted) {
  JsonObject out;
  for (const auto& member : tags) {
    bool drop = false;
    for (const auto& gone : unwanted) {
      const bool any_value = !gone.value().is_string() || gone.value().get_string().empty();
      drop =
          drop || (ascii_iequal(gone.key(), member.key()) && (any_value || gone.value() == member.value()));
    }
    if (!drop) out.insert(member);
  }
  return out;
}

schema::Shape tags_shape() {
  return schema::object({schema::required("tags", schema::map_of(schema::text()))});
}

Result<net::Response> change_tags(State& state, WriteContext& context) {
  const ResourceId scope = context.call.id.parent();
  const Tagged at = TRY(find_tagged(state, context.tx, scope));
  const JsonObject* given = object_at(context.call.body, "properties.tags");
  MERLON_CHECK(given != nullptr);
  const std::string operation = string_at(context.call.body, "operation").value_or("Replace");
  JsonObject tags = operation == "Replace" ? *given : at.tags;
  if (operation == "Merge") {
    for (const auto& member : *given) merge_tag(tags, member.key(), member.value());
  } else if (operation == "Delete") {
    tags = without_tags(tags, *given);
  }
  TRY(set_tags(state, context, scope, at, tags));
  return json_response(200, tags_json(scope, tags));
}

Route tags_route(std::string method, std::string verb, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = "/{+scope}/providers/Microsoft.Resources/tags/default";
  route.permission = "Microsoft.Resources/tags/" + std::move(verb);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

void add_tag_routes(State& state, const AddRoute& add) {
  Route get = tags_route("GET", "read", "Gets the tags of a resource, a resource group or the subscription.");
  get.read = [&state](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const ResourceId scope = call.id.parent();
    return json_response(200, tags_json(scope, TRY(find_tagged(state, reader, scope)).tags));
  };
  add(std::move(get));
  Route put = tags_route("PUT", "write", "Replaces all tags.");
  put.body = schema::object({schema::required("properties", tags_shape())});
  put.write = [&state](WriteContext& context) { return change_tags(state, context); };
  add(std::move(put));
  Route patch = tags_route("PATCH", "write", "Merges, replaces or deletes tags.");
  patch.body = schema::object({schema::required("operation", schema::text_of({"Merge", "Replace", "Delete"})),
                               schema::required("properties", tags_shape())});
  patch.write = [&state](WriteContext& context) { return change_tags(state, context); };
  add(std::move(patch));
  Route remove = tags_route("DELETE", "delete", "Deletes all tags.");
  remove.write = [&state](WriteContext& context) -> Result<net::Response> {
    const ResourceId scope = context.call.id.parent();
    TRY(set_tags(state, context, scope, TRY(find_tagged(state, context.tx, scope)), {}));
    return empty_response(200);
  };
  add(std::move(remove));
}

}  // namespace merlon::resource

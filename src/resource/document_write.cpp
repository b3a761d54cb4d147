// The order of the checks is the order of their answers' usefulness: first where, then what, then whether it
// may.
#include "resource/document_write.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "resource/document_rules.h"
#include "resource/removal.h"

namespace merlon::resource {
namespace {

// What a request may make of a document, with its children.
constexpr size_t kWrittenBytesMax = 4 * 1024 * 1024;

Result<void> check_place(State& state, WriteContext& context, const DocumentWrite& write) {
  TRY(state.require_registered(context.tx, write.type.provider));
  TRY(state.groups.require(context.tx, write.id));
  TRY(state.require_parent(context.tx, write.id));
  if (write.existing != nullptr) return {};
  if (!write.type.check_name) return check_resource_name(write.id.name(), full_type(write.type));
  const auto wrong = write.type.check_name(write.id.name());
  if (!wrong) return {};
  return fail(
      ErrorKind::invalid, "InvalidResourceName",
      "Resource name '" + write.id.name() + "' " + *wrong + " (type '" + full_type(write.type) + "').",
      "name");
}

// The location of "…/locations/westeurope/things/x".
std::optional<std::string> location_in(const ResourceId& id) {
  for (const auto& [type, name] : id.parts()) {
    if (ascii_iequal(type, "locations")) return name;
  }
  return std::nullopt;
}

Result<void> settle_location(const DocumentWrite& write, JsonObject& wanted) {
  auto location = string_at(wanted, "location");
  if (write.type.location_from_path) {
    location = location_in(write.id);
    MERLON_CHECK(location.has_value());
  }
  if (!location) {
    return fail(ErrorKind::invalid, "LocationRequired",
                "The location property is required for this definition.", "location");
  }
  const std::string normal = TRY(check_location(*location));
  const auto before = write.existing == nullptr ? std::nullopt : string_at(write.existing->body, "location");
  if (before && normal_location(*before) != normal) {
    return fail(ErrorKind::conflict, "InvalidResourceLocation",
                "The resource '" + write.id.name() + "' already exists in location '" + *before +
                    "' in resource group '" + write.id.resource_group() +
                    "'. A resource with the same name cannot be created in location '" + normal +
                    "'. Please select a new resource name.",
                "location");
  }
  wanted["location"] = normal;
  return {};
}

Result<void> check_fixed(const DocumentWrite& write) {
  if (write.existing == nullptr) return {};
  const auto changed = schema::changed_create_only(write.type.shape, write.existing->body, write.wanted);
  if (changed.empty()) return {};
  return fail(ErrorKind::conflict, "PropertyChangeNotAllowed",
              "Changing property '" + changed.front() +
                  "' is not allowed. Delete the resource and create it anew, or send the "
                  "value that it has.",
              changed.front());
}

Result<void> check_link(State& state, WriteContext& context, const DocumentWrite& write, const Link& link,
                        const std::string& text) {
  const auto target = ResourceId::parse(text);
  if (!target || target->provider().empty()) {
    return fail(ErrorKind::invalid, "LinkedInvalidPropertyId",
                "Property id '" + text.substr(0, 300) + "' at path '" + link.path +
                    "' is invalid. Expect fully qualified resource Id that start with "
                    "'/subscriptions/{subscriptionId}' or "
                    "'/providers/{resourceProviderNamespace}/'.",
                link.path);
  }
  // The right first: whether a thing exists is not for everyone to know.
  TRY(context.require(link.action, target->text()));
  // A document may refer to an element of its own: that one is being written just now.
  if (target->is_within(write.id.text()) || TRY(state.documents.get(context.tx, *target))) return {};
  return fail(ErrorKind::invalid, "InvalidResourceReference",
              "Resource " + target->text() + " referenced by resource " + write.id.text() +
                  " was not found. Please make sure that the referenced resource exists, and that both "
                  "resources are in the "
                  "same region.",
              link.path);
}

JsonObject without_etag(JsonObject element) {
  element.erase("etag");
  return element;
}

Result<void> check_links(State& state, WriteContext& context, const DocumentWrite& write) {
  for (const Link& link : write.type.links) {
    std::vector<std::string> before;
    if (write.existing != nullptr && write.links == LinkCheck::changed) {
      for (const std::string& text : ids_at(write.existing->body, link.path))
        before.push_back(ascii_lower(text));
    }
    for (const std::string& text : ids_at(write.wanted, link.path)) {
      if (std::ranges::find(before, ascii_lower(text)) != before.end()) continue;
      TRY(check_link(state, context, write, link, text));
    }
  }
  return {};
}

// A child that lives in the document may have a lock of its own; a write of the whole must not get around it.
Result<void> check_locked_elements(State& state, WriteContext& context, const DocumentWrite& write) {
  if (write.existing == nullptr || context.is_system || context.passes_locks) return {};
  for (const Lock& lock : TRY(state.locks.below(context.tx, write.id.text()))) {
    const EmbeddedType* type = state.types.find_embedded(lock.scope.type());
    const JsonArray* elements =
        type == nullptr ? nullptr : elements_of(write.existing->body, type->array_path);
    if (elements == nullptr) continue;
    JsonArray before = *elements;
    const JsonObject* was = find_element(before, lock.scope.name());
    const auto now = TRY(state.documents.get(context.tx, lock.scope));
    if (was == nullptr) continue;
    if (!now) return std::unexpected(scope_locked(lock.scope.text(), Change::remove, {lock}));
    if (lock.level == LockLevel::read_only && without_etag(*was) != without_etag(now->body))
      return std::unexpected(scope_locked(lock.scope.text(), Change::write, {lock}));
  }
  return {};
}

// Roles at a child that the whole no longer has end with it, as when it is deleted by itself: a later one of
// that name is another.
Result<void> forget_roles_of_removed(State& state, WriteContext& context, const DocumentWrite& write) {
  if (write.existing == nullptr) return {};
  std::set<std::string> seen;
  for (const access::RoleAssignment& held :
       TRY(state.core.access.assignments(context.tx, write.id.text(), access::Access::Reach::at_and_below))) {
    const auto child = ResourceId::parse(held.scope);
    const EmbeddedType* type = child ? state.types.find_embedded(child->type()) : nullptr;
    if (type == nullptr || !seen.insert(child->key()).second) continue;
    if (!TRY(state.documents.get(context.tx, *child)))
      TRY(state.core.access.forget_scope(context.tx, child->text()));
  }
  return {};
}

JsonObject with_identity(DocumentWrite& write) {
  JsonObject out{{"id", write.id.text()}, {"name", write.id.name()}, {"type", full_type(write.type)}};
  out.reserve(out.size() + write.wanted.size());
  for (const std::string_view key : {"location", "tags"}) {
    if (Json* value = write.wanted.if_contains(key)) out[key] = std::move(*value);
  }
  for (auto& member : write.wanted) {
    if (!out.contains(member.key())) out.emplace(member.key(), std::move(member.value()));
  }
  return out;
}

}  // namespace

JsonObject without_identity(const JsonObject& shown) {
  JsonObject out;
  for (const auto& member : shown) {
    const std::string_view key = member.key();
    if (key != "id" && key != "name" && key != "type" && key != "etag") out.insert(member);
  }
  return out;
}

namespace {

// What conform() takes for read-only is still true of a resource that only changes its place: its GUID, its
// hardware address. References that others gave it are not: they come anew.
void keep_own_facts(const JsonObject& before, JsonObject& wanted) {
  const JsonObject* properties = object_at(before, "properties");
  if (properties == nullptr) return;
  for (const auto& member : *properties) {
    if (member.value().is_structured()) continue;
    Json& kept = wanted["properties"];
    if (!kept.is_object()) kept = JsonObject();
    if (!kept.get_object().contains(member.key())) kept.get_object().insert(member);
  }
}

}  // namespace

Result<Resource> store_anew(State& state, WriteContext& context, const ResourceId& id,
                            const JsonObject& document) {
  const ResourceType* type = state.types.find(id.type());
  MERLON_CHECK(type != nullptr);
  DocumentWrite write{.type = *type,
                      .id = id,
                      .existing = nullptr,
                      .wanted = TRY(schema::conform(type->shape, without_identity(document))),
                      .links = LinkCheck::all};
  keep_own_facts(document, write.wanted);
  JsonObject shown = with_identity(write);
  if (type->put) shown = TRY(type->put(context, id, nullptr, std::move(shown)));
  Resource stored = TRY(state.documents.put(context.tx, id, std::move(shown), context.actor));
  if (type->changed) TRY(type->changed(context, id));
  return stored;
}

Result<Resource> write_document(State& state, WriteContext& context, DocumentWrite write) {
  TRY(check_place(state, context, write));
  if (write.type.tracked) {
    TRY(settle_location(write, write.wanted));
    if (const JsonObject* tags = object_at(write.wanted, "tags")) TRY(check_tags(*tags));
  }
  TRY(check_fixed(write));
  TRY(check_links(state, context, write));
  JsonObject shown = with_identity(write);
  if (write.type.put) shown = TRY(write.type.put(context, write.id, write.existing, std::move(shown)));
  Resource stored = TRY(state.documents.put(context.tx, write.id, std::move(shown), context.actor));
  if (!context.is_system && stored.text.size() > kWrittenBytesMax)
    return std::unexpected(document_too_large(write.id, stored.text.size(), kWrittenBytesMax));
  TRY(check_locked_elements(state, context, write));
  TRY(forget_roles_of_removed(state, context, write));
  if (!write.type.changed) return stored;
  TRY(write.type.changed(context, write.id));
  // What depends on it may have shown up in it.
  auto current = TRY(state.documents.refreshed(context.tx, std::move(stored)));
  if (!current) return internal_error("resource " + write.id.text() + " is gone after its own write");
  return *std::move(current);
}

}  // namespace merlon::resource

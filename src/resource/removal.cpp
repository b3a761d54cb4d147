// The order of a group's deletion comes from the declared links: a depth-first walk from each resource to
// what it points at, taken backwards, has every dependent before what it depends on. Cycles (which no service
// declares) fall back to id order.
#include "resource/removal.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"

namespace merlon::resource {
namespace {

void collect(const Json& value, const std::vector<std::string_view>& keys, size_t next,
             std::vector<std::string>& out) {
  if (next == keys.size()) {
    if (value.is_string()) out.emplace_back(value.get_string());
    return;
  }
  const JsonObject* object = value.if_object();
  if (object == nullptr) return;
  std::string_view key = keys[next];
  const bool each = key.ends_with("[]");
  if (each) key.remove_suffix(2);
  const Json* member = object->if_contains(key);
  if (member == nullptr) return;
  if (!each) return collect(*member, keys, next + 1, out);
  if (const JsonArray* elements = member->if_array()) {
    for (const Json& element : *elements) collect(element, keys, next + 1, out);
  }
}

Result<void> remove_one(State& state, WriteContext& context, const Resource& resource) {
  const ResourceType* type = state.types.find(resource.id.type());
  if (type != nullptr && type->remove) TRY(type->remove(context, resource));
  TRY(state.documents.erase(context.tx, resource.id));
  return state.forget_scope(context.tx, resource.id);
}

Result<void> record_removal(State& state, WriteContext& context, const Resource& resource) {
  const ResourceType* type = state.types.find(resource.id.type());
  const std::string name = type == nullptr ? resource.id.type() : full_type(*type);
  return context.record(name + "/delete", resource.id.text(), {{"deletedWith", context.call.id.text()}});
}

// Orders `resources` so that each stands before what it points at.
class Order {
 public:
  Order(const State& state, const std::vector<Resource>& resources) : state_(state), resources_(resources) {
    for (size_t i = 0; i < resources.size(); ++i) index_[resources[i].id.key()] = i;
  }
  std::vector<size_t> dependents_first() {
    seen_.assign(resources_.size(), false);
    for (size_t i = 0; i < resources_.size(); ++i) visit(i);
    std::ranges::reverse(done_);
    return std::move(done_);
  }

 private:
  // An explicit stack: a chain of links is as long as a group is large.
  void visit(size_t root) {
    std::vector<std::pair<size_t, std::vector<size_t>>> stack;
    const auto enter = [&](size_t i) {
      if (seen_[i]) return;
      seen_[i] = true;
      stack.emplace_back(i, targets(i));
    };
    enter(root);
    while (!stack.empty()) {
      if (stack.back().second.empty()) {
        done_.push_back(stack.back().first);
        stack.pop_back();
        continue;
      }
      const size_t next = stack.back().second.back();
      stack.back().second.pop_back();
      enter(next);
    }
  }
  std::vector<size_t> targets(size_t i) const {
    const Resource& resource = resources_[i];
    std::vector<size_t> found;
    add(resource.id.parent(), found);  // a child before its parent
    const ResourceType* type = state_.types.find(resource.id.type());
    if (type == nullptr) return found;
    for (const Link& link : type->links) {
      for (const std::string& text : ids_at(resource.body, link.path)) {
        if (const auto id = ResourceId::parse(text)) add(*id, found);
      }
    }
    return found;
  }
  // An id inside another resource's document (a subnet) stands for that resource.
  void add(ResourceId id, std::vector<size_t>& found) const {
    for (; !id.provider().empty(); id = id.parent()) {
      const auto at = index_.find(id.key());
      if (at == index_.end()) continue;
      found.push_back(at->second);
      return;
    }
  }

  const State& state_;
  const std::vector<Resource>& resources_;
  std::map<std::string, size_t> index_;
  std::vector<bool> seen_;
  std::vector<size_t> done_;
};

}  // namespace

std::vector<std::string> ids_at(const JsonObject& body, std::string_view path) {
  std::vector<std::string> out;
  collect(Json(body), split(path, '.'), 0, out);
  return out;
}

std::vector<size_t> dependents_first(const State& state, const std::vector<Resource>& resources) {
  return Order(state, resources).dependents_first();
}

Result<void> remove_resource(State& state, WriteContext& context, const Resource& resource) {
  TRY(context.require_removable(resource.id.text()));
  auto nested = TRY(state.documents.below(context.tx, resource.id.key() + "/"));
  std::ranges::reverse(nested);  // ids are sorted, so backwards is innermost first
  for (const Resource& child : nested) {
    const auto current = TRY(state.documents.get(context.tx, child.id));
    if (!current) continue;
    TRY(remove_one(state, context, *current));
    TRY(record_removal(state, context, *current));
  }
  return remove_one(state, context, resource);
}

Result<void> remove_group_resources(State& state, WriteContext& context, const ResourceId& group) {
  const auto resources = TRY(state.documents.in_group(context.tx, group.key()));
  for (const size_t i : dependents_first(state, resources)) {
    // Read again: an earlier removal may have changed it (back references) or taken it along.
    const auto current = TRY(state.documents.get(context.tx, resources[i].id));
    if (!current) continue;
    const auto removed = remove_resource(state, context, *current);
    if (!removed) {
      if (removed.error().kind == ErrorKind::internal || removed.error().kind == ErrorKind::unavailable)
        return removed;
      Error error;
      error.kind = ErrorKind::conflict;
      error.code = "ResourceGroupDeletionBlocked";
      error.message = "Deletion of resource group '" + group.name() +
                      "' failed as resources with identifiers '" + current->id.text() +
                      "' could not be deleted. Nothing was deleted. The reason: " + removed.error().message;
      error.target = current->id.text();
      error.details.push_back({removed.error().code, removed.error().message, current->id.text()});
      return std::unexpected(std::move(error));
    }
    TRY(record_removal(state, context, *current));
  }
  return {};
}

}  // namespace merlon::resource

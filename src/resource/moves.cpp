// A move takes each resource away under its old id, dependents first, and makes it anew under its new id, the
// other way round, by the hooks of its type: what a service keeps beside the document is remade, not edited.
// What points at a moved resource from outside holds it where it is: its reference would be to nothing. That
// is looked for in a snapshot, since it goes through every document.
#include "resource/moves.h"

#include <algorithm>
#include <any>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "base/text.h"
#include "resource/document_write.h"
#include "resource/removal.h"

namespace merlon::resource {
namespace {

constexpr size_t kResourcesMax = 800;  // Azure's, of one request
constexpr size_t kBlockersShown = 50;
constexpr const char* kPath = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/";
constexpr const char* kPermission = "Microsoft.Resources/subscriptions/resourceGroups/";

schema::Shape move_shape() {
  return schema::object(
      {schema::required("resources",
                        schema::array_of(schema::text()).with_range(1, static_cast<int64_t>(kResourcesMax))),
       schema::required("targetResourceGroup", schema::text())});
}

Result<ResourceId> target_of(const State& state, const Call& call, store::Reader& reader) {
  const std::string text = string_at(call.body, "targetResourceGroup").value_or("");
  const auto target = ResourceId::parse(text);
  if (!target || target->resource_group().empty() || !target->provider().empty()) {
    return fail(ErrorKind::invalid, "InvalidTargetResourceGroup",
                "The target '" + text.substr(0, 300) +
                    "' is not the id of a resource group: "
                    "'/subscriptions/{guid}/resourceGroups/{name}'.",
                "targetResourceGroup");
  }
  if (target->subscription() != state.core.subscription.text()) {
    return fail(ErrorKind::not_found, "SubscriptionNotFound",
                "The subscription '" + target->subscription() + "' could not be found.",
                "targetResourceGroup");
  }
  // The right first: whether a group exists is not for everyone to know.
  const std::string action = std::string(kPermission) + "write";
  const access::Question question{.action = action, .scope = target->text()};
  const access::Decision decision = TRY(state.core.access.check(reader, call.principal, question));
  if (!decision.allowed) return std::unexpected(authorization_failed(call.principal, action, target->text()));
  if (const auto need = TRY(state.step_ups.missing(reader, call.principal, action, target->text(), decision)))
    return std::unexpected(step_up_needed(*need, action, target->text()));
  const auto group = TRY(state.groups.get(reader, target->text()));
  if (!group) {
    return fail(ErrorKind::not_found, "ResourceGroupNotFound",
                "Resource group '" + target->resource_group() + "' could not be found.",
                "targetResourceGroup");
  }
  if (group->id.key() == call.id.key()) {
    return fail(ErrorKind::invalid, "InvalidTargetResourceGroup",
                "The resources are in '" + group->id.name() + "' already. Name another group.",
                "targetResourceGroup");
  }
  return group->id;
}

Result<std::vector<Resource>> resources_of(const State& state, const Call& call, store::Reader& reader) {
  std::vector<Resource> found;
  std::set<std::string> seen;
  for (const Json& given : *array_at(call.body, "resources")) {
    const std::string text(given.get_string());
    const ResourceId id = TRY(ResourceId::parse(text));
    if (!ascii_iequal(id.group_id(), call.id.text()) || id.provider().empty()) {
      return fail(ErrorKind::invalid, "ResourceNotInSourceResourceGroup",
                  "'" + text.substr(0, 300) + "' is not a resource of the group '" + call.id.name() +
                      "'. All resources of a move are in the group that the request names.",
                  "resources");
    }
    auto resource = TRY(state.documents.get(reader, id));
    if (!resource) return std::unexpected(resource_not_found(id));
    for (Resource& nested : TRY(state.documents.below(reader, id.key() + "/"))) {
      if (seen.insert(nested.id.key()).second) found.push_back(std::move(nested));
    }
    if (seen.insert(id.key()).second) found.push_back(*std::move(resource));
  }
  return found;
}

// Collects what is in the way, so that one answer says all of it.
class Blockers {
 public:
  Blockers(const State& state, store::Reader& reader, const MovePlan& plan, SearchedReferences& searched)
      : state_(state),
        reader_(reader),
        plan_(plan),
        searched_(searched),
        source_name_("/" + ascii_lower(plan.source.name()) + "/") {
    for (const Resource& resource : plan.resources) moving_.insert(resource.id.key());
  }

  Result<std::vector<ErrorDetail>> find() {
    for (const Resource& resource : plan_.resources) TRY(check(resource));
    TRY(check_references());
    return std::move(found_);
  }

 private:
  void add(std::string_view code, std::string message, const ResourceId& target) {
    if (found_.size() < kBlockersShown)
      found_.push_back({std::string(code), std::move(message), target.text()});
  }

  Result<void> check(const Resource& resource) {
    const ResourceId& id = resource.id;
    if (state_.types.find_embedded(id.type()) != nullptr || !parent_moves(id)) {
      add("ResourceMoveNotSupported",
          "'" + id.text() + "' goes where its parent goes. Move '" + id.parent().text() + "'.", id);
      return {};
    }
    const ResourceType* type = state_.types.find(id.type());
    if (type == nullptr || !type->may_move) {
      add("ResourceMoveNotSupported",
          "Resources of the type '" + id.type() + "' cannot be moved to another resource group.", id);
      return {};
    }
    if (const auto may = type->may_move(reader_, resource); !may) {
      if (may.error().kind == ErrorKind::internal) return may;
      add(may.error().code, may.error().message, id);
    }
    const auto to = plan_.moved(id);
    if (!to) {
      add(to.error().code, to.error().message, id);
    } else if (TRY(state_.documents.get(reader_, *to))) {
      add("ResourceAlreadyExists", "The target group has a resource '" + to->text() + "' already.", id);
    }
    return {};
  }

  bool parent_moves(const ResourceId& id) const {
    const ResourceId parent = id.parent();
    return state_.types.find(parent.type()) == nullptr || moving_.contains(parent.key());
  }

  Result<void> check_references() {
    const auto mark = reader_.state_mark({&Documents::table().name, 1});
    if (mark && mark == searched_.mark) return {};
    searched_.mark = mark;
    store::Range range{.prefix = ascii_lower(state_.subscription_path()) + "/", .after = {}, .after_key = {}};
    for (;;) {
      const auto rows = TRY(reader_.scan(Documents::table(), state_.core.tenant, range));
      for (const auto& row : rows) {
        if (moving_.contains(row.key)) continue;
        const size_t hash = std::hash<std::string>{}(row.body);
        const auto before = searched_.without.find(row.key);
        if (before != searched_.without.end() && before->second == hash) continue;
        if (may_refer(row)) TRY(check_references_of(row));
        searched_.without.insert_or_assign(row.key, hash);
      }
      if (rows.size() < range.limit) return {};
      range.after = rows.back().key;
    }
  }

  // By its type and text, without parsing it: each id of what moves has the group's name in it.
  bool may_refer(const store::Row& row) const {
    const auto id = ResourceId::parse(row.key);
    const ResourceType* type = id ? state_.types.find(id->type()) : nullptr;
    if (id && (type == nullptr || type->links.empty())) return false;
    return ascii_lower(row.body).find(source_name_) != std::string::npos;
  }

  Result<void> check_references_of(const store::Row& row) {
    const Resource other = TRY(state_.documents.read(row));
    const ResourceType* type = state_.types.find(other.id.type());
    if (type == nullptr) return {};
    for (const Link& link : type->links) {
      for (const std::string& text : ids_at(other.body, link.path)) {
        auto id = ResourceId::parse(text);
        while (id && !id->provider().empty() && !moving_.contains(id->key())) id = id->parent();
        if (!id || id->provider().empty()) continue;
        add("MissingMoveDependentResources",
            "'" + other.id.text() + "' refers to '" + id->text() + "' (" + link.path +
                ") and stays behind. Move both, or take the reference away first.",
            *id);
      }
    }
    return {};
  }

  const State& state_;
  store::Reader& reader_;
  const MovePlan& plan_;
  SearchedReferences& searched_;
  std::string source_name_;  // as a segment, in lower case
  std::set<std::string> moving_;
  std::vector<ErrorDetail> found_;
};

// Every id in the document that is, or is below, a moved one.
void rewrite_ids(Json& value, const MovePlan& plan, const std::set<std::string>& moving) {
  if (JsonArray* array = value.if_array()) {
    for (Json& element : *array) rewrite_ids(element, plan, moving);
  } else if (JsonObject* object = value.if_object()) {
    for (auto& member : *object) rewrite_ids(member.value(), plan, moving);
  } else if (value.is_string() && value.get_string().starts_with("/subscriptions/")) {
    const auto id = ResourceId::parse(std::string_view(value.get_string()));
    if (!id) return;
    for (ResourceId at = *id; !at.provider().empty(); at = at.parent()) {
      if (!moving.contains(at.key())) continue;
      // A text that would be no id any more stays as it is: what is moved itself has been looked at.
      if (const auto to = plan.moved(*id)) value = to->text();
      return;
    }
  }
}

// A lock on the source group alone keeps what is in it from being deleted; a move would take it from under
// that lock. Azure says it of ReadOnly, which the pipeline has checked for the group; it is as true of
// CanNotDelete. A resource's own locks do not hold it: they go with it.
Result<void> check_locks(const State& state, WriteContext& context, const MovePlan& plan) {
  TRY(context.require_unlocked(plan.target.text(), Change::write));
  for (const Lock& lock : TRY(state.locks.at_and_above(context.tx, plan.source.text()))) {
    if (lock.scope == plan.source)
      return std::unexpected(scope_locked(plan.source.text(), Change::remove, {lock}));
  }
  return {};
}

// What stands above the source alone counts no more for what is moved. (What stands at it goes with it.)
Result<void> check_step_ups(const State& state, const WriteContext& context, const MovePlan& plan) {
  if (context.is_system) return {};
  auto left = TRY(state.step_ups.at_and_above(context.tx, plan.source.text()));
  const auto kept = TRY(state.step_ups.at_and_above(context.tx, plan.target.text()));
  std::erase_if(left, [&](const StepUpPolicy& policy) {
    return std::ranges::any_of(kept, [&](const StepUpPolicy& other) { return other.text == policy.text; });
  });
  return state.step_ups.require_met(context.call.principal, left);
}

Error move_failed(const MovePlan& plan, std::vector<ErrorDetail> details) {
  Error error;
  error.kind = ErrorKind::conflict;
  error.code = "ResourceMoveProviderValidationFailed";
  error.message = "The resources cannot be moved from '" + plan.source.name() + "' to '" +
                  plan.target.name() + "'; nothing was moved. " + details.front().message +
                  (details.size() > 1 ? " See details for all reasons." : "");
  error.target = details.front().target;
  error.details = std::move(details);
  return error;
}

Result<void> take_away(State& state, WriteContext& context, const MovePlan& plan, Resource& resource) {
  const ResourceType* type = state.types.find(resource.id.type());
  // Read again: what went before it may have changed it (back references).
  auto current = TRY(state.documents.get(context.tx, resource.id));
  if (!current) return internal_error("resource " + resource.id.text() + " left before it was moved");
  resource = *std::move(current);
  if (type->remove) {
    if (auto removed = type->remove(context, resource); !removed) {
      if (removed.error().kind == ErrorKind::internal) return removed;
      return std::unexpected(
          move_failed(plan, {{removed.error().code, removed.error().message, resource.id.text()}}));
    }
  }
  const ResourceId to = TRY(plan.moved(resource.id));
  TRY(state.documents.carry_change(context.tx, resource.id, to));
  TRY(state.documents.erase(context.tx, resource.id));
  TRY(state.locks.move_scope(context.tx, resource.id, to));
  TRY(state.step_ups.move_scope(context.tx, resource.id, to));
  TRY(state.core.access.forget_scope(context.tx, resource.id.text()));
  return context.record(full_type(*type) + "/delete", resource.id.text(), {{"movedTo", to.text()}});
}

Result<net::Response> move_resources(State& state, WriteContext& context) {
  auto searched = std::any_cast<SearchedReferences>(context.call.gathered);
  const MovePlan plan = TRY(plan_move(state, context.call, context.tx, searched));
  TRY(carry_out_move(state, context, plan));
  context.details = {{"targetResourceGroup", plan.target.text()},
                     {"resources", static_cast<int64_t>(plan.resources.size())}};
  const auto operation = TRY(state.operations.start(context, plan.source, "Succeeded", {}));
  return Operations::accepted_at_subscription(context.call, operation);
}

// Each goes through all documents, so that many at once would be all that the workers do.
Result<std::unique_lock<std::mutex>> take_turn(std::mutex& turns) {
  std::unique_lock turn(turns, std::try_to_lock);
  if (!turn)
    return fail(ErrorKind::conflict, "ResourceMoveInProgress",
                "Another move is being looked at; one is at a time. Nothing was moved. Try again in a few "
                "seconds.");
  return turn;
}

Result<Gathered> search_references(const State& state, const Call& call) {
  SearchedReferences searched;
  TRY(state.core.store.read([&](store::Reader& reader) -> Result<void> {
    TRY(plan_move(state, call, reader, searched));
    return {};
  }));
  return Gathered::of(std::move(searched));
}

// It changes nothing, so it needs no transaction.
Result<net::Response> validate_move(const State& state, const Call& call, store::Reader& reader) {
  SearchedReferences searched;
  const MovePlan plan = TRY(plan_move(state, call, reader, searched));
  TRY(state.locks.check(reader, plan.source.text(), Change::write));
  TRY(state.locks.check(reader, plan.target.text(), Change::write));
  return empty_response(204);
}

}  // namespace

Result<ResourceId> MovePlan::moved(const ResourceId& id) const {
  return ResourceId::parse(target.text() + id.text().substr(source.text().size()));
}

Result<MovePlan> plan_move(const State& state, const Call& call, store::Reader& reader,
                           SearchedReferences& searched) {
  TRY(state.groups.require(reader, call.id));
  MovePlan plan;
  plan.source = call.id;
  plan.target = TRY(target_of(state, call, reader));
  plan.resources = TRY(resources_of(state, call, reader));
  auto blockers = TRY(Blockers(state, reader, plan, searched).find());
  if (!blockers.empty()) return std::unexpected(move_failed(plan, std::move(blockers)));
  return plan;
}

Result<void> carry_out_move(State& state, WriteContext& context, const MovePlan& plan) {
  TRY(check_locks(state, context, plan));
  TRY(check_step_ups(state, context, plan));
  std::set<std::string> moving;
  for (const Resource& resource : plan.resources) moving.insert(resource.id.key());
  std::vector<Resource> resources = plan.resources;
  std::vector<size_t> order = dependents_first(state, resources);
  for (const size_t i : order) TRY(take_away(state, context, plan, resources[i]));
  std::ranges::reverse(order);
  for (const size_t i : order) {
    const ResourceId& from = resources[i].id;
    const ResourceId to = TRY(plan.moved(from));
    Json document(resources[i].body);
    rewrite_ids(document, plan, moving);
    TRY(store_anew(state, context, to, document.as_object()));
    const ResourceType* type = state.types.find(from.type());
    TRY(context.record(full_type(*type) + "/write", to.text(), {{"movedFrom", from.text()}}));
  }
  return {};
}

void add_move_routes(State& state, const AddRoute& add) {
  const auto turns = std::make_shared<std::mutex>();
  Route move;
  move.method = "POST";
  move.path = std::string(kPath) + "moveResources";
  move.permission = std::string(kPermission) + "moveResources/action";
  move.summary = "Moves resources to another resource group: all of them, or none.";
  move.body = move_shape();
  move.gather = [&state, turns](const Call& call) -> Result<Gathered> {
    const auto turn = TRY(take_turn(*turns));
    return search_references(state, call);
  };
  move.write = [&state](WriteContext& context) { return move_resources(state, context); };
  add(std::move(move));
  Route validate;
  validate.method = "POST";
  validate.path = std::string(kPath) + "validateMoveResources";
  validate.permission = std::string(kPermission) + "validateMoveResources/action";
  validate.summary = "Says whether resources could be moved to another resource group, and what holds them.";
  validate.body = move_shape();
  validate.read = [&state, turns](const Call& call, store::Reader& reader) -> Result<net::Response> {
    const auto turn = TRY(take_turn(*turns));
    return validate_move(state, call, reader);
  };
  add(std::move(validate));
}

}  // namespace merlon::resource

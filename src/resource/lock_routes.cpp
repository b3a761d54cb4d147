// "{scope}/providers/Microsoft.Authorization/locks": set, shown, listed and taken away by those with
// Microsoft.Authorization/locks/* at the scope, which Contributors lack.
#include "base/text.h"
#include "base/time_text.h"
#include "resource/document_rules.h"
#include "resource/locks.h"
#include "resource/paging.h"
#include "resource/preconditions.h"
#include "resource/state.h"

namespace merlon::resource {
namespace {

constexpr int64_t kNotesMax = 512;
constexpr int64_t kOwnersMax = 100;
constexpr size_t kNameMax = 260;

schema::Shape lock_shape() {
  const auto owner = schema::object({schema::optional(
      "applicationId", schema::text().with_range(1, 128).describe("The application that set the lock."))});
  return schema::object({schema::required(
      "properties",
      schema::object(
          {schema::required("level", schema::text_of({"CanNotDelete", "ReadOnly"})
                                         .describe("CanNotDelete: may be changed, not deleted. ReadOnly: "
                                                   "neither, and no action on it may run.")),
           schema::optional("notes", schema::text().with_range(0, kNotesMax)),
           schema::optional("owners", schema::array_of(owner).with_range(0, kOwnersMax))}))});
}

// What can be locked: the subscription, its groups, and what is stored in them, with its embedded children.
Result<void> require_lockable(const State& state, store::Reader& reader, const ResourceId& scope) {
  if (scope.subscription().empty()) {
    return fail(ErrorKind::invalid, "LockScopeNotSupported",
                "'" + scope.text() +
                    "' cannot be locked. Lock a subscription, a resource group or a resource in one.",
                scope.text());
  }
  TRY(state.groups.require(reader, scope));
  if (scope.provider().empty() || TRY(state.documents.get(reader, scope))) return {};
  return std::unexpected(resource_not_found(scope));
}

Error lock_not_found(const ResourceId& scope, const std::string& name) {
  Error error;
  error.kind = ErrorKind::not_found;
  error.code = "LockNotFound";
  error.message = "The lock '" + name + "' could not be found at the scope '" + scope.text() + "'.";
  return error;
}

JsonObject system_data(const std::optional<Lock>& existing, const WriteContext& context) {
  const std::string now = to_rfc3339(context.call.now);
  const bool application = context.actor.kind == "ServicePrincipal";
  const std::string kind = application ? "Application" : context.actor.kind;
  JsonObject data{{"createdBy", context.actor.name}, {"createdByType", kind}, {"createdAt", now}};
  if (const JsonObject* before = existing ? object_at(existing->body, "systemData") : nullptr) {
    for (const char* key : {"createdBy", "createdByType", "createdAt"}) {
      if (const Json* value = before->if_contains(key)) data[key] = *value;
    }
  }
  data["lastModifiedBy"] = context.actor.name;
  data["lastModifiedByType"] = kind;
  data["lastModifiedAt"] = now;
  return data;
}

std::vector<std::string> tags_of(const std::optional<Lock>& lock) {
  return lock ? std::vector<std::string>{hash_of(lock->text)} : std::vector<std::string>{};
}

Result<net::Response> put_lock(const State& state, WriteContext& context) {
  const Call& call = context.call;
  const ResourceId scope = call.id.parent();
  std::string name = call.id.name();
  if (name.size() > kNameMax) {
    return fail(
        ErrorKind::invalid, "InvalidLockName",
        "The name of a lock has at most 260 characters; this one has " + std::to_string(name.size()) + ".",
        "lockName");
  }
  TRY(require_lockable(state, context.tx, scope));
  const auto existing = TRY(state.locks.get(context.tx, scope, name));
  TRY(check_preconditions(call.request, tags_of(existing), call.id.text()));
  if (existing) name = existing->name;
  const ResourceId& own_scope = existing ? existing->scope : scope;
  const JsonObject shown{{"properties", *object_at(call.body, "properties")},
                         {"id", lock_id(own_scope, name)},
                         {"type", "Microsoft.Authorization/locks"},
                         {"name", name},
                         {"systemData", system_data(existing, context)}};
  TRY(state.locks.put(context.tx, scope, name, shown));
  context.details = {{"level", string_at(shown, "properties.level").value_or("")}};
  if (existing) context.details["levelBefore"] = string_at(existing->body, "properties.level").value_or("");
  net::Response response = json_response(existing ? 200 : 201, shown);
  response.headers.set("ETag", entity_tag(hash_of(to_text(shown))));
  return response;
}

Result<net::Response> delete_lock(const State& state, WriteContext& context) {
  const Call& call = context.call;
  const ResourceId scope = call.id.parent();
  TRY(state.groups.require(context.tx, scope));
  const auto existing = TRY(state.locks.get(context.tx, scope, call.id.name()));
  TRY(check_preconditions(call.request, tags_of(existing), call.id.text()));
  if (!existing) return empty_response(204);
  context.details = {{"level", string_at(existing->body, "properties.level").value_or("")}};
  TRY(state.locks.erase(context.tx, scope, call.id.name()));
  return empty_response(200);
}

Result<net::Response> get_lock(const State& state, const Call& call, store::Reader& reader) {
  const ResourceId scope = call.id.parent();
  TRY(state.groups.require(reader, scope));
  const auto lock = TRY(state.locks.get(reader, scope, call.id.name()));
  if (!lock) return std::unexpected(lock_not_found(scope, call.id.name()));
  net::Response response = text_response(200, lock->text);
  response.headers.set("ETag", entity_tag(hash_of(lock->text)));
  return response;
}

// As Get-AzResourceLock does: at, above and below the scope; with atScope() at and above it.
Result<net::Response> list_locks(const State& state, const Call& call, store::Reader& reader) {
  const ResourceId& scope = call.id;
  TRY(state.groups.require(reader, scope));
  const std::string* filter = call.request.query.find("$filter");
  const bool at_scope = filter != nullptr && ascii_iequal(trim(*filter), "atScope()");
  if (filter != nullptr && !at_scope && !trim(*filter).empty()) {
    return fail(ErrorKind::invalid, "InvalidFilterInQueryString",
                "The $filter '" + filter->substr(0, 200) + "' is not supported here. Supported: atScope().",
                "$filter");
  }
  std::vector<std::string> values;
  for (const Lock& lock : TRY(state.locks.at_and_above(reader, scope.text()))) values.push_back(lock.text);
  if (!at_scope) {
    for (const Lock& lock : TRY(state.locks.below(reader, scope.text()))) values.push_back(lock.text);
  }
  return text_response(200, list_text(values));
}

Route lock_route(std::string method, std::string verb, std::string tail, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = "/{+scope}/providers/Microsoft.Authorization/locks" + std::move(tail);
  route.permission = "Microsoft.Authorization/locks/" + std::move(verb);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

}  // namespace

void add_lock_routes(State& state, const AddRoute& add) {
  const char* own_right = "A lock is set and taken away under the right for locks alone.";
  Route put = lock_route("PUT", "write", "/{lockName}",
                         "Sets or changes a lock of a subscription, group or resource.");
  put.body = lock_shape();
  put.passes_locks_because = own_right;
  put.write = [&state](WriteContext& context) { return put_lock(state, context); };
  add(std::move(put));
  Route remove = lock_route("DELETE", "delete", "/{lockName}", "Takes a lock away.");
  remove.passes_locks_because = own_right;
  remove.write = [&state](WriteContext& context) { return delete_lock(state, context); };
  add(std::move(remove));
  Route get = lock_route("GET", "read", "/{lockName}", "Gets a lock.");
  get.read = [&state](const Call& call, store::Reader& reader) { return get_lock(state, call, reader); };
  add(std::move(get));
  Route list = lock_route("GET", "read", "", "Lists the locks that count for a scope, and those below it.");
  list.read = [&state](const Call& call, store::Reader& reader) { return list_locks(state, call, reader); };
  add(std::move(list));
}

}  // namespace merlon::resource

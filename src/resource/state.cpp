// Answers that more than one part of the Resource Manager gives.
#include "resource/state.h"

#include "base/text.h"
#include "resource/permitted.h"

namespace merlon::resource {

Result<bool> State::may(store::Reader& reader, const Call& call, std::string_view action,
                        std::string_view scope) const {
  if (!call.only_permitted && !TRY(may_narrow(core, reader))) return true;
  const access::Question question{.action = std::string(action), .scope = std::string(scope)};
  const access::Decision decision = TRY(core.access.check(reader, call.principal, question));
  // What the list's own right shows needs no role of its own; who is denied an item is not shown it.
  const bool is_denied = !decision.allowed && (call.only_permitted || !decision.assignment_id.empty());
  if (is_denied) return false;
  return !TRY(step_ups.missing(reader, call.principal, action, scope, decision)).has_value();
}

Result<void> State::forget_scope(store::Transaction& tx, const ResourceId& id) const {
  TRY(core.access.forget_scope(tx, id.text()));
  TRY(locks.forget_scope(tx, id.text()));
  TRY(step_ups.forget_scope(tx, id.text()));
  for (const auto& forget : forgetting) TRY(forget(tx, id));
  return {};
}

Result<void> State::refuse_if_blind(store::Reader& reader, const Call& call, std::string_view action) const {
  if (!call.only_permitted) return {};
  for (const auto& group : TRY(groups.all(reader))) {
    if (TRY(may(reader, call, action, group.id.text()))) return {};
  }
  return std::unexpected(authorization_failed(call.principal, action, call.id.text()));
}

Result<void> State::require_registered(store::Reader& reader, std::string_view provider) const {
  if (!TRY(core.known_rows->has(reader, registrations_table(), core.tenant, ascii_lower(provider))))
    return {};
  return fail(ErrorKind::conflict, "MissingSubscriptionRegistration",
              "The subscription is not registered to use namespace '" + std::string(provider) +
                  "'. See https://aka.ms/rps-not-found for how to register subscriptions.",
              std::string(provider));
}

Result<void> State::require_parent(store::Reader& reader, const ResourceId& id) const {
  if (id.parts().size() < 2) return {};
  const ResourceId parent = id.parent();
  // "locations/{name}" is a place, not a resource.
  const bool stored = types.find(parent.type()) != nullptr || types.find_embedded(parent.type()) != nullptr;
  if (!stored || TRY(documents.get(reader, parent))) return {};
  return fail(ErrorKind::not_found, "ParentResourceNotFound",
              "Can not perform requested operation on nested resource. Parent resource '" + parent.name() +
                  "' not found.",
              parent.text());
}

Error authorization_failed(const identity::Principal& principal, std::string_view action,
                           std::string_view scope) {
  Error error;
  error.kind = ErrorKind::forbidden;
  error.code = "AuthorizationFailed";
  error.message =
      "The client '" + principal.name + "' with object id '" + principal.object_id.text() +
      "' does not have authorization to perform action '" + std::string(action) + "' over scope '" +
      std::string(scope) +
      "' or the scope is invalid. If access was recently granted, please refresh your credentials.";
  return error;
}

Error resource_not_found(const ResourceId& id) {
  Error error;
  error.kind = ErrorKind::not_found;
  error.code = "ResourceNotFound";
  const std::string where =
      id.resource_group().empty() ? std::string() : " under resource group '" + id.resource_group() + "'";
  std::string path = id.provider();
  for (const auto& [type, name] : id.parts()) path += "/" + type + "/" + name;
  error.message = "The Resource '" + path + "'" + where +
                  " was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix";
  return error;
}

}  // namespace merlon::resource

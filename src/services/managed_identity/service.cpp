// What machines have of identities. Each pair of a machine and an identity is a session of the identity's
// principal; tokens name it and end with it, so that taking an identity from a machine voids what the machine
// already got.
#include "services/managed_identity/service.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/time_text.h"
#include "identity/scope.h"
#include "identity/sessions.h"

namespace merlon::managed_identity {
namespace {

using identity::ServicePrincipal;
using identity::Session;
using machine::BoundIdentity;
using machine::Machine;
using resource::ResourceId;
using resource::WriteContext;

constexpr Duration kTokenLifetime = std::chrono::hours(1);
constexpr Duration kSessionMargin =
    std::chrono::minutes(10);  // beyond the skew that an expired token is given
constexpr size_t kTokenIdBytes = 16;
constexpr std::string_view kTokenAction = "Merlon.Machines/machines/token/action";

std::unexpected<Error> identity_not_found(const Machine& machine) {
  return fail(ErrorKind::not_found, "IdentityNotFound",
              "The machine '" + machine.name + "' has no such identity. 'merlon identity list " +
                  machine.name + "' shows those that it has.");
}

// The agent judges by the rules that it has; these are newer, when the two differ.
Result<void> check_caller(const machine::IdentityEndpoint& endpoint, const machine::TokenRequest& asked) {
  if (!endpoint.has_rules && asked.caller.empty()) return {};
  for (const machine::CallerRule& rule : endpoint.rules)
    if (endpoint.has_rules && rule.name == asked.caller &&
        std::ranges::find(rule.client_ids, asked.client_id) != rule.client_ids.end())
      return {};
  return fail(ErrorKind::forbidden, "CallerNotAllowed",
              "The machine's rules do not let this caller ask for this identity. 'merlon identity callers' "
              "shows them.");
}

}  // namespace

Result<void> Service::add_bound(store::Reader& reader, const std::optional<std::string>& principal, bool own,
                                std::vector<BoundIdentity>& found) {
  if (!principal) return {};
  const auto known = TRY(store::get<ServicePrincipal>(reader, platform_.core.tenant, *principal));
  // Removed since it was assigned.
  if (!known) return {};
  found.push_back({.client_id = known->app_id.text(),
                   .principal_id = known->id.text(),
                   .resource_id = known->resource_id,
                   .own = own});
  return {};
}

Result<std::vector<BoundIdentity>> Service::bound(store::Reader& reader, const JsonObject& document) {
  std::vector<BoundIdentity> found;
  TRY(add_bound(reader, string_at(document, "identity.principalId"), true, found));
  const JsonObject* assigned = object_at(document, "identity.userAssignedIdentities");
  if (assigned == nullptr) return found;
  for (const auto& member : *assigned)
    if (const JsonObject* value = member.value().if_object())
      TRY(add_bound(reader, string_at(*value, "principalId"), false, found));
  return found;
}

Result<void> Service::follow(WriteContext& context, const ResourceId& vm) {
  const auto machine = TRY(platform_.machines.by_resource(context.tx, vm.text()));
  const auto document = TRY(platform_.resources.get(context.tx, vm));
  if (!machine || !document) return {};
  const TenantId& tenant = platform_.core.tenant;
  machine::IdentityEndpoint endpoint;
  endpoint.identities = TRY(bound(context.tx, document->body));
  if (const auto stored = TRY(store::get<StoredCallers>(context.tx, tenant, vm.key())))
    add_callers(stored->properties, endpoint);
  for (const Session& session : TRY(store::find<Session>(context.tx, tenant, "parent", machine->id.text()))) {
    const bool is_bound = std::ranges::any_of(endpoint.identities, [&](const BoundIdentity& identity) {
      return identity.principal_id == session.user.text();
    });
    if (is_bound) continue;
    context.tx.urgent();
    TRY(identity::end_session(context.tx, tenant, session.id));
  }
  return platform_.machines.set_identity_endpoint(context.tx, machine->id, std::move(endpoint));
}

Result<void> Service::leave(WriteContext& context, const ResourceId& vm) {
  const TenantId& tenant = platform_.core.tenant;
  if (TRY(store::get<StoredCallers>(context.tx, tenant, vm.key())))
    TRY(store::erase<StoredCallers>(context.tx, tenant, vm.key()));
  const auto machine = TRY(platform_.machines.by_resource(context.tx, vm.text()));
  if (!machine) return {};
  context.tx.urgent();
  return identity::end_session(context.tx, tenant, machine->id);
}

Result<void> Service::follow_machines_with(WriteContext& context, const Uuid& principal) {
  for (const Machine& machine : TRY(platform_.machines.all(context.tx))) {
    const bool has_it = std::ranges::any_of(
        machine.desired.identity.identities,
        [&](const BoundIdentity& bound) { return bound.principal_id == principal.text(); });
    if (has_it) TRY(follow(context, TRY(ResourceId::parse(machine.resource_id))));
  }
  return {};
}

Result<std::string> Service::session(store::Transaction& tx, const Machine& machine,
                                     const ServicePrincipal& principal, const std::string& stamp) {
  const TenantId& tenant = platform_.core.tenant;
  const Timestamp now = platform_.core.clock.now();
  Session session{.id = Uuid::generate(platform_.core.random),
                  .user = principal.id,
                  .client = principal.app_id,
                  .parent = machine.id,
                  .method = "machine",
                  .cookie_digest = {},
                  .stamp = stamp,
                  .address = {},
                  .user_agent = machine.name,
                  .amr = {},
                  .auth_time = now,
                  .created = now,
                  .last_used = now,
                  .expires = {}};
  for (const Session& known : TRY(store::find<Session>(tx, tenant, "parent", machine.id.text())))
    if (known.user == principal.id) session = known;
  session.last_used = now;
  session.stamp = stamp;
  session.expires = now + kTokenLifetime + kSessionMargin;
  TRY(store::put(tx, tenant, session));
  return session.id.text();
}

Result<identity::TokenSubject> Service::allow(store::Transaction& tx, const Uuid& machine_id,
                                              const machine::TokenRequest& asked, const std::string& origin) {
  const resource::Core& core = platform_.core;
  const auto machine = TRY(platform_.machines.get(tx, machine_id));
  if (!machine || machine->removed || machine->quarantined)
    return fail(ErrorKind::forbidden, "MachineNotEnrolled",
                "The machine has been removed, or is quarantined.");
  const auto& identities = machine->desired.identity.identities;
  const auto bound = std::ranges::find(identities, asked.client_id, &BoundIdentity::client_id);
  if (bound == identities.end()) return identity_not_found(*machine);
  TRY(check_caller(machine->desired.identity, asked));
  const auto principal = TRY(store::get<ServicePrincipal>(tx, core.tenant, bound->principal_id));
  if (!principal) return identity_not_found(*machine);
  if (!principal->enabled)
    return fail(ErrorKind::forbidden, "IdentityDisabled",
                "The service principal of the identity '" + principal->display_name + "' is disabled.");
  if (const auto known = identity::resolve_audience(tx, core.directory, core.issuer, asked.audience, origin);
      !known) {
    if (known.error().status >= 500) return internal_error("resolving an audience: " + known.error().message);
    return fail(ErrorKind::invalid, "InvalidResource", known.error().message, "resource");
  }
  identity::TokenSubject subject;
  subject.principal.object_id = principal->id;
  subject.principal.kind = identity::PrincipalKind::service_principal;
  subject.principal.name = principal->display_name;
  subject.principal.app_id = principal->app_id;
  subject.principal.auth_time = core.clock.now();
  subject.principal.token_id = to_base64url(core.random.bytes(kTokenIdBytes));
  subject.audience = asked.audience;
  subject.proof = identity::ClientProof::certificate;
  subject.resource_id = principal->resource_id;
  subject.machine_id = machine->resource_id;
  subject.stamp = TRY(identity::session_stamp(tx, core.tenant, principal->id));
  subject.session_id = TRY(session(tx, *machine, *principal, subject.stamp));
  ledger::Entry entry;
  entry.time = core.clock.now();
  entry.actor = {.kind = "Machine", .object_id = machine->id.text(), .name = machine->name, .address = {}};
  entry.action = kTokenAction;
  entry.resource = machine->resource_id;
  entry.reason =
      asked.caller.empty() ? "no rules: the challenge file decides" : "rule '" + asked.caller + "'";
  entry.details = {{"audience", asked.audience},
                   {"clientId", bound->client_id},
                   {"principalId", bound->principal_id},
                   {"identityId", bound->resource_id},
                   {"expires", to_rfc3339(entry.time + kTokenLifetime)},
                   {"sessionId", subject.session_id},
                   {"tokenId", subject.principal.token_id}};
  TRY(core.ledger.append(tx, entry));
  return subject;
}

Result<machine::TokenAnswer> Service::token(const Machine& machine, const machine::TokenRequest& asked,
                                            const std::string& origin) {
  const resource::Core& core = platform_.core;
  const auto subject = TRY(store::write_value<identity::TokenSubject>(
      core.store, [&](store::Transaction& tx) -> Result<identity::TokenSubject> {
        TRY(identity::sweep_expired(tx, core.tenant, core.clock.now()));
        return allow(tx, machine.id, asked, origin);
      }));
  machine::TokenAnswer answer;
  answer.server_time = core.clock.now();
  answer.not_before = answer.server_time;
  // Signed once it is entered in the ledger, and outside of the writer's turn.
  answer.token = Secret(TRY(core.issuer.issue(subject, origin, kTokenLifetime)));
  answer.expires = answer.server_time + kTokenLifetime;
  return answer;
}

Result<resource::Resource> Service::machine_document(store::Reader& reader, const ResourceId& vm) {
  auto document = TRY(platform_.resources.get(reader, vm));
  if (document) return *std::move(document);
  return fail(ErrorKind::not_found, "ParentResourceNotFound",
              "The virtual machine '" + vm.text() + "' does not exist.", vm.text());
}

Result<JsonObject> Service::callers(store::Reader& reader, const ResourceId& vm) {
  const auto document = TRY(machine_document(reader, vm));
  const auto stored = TRY(store::get<StoredCallers>(reader, platform_.core.tenant, vm.key()));
  return callers_document(document.id, stored ? stored->properties : JsonObject());
}

Result<JsonObject> Service::put_callers(WriteContext& context, const ResourceId& vm) {
  const auto document = TRY(machine_document(context.tx, vm));
  TRY(context.require_unlocked(document.id.text()));
  const JsonObject& properties = *object_at(context.call.body, "properties");
  TRY(check_callers(properties));
  TRY(store::put(context.tx, platform_.core.tenant, StoredCallers{.vm = vm.key(), .properties = properties}));
  context.details["callers"] = properties;
  TRY(follow(context, document.id));
  return callers_document(document.id, properties);
}

Result<bool> Service::remove_callers(WriteContext& context, const ResourceId& vm) {
  const auto document = TRY(machine_document(context.tx, vm));
  TRY(context.require_unlocked(document.id.text()));
  if (!TRY(store::get<StoredCallers>(context.tx, platform_.core.tenant, vm.key()))) return false;
  TRY(store::erase<StoredCallers>(context.tx, platform_.core.tenant, vm.key()));
  TRY(follow(context, document.id));
  return true;
}

Result<JsonObject> Service::own_identity(store::Reader& reader, const ResourceId& vm) {
  const auto document = TRY(machine_document(reader, vm));
  std::vector<BoundIdentity> own;
  TRY(add_bound(reader, string_at(document.body, "identity.principalId"), true, own));
  if (own.empty())
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The virtual machine '" + vm.name() +
                    "' has no identity of its own. Give it one with 'az vm "
                    "identity assign'.");
  return JsonObject{{"id", document.id.text() + "/providers/Microsoft.ManagedIdentity/identities/default"},
                    {"name", "default"},
                    {"type", "Microsoft.ManagedIdentity/identities"},
                    {"location", string_at(document.body, "location").value_or("")},
                    {"properties", JsonObject{{"tenantId", platform_.core.tenant.text()},
                                              {"principalId", own.front().principal_id},
                                              {"clientId", own.front().client_id}}}};
}

}  // namespace merlon::managed_identity

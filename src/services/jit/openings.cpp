// What is open now, seen and ended one by one: Merlon.Jit/openings, an extension of the policy.
#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;

std::unexpected<Error> no_such_opening(const ResourceId& policy, const Uuid& id) {
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "The policy '" + policy.name() + "' has no opening " + id.text() +
                  ". 'merlon jit list' shows what is open.");
}

// What the machine itself says: a grant is open only where the kernel holds it.
std::string machine_state(const std::optional<machine::Machine>& machine, const Grant& grant) {
  if (grant.state == grant::State::ended) {
    const bool still_held =
        machine && std::any_of(machine->applied.open.begin(), machine->applied.open.end(),
                               [&](const std::string& id) { return id.starts_with(grant.id.text() + "/"); });
    return still_held ? "pending" : "closed";
  }
  if (!machine) return "no agent";
  const bool held = std::any_of(machine->applied.open.begin(), machine->applied.open.end(),
                                [&](const std::string& id) { return id.starts_with(grant.id.text() + "/"); });
  if (!held) return "pending";
  if (!machine->applied.blockers.empty()) return "blocked by " + machine->applied.blockers.front();
  return "open";
}

}  // namespace

Result<JsonObject> Service::view(store::Reader& reader, const Grant& grant) {
  const PortGrant port = TRY(PortGrant::from_json(grant.data));
  const auto machine = TRY(platform_.machines.by_resource(reader, port.vm_id));
  JsonArray sources;
  for (const std::string& source : port.sources) sources.emplace_back(source);
  JsonObject properties = {{"virtualMachineId", port.vm_id},
                           {"port", port.number},
                           {"protocol", machine::protocol_text(port.protocol)},
                           {"sources", std::move(sources)},
                           {"requestor", grant.holder_name},
                           {"justification", grant.justification},
                           {"startTimeUtc", to_rfc3339(grant.start)},
                           {"endTimeUtc", to_rfc3339(grant.deadline)},
                           {"status", grant.state == grant::State::active ? "Initiated" : "Revoked"},
                           {"statusReason", grant.end_reason},
                           {"machineState", machine_state(machine, grant)},
                           {"requestId", port.request_id}};
  if (grant.ended) properties["endedTimeUtc"] = to_rfc3339(*grant.ended);
  return JsonObject{{"id", port.policy_id + "/providers/Merlon.Jit/openings/" + grant.id.text()},
                    {"name", grant.id.text()},
                    {"type", "Merlon.Jit/openings"},
                    {"properties", std::move(properties)}};
}

Result<JsonArray> Service::openings(store::Reader& reader, std::string_view scope) {
  JsonArray value;
  for (const Grant& grant : TRY(platform_.grants.active(reader, kGrantKind))) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    if (TRY(ResourceId::parse(port.policy_id)).is_within(scope)) value.push_back(TRY(view(reader, grant)));
  }
  return value;
}

Result<JsonObject> Service::opening(store::Reader& reader, const ResourceId& policy, const Uuid& id) {
  const auto grant = TRY(platform_.grants.get(reader, id));
  if (!grant || grant->kind != kGrantKind) return no_such_opening(policy, id);
  const PortGrant port = TRY(PortGrant::from_json(grant->data));
  if (TRY(ResourceId::parse(port.policy_id)) != policy) return no_such_opening(policy, id);
  return view(reader, *grant);
}

Result<JsonObject> Service::revoke(WriteContext& context, const ResourceId& policy, const Uuid& id) {
  TRY(opening(context.tx, policy, id));
  TRY(platform_.grants.end(context, id, "UserRequested"));
  return opening(context.tx, policy, id);
}

}  // namespace merlon::jit

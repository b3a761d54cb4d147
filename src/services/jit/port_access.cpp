// Openings for other services, which go to a machine in a person's name: the same checks as for a request of
// the person's own, for the service's own address alone.
#include <fmt/format.h>

#include <algorithm>

#include "base/time_text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;
using resource::ResourceId;
using resource::WriteContext;

bool lets_in(const std::vector<std::string>& sources, const IpAddress& address) {
  return std::ranges::any_of(sources, [&](const std::string& source) {
    return std::ranges::any_of(read_source(source).value_or(std::vector<IpPrefix>()),
                               [&](const IpPrefix& prefix) { return prefix.contains(address); });
  });
}

}  // namespace

Result<std::optional<Policy>> Service::policy_guarding(store::Reader& reader, const ResourceId& vm,
                                                       uint16_t port) {
  for (const auto& resource :
       TRY(platform_.resources.list(reader, kPolicyType, "/subscriptions/" + vm.subscription()))) {
    Policy policy = TRY(read_policy(resource.id, resource.body));
    const MachinePolicy* machine = policy.machine(vm);
    if (machine != nullptr && machine->port(port) != nullptr) return policy;
  }
  return std::optional<Policy>();
}

Result<bool> Service::guards(store::Reader& reader, const ResourceId& vm, uint16_t port) {
  return TRY(policy_guarding(reader, vm, port)).has_value();
}

Result<std::optional<PortAccess>> Service::approved_access(store::Reader& reader, const Policy& policy,
                                                           const PortAccessRequest& request,
                                                           const Uuid& holder) {
  std::optional<PortAccess> latest;
  for (const Grant& grant : TRY(platform_.grants.active_of_subject(reader, kOpeningKind, request.vm.key()))) {
    const PortGrant port = TRY(PortGrant::from_json(grant.data));
    if (grant.group != policy.id.key() || grant.holder != holder.text() || port.number != request.port ||
        grant.deadline <= platform_.grants.now() || !lets_in(port.sources, request.source))
      continue;
    if (!latest || latest->deadline < grant.deadline)
      latest = PortAccess{.grant = grant.id, .deadline = grant.deadline, .own = false};
  }
  return latest;
}

Result<std::optional<PortAccess>> Service::port_access(WriteContext& context,
                                                       const PortAccessRequest& wanted) {
  const auto policy = TRY(policy_guarding(context.tx, wanted.vm, wanted.port));
  if (!policy) return std::optional<PortAccess>();
  const Options options = TRY(options_of(context.tx, policy->id));
  // Whoever comes through the service comes from its address: that is their own here.
  identity::Principal asker = context.call.principal;
  asker.address = wanted.source;
  const Duration most = policy->machine(wanted.vm)->port(wanted.port)->duration_max;
  const Duration lasts = std::min(wanted.lasts.value_or(most), most);
  const JsonObject port = {{"number", wanted.port},
                           {"allowedSourceAddressPrefix", wanted.source.text()},
                           {"duration", to_iso8601_duration(lasts)}};
  const JsonObject body = {
      {"virtualMachines", JsonArray{JsonObject{{"id", wanted.vm.text()}, {"ports", JsonArray{port}}}}},
      {"justification", wanted.justification}};
  const Timestamp now = platform_.grants.now();
  const AccessRequest request = TRY(read_request(*policy, body, asker.address, now));
  TRY(check_asker(context.tx, *policy, options, request, asker, need_of(context)));
  if (options.approvals > 0) {
    auto approved = TRY(approved_access(context.tx, *policy, wanted, asker.object_id));
    if (approved) return approved;
    return fail(ErrorKind::forbidden, "JitApprovalRequired",
                fmt::format("The policy '{}' asks that others agree before port {} of '{}' opens. Ask them: "
                            "'merlon jit request {} --port {} --from {}', and connect again once they have.",
                            policy->id.name(), wanted.port, wanted.vm.name(), wanted.vm.name(), wanted.port,
                            wanted.source.text()));
  }
  const Terms terms{.holder = asker,
                    .request_id = Uuid::generate(context.core.random).text(),
                    .approved_by = {},
                    .options = options};
  // Beside what is open already, also of the same person's: each session ends its own.
  const Grant opened = TRY(open_port(context, *policy, request, request.ports.front(), terms));
  TRY(sync_overlay(context, policy->id));
  TRY(sync_openings(context, wanted.vm));
  TRY(show_request(context, policy->id,
                   shown_request(request, terms.request_id, now, asker.name, "Initiated")));
  return std::optional<PortAccess>(PortAccess{.grant = opened.id, .deadline = opened.deadline, .own = true});
}

}  // namespace merlon::jit

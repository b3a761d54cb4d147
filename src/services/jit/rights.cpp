// Who may ask for access, and how far they may go: the rights that Azure asks for, and the options of the
// policy. The same is asked of whoever had asked, once others have agreed.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using identity::Principal;
using resource::ResourceId;
using resource::WriteContext;

Result<void> check_sources(const Options& options, const PortRequest& port, const Principal& asker) {
  const std::string target =
      fmt::format("virtualMachines[{}].ports[{}].allowedSourceAddressPrefix", port.vm.text(), port.number);
  if (options.own_address_only && port.sources != std::vector<std::string>{asker.address.text()})
    return fail(ErrorKind::invalid, "JitSourceNotOwn",
                fmt::format("The policy opens ports only for the address that the request itself comes from, "
                            "which is {}. Ask from where you will connect from, and name no other source.",
                            asker.address.text()),
                target);
  for (const std::string& source : port.sources)
    for (const IpPrefix& prefix : read_source(source).value_or(std::vector<IpPrefix>())) {
      const unsigned widest = prefix.family() == IpFamily::v4 ? options.widest_v4 : options.widest_v6;
      if (prefix.length() < widest)
        return fail(ErrorKind::invalid, "JitSourceTooWide",
                    fmt::format("The policy opens ports for prefixes of /{} or longer; '{}' is wider. Name "
                                "the addresses that you need.",
                                widest, source),
                    target);
    }
  return {};
}

}  // namespace

Need Service::need_of(WriteContext& context) const {
  return
      [&context](std::string_view action, std::string_view scope) { return context.require(action, scope); };
}

Need Service::need_of(store::Reader& reader, const Principal& principal) const {
  return [this, &reader, principal](std::string_view action, std::string_view scope) -> Result<void> {
    const access::Question question{.action = std::string(action), .scope = std::string(scope)};
    if (TRY(platform_.core.access.check(reader, principal, question)).allowed) return {};
    return fail(
        ErrorKind::forbidden, "AuthorizationFailed",
        fmt::format("'{}' with object id '{}' does not have authorization to perform action '{}' over "
                    "scope '{}'.",
                    principal.name, principal.object_id.text(), action, scope));
  };
}

Result<bool> Service::is_among(store::Reader& reader, const Uuid& principal,
                               const std::vector<Uuid>& listed) {
  const auto ids = TRY(platform_.core.access.principal_and_groups(reader, principal));
  return std::any_of(ids.begin(), ids.end(), [&](const Uuid& id) {
    return std::find(listed.begin(), listed.end(), id) != listed.end();
  });
}

// As they are now: nobody who is gone or disabled.
Result<std::optional<Principal>> Service::principal_of(store::Reader& reader, const std::string& object_id,
                                                       const std::string& name) {
  const auto id = Uuid::parse(object_id);
  if (!id) return std::optional<Principal>();
  const auto found = TRY(platform_.core.directory.find_object(reader, *id));
  if (!found || !found->enabled) return std::optional<Principal>();
  Principal principal;
  principal.object_id = *id;
  principal.kind =
      found->type == "User" ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal;
  principal.name = name;
  return std::optional<Principal>(std::move(principal));
}

Result<void> Service::check_requesters(store::Reader& reader, const Options& options,
                                       const AccessRequest& request, const Principal& asker) {
  const auto refused = [&](const std::string& what) {
    return fail(ErrorKind::forbidden, "JitRequesterNotAllowed",
                "'" + asker.name + "' is not among those who may ask for " + what +
                    ". Who is, stands in the policy's options: 'merlon jit policy options'.");
  };
  if (!options.requesters.empty() && !TRY(is_among(reader, asker.object_id, options.requesters)))
    return refused("access under this policy");
  for (const PortRequesters& restricted : options.ports)
    for (const PortRequest& port : request.ports) {
      if (restricted.number != port.number || (restricted.vm && *restricted.vm != port.vm)) continue;
      if (!TRY(is_among(reader, asker.object_id, restricted.requesters)))
        return refused(fmt::format("port {} of '{}'", port.number, port.vm.name()));
    }
  return {};
}

Result<void> Service::check_asker(store::Reader& reader, const Policy& policy, const Options& options,
                                  const AccessRequest& request, const Principal& asker, const Need& need) {
  const auto unlocked = [&](const ResourceId& id) {
    return platform_.resources.require_unlocked(reader, id.text(), resource::Change::write);
  };
  TRY(need(kInitiatePermission, policy.id.text()));
  TRY(need(kReadPermission, policy.id.text()));
  // A hundred ports may be of one machine.
  std::map<std::string, ResourceId> vms;
  for (const PortRequest& port : request.ports) vms.try_emplace(port.vm.key(), port.vm);
  for (const auto& [key, vm] : vms) {
    TRY(need("Microsoft.Compute/virtualMachines/read", vm.text()));
    TRY(unlocked(vm));
    for (const network::VmInterface& interface : TRY(interfaces_of(reader, vm))) {
      TRY(need("Microsoft.Network/networkInterfaces/read", interface.nic.text()));
      TRY(unlocked(interface.nic));
      // What an opening adds is shown in them: ReadOnly on a security group keeps its doors as they are.
      for (const ResourceId& group : interface.groups) TRY(unlocked(group));
    }
  }
  for (const auto& [key, vm] : vms)
    if (!TRY(platform_.resources.get(reader, vm)))
      return fail(
          ErrorKind::not_found, "ResourceNotFound",
          "The virtual machine '" + vm.text() +
              "' stands in the policy but does not exist any more. Take it out: 'merlon jit policy remove'.",
          fmt::format("virtualMachines[{}].id", vm.text()));
  TRY(check_requesters(reader, options, request, asker));
  const auto says_nothing = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  if (options.justification_required && std::ranges::all_of(request.justification, says_nothing))
    return fail(ErrorKind::invalid, "JitJustificationRequired",
                "The policy asks for a reason. Say why you need access in 'justification' (--justification).",
                "justification");
  for (const PortRequest& port : request.ports) TRY(check_sources(options, port, asker));
  return {};
}

}  // namespace merlon::jit

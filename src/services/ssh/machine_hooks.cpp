// What enrolled machines tell of their SSH servers, and what they are told to trust. A host key that is known
// is replaced by nothing but a report under the agent's certificate, and never without an entry in the
// ledger.
#include "base/text.h"
#include "services/ssh/service.h"

namespace merlon::ssh_identity {
namespace {

using machine::Machine;
using machine::ToldBy;
using resource::WriteContext;

constexpr std::string_view kReportAction = "Merlon.Bastion/sshHostKeys/report/action";

// Kinds that the bastion does not take, such as DSA, are none of its business.
std::vector<std::string> good_lines(const machine::SshFacts& facts) {
  std::vector<std::string> lines;
  for (const std::string& line : facts.host_keys)
    if (const auto key = ssh::PublicKey::from_line(line)) lines.push_back(key->line());
  return lines;
}

ledger::Entry entry_of(const resource::Core& core, const Machine& machine, const KnownHost& before,
                       const KnownHost& after, ToldBy told_by) {
  ledger::Entry entry;
  entry.time = core.clock.now();
  entry.actor = {.kind = "Machine", .object_id = machine.id.text(), .name = machine.name, .address = {}};
  entry.action = kReportAction;
  entry.resource = machine.resource_id;
  entry.details = {{"before", fingerprints_of(before.reported)},
                   {"fingerprints", fingerprints_of(after.reported)},
                   {"vouchedForBy", told_by == ToldBy::token ? "enrolment token" : "agent's certificate"},
                   {"trusted", after.given.empty()}};
  return entry;
}

}  // namespace

Result<void> Service::hear_facts(WriteContext& context, const Machine& machine, ToldBy told_by) {
  if (!machine.facts.ssh) return {};
  const TenantId& tenant = platform_.core.tenant;
  const std::string id = ascii_lower(machine.resource_id);
  KnownHost host = TRY(store::get<KnownHost>(context.tx, tenant, id)).value_or(KnownHost());
  std::vector<std::string> lines = good_lines(*machine.facts.ssh);
  if (lines == host.reported) return {};
  // Whoever has a token alone does not say what is in place of what was known.
  if (told_by == ToldBy::token && (!host.reported.empty() || !host.given.empty())) return {};
  const KnownHost before = host;
  host.machine_id = id;
  host.reported = std::move(lines);
  host.reported_at = context.call.now;
  TRY(store::put(context.tx, tenant, host));
  return platform_.core.ledger.append(context.tx, entry_of(platform_.core, machine, before, host, told_by));
}

// A machine of that name that is enrolled later is another one.
Result<void> Service::forget_machine(WriteContext& context, const Machine& machine) {
  return store::erase<KnownHost>(context.tx, platform_.core.tenant, ascii_lower(machine.resource_id));
}

void Service::follow_machines() {
  platform_.machines.on_enrol([this](WriteContext& context, Machine& machine, const std::string&) {
    return platform_.machines.set_ssh_trust(context.tx, machine.id, {machines_authority().line()});
  });
  platform_.machines.on_facts([this](WriteContext& context, const Machine& machine, ToldBy told_by) {
    return hear_facts(context, machine, told_by);
  });
  platform_.machines.on_remove(
      [this](WriteContext& context, const Machine& machine) { return forget_machine(context, machine); });
}

Result<void> Service::tell_machines() {
  const machine::SshTrust trust{.authority = machines_authority().line()};
  const auto untold = [&](store::Reader& reader) -> Result<std::vector<Uuid>> {
    std::vector<Uuid> ids;
    for (const Machine& machine : TRY(platform_.machines.all(reader)))
      if (!machine.removed && !machine.quarantined && machine.desired.ssh != trust) ids.push_back(machine.id);
    return ids;
  };
  if (TRY(store::read_value<std::vector<Uuid>>(platform_.core.store, untold)).empty()) return {};
  return platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    for (const Uuid& id : TRY(untold(tx))) TRY(platform_.machines.set_ssh_trust(tx, id, trust));
    return {};
  });
}

}  // namespace merlon::ssh_identity

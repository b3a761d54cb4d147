// Enrolling, hearing and changing machines.
#include "machine/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "machine/keys.h"
#include "resource/resource_id.h"

namespace merlon::machine {
namespace {

constexpr int64_t kFirstEpoch = 1;
constexpr size_t kStateBytesMax = size_t{6} * 1024 * 1024;  // agents take answers of 8 MiB
// Of what a machine may report: no time will be as late (2^53 ms), and what is beyond it is no epoch of ours.
constexpr int64_t kEpochMost = 9'007'199'254'740'992;

std::string machine_resource_id(const EnrolmentToken& token) {
  return token.group_id + "/providers/Microsoft.Compute/virtualMachines/" + token.machine_name;
}

bool is_traffic(std::string_view kind) { return kind == "would-drop" || kind == "traffic"; }

// A token is good for as long as whoever made it may make one: somebody who has left leaves no machines
// behind.
Result<identity::Principal> maker_of(const resource::Core& core, store::Reader& reader,
                                     const EnrolmentToken& token) {
  const auto id = Uuid::parse(token.created_by);
  const auto maker = id ? TRY(core.directory.find_object(reader, *id)) : std::nullopt;
  if (maker && maker->enabled) {
    identity::Principal principal;
    principal.object_id = *id;
    principal.kind =
        maker->type == "User" ? identity::PrincipalKind::user : identity::PrincipalKind::service_principal;
    principal.name = maker->display_name;
    if (TRY(core.access.check(reader, principal,
                              {.action = "Merlon.Machines/enrolmentTokens/write", .scope = token.group_id}))
            .allowed)
      return principal;
  }
  return fail(ErrorKind::unauthenticated, "EnrolmentTokenInvalid",
              "Whoever made this enrolment token may not make one any more. Ask somebody who may for another "
              "('merlon machine token').");
}

// An agent refuses what is beyond its bounds (desired_state.cpp), and its record would not be read again: the
// machine would hear of no revocation any more.
Result<void> check_state(const Machine& machine, const JsonObject& state, size_t bytes) {
  const auto read = DesiredState::from_json(state);
  if (read && bytes <= kStateBytesMax) return {};
  const std::string why = read ? fmt::format("Its rules are {} bytes, of at most {}.", bytes, kStateBytesMax)
                               : read.error().message;
  return fail(ErrorKind::invalid, "MachineStateTooLarge",
              fmt::format("The machine '{}' would have to be told more than an agent takes. {} Give it fewer "
                          "addresses, interfaces, rules or identities.",
                          machine.name, why));
}

// Of what it remembers, and of what is in its kernel: it takes nothing older than either.
Version newest_of(const SyncRequest& said) { return std::max(said.have, said.applied.version); }

}  // namespace

std::unexpected<Error> not_enrolled() {
  return fail(ErrorKind::unauthenticated, "MachineNotEnrolled",
              "The key of this agent belongs to no enrolled machine. Enrol it with a new token: 'merlon "
              "machine token'.");
}

bool Fleet::is_recorded(std::string_view kind) { return !is_traffic(kind) && kind != "flows"; }

ledger::Entry Fleet::entry_of(const Machine& machine, std::string_view action, JsonObject details) const {
  ledger::Entry entry;
  entry.time = core.clock.now();
  entry.actor = {.kind = "Machine", .object_id = machine.id.text(), .name = machine.name, .address = {}};
  entry.action = action;
  entry.resource = machine.resource_id;
  entry.details = std::move(details);
  return entry;
}

Result<void> Fleet::check_invitation(store::Reader& reader, const identity::Principal& maker,
                                     const EnrolmentToken& token) {
  for (const InviteHook& hook : invite_hooks) TRY(hook(reader, maker, machine_resource_id(token)));
  return {};
}

Result<EnrolAnswer> Fleet::enrol(store::Transaction& tx, const EnrolRequest& request,
                                 const crypto::PublicKey& key, const IpAddress& peer) {
  EnrolmentToken token = TRY(find_token(tx, core.tenant, request.token, core.clock.now()));
  TRY(check_invitation(tx, TRY(maker_of(core, tx, token)), token));
  Machine machine;
  machine.id = Uuid::generate(core.random);
  machine.name = token.machine_name;
  machine.resource_id = machine_resource_id(token);
  machine.key_hash = crypto::spki_hash_hex(key);
  machine.facts = request.facts;
  machine.mode = token.mode;
  machine.desired.version = {kFirstEpoch, 1};
  machine.desired.mode = token.mode;
  machine.enrolled = core.clock.now();
  machine.certificate_end = machine.enrolled + kAgentCertificateLifetime;
  TRY(manager.require_unlocked(tx, machine.resource_id, resource::Change::write));
  if (TRY(by_resource(tx, machine.resource_id)))
    return fail(ErrorKind::conflict, "MachineAlreadyEnrolled",
                "A machine named '" + machine.name +
                    "' is enrolled in this resource group already. Remove it first with " +
                    "'merlon machine remove', or ask for a token with another name.");
  if (TRY(is_known_key(tx, machine.key_hash)))
    return fail(ErrorKind::conflict, "KeyAlreadyEnrolled",
                "This key belongs to another machine. Enrol with an empty --state directory, so that a new "
                "key is made.");
  token.used = true;
  TRY(store::put(tx, core.tenant, token));
  TRY(store::put(tx, core.tenant, machine));
  ledger::Entry entry = entry_of(machine, "Merlon.Machines/machines/enrol/action",
                                 {{"hostname", machine.facts.hostname},
                                  {"mode", mode_text(machine.mode)},
                                  {"keyHash", machine.key_hash},
                                  {"token", token.id.text()},
                                  {"invitedBy", token.created_by}});
  entry.actor.address = peer.text();
  TRY(manager.as_system(tx, "a machine enrols", [&](resource::WriteContext& context) -> Result<void> {
    for (const EnrolHook& hook : enrol_hooks) TRY(hook(context, machine, token.group_id));
    for (const FactsHook& hook : facts_hooks) TRY(hook(context, machine, ToldBy::token));
    ++context.recorded;  // by the machine itself, as its own act
    return core.ledger.append(tx, entry);
  }));
  EnrolAnswer answer;
  answer.machine_id = machine.id.text();
  answer.resource_id = machine.resource_id;
  answer.certificate_pem = TRY(authority.issue(core, key, machine.id.text()));
  answer.agents_name = "agents." + core.domain;
  return answer;
}

Result<std::optional<Machine>> Fleet::by_resource(store::Reader& reader, std::string_view resource_id) {
  const auto known = TRY(known_.find_first(reader, core.tenant, "resource", ascii_lower(resource_id)));
  if (!known) return std::optional<Machine>();
  Machine machine = *known;
  TRY(add_seen(reader, machine));
  return std::optional<Machine>(std::move(machine));
}

Result<std::vector<Machine>> Fleet::all(store::Reader& reader) {
  std::map<Uuid, Seen> seen;
  for (const Seen& row : TRY(store::scan_all<Seen>(reader, core.tenant))) seen[row.machine] = row;
  auto machines = TRY(readable(reader));
  for (Machine& machine : machines)
    if (const auto row = seen.find(machine.id); row != seen.end()) {
      machine.last_seen = row->second.at;
      machine.seen_from = row->second.from;
    }
  return machines;
}

Result<std::vector<Machine>> Fleet::readable(store::Reader& reader) {
  std::vector<Machine> machines;
  store::Range range;
  for (;;) {
    const auto rows = TRY(reader.scan(Machine::table(), core.tenant, range));
    for (const store::Row& row : rows) {
      auto machine = store::decode<Machine>(row);
      if (machine) {
        machines.push_back(*std::move(machine));
      } else {
        log_error("the record of a machine cannot be read; it is left out", machine.error(),
                  {{"machine", row.key}});
      }
    }
    if (rows.size() < range.limit) return machines;
    range.after = rows.back().key;
  }
}

Result<void> Fleet::add_seen(store::Reader& reader, Machine& machine) {
  if (const auto seen = TRY(store::get<Seen>(reader, core.tenant, machine.id.text()))) {
    machine.last_seen = seen->at;
    machine.seen_from = seen->from;
  }
  return {};
}

Result<void> Fleet::change(store::Transaction& tx, const Uuid& id,
                           const std::function<void(Machine&)>& edit) {
  auto machine = TRY(store::get<Machine>(tx, core.tenant, id.text()));
  if (!machine)
    return fail(ErrorKind::not_found, "MachineNotFound",
                "There is no enrolled machine with the id " + id.text() + ".");
  const std::string before = to_text(machine->desired.to_json());
  edit(*machine);
  const JsonObject after = machine->desired.to_json();
  const std::string text = to_text(after);
  if (text == before) return store::put(tx, core.tenant, *machine);
  TRY(check_state(*machine, after, text.size()));
  ++machine->desired.version.number;
  TRY(store::put(tx, core.tenant, *machine));
  mark_changed(tx, id);
  return {};
}

void Fleet::mark_changed(store::Transaction& tx, const Uuid& id) {
  tx.after_commit([this, text = id.text()] {
    {
      const std::lock_guard lock(mutex_);
      changed_.insert(text);
    }
    const std::lock_guard lock(wake_mutex_);
    if (wake_) wake_();
  });
}

std::set<std::string> Fleet::take_changed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(changed_, {});
}

Result<std::optional<Traffic>> Fleet::traffic_of(store::Reader& reader, const Machine& machine) {
  return store::get<Traffic>(reader, core.tenant, machine.id.text());
}

// A report that cannot be read is left out: what else the machine says still counts. The record is large, so
// that all that is said at once is written once.
Result<void> Fleet::note_traffic(store::Transaction& tx, const Machine& machine,
                                 const std::vector<Observation>& observations) {
  if (std::ranges::none_of(observations, [](const auto& each) { return is_traffic(each.kind); })) return {};
  const Timestamp now = core.clock.now();
  auto traffic = TRY(traffic_of(tx, machine));
  if (!traffic) {
    traffic.emplace();
    traffic->machine = machine.id;
    traffic->since = now;
  }
  for (const Observation& observation : observations) {
    if (observation.kind == "would-drop") traffic->note_would_drop(observation.facts, now);
    if (observation.kind != "traffic") continue;
    if (const auto report = TrafficReport::from_json(observation.facts)) {
      traffic->note(*report, now);
    } else {
      log_error("a machine's traffic report", report.error(), {{"machine", machine.name}});
    }
  }
  return store::put(tx, core.tenant, *traffic);
}

Result<void> Fleet::observe(store::Transaction& tx, const Machine& machine, const Observation& observation) {
  if (is_recorded(observation.kind)) {
    JsonObject details = observation.facts;
    details["seen"] = to_rfc3339(core.clock.now() - observation.age);
    TRY(core.ledger.append(tx, entry_of(machine, "Merlon.Machines/machines/observations/" + observation.kind,
                                        std::move(details))));
  }
  if (observation_hooks.empty()) return {};
  return manager.as_system(tx, "a machine reports", [&](resource::WriteContext& context) -> Result<void> {
    for (const ObservationHook& hook : observation_hooks) TRY(hook(context, machine, observation));
    ++context.recorded;  // as the machine's report
    return {};
  });
}

Result<void> Fleet::tell_facts(store::Transaction& tx, const Machine& machine) {
  if (facts_hooks.empty()) return {};
  return manager.as_system(tx, "a machine reports", [&](resource::WriteContext& context) -> Result<void> {
    for (const FactsHook& hook : facts_hooks) TRY(hook(context, machine, ToldBy::certificate));
    ++context.recorded;  // what matters of them, by the hooks
    return {};
  });
}

// A machine that was told more than this state knows of: two restores of one backup, the second one under a
// clock that was set back or within the same second. It takes nothing older than what it has.
bool Fleet::is_ahead(const Machine& machine, const SyncRequest& said) {
  const Version reported = newest_of(said);
  return !machine.removed && machine.desired.version < reported && reported.epoch <= kEpochMost;
}

Result<void> Fleet::go_beyond(store::Transaction& tx, Machine& machine, const Version& reported) {
  const Version before = machine.desired.version;
  machine.desired.version = {reported.epoch + 1, 1};
  mark_changed(tx, machine.id);
  return core.ledger.append(tx, entry_of(machine, "Merlon.Machines/machines/startEpoch/action",
                                         {{"fromEpoch", before.epoch},
                                          {"toEpoch", machine.desired.version.epoch},
                                          {"reportedEpoch", reported.epoch},
                                          {"reportedNumber", reported.number}}));
}

Result<Machine> Fleet::hear(store::Transaction& tx, const std::string& key_hash, const SyncRequest& said,
                            const IpAddress& from) {
  auto machine = TRY(by_key(tx, key_hash));
  if (!machine) return not_enrolled();
  TRY(note_boot(tx, *machine, said.boot_id, from));
  machine->applied = said.applied;
  if (key_hash == machine->key_hash) TRY(confirm_key(tx, *machine));
  if (is_ahead(*machine, said)) TRY(go_beyond(tx, *machine, newest_of(said)));
  if (said.facts) {
    const std::string boot_id = machine->facts.boot_id;
    machine->facts = *said.facts;
    machine->facts.boot_id = boot_id;
  }
  TRY(store::put(tx, core.tenant, *machine));
  TRY(store::put(tx, core.tenant, Seen{.machine = machine->id, .at = core.clock.now(), .from = from}));
  // Of two copies of one key neither is believed.
  if (machine->quarantined) return *std::move(machine);
  if (said.facts) TRY(tell_facts(tx, *machine));
  TRY(note_traffic(tx, *machine, said.observations));
  for (const Observation& observation : said.observations) TRY(observe(tx, *machine, observation));
  return *std::move(machine);
}

Result<void> Fleet::remove(resource::WriteContext& context, Machine machine) {
  for (const RemoveHook& hook : remove_hooks) TRY(hook(context, machine));
  // The hooks may have changed its desired state: read it again.
  auto current = TRY(store::get<Machine>(context.tx, core.tenant, machine.id.text()));
  MERLON_CHECK(current.has_value());
  // What remains is the key, and that it is let go.
  current->removed = true;
  current->desired.interfaces.clear();
  current->desired.openings.clear();
  current->desired.identity = {};
  current->desired.ssh = {};
  ++current->desired.version.number;
  TRY(store::put(context.tx, core.tenant, *current));
  mark_changed(context.tx, machine.id);
  return {};
}

Result<void> Fleet::forget(store::Transaction& tx, const Machine& machine) {
  TRY(store::erase<Machine>(tx, core.tenant, machine.key()));
  TRY(store::erase<Traffic>(tx, core.tenant, machine.key()));
  TRY(store::erase<Seen>(tx, core.tenant, machine.key()));
  for (const RetiredKey& key : TRY(store::find<RetiredKey>(tx, core.tenant, "machine", machine.key())))
    TRY(store::erase<RetiredKey>(tx, core.tenant, key.key()));
  return core.ledger.append(tx, entry_of(machine, "Merlon.Machines/machines/released/action", {}));
}

// The epoch is the time of the restore in milliseconds, so that a second restore, of an older backup that
// knows nothing of the first one's epoch, still starts a later one. Where the clock was set back between the
// two, go_beyond() makes it later.
Result<size_t> Fleet::start_new_epoch(store::Transaction& tx) {
  const int64_t now = core.clock.now().time_since_epoch().count();
  const auto machines = TRY(readable(tx));
  for (Machine machine : machines) {
    machine.desired.version = {std::max(machine.desired.version.epoch + 1, now), 1};
    machine.desired.openings.clear();
    TRY(store::put(tx, core.tenant, machine));
    mark_changed(tx, machine.id);
  }
  for (EnrolmentToken token : TRY(store::scan_all<EnrolmentToken>(tx, core.tenant))) {
    if (token.used) continue;
    token.used = true;
    TRY(store::put(tx, core.tenant, token));
  }
  return machines.size();
}

}  // namespace merlon::machine

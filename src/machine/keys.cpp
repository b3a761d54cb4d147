// Who has a machine's key. A boot id never comes back on one machine, nor does a key that it has replaced; a
// machine does not start many times in a few minutes. Each of these says that a copy of the key is alive
// (trust.md, Machines; decision 0076), and neither copy is believed from then on.
#include "machine/keys.h"

#include <algorithm>

#include "base/log.h"
#include "base/time_text.h"
#include "identity/sessions.h"
#include "machine/fleet.h"

namespace merlon::machine {
namespace {

constexpr size_t kPastBootIdsMax = 64;
// A thief who invents boot ids must not get the machine's own out of those that are remembered while it is
// away for an hour or two.
constexpr size_t kBootsMost = 4;
constexpr Duration kBootsWithin = std::chrono::minutes(10);
// None is ever forgotten, so there must be an end to them. An agent of ours keeps its key.
constexpr size_t kRetiredMax = 256;
// A request that was made with the key before may be under way while another one confirms the new key.
constexpr Duration kUnderWay = std::chrono::seconds(60);

// Also of servers whose clocks differ, and of one whose clock was set back.
bool is_within(Timestamp now, Timestamp then, Duration time) {
  return (now < then ? then - now : now - then) < time;
}

}  // namespace

const store::TableSpec& RetiredKey::table() {
  static const store::TableSpec spec{"machines_retired_keys", {{"machine", store::Unique::no}}};
  return spec;
}

JsonObject RetiredKey::to_json() const {
  return {{"keyHash", key_hash}, {"machine", machine.text()}, {"at", to_rfc3339(at)}};
}

Result<RetiredKey> RetiredKey::from_json(const JsonObject& json) {
  const auto machine = Uuid::parse(TRY(require_string(json, "machine")));
  const auto at = from_rfc3339(TRY(require_string(json, "at")));
  if (!machine || !at) return internal_error("the record of a machine's former key is malformed");
  return RetiredKey{.key_hash = TRY(require_string(json, "keyHash")), .machine = *machine, .at = *at};
}

std::string quarantine_text(std::string_view reason) {
  if (reason == reason::kRetiredKey)
    return "a key that it had replaced was used again, so somebody has a copy of its state directory";
  if (reason == reason::kManyBoots)
    return "its key came with more than 4 new boot ids within 10 minutes, so either somebody has a copy of "
           "it "
           "or the machine keeps restarting";
  return "its key was seen on two machines";
}

std::unexpected<Error> quarantined_error(const Machine& machine) {
  return fail(ErrorKind::forbidden, "MachineQuarantined",
              "The machine '" + machine.name +
                  "' is quarantined: " + quarantine_text(machine.quarantine_reason) +
                  ". Remove it ('merlon machine remove " + machine.name +
                  "'), find out who could read its state directory, and enrol it anew with an empty one.");
}

Result<std::optional<Machine>> Fleet::by_key(store::Reader& reader, const std::string& key_hash) {
  for (const std::string index : {"key_hash", "previous_key_hash"})
    if (const auto known = TRY(known_.find_first(reader, core.tenant, index, key_hash)))
      return std::optional<Machine>(*known);
  auto former = TRY(by_retired_key(reader, key_hash));
  if (former && !former->removed) former.reset();
  return former;
}

Result<std::optional<Machine>> Fleet::by_retired_key(store::Reader& reader, const std::string& key_hash) {
  const auto retired = TRY(store::get<RetiredKey>(reader, core.tenant, key_hash));
  if (!retired) return std::optional<Machine>();
  return store::get<Machine>(reader, core.tenant, retired->machine.text());
}

Result<std::optional<Machine>> Fleet::betrayed_by(store::Reader& reader, const std::string& key_hash) {
  const auto retired = TRY(store::get<RetiredKey>(reader, core.tenant, key_hash));
  if (!retired || is_within(core.clock.now(), retired->at, kUnderWay)) return std::optional<Machine>();
  return by_retired_key(reader, key_hash);
}

Result<bool> Fleet::is_known_key(store::Reader& reader, const std::string& key_hash) {
  return TRY(by_key(reader, key_hash)).has_value() || TRY(by_retired_key(reader, key_hash)).has_value();
}

Result<void> Fleet::retire(store::Transaction& tx, const Machine& machine, const std::string& key_hash) {
  return store::put(tx, core.tenant,
                    RetiredKey{.key_hash = key_hash, .machine = machine.id, .at = core.clock.now()});
}

Result<void> Fleet::confirm_key(store::Transaction& tx, Machine& machine) {
  if (machine.previous_key_hash.empty()) return {};
  TRY(retire(tx, machine, machine.previous_key_hash));
  machine.previous_key_hash.clear();
  return {};
}

Result<void> Fleet::quarantine(store::Transaction& tx, Machine& machine, std::string_view reason,
                               const IpAddress& from, JsonObject details) {
  machine.quarantined = true;
  machine.quarantine_reason = reason;
  machine.desired.openings.clear();
  machine.desired.identity = {};
  machine.desired.ssh = {};
  ++machine.desired.version.number;
  mark_changed(tx, machine.id);
  log(LogLevel::error, "a machine is quarantined: " + quarantine_text(reason),
      {{"machine", machine.name}, {"address", from.text()}});
  // And what either copy has had tokens for. The session of an identity's token is its machine's
  // (sessions.h).
  tx.urgent();
  TRY(identity::end_session(tx, core.tenant, machine.id));
  details["reason"] = reason;
  ledger::Entry entry = entry_of(machine, "Merlon.Machines/machines/quarantine/action", std::move(details));
  entry.actor.address = from.text();
  return core.ledger.append(tx, entry);
}

Result<void> Fleet::note_boot(store::Transaction& tx, Machine& machine, const std::string& boot_id,
                              const IpAddress& from) {
  if (machine.quarantined || boot_id == machine.facts.boot_id) return {};
  const JsonObject ids = {{"bootId", boot_id}, {"otherBootId", machine.facts.boot_id}};
  auto& past = machine.past_boot_ids;
  if (std::ranges::find(past, boot_id) != past.end())
    return quarantine(tx, machine, reason::kTwoBoots, from, ids);
  const Timestamp now = core.clock.now();
  std::erase_if(machine.recent_boots, [&](Timestamp then) { return !is_within(now, then, kBootsWithin); });
  if (machine.recent_boots.size() >= kBootsMost)
    return quarantine(tx, machine, reason::kManyBoots, from, ids);
  machine.recent_boots.push_back(now);
  past.push_back(machine.facts.boot_id);
  if (past.size() > kPastBootIdsMax) past.erase(past.begin());
  machine.facts.boot_id = boot_id;
  return {};
}

Result<Machine> Fleet::retired_key_used(store::Transaction& tx, const std::string& key_hash,
                                        const IpAddress& from) {
  auto machine = TRY(betrayed_by(tx, key_hash));
  if (!machine) return not_enrolled();
  if (machine->quarantined || machine->removed) return *std::move(machine);
  TRY(quarantine(tx, *machine, reason::kRetiredKey, from, {{"keyHash", key_hash}}));
  TRY(store::put(tx, core.tenant, *machine));
  return *std::move(machine);
}

// `held` asks for `wanted`. An answer may be lost, and an agent may die before it has kept what it got: the
// key that it had stays good until the new one was used, whatever it asks for until then.
Result<void> Fleet::change_key(store::Transaction& tx, Machine& machine, const std::string& held,
                               const std::string& wanted) {
  if (held == machine.key_hash) TRY(confirm_key(tx, machine));
  if (wanted == machine.key_hash) return {};
  const bool goes_back = wanted == machine.previous_key_hash;
  if (!goes_back && TRY(is_known_key(tx, wanted)))
    return fail(ErrorKind::conflict, "KeyAlreadyEnrolled",
                "The new key belongs to another machine, or this one had it before. Make a new one.");
  if (TRY(store::find<RetiredKey>(tx, core.tenant, "machine", machine.key())).size() >= kRetiredMax)
    return fail(ErrorKind::conflict, "TooManyKeys",
                "The machine '" + machine.name + "' has had " + std::to_string(kRetiredMax) +
                    " keys. Renew the certificate of the one that it has, or remove the machine and enrol it "
                    "anew.");
  if (held == machine.key_hash) {
    machine.previous_key_hash = held;
  } else {
    TRY(retire(tx, machine, machine.key_hash));
    if (goes_back) machine.previous_key_hash.clear();
  }
  machine.key_hash = wanted;
  return {};
}

Result<std::string> Fleet::renew(store::Transaction& tx, const std::string& key_hash,
                                 const crypto::PublicKey& wanted) {
  auto machine = TRY(by_key(tx, key_hash));
  if (!machine || machine->removed) return not_enrolled();
  if (machine->quarantined) return quarantined_error(*machine);
  TRY(change_key(tx, *machine, key_hash, crypto::spki_hash_hex(wanted)));
  machine->certificate_end = core.clock.now() + kAgentCertificateLifetime;
  TRY(store::put(tx, core.tenant, *machine));
  TRY(core.ledger.append(
      tx, entry_of(*machine, "Merlon.Machines/machines/renew/action", {{"keyHash", machine->key_hash}})));
  return authority.issue(core, wanted, machine->id.text());
}

}  // namespace merlon::machine

// The rules about machines, without HTTP: what their records become. Used by the routes and by the agent
// channel.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "machine/agents_authority.h"
#include "machine/machines.h"
#include "machine/seen.h"
#include "machine/tokens.h"
#include "machine/traffic.h"
#include "store/known_records.h"

namespace merlon::machine {

class Fleet {
 public:
  Fleet(const resource::Core& core_in, resource::Manager& manager_in, const grant::Grants& grants_in,
        AgentsAuthority authority_in)
      : core(core_in), manager(manager_in), grants(grants_in), authority(std::move(authority_in)) {}

  const resource::Core& core;
  resource::Manager& manager;
  const grant::Grants& grants;  // whose clock judges deadlines: the one that machines are told
  const AgentsAuthority authority;
  std::vector<InviteHook> invite_hooks;
  std::vector<EnrolHook> enrol_hooks;
  std::vector<RemoveHook> remove_hooks;
  std::vector<FactsHook> facts_hooks;
  std::vector<ObservationHook> observation_hooks;
  TokenHook token_hook;

  // What stands against a token by this maker, if anything does.
  Result<void> check_invitation(store::Reader& reader, const identity::Principal& maker,
                                const EnrolmentToken& token);
  Result<EnrolAnswer> enrol(store::Transaction& tx, const EnrolRequest& request, const crypto::PublicKey& key,
                            const IpAddress& peer);
  Result<std::optional<Machine>> by_resource(store::Reader& reader, std::string_view resource_id);
  // Those that can be read: one that cannot must not stand in the way of the others, nor of a start.
  Result<std::vector<Machine>> all(store::Reader& reader);
  // With when it was last seen: a machine's record alone does not say.
  Result<void> add_seen(store::Reader& reader, Machine& machine);
  // Whose key this is now, or may still be; and whose it was, where that machine is removed: it must let go
  // whatever its key has become.
  Result<std::optional<Machine>> by_key(store::Reader& reader, const std::string& key_hash);
  // Whose key this was, and no request that the machine itself has made with it can still be under way: two
  // are alive, of which one is not the machine.
  Result<std::optional<Machine>> betrayed_by(store::Reader& reader, const std::string& key_hash);
  // Quarantines that machine, and answers it.
  Result<Machine> retired_key_used(store::Transaction& tx, const std::string& key_hash,
                                   const IpAddress& from);
  // Changes a machine's desired state; the number grows only when something differs. What no agent would take
  // is refused here, where somebody is told.
  Result<void> change(store::Transaction& tx, const Uuid& id, const std::function<void(Machine&)>& edit);
  // Records what an agent said. Answers the machine as it is then.
  Result<Machine> hear(store::Transaction& tx, const std::string& key_hash, const SyncRequest& said,
                       const IpAddress& from);
  // It has a newer version than this state knows of: hear() starts an epoch for it that is newer still.
  static bool is_ahead(const Machine& machine, const SyncRequest& said);
  // Is such an observation entered in the ledger, one by one? The rest is material for findings.
  static bool is_recorded(std::string_view kind);
  Result<std::string> renew(store::Transaction& tx, const std::string& key_hash,
                            const crypto::PublicKey& wanted);
  // A key that its machine has asked for and not used yet: it may be asked for news and renewed, no more.
  static bool is_unconfirmed(const Machine& machine, const std::string& key_hash) {
    return key_hash == machine.key_hash && !machine.previous_key_hash.empty();
  }
  Result<void> remove(resource::WriteContext& context, Machine machine);
  Result<void> forget(store::Transaction& tx, const Machine& machine);  // its agent has taken the rules down
  Result<size_t> start_new_epoch(store::Transaction& tx);
  // What it has reported in audit mode; nothing before its first report.
  Result<std::optional<Traffic>> traffic_of(store::Reader& reader, const Machine& machine);
  ledger::Entry entry_of(const Machine& machine, std::string_view action, JsonObject details) const;

  // May be taken back while writes commit.
  void on_wake(std::function<void()> wake) {
    const std::lock_guard lock(wake_mutex_);
    wake_ = std::move(wake);
  }
  std::set<std::string> take_changed();  // ids of machines whose desired state has moved since the last call

 private:
  Result<void> note_traffic(store::Transaction& tx, const Machine& machine,
                            const std::vector<Observation>& observations);
  Result<void> tell_facts(store::Transaction& tx, const Machine& machine);
  Result<void> observe(store::Transaction& tx, const Machine& machine, const Observation& observation);
  Result<std::vector<Machine>> readable(store::Reader& reader);
  Result<void> note_boot(store::Transaction& tx, Machine& machine, const std::string& boot_id,
                         const IpAddress& from);
  Result<void> confirm_key(store::Transaction& tx, Machine& machine);
  Result<void> change_key(store::Transaction& tx, Machine& machine, const std::string& held,
                          const std::string& wanted);
  Result<void> retire(store::Transaction& tx, const Machine& machine, const std::string& key_hash);
  Result<std::optional<Machine>> by_retired_key(store::Reader& reader, const std::string& key_hash);
  Result<bool> is_known_key(store::Reader& reader, const std::string& key_hash);
  Result<void> quarantine(store::Transaction& tx, Machine& machine, std::string_view reason,
                          const IpAddress& from, JsonObject details);
  void mark_changed(store::Transaction& tx, const Uuid& id);
  Result<void> go_beyond(store::Transaction& tx, Machine& machine, const Version& reported);

  store::KnownRecords<Machine> known_;
  std::mutex wake_mutex_;
  std::function<void()> wake_;
  std::mutex mutex_;
  std::set<std::string> changed_;
};

std::unexpected<Error> not_enrolled();
std::unexpected<Error> quarantined_error(const Machine& machine);

}  // namespace merlon::machine

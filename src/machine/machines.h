// Enrolled machines: tokens, keys, desired state, and the server's end of the agent channel.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grant/grant.h"
#include "machine/messages.h"
#include "resource/manager.h"

namespace merlon::machine {

const std::vector<store::TableSpec>& tables();

struct Machine {
  Uuid id;
  std::string name;
  std::string resource_id;        // of the virtual machine, as created
  std::string key_hash;           // SPKI hash of the enrolled key: who the agent is (unique index)
  std::string previous_key_hash;  // accepted until the new key was used, after a renewal
  MachineFacts facts;
  Mode mode = Mode::audit;
  bool quarantined = false;                // two have its key, or had (keys.h)
  std::string quarantine_reason;           // a word of keys.h; empty from before there were several
  bool removed = false;                    // deleted; kept until the agent has said that its rules are down
  std::vector<std::string> past_boot_ids;  // newest last, bounded; one that comes back is a clone
  std::vector<Timestamp> recent_boots;     // when the last few of them came, by the server's clock
  DesiredState desired;
  Applied applied;
  std::optional<Timestamp> last_seen;  // within a minute or so (seen.h)
  std::optional<IpAddress> seen_from;  // where its agent was then
  Timestamp enrolled;
  Timestamp certificate_end;
  static const store::TableSpec& table();  // indexes: resource (lower-case id, unique), key_hash (unique)
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Machine> from_json(const JsonObject& json);
};

// What enrolment makes beside the machine: each service adds its part, in order of registration, in the
// enrolling transaction (the virtual machine first, then network interface, network and security group).
using EnrolHook =
    std::function<Result<void>(resource::WriteContext&, Machine&, const std::string& resource_group_id)>;
// Whether the holder of an enrolment token may become this machine, of which something may be known before:
// asked when the token is made, and again when it is used. `maker` is whoever made it.
using InviteHook = std::function<Result<void>(store::Reader&, const identity::Principal& maker,
                                              const std::string& machine_resource_id)>;
using RemoveHook = std::function<Result<void>(resource::WriteContext&, const Machine&)>;
// What a machine is, as its agent has told: at its enrolment, which a token alone vouches for, and later
// under its certificate. In the transaction that keeps it.
enum class ToldBy : uint8_t { token, certificate };
using FactsHook = std::function<Result<void>(resource::WriteContext&, const Machine&, ToldBy)>;
// What the agent saw, after authentication: services may react (in a write of their own).
using ObservationHook =
    std::function<Result<void>(resource::WriteContext&, const Machine&, const Observation&)>;

// Answers an agent that asks for a token of one of its machine's identities: judges, records and issues.
// `origin` is the control plane's, as the agent reaches it.
using TokenHook =
    std::function<Result<TokenAnswer>(const Machine&, const TokenRequest&, const std::string& origin)>;

class Machines {
 public:
  // Opens or makes the agents' authority (sealed) and declares the Merlon.Machines routes on the manager:
  //   POST RG/providers/Merlon.Machines/enrolmentTokens   {name, enforce, lifetime?} → {token, expires}
  //   (…/enrolmentTokens/write) GET  RG|subscription /providers/Merlon.Machines/machines[/{name}]
  //   (…/machines/read) POST RG/providers/Merlon.Machines/machines/{name}/enforce {confirmCut?}
  //   (…/machines/enforce/action) POST RG/providers/Merlon.Machines/machines/{name}/audit
  //   (…/machines/enforce/action) DELETE RG/providers/Merlon.Machines/machines/{name} (…/machines/delete)
  static Result<std::unique_ptr<Machines>> open(const resource::Core& core, resource::Manager& manager,
                                                grant::Grants& grants);
  virtual ~Machines() = default;

  // Called when an agent's wait may be over, from the writer's thread after COMMIT: answer_waits() soon.
  virtual void on_wake(std::function<void()> wake) = 0;

  virtual void on_invite(InviteHook hook) = 0;
  virtual void on_enrol(EnrolHook hook) = 0;
  virtual void on_remove(RemoveHook hook) = 0;
  virtual void on_facts(FactsHook hook) = 0;
  virtual void on_observation(ObservationHook hook) = 0;
  virtual void on_token(TokenHook hook) = 0;

  virtual Result<std::optional<Machine>> by_resource(store::Reader& reader, std::string_view resource_id) = 0;
  virtual Result<std::optional<Machine>> get(store::Reader& reader, const Uuid& id) = 0;
  virtual Result<std::vector<Machine>> all(store::Reader& reader) = 0;
  // Replace a part of the desired state; the number grows only when something differs; waiting agents are
  // woken after COMMIT.
  virtual Result<void> set_interfaces(store::Transaction& tx, const Uuid& id,
                                      std::vector<InterfacePolicy> interfaces) = 0;
  virtual Result<void> set_openings(store::Transaction& tx, const Uuid& id,
                                    std::vector<Opening> openings) = 0;
  virtual Result<void> set_identity_endpoint(store::Transaction& tx, const Uuid& id,
                                             IdentityEndpoint endpoint) = 0;
  virtual Result<void> set_ssh_trust(store::Transaction& tx, const Uuid& id, SshTrust trust) = 0;
  virtual Result<void> set_mode(store::Transaction& tx, const Uuid& id, Mode mode) = 0;

  // The agent channel. Enrolment on the control plane; the rest on the agents plane. Sync may answer later.
  virtual bool handles(const net::Request& request) const = 0;
  virtual void handle(net::Request request, net::Responder respond) = 0;
  virtual std::string agents_authority_pem() const = 0;
  // Answers waits that are over. Reads alone, so that nobody who waits for an opening waits for a write too.
  virtual void answer_waits() = 0;
  virtual void tick() = 0;  // several times a second: the same, and writes down when machines were seen
  virtual void stop() = 0;  // answers all waits
  // Another server has committed something: at the next tick every machine that waits here is looked at
  // again. From any thread.
  virtual void others_wrote() = 0;
  // After a restore (trust.md, Versions and restore): a new epoch for every machine, and no enrolment token
  // from before is good. How many machines.
  virtual Result<size_t> start_new_epoch(store::Transaction& tx) = 0;
};

}  // namespace merlon::machine

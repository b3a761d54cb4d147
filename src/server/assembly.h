// Every room, built by hand in the order of the architecture and owned in one place. Tests assemble the same
// thing with a clock of their own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "access/access.h"
#include "grant/grant.h"
#include "identity/endpoints.h"
#include "machine/machines.h"
#include "machine/platform.h"
#include "recording/place.h"
#include "recording/recordings.h"
#include "resource/begun_writes.h"
#include "resource/manager.h"
#include "server/settings.h"
#include "services/bastion/api.h"
#include "services/compute/api.h"
#include "services/credential/api.h"
#include "services/jit/api.h"
#include "services/managed_identity/api.h"
#include "services/network/api.h"
#include "services/recordings/api.h"
#include "services/ssh/api.h"
#include "services/terminal/api.h"
#include "services/vault/api.h"
#include "store/lease.h"
#include "store/server_store.h"

namespace merlon::server {

struct AssemblyParameters {
  std::string state_dir;
  std::string domain;
  seal::RootPlace root_key;
  std::string store_url = "sqlite";  // or postgres://…
  bool restoring = false;            // a backup is being restored into the store: not yet to be served
  std::optional<resource::RateLimits> rate_limits{};  // none: nobody is throttled
  std::vector<std::string> private_issuers{};  // foreign token issuers that may be at private addresses
  std::vector<IpPrefix> bastion_reaches{};     // services/bastion/api.h
  recording::RecordingLimits recordings{};
  std::string hsm{};                       // the hardware token of vaults' keys, by its URI; empty: none
  std::vector<std::string> own_audiences;  // Resource Manager audiences beside the origins asked for
};

class Assembly {
 public:
  static Result<std::unique_ptr<Assembly>> make(const AssemblyParameters& parameters, const Clock& clock,
                                                Random& random);
  // The same over a store that the caller brings: the simulator's, which fails when it is told to.
  static Result<std::unique_ptr<Assembly>> assemble(std::unique_ptr<store::ServerStore> store,
                                                    const AssemblyParameters& parameters, const Clock& clock,
                                                    Random& random);
  ~Assembly();

  // Any request of either plane that has passed the edge. Blocks on the store: runs on a worker.
  void handle(net::Request request, net::Responder respond);
  // Of identity's endpoints alone; nothing when the request is for another part.
  std::optional<net::Response> sign_in(const net::Request& request, const std::string& origin);
  // What the control plane can answer without waiting (net/server.h).
  std::optional<net::Response> answer_at_once(const net::Request& request);
  // Whether a write of the control plane has begun that will be answered when it is durable.
  bool begin_at_once(const std::shared_ptr<const net::Request>& request, const net::LateAnswer& answer);
  // A request for a WebSocket that has passed the edge. Blocks on the store: runs on a worker.
  std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request);
  // What time makes due: expiry first. Called several times a second.
  void tick();
  // Writes to the disk what recordings have gathered: several times a second, on a thread that may wait for
  // the disk.
  void tick_recordings();
  void tick_flow_logs();  // likewise, what machines have reported for flow logs
  void stop();            // answers what waits, writes what is pending

  const Settings& settings() const { return settings_; }
  store::ServerStore& store() { return *store_; }
  const resource::Core& core() const { return *core_; }
  resource::Manager& manager() { return *manager_; }
  grant::Grants& grants() { return *grants_; }
  machine::Machines& machines() { return *machines_; }
  recording::Recordings* recordings() { return recordings_.get(); }  // none without a state directory
  bastion::Bastion& bastion() { return *bastion_; }
  terminal::Terminal& terminal() { return *terminal_; }
  seal::Seal& seal() { return *seal_; }
  ssh_identity::SshIdentities& ssh() { return *ssh_; }
  credential::MachineCredentials& credentials() { return *credentials_; }

  // From now on, what other servers on the same database commit is heard of: agents that wait here are looked
  // at again, after `wake`, at the next tick. An empty one ends that.
  void listen_to_others(std::function<void()> wake);

 private:
  Assembly() = default;
  void end_what_is_due();
  static Result<std::unique_ptr<recording::PlaceClaim>> claim_place(store::Store& store,
                                                                    const std::string& directory,
                                                                    const Clock& clock, Random& random);
  Result<void> open_recordings(const recording::RecordingLimits& limits);

  Settings settings_;
  std::string state_dir_;
  std::unique_ptr<store::ServerStore> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<identity::Directory> directory_;
  std::unique_ptr<identity::Issuer> issuer_;
  std::unique_ptr<access::Access> access_;
  std::unique_ptr<resource::Core> core_;
  std::unique_ptr<identity::Endpoints> endpoints_;
  std::unique_ptr<resource::Manager> manager_;
  resource::BegunWrites* begun_writes_ = nullptr;  // the same, or none
  std::unique_ptr<grant::Grants> grants_;
  std::unique_ptr<machine::Machines> machines_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<compute::Compute> compute_;
  managed_identity::Handle identities_;
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<vault::Vaults> vaults_;
  std::unique_ptr<jit::Jit> jit_;
  std::unique_ptr<recording::PlaceClaim> place_;  // where the store is shared
  bool place_is_lost_ = false;
  std::unique_ptr<recording::Recordings> recordings_;
  recordings::Handle recording_routes_;
  std::unique_ptr<bastion::Bastion> bastion_;
  std::unique_ptr<ssh_identity::SshIdentities> ssh_;
  std::unique_ptr<credential::MachineCredentials> credentials_;
  std::unique_ptr<terminal::Terminal> terminal_;
  std::unique_ptr<store::Lease> timers_;  // on what one server does for all
  bool lease_failed_ = false;
  bool bastion_failed_ = false;
  std::atomic<bool> others_wrote_ = false;
  Timestamp flushed_{};
};

}  // namespace merlon::server

// The machine room's front: records and rules (fleet.h), routes (routes.h) and the agent channel (channel.h)
// as one.
#include "machine/machines.h"

#include "machine/channel.h"
#include "machine/keys.h"
#include "machine/reach.h"
#include "machine/routes.h"
#include "machine/traffic.h"

namespace merlon::machine {
namespace {

class MachinesImpl final : public Machines, public Reach {
 public:
  MachinesImpl(const resource::Core& core, resource::Manager& manager, const grant::Grants& grants,
               AgentsAuthority authority)
      : fleet_(core, manager, grants, std::move(authority)),
        switchboard_(core, [this](const std::string& machine_id) { channel_.hurry(machine_id); }),
        channel_(fleet_, switchboard_) {
    add_routes(fleet_);
  }

  void on_wake(std::function<void()> wake) override { fleet_.on_wake(std::move(wake)); }
  void on_invite(InviteHook hook) override { fleet_.invite_hooks.push_back(std::move(hook)); }
  void on_enrol(EnrolHook hook) override { fleet_.enrol_hooks.push_back(std::move(hook)); }
  void on_remove(RemoveHook hook) override { fleet_.remove_hooks.push_back(std::move(hook)); }
  void on_facts(FactsHook hook) override { fleet_.facts_hooks.push_back(std::move(hook)); }
  void on_observation(ObservationHook hook) override { fleet_.observation_hooks.push_back(std::move(hook)); }

  void on_token(TokenHook hook) override { fleet_.token_hook = std::move(hook); }

  Result<std::optional<Machine>> by_resource(store::Reader& reader, std::string_view resource_id) override {
    return fleet_.by_resource(reader, resource_id);
  }
  Result<std::optional<Machine>> get(store::Reader& reader, const Uuid& id) override {
    auto machine = TRY(store::get<Machine>(reader, fleet_.core.tenant, id.text()));
    if (machine) TRY(fleet_.add_seen(reader, *machine));
    return machine;
  }
  Result<std::vector<Machine>> all(store::Reader& reader) override { return fleet_.all(reader); }
  Result<void> set_interfaces(store::Transaction& tx, const Uuid& id,
                              std::vector<InterfacePolicy> interfaces) override {
    return fleet_.change(tx, id,
                         [&](Machine& machine) { machine.desired.interfaces = std::move(interfaces); });
  }
  Result<void> set_openings(store::Transaction& tx, const Uuid& id, std::vector<Opening> openings) override {
    return fleet_.change(tx, id, [&](Machine& machine) { machine.desired.openings = std::move(openings); });
  }
  Result<void> set_identity_endpoint(store::Transaction& tx, const Uuid& id,
                                     IdentityEndpoint endpoint) override {
    return fleet_.change(tx, id, [&](Machine& machine) { machine.desired.identity = std::move(endpoint); });
  }
  Result<void> set_ssh_trust(store::Transaction& tx, const Uuid& id, SshTrust trust) override {
    return fleet_.change(tx, id, [&](Machine& machine) { machine.desired.ssh = std::move(trust); });
  }
  Result<void> set_mode(store::Transaction& tx, const Uuid& id, Mode mode) override {
    return fleet_.change(tx, id, [&](Machine& machine) {
      machine.mode = mode;
      machine.desired.mode = mode;
    });
  }

  bool handles(const net::Request& request) const override { return channel_.handles(request); }
  void handle(net::Request request, net::Responder respond) override {
    channel_.handle(std::move(request), std::move(respond));
  }
  std::optional<IpAddress> seen_from(const Machine& machine) override {
    return switchboard_.seen_from(machine);
  }
  bool is_behind_translation(const Machine& machine) override {
    return switchboard_.is_behind_translation(machine);
  }
  Result<int> reach(const Machine& machine, const IpAddress& address, uint16_t port) override {
    return switchboard_.reach(machine, address, port);
  }
  void advertise(const ServerAddress& server) override { switchboard_.advertise(server); }
  std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) override {
    return channel_.upgrade(request);
  }
  std::string agents_authority_pem() const override { return fleet_.authority.certificate_pem(); }
  void answer_waits() override { channel_.answer_waits(); }
  void tick() override { channel_.tick(); }
  void stop() override {
    switchboard_.stop();
    channel_.stop();
  }
  void others_wrote() override { channel_.others_wrote(); }
  Result<size_t> start_new_epoch(store::Transaction& tx) override { return fleet_.start_new_epoch(tx); }

 private:
  Fleet fleet_;
  Switchboard switchboard_;
  Channel channel_;
};

}  // namespace

// There is one implementation, which open() makes.
Reach& reach_of(Machines& machines) { return static_cast<MachinesImpl&>(machines); }

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> specs = {
      Machine::table(), EnrolmentToken::table(), AgentsAuthority::table(), Traffic::table(),
      Seen::table(),    LeftCall::table(),       RetiredKey::table()};
  return specs;
}

Result<std::unique_ptr<Machines>> Machines::open(const resource::Core& core, resource::Manager& manager,
                                                 grant::Grants& grants) {
  auto authority = TRY(AgentsAuthority::open(core));
  return std::make_unique<MachinesImpl>(core, manager, grants, std::move(authority));
}

}  // namespace merlon::machine

// A whole server's rules without sockets, for the tests of the bastion: people with roles, described machines
// in peered networks, an enrolled one, and a clock in the test's hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "crypto/key.h"
#include "crypto/x509.h"
#include "grant/foundation_fixture.h"
#include "identity/test_people.h"
#include "machine/messages.h"
#include "services/bastion/service.h"

namespace merlon::bastion {

using grant::must;

inline const std::string kScope = "/subscriptions/22222222-2222-4222-8222-222222222222";
inline const std::string kRg = kScope + "/resourceGroups/rg1";
inline const std::string kNet = kRg + "/providers/Microsoft.Network/";
inline const std::string kMachines = kRg + "/providers/Microsoft.Compute/virtualMachines/";
inline const std::string kHostId = kNet + "bastionHosts/bst";
inline constexpr const char* kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kReaderRole = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
// Virtual Machine Administrator Login
inline constexpr const char* kAdminLoginRole = "1c0163c0-47e6-4577-8991-ea5c82e286e4";
inline constexpr const char* kServerAddress = "10.1.0.9";

class BastionFixture : public testing::Test {
 protected:
  struct Person {
    Uuid id;
    std::string name;
    std::vector<std::string> amr = {"pwd"};
  };
  struct Answer {
    int status = 0;
    JsonObject body;
    net::Headers headers;
    std::string code() const { return string_at(body, "error.code").value_or(""); }
    std::string message() const { return string_at(body, "error.message").value_or(""); }
    std::string at(std::string_view path) const { return string_at(body, path).value_or(""); }
  };

  BastionFixture() : world_(clock_, tables_of_rooms()) {
    start();
    client_ = must(store::write_value<Uuid>(world_.store(), [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(core().directory.create_application(tx, application)).first.app_id;
    }));
    owner_ = person("owner");
    assign(owner_.id, kOwnerRole, "/");
    ada_ = person("ada");
    EXPECT_EQ(send(owner_, "PUT", kRg, {{"location", "local"}}).status, 201);
    assign(ada_.id, kReaderRole, kRg);
  }
  ~BastionFixture() override { stop(); }

  // A new process on the same disk.
  void start() {
    stop();
    world_.open();
    grants_ = std::make_unique<grant::Grants>(core(), world_.manager());
    machines_ = must(machine::Machines::open(core(), world_.manager(), *grants_));
    platform_.reset(new Platform{core(), world_.manager(), *grants_, *machines_});
    compute_ = compute::install(*platform_);
    network_ = network::install(*platform_, *compute_);
    jit_ = jit::install(*platform_, *network_);
    bastion_ = install(*platform_, *compute_, *network_, *jit_,
                       {.source_for = [this](const IpAddress&) { return IpAddress::parse(source_); },
                        .alone = true,
                        .reaches = reaches_});
  }
  void stop() {
    if (machines_) machines_->stop();
    bastion_.reset();
    jit_.reset();
    network_.reset();
    compute_.reset();
    platform_.reset();
    machines_.reset();
    grants_.reset();
    world_.close();
  }
  const resource::Core& core() const { return world_.core(); }
  void tick() {
    must(grants_->expire_due());
    must(bastion_->tick({}, true));
  }
  void pass(Duration time) {
    clock_.advance(time);
    tick();
  }

  Person person(const std::string& name) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    const auto made = must(store::write_value<identity::User>(
        world_.store(), [&](auto& tx) { return core().directory.create_user(tx, user); }));
    return {.id = made.id, .name = made.user_principal_name};
  }
  void assign(const Uuid& principal, const char* role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(world_.random);
    assignment.scope = scope;
    assignment.role_definition_id = *Uuid::parse(role);
    assignment.principal_id = principal;
    must(store::write_value<access::RoleAssignment>(
        world_.store(), [&](auto& tx) { return core().access.assign(tx, assignment); }));
  }
  void unassign_all(const Person& who, const std::string& scope = kRg) {
    must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
      for (const auto& assignment :
           TRY(core().access.assignments(tx, scope, access::Access::Reach::at_scope)))
        if (assignment.principal_id == who.id)
          TRY(core().access.unassign(tx, assignment.scope, assignment.id));
      return {};
    }));
  }

  identity::Principal principal(const Person& who) {
    identity::Principal principal;
    principal.object_id = who.id;
    principal.name = who.name;
    principal.app_id = client_;
    principal.amr = who.amr;
    principal.auth_time = clock_.now();
    principal.session_id = identity::session_of(core().store, core().tenant, who.id, clock_.now());
    principal.address = *IpAddress::parse("198.51.100.7");
    return principal;
  }
  std::string token_for(const Person& who) {
    identity::TokenSubject subject;
    subject.principal = principal(who);
    subject.audience = std::string(grant::Foundation::kOrigin) + "/";
    subject.scope = "user_impersonation";
    subject.user_principal_name = who.name;
    subject.session_id = subject.principal.session_id;
    return must(core().issuer.issue(subject, grant::Foundation::kOrigin, std::chrono::hours(1)));
  }
  static net::Request request_to(const std::string& method, const std::string& target) {
    net::Request request;
    request.method = method;
    request.target = target;
    auto parsed = must(net::parse_target(target));
    request.path = parsed.path;
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.host = "merlon.localhost:8443";
    request.request_id = "00000000-0000-4000-8000-000000000001";
    request.peer = *IpAddress::parse("198.51.100.7");
    return request;
  }
  Answer send(const Person& who, const std::string& method, const std::string& path,
              const JsonObject& body = {}) {
    net::Request request = request_to(method, path + "?api-version=2025-05-01");
    if (method == "PUT" || method == "POST" || method == "PATCH") {
      request.body = to_text(body);
      request.headers.set("Content-Type", "application/json");
    }
    request.headers.set("Authorization", "Bearer " + token_for(who));
    const net::Response response = world_.manager().handle(request, grant::Foundation::kOrigin);
    Answer answer{response.status, {}, response.headers};
    if (response.body.starts_with("{")) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  JsonObject call(const Person& who, const std::string& method, const std::string& path,
                  const JsonObject& body, int expected) {
    Answer answer = send(who, method, path, body);
    EXPECT_EQ(answer.status, expected) << method << " " << path << "\n" << to_text(answer.body);
    return std::move(answer.body);
  }

  static JsonObject subnet(const std::string& name, const std::string& prefix) {
    return {{"name", name}, {"properties", JsonObject{{"addressPrefix", prefix}}}};
  }
  // A network with a subnet "a" and one for a bastion.
  void make_network(const std::string& name, int second = 1) {
    const std::string base = "10." + std::to_string(second) + ".";
    call(owner_, "PUT", kNet + "virtualNetworks/" + name,
         {{"location", "local"},
          {"properties",
           JsonObject{{"addressSpace", JsonObject{{"addressPrefixes", JsonArray{base + "0.0/16"}}}},
                      {"subnets", JsonArray{subnet("a", base + "0.0/24"),
                                            subnet(std::string(kSubnetName), base + "255.0/26")}}}}},
         201);
  }
  void peer(const std::string& from, const std::string& to) {
    call(owner_, "PUT", kNet + "virtualNetworks/" + from + "/virtualNetworkPeerings/to-" + to,
         {{"properties",
           JsonObject{{"remoteVirtualNetwork", JsonObject{{"id", kNet + "virtualNetworks/" + to}}},
                      {"allowVirtualNetworkAccess", true}}}},
         201);
  }
  // A machine that somebody described, without an agent, behind a security group of its own.
  std::string make_machine(const std::string& name, const std::string& network,
                           const std::string& system = "Linux") {
    const std::string nsg = kNet + "networkSecurityGroups/" + name + "-nsg";
    const std::string nic = kNet + "networkInterfaces/" + name + "-nic";
    call(owner_, "PUT", nsg, {{"location", "local"}}, 201);
    const JsonObject configuration = {
        {"name", "ipconfig1"},
        {"properties",
         JsonObject{{"subnet", JsonObject{{"id", kNet + "virtualNetworks/" + network + "/subnets/a"}}}}}};
    call(owner_, "PUT", nic,
         {{"location", "local"},
          {"properties", JsonObject{{"networkSecurityGroup", JsonObject{{"id", nsg}}},
                                    {"ipConfigurations", JsonArray{configuration}}}}},
         201);
    call(
        owner_, "PUT", kMachines + name,
        {{"location", "local"},
         {"properties", JsonObject{{"storageProfile", JsonObject{{"osDisk", JsonObject{{"osType", system}}}}},
                                   {"networkProfile",
                                    JsonObject{{"networkInterfaces", JsonArray{JsonObject{{"id", nic}}}}}}}}},
        201);
    return kMachines + name;
  }
  void deny(const std::string& machine, int port) {
    call(owner_, "PUT", kNet + "networkSecurityGroups/" + machine + "-nsg/securityRules/no",
         {{"properties", JsonObject{{"protocol", "Tcp"},
                                    {"access", "Deny"},
                                    {"direction", "Inbound"},
                                    {"priority", 200},
                                    {"sourceAddressPrefix", "*"},
                                    {"sourcePortRange", "*"},
                                    {"destinationAddressPrefix", "*"},
                                    {"destinationPortRange", std::to_string(port)}}}},
         201);
  }
  void make_public_address(const std::string& name, const std::string& sku = "Standard",
                           const std::string& allocation = "Static") {
    call(owner_, "PUT", kNet + "publicIPAddresses/" + name,
         {{"location", "local"},
          {"sku", JsonObject{{"name", sku}}},
          {"properties", JsonObject{{"publicIPAllocationMethod", allocation}}}},
         201);
  }
  static JsonObject host_body(const std::string& sku, const std::string& network, JsonObject properties = {},
                              bool public_address = true) {
    if (sku == "Developer") {
      properties["virtualNetwork"] = JsonObject{{"id", kNet + "virtualNetworks/" + network}};
    } else {
      JsonObject configuration = {{"subnet", JsonObject{{"id", kNet + "virtualNetworks/" + network +
                                                                   "/subnets/AzureBastionSubnet"}}}};
      if (public_address)
        configuration["publicIPAddress"] = JsonObject{{"id", kNet + "publicIPAddresses/pip"}};
      properties["ipConfigurations"] =
          JsonArray{JsonObject{{"name", "conf"}, {"properties", std::move(configuration)}}};
    }
    return {{"location", "local"}, {"sku", JsonObject{{"name", sku}}}, {"properties", std::move(properties)}};
  }
  JsonObject make_host(const std::string& sku, const std::string& network, JsonObject properties = {},
                       const std::string& name = "bst") {
    if (!public_made_) make_public_address("pip");
    public_made_ = true;
    return call(owner_, "PUT", kNet + "bastionHosts/" + name, host_body(sku, network, std::move(properties)),
                201);
  }
  // What most tests begin with: a bastion with everything on, and a machine that lets it in.
  void make_setting(const std::string& sku = "Standard", JsonObject properties = {}) {
    make_network("net");
    make_machine("web-1", "net");
    if (sku == "Standard" || sku == "Premium")
      for (const char* flag : {"enableTunneling", "enableIpConnect", "enableShareableLink"})
        properties[flag] = true;
    make_host(sku, "net", std::move(properties));
  }
  void set_policy(const std::string& name, JsonObject properties, int expected = 201) {
    call(owner_, "PUT", kHostId + "/providers/Merlon.Bastion/sessionPolicies/" + name,
         {{"properties", std::move(properties)}}, expected);
  }
  void set_jit(const std::string& machine, const std::string& most = "PT3H") {
    const JsonObject port = {{"number", 22},
                             {"protocol", "TCP"},
                             {"allowedSourceAddressPrefix", "*"},
                             {"maxRequestAccessDuration", most}};
    call(owner_, "PUT",
         kRg + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default",
         {{"kind", "Basic"},
          {"properties", JsonObject{{"virtualMachines", JsonArray{JsonObject{{"id", kMachines + machine},
                                                                             {"ports", JsonArray{port}}}}}}}},
         200);
  }

  WayIn way(const Person& who, const std::string& target = "web-1") {
    WayIn way;
    way.caller = principal(who);
    way.target = target;
    way.user_agent = "test/1";
    way.client_port = 40'000;
    way.transport = Transport::plain_ssh;
    way.ends_protocol = true;
    way.login = "admin";
    return way;
  }
  static std::string code(const Result<Admission>& result) {
    return result ? "admitted" : result.error().code;
  }
  std::vector<JsonObject> active() {
    const Answer started = send(owner_, "POST", kHostId + "/getActiveSessions");
    EXPECT_EQ(started.status, 202) << to_text(started.body);
    const std::string location(started.headers.value_or("Location", ""));
    const size_t path = location.find("/subscriptions");
    const Answer done = send(owner_, "GET", location.substr(path, location.find('?') - path));
    EXPECT_EQ(done.status, 200);
    std::vector<JsonObject> all;
    if (const JsonArray* value = array_at(done.body, "value"))
      for (const Json& session : *value) all.push_back(session.as_object());
    return all;
  }
  JsonObject session(const Uuid& id) {
    return call(owner_, "GET", kHostId + "/providers/Merlon.Bastion/sessions/" + id.text(), {}, 200);
  }
  size_t open_grants() {
    return must(store::read_value<size_t>(world_.store(), [&](auto& reader) -> Result<size_t> {
      return TRY(grants_->active(reader, "jit")).size();
    }));
  }

  ManualClock clock_;
  grant::Foundation world_;
  std::string source_ = kServerAddress;
  std::vector<IpPrefix> reaches_;
  bool public_made_ = false;
  Uuid client_;
  Person owner_, ada_;
  std::unique_ptr<grant::Grants> grants_;
  std::unique_ptr<machine::Machines> machines_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<compute::Compute> compute_;
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<jit::Jit> jit_;
  std::unique_ptr<Bastion> bastion_;

 private:
  static std::vector<store::TableSpec> tables_of_rooms() {
    std::vector<store::TableSpec> all;
    for (const auto* specs :
         {&machine::tables(), &compute::tables(), &network::tables(), &jit::tables(), &tables()})
      all.insert(all.end(), specs->begin(), specs->end());
    return all;
  }
};

}  // namespace merlon::bastion

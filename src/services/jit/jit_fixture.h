// A whole server's rules without sockets, for tests of just-in-time access: people with roles, enrolled
// machines that synchronise, a policy, and a clock in the test's hand.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "crypto/key.h"
#include "crypto/x509.h"
#include "grant/foundation_fixture.h"
#include "identity/test_people.h"
#include "machine/messages.h"
#include "services/compute/api.h"
#include "services/jit/api.h"
#include "services/network/api.h"

namespace merlon::jit {

using grant::must;

inline const std::string kScope = "/subscriptions/22222222-2222-4222-8222-222222222222";
inline const std::string kRg = kScope + "/resourceGroups/rg1";
inline const std::string kDefaultPolicy =
    kRg + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
inline constexpr const char* kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

class JitFixture : public testing::Test {
 protected:
  struct Person {
    Uuid id;
    std::string name;
    std::string address = "198.51.100.7";
  };
  struct Answer {
    int status = 0;
    JsonObject body;
    net::Headers headers;
    std::string code() const { return string_at(body, "error.code").value_or(""); }
    std::string message() const { return string_at(body, "error.message").value_or(""); }
    std::string at(std::string_view path) const { return string_at(body, path).value_or(""); }
  };
  struct Enrolled {
    std::string vm, certificate, boot_id = "boot-1";
  };

  // What each test begins with: a policy for port 22 of an enrolled machine; ada, who may ask; bob, who may
  // approve.
  struct Setting {
    Uuid client, asker_role, approver_role;
    Person owner, ada, bob;
    Enrolled web;
  };

  JitFixture() : JitFixture(Kept::get()) {}
  ~JitFixture() override { stop(); }

  // A new process on the same disk.
  void start() {
    stop();
    world_.open();
    grants_ = std::make_unique<grant::Grants>(core(), world_.manager());
    machines_ = must(machine::Machines::open(core(), world_.manager(), *grants_));
    platform_.reset(new Platform{core(), world_.manager(), *grants_, *machines_});
    compute_ = compute::install(*platform_);
    network_ = network::install(*platform_, *compute_);
    jit_ = install(*platform_, *network_);
  }
  void stop() {
    if (machines_) machines_->stop();
    jit_.reset();
    network_.reset();
    compute_.reset();
    platform_.reset();
    machines_.reset();
    grants_.reset();
    world_.close();
  }
  const resource::Core& core() const { return world_.core(); }
  size_t tick() { return must(grants_->expire_due()); }
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
  void set_enabled(const Person& who, bool enabled) {
    must(world_.store().write(
        [&](store::Transaction& tx) { return core().directory.set_enabled(tx, who.id, enabled); }));
  }
  Uuid group_of(const std::vector<Person>& members) {
    return must(store::write_value<Uuid>(world_.store(), [&](auto& tx) -> Result<Uuid> {
      identity::Group group;
      group.display_name = "group " + Uuid::generate(world_.random).text();
      const Uuid id = TRY(core().directory.create_group(tx, group)).id;
      for (const Person& member : members) TRY(core().directory.add_member(tx, id, member.id));
      return id;
    }));
  }
  Uuid role(const std::string& name, std::vector<std::string> actions) {
    access::RoleDefinition definition;
    definition.id = Uuid::generate(world_.random);
    definition.name = name;
    definition.permissions = {{.actions = std::move(actions),
                               .not_actions = {},
                               .data_actions = {},
                               .not_data_actions = {},
                               .condition = {}}};
    definition.assignable_scopes = {kScope};
    return must(store::write_value<access::RoleDefinition>(
                    world_.store(), [&](auto& tx) { return core().access.put_role(tx, definition); }))
        .id;
  }
  access::RoleAssignment assign(const Uuid& principal, const Uuid& role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(world_.random);
    assignment.scope = scope;
    assignment.role_definition_id = role;
    assignment.principal_id = principal;
    return must(store::write_value<access::RoleAssignment>(
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

  std::string token_for(const Person& who) {
    identity::TokenSubject subject;
    subject.principal.object_id = who.id;
    subject.principal.name = who.name;
    subject.principal.app_id = client_;
    subject.principal.auth_time = clock_.now();
    subject.audience = std::string(grant::Foundation::kOrigin) + "/";
    subject.scope = "user_impersonation";
    subject.user_principal_name = who.name;
    subject.session_id = identity::session_of(core().store, core().tenant, who.id, clock_.now());
    return must(core().issuer.issue(subject, grant::Foundation::kOrigin, std::chrono::hours(1)));
  }
  Answer send(const Person& who, const std::string& method, const std::string& path,
              const JsonObject& body = {},
              const std::vector<std::pair<std::string, std::string>>& more = {}) {
    net::Request request = request_to(method, path + "?api-version=2020-01-01");
    if (method == "PUT" || method == "POST") {
      request.body = to_text(body);
      request.headers.set("Content-Type", "application/json");
    }
    for (const auto& [name, value] : more) request.headers.set(name, value);
    request.headers.set("Authorization", "Bearer " + token_for(who));
    request.peer = *IpAddress::parse(who.address);
    const net::Response response = world_.manager().handle(request, grant::Foundation::kOrigin);
    Answer answer{response.status, {}, response.headers};
    if (response.body.starts_with("{")) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  // As above, and it must be answered so.
  JsonObject call(const Person& who, const std::string& method, const std::string& path,
                  const JsonObject& body, int expected) {
    Answer answer = send(who, method, path, body);
    EXPECT_EQ(answer.status, expected) << method << " " << path << "\n" << to_text(answer.body);
    return std::move(answer.body);
  }

  Enrolled enrol(const std::string& name, const std::string& v4, const std::string& v6,
                 const std::string& second = {}) {
    const JsonObject token = call(owner_, "POST", kRg + "/providers/Merlon.Machines/enrolmentTokens",
                                  {{"name", name}, {"enforce", true}}, 201);
    machine::EnrolRequest enrolment;
    enrolment.token = string_at(token, "token").value_or("");
    const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
    enrolment.certificate_request_pem = must(crypto::make_request(key, name));
    enrolment.facts.hostname = name;
    enrolment.facts.boot_id = "boot-1";
    machine::ReportedInterface eth0;
    eth0.name = "eth0";
    eth0.addresses = {{*IpAddress::parse(v4), 24U}};
    if (!v6.empty()) eth0.addresses.emplace_back(*IpAddress::parse(v6), 64U);
    eth0.default_route = true;
    enrolment.facts.interfaces = {eth0};
    if (!second.empty()) {
      machine::ReportedInterface eth1;
      eth1.name = "eth1";
      eth1.addresses = {{*IpAddress::parse(second), 24U}};
      enrolment.facts.interfaces.push_back(eth1);
    }
    net::Request request = request_to("POST", "/agent/v1/enrol");
    request.body = to_text(enrolment.to_json());
    const net::Response response = ask_agents(std::move(request));
    EXPECT_EQ(response.status, 201) << response.body;
    const auto answer = must(machine::EnrolAnswer::from_json(must(parse_json_object(response.body))));
    return {.vm = answer.resource_id, .certificate = answer.certificate_pem};
  }
  // A machine that somebody described, without an agent, in a group of its own. Answers its id.
  std::string describe(const std::string& group, const std::string& name) {
    const std::string network = group + "/providers/Microsoft.Network/";
    call(owner_, "PUT", group, {{"location", "local"}}, 201);
    call(owner_, "PUT", network + "networkSecurityGroups/" + name + "-nsg", {{"location", "local"}}, 201);
    const JsonObject subnet = {{"name", "a"}, {"properties", JsonObject{{"addressPrefix", "10.9.1.0/24"}}}};
    call(owner_, "PUT", network + "virtualNetworks/net",
         {{"location", "local"},
          {"properties",
           JsonObject{{"addressSpace", JsonObject{{"addressPrefixes", JsonArray{"10.9.0.0/16"}}}},
                      {"subnets", JsonArray{subnet}}}}},
         201);
    const JsonObject configuration = {
        {"name", "ipconfig1"},
        {"properties",
         JsonObject{{"subnet", JsonObject{{"id", network + "virtualNetworks/net/subnets/a"}}}}}};
    call(owner_, "PUT", network + "networkInterfaces/" + name + "-nic",
         {{"location", "local"},
          {"properties", JsonObject{{"networkSecurityGroup",
                                     JsonObject{{"id", network + "networkSecurityGroups/" + name + "-nsg"}}},
                                    {"ipConfigurations", JsonArray{configuration}}}}},
         201);
    const std::string vm = group + "/providers/Microsoft.Compute/virtualMachines/" + name;
    const JsonObject nic = {{"id", network + "networkInterfaces/" + name + "-nic"}};
    call(owner_, "PUT", vm,
         {{"location", "local"},
          {"properties", JsonObject{{"networkProfile", JsonObject{{"networkInterfaces", JsonArray{nic}}}}}}},
         201);
    return vm;
  }
  machine::SyncAnswer sync(const Enrolled& who, machine::Applied applied = {},
                           std::vector<machine::Observation> observations = {}) {
    machine::SyncRequest said;
    said.nonce = "n";
    said.boot_id = who.boot_id;
    said.applied = std::move(applied);
    said.observations = std::move(observations);
    net::Request request = request_to("POST", "/agent/v1/sync");
    request.plane = net::Plane::agents;
    request.client_certificate_pem = who.certificate;
    request.body = to_text(said.to_json());
    const net::Response response = ask_agents(std::move(request));
    EXPECT_EQ(response.status, 200) << response.body;
    return must(machine::SyncAnswer::from_json(must(parse_json_object(response.body))));
  }
  std::vector<machine::Opening> told(const Enrolled& who) { return sync(who).state->openings; }

  static JsonObject port_policy(int number, const std::string& max = "PT3H", const std::string& from = "*") {
    return {{"number", number},
            {"protocol", "TCP"},
            {"allowedSourceAddressPrefix", from},
            {"maxRequestAccessDuration", max}};
  }
  static JsonObject policy_of(const std::string& vm, JsonArray ports) {
    return {{"kind", "Basic"},
            {"properties", JsonObject{{"virtualMachines",
                                       JsonArray{JsonObject{{"id", vm}, {"ports", std::move(ports)}}}}}}};
  }
  void set_policy(const std::string& max = "PT3H", const std::string& from = "*") {
    call(owner_, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(22, max, from)}), 200);
  }
  JsonObject set_options(JsonObject properties, int expected = 200) {
    return call(owner_, "PUT", kDefaultPolicy + "/providers/Merlon.Jit/options/default",
                {{"properties", std::move(properties)}}, expected);
  }
  void need_approvals(int count = 1) {
    set_options({{"approval", JsonObject{{"required", count}, {"waitsFor", "PT1H"}}}});
  }

  static JsonObject request_for(const std::string& vm, JsonObject port, const std::string& why = "a reason") {
    if (!port.contains("number")) port["number"] = 22;
    if (!port.contains("duration") && !port.contains("endTimeUtc")) port["duration"] = "PT30M";
    return {{"virtualMachines", JsonArray{JsonObject{{"id", vm}, {"ports", JsonArray{std::move(port)}}}}},
            {"justification", why}};
  }
  Answer initiate(const Person& who, const JsonObject& port = {}, const std::string& why = "a reason") {
    return send(who, "POST", kDefaultPolicy + "/initiate", request_for(web_.vm, port, why));
  }
  // Waits for approval. Answers its id.
  std::string ask(const Person& who, const JsonObject& port = {}) {
    const Answer answer = initiate(who, port);
    EXPECT_EQ(answer.status, 202) << to_text(answer.body);
    EXPECT_EQ(answer.at("approval.state"), "Pending");
    return answer.at("id");
  }
  Answer decide(const Person& who, const std::string& request, const std::string& verb,
                const std::string& why = "fine") {
    return send(who, "POST", kDefaultPolicy + "/providers/Merlon.Jit/requests/" + request + "/" + verb,
                {{"justification", why}});
  }
  std::string state_of(const std::string& request) {
    const JsonObject shown =
        call(owner_, "GET", kDefaultPolicy + "/providers/Merlon.Jit/requests/" + request, {}, 200);
    const std::string reason = string_at(shown, "properties.stateReason").value_or("");
    const std::string state = string_at(shown, "properties.state").value_or("");
    return reason.empty() || reason == state ? state : state + "/" + reason;
  }
  std::vector<JsonObject> list(const Person& who, const std::string& what, const std::string& scope = kRg) {
    const JsonObject answer = call(who, "GET", scope + "/providers/Merlon.Jit/" + what, {}, 200);
    std::vector<JsonObject> all;
    for (const Json& value : *array_at(answer, "value")) all.push_back(value.as_object());
    return all;
  }
  std::vector<JsonObject> openings() { return list(owner_, "openings"); }
  // The id of the only opening.
  std::string only_opening() {
    const auto all = openings();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? std::string() : string_at(all.front(), "name").value_or("");
  }
  std::string opening_path(const std::string& id) const {
    return kDefaultPolicy + "/providers/Merlon.Jit/openings/" + id;
  }
  Answer extend(const Person& who, const std::string& id, JsonObject body) {
    return send(who, "POST", opening_path(id) + "/extend", body);
  }
  // "Initiated UserRequested" of each port of each request that the policy shows, oldest first.
  std::vector<std::string> history() {
    const JsonObject policy = call(owner_, "GET", kDefaultPolicy, {}, 200);
    std::vector<std::string> shown;
    for (const Json& request : *array_at(policy, "properties.requests"))
      for (const Json& vm : *array_at(request.as_object(), "virtualMachines"))
        for (const Json& port : *array_at(vm.as_object(), "ports"))
          shown.push_back(string_at(port.as_object(), "status").value_or("?") + " " +
                          string_at(port.as_object(), "statusReason").value_or("?"));
    return shown;
  }
  std::vector<JsonObject> rules(const std::string& group = "web-1-nsg") {
    const JsonObject nsg = call(owner_, "GET", nsg_path(group), {}, 200);
    std::vector<JsonObject> all;
    for (const Json& rule : *array_at(nsg, "properties.securityRules")) all.push_back(rule.as_object());
    return all;
  }
  static std::string nsg_path(const std::string& group = "web-1-nsg") {
    return kRg + "/providers/Microsoft.Network/networkSecurityGroups/" + group;
  }
  size_t allows(const std::string& group = "web-1-nsg") {
    size_t count = 0;
    for (const JsonObject& rule : rules(group))
      if (string_at(rule, "name").value_or("").starts_with("SecurityCenter-JITRule-")) ++count;
    return count;
  }

  ManualClock clock_;
  grant::Foundation world_;
  Uuid client_, asker_role_, approver_role_;
  Person owner_, ada_, bob_;
  Enrolled web_;

 private:
  // Made once, in a directory that each test copies.
  class Kept {
   public:
    static const Kept& get() {
      static const Kept kept;
      return kept;
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }
    const Setting& setting() const { return setting_; }

   private:
    Kept();
    std::string path_;
    Setting setting_;
  };
  explicit JitFixture(const Kept& kept)
      : world_(clock_, tables_of_rooms(), kept.path()),
        client_(kept.setting().client),
        asker_role_(kept.setting().asker_role),
        approver_role_(kept.setting().approver_role),
        owner_(kept.setting().owner),
        ada_(kept.setting().ada),
        bob_(kept.setting().bob),
        web_(kept.setting().web) {
    start();
  }
  struct FromNothing {};
  explicit JitFixture(FromNothing) : world_(clock_, tables_of_rooms()) {
    start();
    client_ = must(store::write_value<Uuid>(world_.store(), [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(core().directory.create_application(tx, application)).first.app_id;
    }));
    owner_ = person("owner");
    assign(owner_.id, *Uuid::parse(kOwnerRole), "/");
    asker_role_ =
        role("Asker", {"Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action",
                       "Microsoft.Security/locations/jitNetworkAccessPolicies/read",
                       "Microsoft.Compute/virtualMachines/read", "Microsoft.Network/networkInterfaces/read"});
    approver_role_ = role(
        "Approver", {"Microsoft.Security/locations/jitNetworkAccessPolicies/read", "Merlon.Jit/requests/*"});
    ada_ = person("ada");
    bob_ = person("bob");
    assign(ada_.id, asker_role_, kRg);
    assign(bob_.id, approver_role_, kRg);
    EXPECT_EQ(send(owner_, "PUT", kRg, {{"location", "local"}}).status, 201);
    web_ = enrol("web-1", "10.7.0.4", "fd07::4");
    set_policy();
  }
  class Preparation;

  static std::vector<store::TableSpec> tables_of_rooms() {
    std::vector<store::TableSpec> all;
    for (const auto* specs : {&machine::tables(), &compute::tables(), &network::tables(), &jit::tables()})
      all.insert(all.end(), specs->begin(), specs->end());
    return all;
  }
  net::Request request_to(const std::string& method, const std::string& target) {
    net::Request request;
    request.method = method;
    request.target = target;
    const net::Target parsed = must(net::parse_target(target));
    request.path = parsed.path;
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.host = "merlon.localhost:8443";
    request.peer = *IpAddress::parse("10.7.0.4");
    request.request_id = Uuid::generate(world_.random).text();
    return request;
  }
  net::Response ask_agents(net::Request request) {
    std::optional<net::Response> answer;
    machines_->handle(std::move(request),
                      net::Responder([&](net::Response response) { answer = std::move(response); }));
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(net::Response{.status = 0, .headers = {}, .body = {}});
  }

 protected:
  std::unique_ptr<grant::Grants> grants_;
  std::unique_ptr<machine::Machines> machines_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<compute::Compute> compute_;
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<Jit> jit_;
};

class JitFixture::Preparation final : public JitFixture {
 public:
  Preparation() : JitFixture(FromNothing{}) {}
  void TestBody() override {}
  Setting finish(const std::string& path) {
    stop();
    std::filesystem::copy(world_.path(), path, std::filesystem::copy_options::recursive);
    return {client_, asker_role_, approver_role_, owner_, ada_, bob_, web_};
  }
};

inline JitFixture::Kept::Kept()
    : path_((std::filesystem::temp_directory_path() / "merlon-jit-XXXXXX").string()) {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  Preparation preparation;
  setting_ = preparation.finish(path_);
}

}  // namespace merlon::jit

// The network service in a whole Resource Manager, over the real store, with machines that enrol as agents
// do.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "identity/test_people.h"
#include "services/network/service.h"

namespace merlon::network {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().code << ": " << result.error().message << " " << result.error().cause;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline const std::string kSubscription = "/subscriptions/22222222-2222-4222-8222-222222222222";
inline const std::string kGroup = kSubscription + "/resourceGroups/rg1";
inline const std::string kProvider = kGroup + "/providers/Microsoft.Network/";
inline constexpr const char* kOwner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

struct Answer {
  int status = 0;
  JsonObject body;
  std::string text;
  std::string code() const { return string_at(body, "error.code").value_or(""); }
  std::string message() const { return string_at(body, "error.message").value_or(""); }
  std::string at(std::string_view path) const { return string_at(body, path).value_or(""); }
};

class NetworkFixture : public testing::Test {
 protected:
  static constexpr const char* kOrigin = "https://merlon.localhost:8443";

  static TenantId tenant_of_tests() { return {*Uuid::parse("11111111-1111-4111-8111-111111111111")}; }
  static identity::IssuerParameters issuer_parameters() {
    return {.tenant = tenant_of_tests(), .domain = "merlon.localhost", .own_audiences = {}};
  }
  static std::string new_directory() {
    std::string path = (std::filesystem::temp_directory_path() / "merlon-network-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    return path;
  }
  static std::unique_ptr<store::Store> open_store(const std::string& path) {
    store::Schema schema;
    for (const auto* specs :
         {&seal::tables(), &ledger::tables(), &identity::tables(), &access::tables(), &resource::tables(),
          &grant::tables(), &machine::tables(), &compute::tables(), &tables()})
      schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
    return must(store::open_sqlite(path, schema));
  }
  // Keys take long to make: one directory has them, and each test starts from a copy.
  class Prototype {
   public:
    Prototype() : path_(new_directory()) {
      ManualClock clock;
      crypto::SystemRandom random;
      // The seal's first key is a write of its own, and the ledger's hook must be set before the first write.
      must(seal::Seal::open(*open_store(path_), path_ + "/root.key", random));
      const auto store = open_store(path_);
      const auto seal = must(seal::Seal::open(*store, path_ + "/root.key", random));
      const auto ledger = must(ledger::Ledger::open(*store, *seal, clock, random, tenant_of_tests()));
      must(identity::Issuer::open(*store, *seal, clock, random, issuer_parameters()));
    }
    Prototype(const Prototype&) = delete;
    Prototype& operator=(const Prototype&) = delete;
    ~Prototype() {
      std::error_code ignored;
      std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

   private:
    std::string path_;
  };

  NetworkFixture() : path_(new_directory()) {
    static const Prototype prototype;
    std::filesystem::copy(prototype.path(), path_, std::filesystem::copy_options::recursive);
    store_ = open_store(path_);
    seal_ = must(seal::Seal::open(*store_, path_ + "/root.key", random_));
    ledger_ = must(ledger::Ledger::open(*store_, *seal_, clock_, random_, tenant_));
    directory_ = std::make_unique<identity::Directory>(tenant_, clock_, random_);
    issuer_ = must(identity::Issuer::open(*store_, *seal_, clock_, random_, issuer_parameters()));
    access_ = std::make_unique<access::Access>(*directory_, clock_, random_);
    core_.reset(new resource::Core{.store = *store_,
                                   .seal = *seal_,
                                   .ledger = *ledger_,
                                   .directory = *directory_,
                                   .issuer = *issuer_,
                                   .access = *access_,
                                   .clock = clock_,
                                   .random = random_,
                                   .tenant = tenant_,
                                   .subscription = *Uuid::parse("22222222-2222-4222-8222-222222222222"),
                                   .domain = "merlon.localhost"});
    manager_ = resource::Manager::make(*core_);
    grants_ = std::make_unique<grant::Grants>(*core_, *manager_);
    machines_ = must(machine::Machines::open(*core_, *manager_, *grants_));
    platform_.reset(new Platform{*core_, *manager_, *grants_, *machines_});
    compute_ = compute::install(*platform_);
    network_ = install(*platform_, *compute_, flow_log_directory());
    client_ = must(store::write_value<Uuid>(*store_, [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(directory_->create_application(tx, application)).first.app_id;
    }));
    owner_ = make_person("owner", kOwner, "/");
    EXPECT_EQ(put(kGroup, R"({"location":"local"})").status, 201);
  }
  ~NetworkFixture() override {
    network_.reset();
    compute_.reset();
    platform_.reset();
    machines_.reset();
    grants_.reset();
    manager_.reset();
    core_.reset();
    access_.reset();
    issuer_.reset();
    directory_.reset();
    ledger_.reset();
    seal_.reset();
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  // A token of a new user with one role.
  std::string make_person(const std::string& name, const char* role, const std::string& scope) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    const auto made = must(store::write_value<identity::User>(
        *store_, [&](auto& tx) { return directory_->create_user(tx, user); }));
    assign(made.id, role, scope);
    identity::TokenSubject subject;
    subject.principal.object_id = made.id;
    subject.principal.name = made.user_principal_name;
    subject.principal.app_id = client_;
    subject.principal.auth_time = clock_.now();
    subject.audience = std::string(kOrigin) + "/";
    subject.scope = "user_impersonation";
    subject.user_principal_name = made.user_principal_name;
    subject.session_id = identity::session_of(*store_, tenant_, made.id, clock_.now());
    return must(issuer_->issue(subject, kOrigin, std::chrono::hours(1)));
  }
  Uuid person(const std::string& name) {
    const auto found = must(store::read_value<std::optional<identity::User>>(
        *store_, [&](auto& reader) { return directory_->user_by_name(reader, name + "@merlon.localhost"); }));
    EXPECT_TRUE(found.has_value()) << name;
    return found ? found->id : Uuid();
  }
  void assign(const Uuid& principal, const char* role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = scope;
    assignment.role_definition_id = *Uuid::parse(role);
    assignment.principal_id = principal;
    assignment.principal_type = "User";
    must(store::write_value<access::RoleAssignment>(
        *store_, [&](auto& tx) { return access_->assign(tx, assignment); }));
  }

  Answer send_as(const std::string& token, const std::string& method, const std::string& target,
                 const std::string& body = {}) {
    net::Request request;
    request.method = method;
    request.target = target.find('?') == std::string::npos ? target + "?api-version=2024-05-01" : target;
    const net::Target parsed = must(net::parse_target(request.target));
    request.path = parsed.path;
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.body = body;
    request.headers.set("Authorization", "Bearer " + token);
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    request.peer = *IpAddress::parse("192.0.2.7");
    request.host = "merlon.localhost:8443";
    request.request_id = Uuid::generate(random_).text();
    const net::Response response = manager_->handle(request, kOrigin);
    Answer answer{response.status, {}, response.body};
    if (response.body.starts_with("{")) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  Answer get(const std::string& target) { return send_as(owner_, "GET", target); }
  Answer put(const std::string& target, const std::string& body) {
    return send_as(owner_, "PUT", target, body);
  }
  Answer post(const std::string& target, const std::string& body = "{}") {
    return send_as(owner_, "POST", target, body);
  }
  Answer remove(const std::string& target) { return send_as(owner_, "DELETE", target); }

  // Writes that must succeed.
  void make(const std::string& target, const std::string& body) {
    const Answer made = put(target, body);
    ASSERT_TRUE(made.status == 200 || made.status == 201) << target << ": " << made.text;
  }
  void make_network(const std::string& name, const std::string& prefix) {
    make(kProvider + "virtualNetworks/" + name,
         R"({"location":"local","properties":{"addressSpace":{"addressPrefixes":[")" + prefix +
             R"("]},"subnets":[{"name":"a","properties":{"addressPrefix":")" + prefix + R"("}}]}})");
  }
  // `subnet`: "network/subnets/name"; `groups`: names of application security groups.
  static std::string nic_body(const std::string& subnet, const std::string& address,
                              const std::vector<std::string>& groups = {}, const std::string& more = {}) {
    std::string joined;
    for (const std::string& group : groups)
      joined += (joined.empty() ? "" : ",") +
                (R"({"id":")" + kProvider + "applicationSecurityGroups/" + group) + R"("})";
    return R"({"location":"local","properties":{"ipConfigurations":[{"name":"ipconfig1","properties":{)"
           R"("privateIPAddress":")" +
           address + R"(","subnet":{"id":")" + kProvider + "virtualNetworks/" + subnet +
           R"("},"applicationSecurityGroups":[)" + joined + "]}}]" + more + "}}";
  }
  void make_application_group(const std::string& name) {
    make(kProvider + "applicationSecurityGroups/" + name, R"({"location":"local"})");
  }
  // An inbound rule: `sides` has the members that name source and destination.
  static std::string rule_json(const std::string& name, int priority, const std::string& access,
                               const std::string& sides) {
    return R"({"name":")" + name + R"(","properties":{"protocol":"Tcp","sourcePortRange":"*",)" +
           R"("destinationPortRange":"443","direction":"Inbound","priority":)" + std::to_string(priority) +
           R"(,"access":")" + access + R"(",)" + sides + "}}";
  }
  static std::string group_named(const std::string& side, const std::string& name) {
    return '"' + side + R"(ApplicationSecurityGroups":[{"id":")" + kProvider + "applicationSecurityGroups/" +
           name + R"("}])";
  }
  Answer put_security_group(const std::string& name, const std::string& rules) {
    return put(kProvider + "networkSecurityGroups/" + name,
               R"({"location":"local","properties":{"securityRules":[)" + rules + "]}}");
  }

  // A machine whose agent has enrolled, with one interface; its virtual machine's id.
  resource::ResourceId enrol(const std::string& name, const std::string& address) {
    return enrol(name, std::vector{address + "/24"});
  }
  resource::ResourceId enrol(const std::string& name, const std::vector<std::string>& cidrs) {
    std::vector<std::pair<IpAddress, unsigned>> addresses;
    for (const std::string& cidr : cidrs) {
      const size_t slash = cidr.find('/');
      addresses.emplace_back(*IpAddress::parse(cidr.substr(0, slash)),
                             static_cast<unsigned>(std::stoul(cidr.substr(slash + 1))));
    }
    const net::Response response = enrol_interfaces(
        name, {{.name = "eth0", .mac = "02:00:00:00:00:01", .addresses = addresses, .default_route = true}});
    EXPECT_EQ(response.status, 201) << response.body;
    return must(resource::ResourceId::parse(kGroup + "/providers/Microsoft.Compute/virtualMachines/" + name));
  }
  net::Response enrol_interfaces(const std::string& name,
                                 const std::vector<machine::ReportedInterface>& interfaces) {
    const Answer token = send_as(owner_, "POST", kGroup + "/providers/Merlon.Machines/enrolmentTokens",
                                 R"({"name":")" + name + R"(","enforce":true})");
    EXPECT_LT(token.status, 300) << token.text;
    machine::EnrolRequest wanted;
    wanted.token = token.at("token");
    wanted.certificate_request_pem = must(
        crypto::make_request(must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256)), "merlon-agent"));
    wanted.facts.hostname = name;
    wanted.facts.boot_id = Uuid::generate(random_).text();
    wanted.facts.machine_id_hash = std::string(64, 'a');
    wanted.facts.interfaces = interfaces;
    net::Request request;
    request.method = "POST";
    request.path = request.target = "/agent/v1/enrol";
    request.body = to_text(wanted.to_json());
    request.peer = *IpAddress::parse("192.0.2.9");
    request.request_id = Uuid::generate(random_).text();
    net::Response response;
    machines_->handle(std::move(request),
                      net::Responder([&](net::Response answer) { response = std::move(answer); }));
    if (response.status == 201)
      certificates_[name] = string_at(must(parse_json_object(response.body)), "certificate").value_or("");
    return response;
  }
  machine::DesiredState desired(const resource::ResourceId& vm) {
    return must(store::read_value<machine::DesiredState>(
        *store_, [&](store::Reader& reader) -> Result<machine::DesiredState> {
          const auto machine = TRY(machines_->by_resource(reader, vm.text()));
          if (!machine) return internal_error("not enrolled");
          return machine->desired;
        }));
  }
  // The model's verdict on a new inbound TCP connection to port 443.
  machine::Verdict verdict(const resource::ResourceId& vm, const std::string& from, const std::string& to) {
    machine::Flow flow;
    flow.source = *IpAddress::parse(from);
    flow.destination = *IpAddress::parse(to);
    flow.source_port = 50'000;
    flow.destination_port = 443;
    return machine::judge(desired(vm), flow, clock_.now());
  }

  std::string flow_log_directory() const { return path_ + "/flow-logs"; }

  std::map<std::string, std::string> certificates_;  // of enrolled machines, by name
  ManualClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_ = tenant_of_tests();
  Uuid client_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<identity::Directory> directory_;
  std::unique_ptr<identity::Issuer> issuer_;
  std::unique_ptr<access::Access> access_;
  std::unique_ptr<resource::Core> core_;
  std::unique_ptr<resource::Manager> manager_;
  std::unique_ptr<grant::Grants> grants_;
  std::unique_ptr<machine::Machines> machines_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<compute::Compute> compute_;
  std::unique_ptr<Network> network_;
  std::string owner_;

 private:
  std::string path_;
};

}  // namespace merlon::network

// Vaults in a whole Resource Manager, over the real store: both planes, as people and applications use them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crypto/system_random.h"
#include "identity/test_people.h"
#include "services/compute/api.h"
#include "services/network/api.h"
#include "services/vault/service.h"

namespace merlon::vault {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().code << ": " << result.error().message << " " << result.error().cause;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline const std::string kGroup = "/subscriptions/22222222-2222-4222-8222-222222222222/resourceGroups/rg1";
inline constexpr const char* kOwner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kVaultAdministrator = "00482a5a-887f-4fb3-b363-3b7fe8e74483";

struct Seen {
  int status = 0;
  JsonObject body;
  std::string text;
  net::Headers headers;
  std::string at(std::string_view path) const { return string_at(body, path).value_or(""); }
  std::string code() const { return at("error.code"); }
  std::string inner() const { return at("error.innererror.code"); }
};

class VaultFixture : public testing::Test {
 protected:
  static constexpr const char* kOrigin = "https://merlon.localhost:8443";

  static TenantId tenant_of_tests() { return {*Uuid::parse("11111111-1111-4111-8111-111111111111")}; }
  static identity::IssuerParameters issuer_parameters() {
    return {.tenant = tenant_of_tests(), .domain = "merlon.localhost", .own_audiences = {}};
  }
  static std::string new_directory() {
    std::string path = (std::filesystem::temp_directory_path() / "merlon-vault-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    return path;
  }
  // Of a room above, whose tests begin with a vault.
  static std::vector<store::TableSpec>& more_tables() {
    static std::vector<store::TableSpec> more;
    return more;
  }
  static std::unique_ptr<store::Store> open_store(const std::string& path) {
    store::Schema schema;
    schema.tables = more_tables();
    for (const auto* specs :
         {&seal::tables(), &ledger::tables(), &identity::tables(), &access::tables(), &resource::tables(),
          &grant::tables(), &machine::tables(), &compute::tables(), &network::tables(), &tables()})
      schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
    return must(store::open_sqlite(path, schema));
  }
  // Keys take long to make: one directory has them, and each test starts from a copy.
  class Prototype {
   public:
    Prototype() : path_(new_directory()) {
      ManualClock clock;
      crypto::SystemRandom random;
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

  VaultFixture() : path_(new_directory()) {
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
    network_ = network::install(*platform_, *compute_);
    vaults_ = install(*platform_);
    client_ = must(store::write_value<Uuid>(*store_, [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(directory_->create_application(tx, application)).first.app_id;
    }));
    owner_ = make_person("owner");
    assign(owner_, kOwner, "/");
    assign(owner_, kVaultAdministrator, "/");
    EXPECT_EQ(control("PUT", kGroup, R"({"location":"local"})").status, 201);
  }
  ~VaultFixture() override {
    vaults_.reset();
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

  struct Person {
    Uuid id;
    std::string name;
  };
  Person make_person(const std::string& name) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    const auto made = must(store::write_value<identity::User>(
        *store_, [&](auto& tx) { return directory_->create_user(tx, user); }));
    return {made.id, made.user_principal_name};
  }
  std::string token(const Person& person, const std::string& audience) {
    identity::TokenSubject subject;
    subject.principal.object_id = person.id;
    subject.principal.name = person.name;
    subject.principal.app_id = client_;
    subject.principal.auth_time = clock_.now();
    subject.audience = audience;
    subject.scope = "user_impersonation";
    subject.session_id = identity::session_of(*store_, tenant_, person.id, clock_.now());
    subject.user_principal_name = person.name;
    return must(issuer_->issue(subject, kOrigin, std::chrono::hours(24)));
  }
  void assign(const Person& person, const char* role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = scope;
    assignment.role_definition_id = *Uuid::parse(role);
    assignment.principal_id = person.id;
    assignment.principal_type = "User";
    must(store::write_value<access::RoleAssignment>(
        *store_, [&](auto& tx) { return access_->assign(tx, assignment); }));
  }

  net::Request request(const std::string& method, const std::string& target, const std::string& body,
                       const std::string& bearer) {
    net::Request made;
    made.method = method;
    made.target = target;
    const net::Target parsed = must(net::parse_target(target));
    made.path = parsed.path;
    made.segments = parsed.segments;
    made.query = parsed.query;
    made.body = body;
    if (!bearer.empty()) made.headers.set("Authorization", "Bearer " + bearer);
    if (!body.empty()) made.headers.set("Content-Type", "application/json");
    made.peer = peer_;
    made.request_id = Uuid::generate(random_).text();
    return made;
  }
  // As the server asks: at once where it can be, else as a worker does.
  net::Response answer_of(net::Request made) {
    const auto answered = std::make_shared<std::promise<net::Response>>();
    const auto later = std::make_shared<std::function<void()>>();
    const net::LateAnswer late = [answered](const net::MakeAnswer& make) { answered->set_value(make()); };
    const net::Compute compute = [this, later](const net::LateAnswer&, std::function<void()> work) {
      if (computes_) *later = std::move(work);
      return computes_;
    };
    const auto shared = std::make_shared<const net::Request>(made);
    const bool begun = dynamic_cast<Service&>(*vaults_).begin_at_once(shared, late, compute);
    begun_ += begun ? 1 : 0;
    if (*later) {
      ++computed_;
      if (before_its_turn_) before_its_turn_();
      std::exchange(*later, {})();
    }
    if (!begun)
      vaults_->handle(std::move(made), net::Responder([answered](net::Response response) {
                        answered->set_value(std::move(response));
                      }));
    return answered->get_future().get();
  }
  static Seen seen(net::Response response) {
    Seen out{response.status, {}, response.body, response.headers};
    if (out.text.starts_with("{")) out.body = must(parse_json_object(out.text));
    return out;
  }
  Seen control(const std::string& method, const std::string& path, const std::string& body = {},
               const std::string& version = "2023-07-01") {
    net::Request made =
        request(method, path + "?api-version=" + version, body, token(owner_, std::string(kOrigin) + "/"));
    made.host = "merlon.localhost:8443";
    return seen(manager_->handle(made, kOrigin));
  }
  static std::string vault_id(const std::string& name) {
    return kGroup + "/providers/Microsoft.KeyVault/vaults/" + name;
  }
  Seen make_vault(const std::string& name, const std::string& more = R"("enableRbacAuthorization":true)") {
    return control("PUT", vault_id(name),
                   R"({"location":"local","properties":{"tenantId":")" + tenant_.text() +
                       R"(","sku":{"family":"A","name":"standard"})" + (more.empty() ? "" : ",") + more +
                       "}}");
  }
  // A data-plane request, as the owner unless another bearer is given.
  Seen data(const std::string& vault, const std::string& method, const std::string& path,
            const std::string& body = {}) {
    if (owner_token_.empty()) owner_token_ = token(owner_, "https://vault.merlon.localhost:8443");
    return data_as(owner_token_, vault, method, path, body);
  }
  Seen data_as(const std::string& bearer, const std::string& vault, const std::string& method,
               const std::string& path, const std::string& body = {}) {
    net::Request made = request(
        method, path + (path.find('?') == std::string::npos ? "?" : "&") + "api-version=7.4", body, bearer);
    made.host = vault + ".vault.merlon.localhost:8443";
    EXPECT_TRUE(vaults_->handles(made));
    return seen(answer_of(std::move(made)));
  }

  std::vector<ledger::Entry> entries(const std::string& action = {}) {
    must(ledger_->flush(Timestamp::max()));
    ledger::Filter filter;
    filter.action_prefix = action;
    const auto found = must(store::read_value<std::vector<ledger::RecordedEntry>>(
        *store_, [&](auto& reader) { return ledger_->list(reader, filter, std::nullopt, 1000, false); }));
    std::vector<ledger::Entry> out;
    for (const auto& recorded : found) out.push_back(recorded.entry);
    return out;
  }

  ManualClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_ = tenant_of_tests();
  IpAddress peer_ = *IpAddress::parse("192.0.2.7");
  std::string path_;
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
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<Vaults> vaults_;
  Person owner_;
  std::string owner_token_;
  int begun_ = 0;     // answered without a worker
  int computed_ = 0;  // of them, on a thread that computes
  bool computes_ = true;
  std::function<void()> before_its_turn_;  // to be computed
};

}  // namespace merlon::vault

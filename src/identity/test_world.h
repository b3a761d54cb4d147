// A whole identity room on a state directory of its own, with the clock in the test's hand: for the tests of
// this room.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crypto/jose.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "identity/bootstrap.h"
#include "identity/endpoints.h"
#include "identity/sessions.h"
#include "identity/signing_keys.h"

namespace merlon::identity {

template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().code << ": " << result.error().message << " " << result.error().cause;
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline JsonObject body_of(const net::Response& response) { return must(parse_json_object(response.body)); }

// The middle part of a JWS, unverified.
inline JsonObject claims_of(const std::string& token) { return must(crypto::parse_jws(token)).payload; }

using Form = std::vector<std::pair<std::string, std::string>>;

class World {
 public:
  static constexpr const char* kOrigin = "https://merlon.localhost:8443";
  static constexpr const char* kManagement = "https://merlon.localhost:8443/";

  // A copy of one state directory that is made once: finding its keys takes longer than most tests.
  World() {
    static const Template made;
    std::filesystem::copy(
        made.directory.path, directory_.path,
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    open();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { close(); }
  void reopen() {
    close();
    open();
  }

  template <class T>
  T write(const std::function<Result<T>(store::Transaction&)>& work) {
    return must(store::write_value<T>(*store, work));
  }
  void write(const std::function<Result<void>(store::Transaction&)>& work) { must(store->write(work)); }
  template <class T>
  T read(const std::function<Result<T>(store::Reader&)>& work) {
    return must(store::read_value<T>(*store, work));
  }

  struct App {
    Application application;
    ServicePrincipal principal;
    std::string secret;
  };
  App make_app(const std::string& name, Duration lifetime = std::chrono::hours(24)) {
    return write<App>([&](store::Transaction& tx) -> Result<App> {
      Application wanted;
      wanted.display_name = name;
      auto [application, principal] = TRY(directory->create_application(tx, wanted));
      const NewSecret secret = TRY(directory->add_secret(tx, application.id, "test", lifetime));
      return App{application, principal, std::string(secret.text.expose_text())};
    });
  }
  App make_admin(const std::string& name) {
    const App app = make_app(name);
    write([&](store::Transaction& tx) {
      return directory->add_directory_role(tx, *Uuid::parse(kGlobalAdministrator), app.principal.id);
    });
    return app;
  }
  User make_user(const std::string& name, const std::string& password_hash = {}) {
    User user;
    user.user_principal_name = name;
    user.display_name = "The user " + name;
    user.password_hash = password_hash;
    return write<User>([&](store::Transaction& tx) { return directory->create_user(tx, user); });
  }

  // A session of the user, as a sign-in would have begun it; its id.
  std::string make_session(const User& user) {
    Session session;
    session.id = Uuid::generate(random);
    session.user = user.id;
    session.method = "password";
    session.expires = clock.now() + std::chrono::hours(24);
    write([&](store::Transaction& tx) { return store::put(tx, tenant, session); });
    return session.id.text();
  }

  // "POST", "/x?y=z"; nothing when the path is not identity's.
  std::optional<net::Response> send(const std::string& method, const std::string& target,
                                    std::string body = {}, const Form& headers = {}) {
    net::Request request;
    request.method = method;
    request.target = target;
    const net::Target parsed = must(net::parse_target(target));
    request.path = parsed.path;
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.body = std::move(body);
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    request.peer = peer;
    request.host = "merlon.localhost:8443";
    request.request_id = "6f1d6d4f-0000-4000-8000-000000000001";
    return endpoints->handle(request, kOrigin);
  }
  net::Response post_form(const std::string& target, const Form& form, Form headers = {}) {
    std::string body;
    for (const auto& [name, value] : form)
      body += (body.empty() ? "" : "&") + net::percent_encode(name) + "=" + net::percent_encode(value);
    headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    auto response = send("POST", target, body, headers);
    EXPECT_TRUE(response) << target;
    return response ? *std::move(response) : net::Response{};
  }
  std::string v2() const { return "/" + tenant.text() + "/oauth2/v2.0/token"; }
  net::Response ask_token(const App& app, const std::string& scope = std::string(kManagement) + ".default") {
    return post_form(v2(), {{"grant_type", "client_credentials"},
                            {"client_id", app.application.app_id.text()},
                            {"client_secret", app.secret},
                            {"scope", scope}});
  }
  std::string token(const App& app) {
    const net::Response response = ask_token(app);
    EXPECT_EQ(response.status, 200) << response.body;
    return string_at(body_of(response), "access_token").value_or("");
  }
  Result<Principal> authenticate(const std::string& header, Api api = Api::resource_manager) {
    return store::read_value<Principal>(
        *store, [&](store::Reader& reader) { return issuer->authenticate(reader, header, peer, api); });
  }
  std::vector<SigningKey> signing_keys() {
    return must(SigningKeyStore(*seal, clock, random, tenant, "merlon.localhost").open(*store)).keys;
  }
  // A token that our own key has signed, whatever it says.
  std::string sign(const JsonObject& payload, JsonObject header = {{"typ", "JWT"}}) {
    const SigningKey key = signing_keys().front();
    header["kid"] = key.id;
    return must(crypto::sign_jws(header, payload, crypto::SignatureAlgorithm::rs256, key.key));
  }
  std::vector<ledger::Entry> entries(const std::string& action) {
    must(ledger->flush(Timestamp::max()));
    return read<std::vector<ledger::Entry>>([&](store::Reader& reader) -> Result<std::vector<ledger::Entry>> {
      ledger::Filter filter;
      filter.action_prefix = action;
      std::vector<ledger::Entry> found;
      for (const auto& recorded : TRY(ledger->list(reader, filter, std::nullopt, 1000, false)))
        found.push_back(recorded.entry);
      return found;
    });
  }

  ManualClock clock;
  crypto::SystemRandom random;
  TenantId tenant{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  IpAddress peer = *IpAddress::parse("192.0.2.7");
  std::unique_ptr<store::Store> store;
  std::unique_ptr<seal::Seal> seal;
  std::unique_ptr<ledger::Ledger> ledger;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Issuer> issuer;
  std::unique_ptr<Endpoints> endpoints;
  IssuerAccess foreign_issuers{.fetch = net::fetch,
                               .at_private_addresses = {}};  // reopen() after changing them

 private:
  struct TemporaryDirectory {
    TemporaryDirectory()
        : path((std::filesystem::temp_directory_path() / "merlon-identity-XXXXXX").string()) {
      EXPECT_NE(::mkdtemp(path.data()), nullptr);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::string path;
  };
  struct Template {
    Template() {
      World world(directory);
      world.write([&](store::Transaction& tx) { return ensure_well_known(tx, *world.directory); });
    }
    TemporaryDirectory directory;
  };
  explicit World(const TemporaryDirectory& at) : path_(at.path) { open(); }

  void open() {
    store::Schema schema;
    for (const auto* specs : {&seal::tables(), &ledger::tables(), &identity::tables()})
      schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
    store = must(store::open_sqlite(path_, schema));
    seal = must(seal::Seal::open(*store, path_ + "/root.key", random));
    ledger = must(ledger::Ledger::open(*store, *seal, clock, random, tenant));
    directory = std::make_unique<Directory>(tenant, clock, random);
    issuer = must(Issuer::open(*store, *seal, clock, random,
                               {.tenant = tenant, .domain = "merlon.localhost", .own_audiences = {}}));
    endpoints =
        std::make_unique<Endpoints>(*store, *ledger, *directory, *issuer, clock, random, foreign_issuers);
  }
  void close() {
    endpoints.reset();
    issuer.reset();
    directory.reset();
    ledger.reset();
    seal.reset();
    store.reset();
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path;
};

}  // namespace merlon::identity

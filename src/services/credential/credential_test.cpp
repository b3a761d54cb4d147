// Who may set a machine credential, which one counts, and what becomes of it when what it stands on goes.
#include <gmock/gmock.h>

#include "services/credential/service.h"
#include "services/vault/vault_fixture.h"

namespace merlon::credential {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using vault::must;
using vault::Seen;

const std::string kMachine = vault::kGroup + "/providers/Microsoft.Compute/virtualMachines/web-1";
const std::string kSubscription = "/subscriptions/22222222-2222-4222-8222-222222222222";
constexpr const char* kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";
constexpr const char* kSecretsUser = "4633458b-17de-408a-b874-0445c86b69e6";
constexpr const char* kVersion = "2026-11-01";
constexpr const char* kPassword = "correct horse battery";

class CredentialTest : public vault::VaultFixture {
 protected:
  struct Tables {
    Tables() {
      for (const auto* specs : {&ssh_identity::tables(), &tables()})
        more_tables().insert(more_tables().end(), specs->begin(), specs->end());
    }
  };

  void SetUp() override {
    ssh_ = must(ssh_identity::install(*platform_));
    credentials_ = install(*platform_, *compute_, *vaults_, *ssh_);
    must(store_->write([&](store::Transaction& tx) {
      return manager_->as_system(tx, "test", [&](resource::WriteContext& context) -> Result<void> {
        TRY(manager_->store_document(context, must(resource::ResourceId::parse(kMachine)),
                                     {{"location", "local"}, {"properties", JsonObject()}}));
        return {};
      });
    }));
    host_key_ = new_key();
    give_host_key(host_key_);
    EXPECT_EQ(make_vault("kv-web").status, 200);
    EXPECT_EQ(data("kv-web", "PUT", "/secrets/web-1-admin", secret_body(kPassword)).status, 200);
    ada_ = make_person("ada");
    assign(ada_, kContributor, "/");
  }
  void TearDown() override {
    credentials_.reset();
    ssh_.reset();
  }

  static std::string secret_body(const std::string& value) { return to_text(JsonObject{{"value", value}}); }
  static std::string new_key() {
    return ssh::PublicKey::of(must(crypto::PrivateKey::generate(crypto::KeyKind::ed25519)).public_key())
        .line();
  }
  void give_host_key(const std::string& line) {
    const JsonObject body{{"properties", JsonObject{{"publicKeys", JsonArray{Json(line)}}}}};
    EXPECT_EQ(send(owner_, "PUT", kMachine + "/providers/Merlon.Bastion/sshHostKeys/default", body).status,
              200);
  }
  Seen send(const Person& who, const std::string& method, const std::string& path,
            const JsonObject& body = {}) {
    net::Request made =
        request(method, path + "?api-version=" + kVersion, method == "PUT" ? to_text(body) : std::string(),
                token(who, std::string(kOrigin) + "/"));
    made.host = "merlon.localhost:8443";
    return seen(manager_->handle(made, kOrigin));
  }
  static std::string at(const std::string& scope, const std::string& name) {
    return scope + "/providers/Merlon.Bastion/machineCredentials/" + name;
  }
  static JsonObject password_of(const std::string& login, const std::string& secret = "kv-web/web-1-admin") {
    return body_of(login, "Password", secret);
  }
  static JsonObject key_of(const std::string& login, const std::string& secret = "kv-web/key") {
    return body_of(login, "PrivateKey", secret);
  }
  static JsonObject body_of(const std::string& login, const char* kind, const std::string& secret) {
    const size_t slash = secret.find('/');
    return {{"properties",
             JsonObject{{"login", login},
                        {"kind", kind},
                        {"secretId", "https://" + secret.substr(0, slash) +
                                         ".vault.merlon.localhost:8443/secrets" + secret.substr(slash)}}}};
  }
  Result<std::optional<Found>> found(const std::string& login, const std::string& machine = kMachine) {
    return store::read_value<std::optional<Found>>(*store_, [&](store::Reader& reader) {
      return credentials_->find(reader, machine, login, must(ssh_->host_keys(reader, machine)));
    });
  }
  Use use_for(const std::string& login) {
    identity::Principal bob;
    bob.object_id = Uuid::generate(random_);
    bob.name = "bob@merlon.localhost";
    return {.person = bob,
            .session = "5e551011-0000-4000-8000-000000000001",
            .machine = kMachine,
            .login = login};
  }
  Result<ssh::MachineSecret> secret_for(const std::string& login) {
    const auto it = TRY(found(login));
    if (!it) return fail(ErrorKind::not_found, "Nothing", "nothing is set");
    return credentials_->secret(*it, use_for(login));
  }
  std::string refusal(const std::string& login) {
    const auto secret = secret_for(login);
    return secret ? "there is one" : secret.error().message;
  }
  std::string text_for(const std::string& login) {
    const auto secret = secret_for(login);
    if (!secret) return secret.error().message;
    return std::string((secret->password.empty() ? secret->private_key : secret->password).expose_text());
  }
  std::vector<ledger::Entry> uses() {
    std::vector<ledger::Entry> all;
    for (const auto& entry : entries("Microsoft.KeyVault/vaults/secrets/getSecret/action"))
      if (entry.actor.kind == "System") all.push_back(entry);
    return all;
  }

  Person ada_;
  std::string host_key_;
  std::unique_ptr<ssh_identity::SshIdentities> ssh_;
  std::unique_ptr<MachineCredentials> credentials_;

 private:
  static inline const Tables kTables{};
};

TEST_F(CredentialTest, WhoMayReadTheSecretSetsItAndTheBastionUsesIt) {
  const Seen made = send(owner_, "PUT", at(kMachine, "admin"), password_of("admin"));
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("properties.secretId"), "https://kv-web.vault.merlon.localhost:8443/secrets/web-1-admin");
  EXPECT_EQ(text_for("admin"), kPassword);
  EXPECT_FALSE(must(found("root")).has_value());
  ASSERT_THAT(uses(), SizeIs(1));
  const ledger::Entry entry = uses().front();
  EXPECT_THAT(entry.resource, HasSubstr("/vaults/kv-web/secrets/web-1-admin"));
  EXPECT_EQ(entry.decision, ledger::Decision::allowed);
  EXPECT_EQ(string_at(entry.details, "for"), "bob@merlon.localhost");
  EXPECT_EQ(string_at(entry.details, "lentBy"), owner_.name);
  EXPECT_EQ(string_at(entry.details, "session"), "5e551011-0000-4000-8000-000000000001");
  EXPECT_EQ(string_at(entry.details, "login"), "admin");
  EXPECT_EQ(string_at(entry.details, "version").value_or("").size(), 32U);
  for (const auto& each : entries()) EXPECT_THAT(to_text(each.details), Not(HasSubstr(kPassword)));
}

TEST_F(CredentialTest, WhoMayNotReadTheSecretLendsNothing) {
  const Seen refused = send(ada_, "PUT", at(kMachine, "admin"), password_of("admin"));
  EXPECT_EQ(refused.status, 403) << refused.text;
  EXPECT_FALSE(must(found("admin")).has_value());
  // Nor does whoever replaces what somebody else has set, which stays as it was.
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  EXPECT_EQ(send(ada_, "PUT", at(kMachine, "admin"), password_of("root")).status, 403);
  EXPECT_EQ(text_for("admin"), kPassword);
  // A role at the one secret is enough; for that secret alone.
  assign(ada_, kSecretsUser, vault_id("kv-web") + "/secrets/web-1-admin");
  EXPECT_EQ(send(ada_, "PUT", at(kMachine, "root"), password_of("root")).status, 201);
  EXPECT_EQ(data("kv-web", "PUT", "/secrets/other", secret_body("x")).status, 200);
  EXPECT_EQ(send(ada_, "PUT", at(kMachine, "root"), password_of("root", "kv-web/other")).status, 403);
}

TEST_F(CredentialTest, TheVaultsFirewallHoldsForWhoeverSetsIt) {
  const std::string walled =
      R"("enableRbacAuthorization":true,"networkAcls":{"defaultAction":"Deny","bypass":)";
  ASSERT_EQ(make_vault("walled", walled + R"("AzureServices","ipRules":[{"value":"192.0.2.7"}]})").status,
            200);
  ASSERT_EQ(data("walled", "PUT", "/secrets/s", secret_body("p")).status, 200);
  peer_ = *IpAddress::parse("203.0.113.9");
  EXPECT_EQ(send(owner_, "PUT", at(kMachine, "a"), password_of("a", "walled/s")).status, 403);
  peer_ = *IpAddress::parse("192.0.2.7");
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "a"), password_of("a", "walled/s")).status, 201);
  EXPECT_EQ(text_for("a"), "p");  // the server is one of the trusted services
  ASSERT_EQ(make_vault("walled", walled + R"("None","ipRules":[{"value":"192.0.2.7"}]})").status, 200);
  EXPECT_THAT(refusal("a"), HasSubstr("its vault lets no trusted services in"));
}

TEST_F(CredentialTest, ItsUseEndsWithTheRightOfWhoeverSetIt) {
  const auto role = must(store::write_value<access::RoleAssignment>(*store_, [&](auto& tx) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = vault_id("kv-web");
    assignment.role_definition_id = *Uuid::parse(kSecretsUser);
    assignment.principal_id = ada_.id;
    assignment.principal_type = "User";
    return access_->assign(tx, assignment);
  }));
  ASSERT_EQ(send(ada_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  EXPECT_EQ(text_for("admin"), kPassword);
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(access_->forget_scope(tx, role.scope));
    return {};
  }));
  EXPECT_THAT(refusal("admin"), HasSubstr("whoever has set it may not read it in its vault any more"));
  const Seen shown = send(owner_, "GET", at(kMachine, "admin"));
  EXPECT_EQ(shown.at("properties.state"), "ForbiddenByRbac");
  EXPECT_EQ(uses().back().decision, ledger::Decision::denied);
}

TEST_F(CredentialTest, WhoeverIsDisabledLendsNothing) {
  assign(ada_, kSecretsUser, vault_id("kv-web"));
  ASSERT_EQ(send(ada_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    auto user = TRY(store::get<identity::User>(tx, tenant_, ada_.id.text()));
    user->enabled = false;
    return store::put(tx, tenant_, *user);
  }));
  EXPECT_THAT(refusal("admin"), HasSubstr("whoever has set it is disabled or gone"));
}

TEST_F(CredentialTest, ANewerVersionIsUsedUnlessOneIsNamed) {
  const std::string first = data("kv-web", "GET", "/secrets/web-1-admin").at("id");
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "newest"), password_of("newest")).status, 201);
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "first"),
                 password_of("first", "kv-web/web-1-admin/" + first.substr(first.rfind('/') + 1)))
                .status,
            201);
  EXPECT_EQ(data("kv-web", "PUT", "/secrets/web-1-admin", secret_body("newer\n")).status, 200);
  EXPECT_EQ(text_for("newest"), "newer");  // without the end of its line
  EXPECT_EQ(text_for("first"), kPassword);
}

TEST_F(CredentialTest, WhatIsDisabledExpiredOrDeletedIsNotUsed) {
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  const auto change = [&](const std::string& attributes) {
    EXPECT_EQ(data("kv-web", "PATCH", "/secrets/web-1-admin", R"({"attributes":)" + attributes + "}").status,
              200);
  };
  change(R"({"enabled":false})");
  EXPECT_THAT(refusal("admin"), HasSubstr("it is disabled in its vault"));
  change(R"({"enabled":true,"exp":1000000})");
  EXPECT_THAT(refusal("admin"), HasSubstr("it has expired in its vault"));
  change(R"({"exp":4000000000})");
  EXPECT_EQ(text_for("admin"), kPassword);
  EXPECT_EQ(data("kv-web", "DELETE", "/secrets/web-1-admin").status, 200);
  EXPECT_THAT(refusal("admin"), HasSubstr("no such secret any more"));
  EXPECT_EQ(data("kv-web", "POST", "/deletedsecrets/web-1-admin/recover").status, 200);
  EXPECT_EQ(text_for("admin"), kPassword);
  EXPECT_EQ(control("DELETE", vault_id("kv-web")).status, 200);
  EXPECT_THAT(refusal("admin"), HasSubstr("its vault is deleted"));
}

TEST_F(CredentialTest, TheNearestCountsAndNoOtherLogin) {
  for (const char* name : {"far", "near", "own"})
    ASSERT_EQ(data("kv-web", "PUT", std::string("/secrets/") + name,
                   secret_body("-----BEGIN OPENSSH PRIVATE KEY-----" + std::string(name)))
                  .status,
              200);
  EXPECT_EQ(send(owner_, "PUT", at(kSubscription, "c"), key_of("ops", "kv-web/far")).status, 201);
  EXPECT_THAT(text_for("ops"), HasSubstr("far"));
  EXPECT_EQ(send(owner_, "PUT", at(vault::kGroup, "c"), key_of("ops", "kv-web/near")).status, 201);
  EXPECT_THAT(text_for("ops"), HasSubstr("near"));
  EXPECT_EQ(send(owner_, "PUT", at(kMachine, "c"), key_of("ops", "kv-web/own")).status, 201);
  EXPECT_THAT(text_for("ops"), HasSubstr("own"));
  EXPECT_FALSE(must(found("Ops")).has_value());
  EXPECT_EQ(must(found("ops", vault::kGroup + "x/providers/Microsoft.Compute/virtualMachines/web-1"))
                ->host_keys.size(),
            0U);
  const Seen listed = send(owner_, "GET", kMachine + "/providers/Merlon.Bastion/machineCredentials");
  EXPECT_THAT(*array_at(listed.body, "value"), SizeIs(3));
  EXPECT_EQ(send(owner_, "DELETE", at(kMachine, "c")).status, 200);
  EXPECT_THAT(text_for("ops"), HasSubstr("near"));
}

TEST_F(CredentialTest, APasswordGoesToNoMachineButTheOneItWasSetFor) {
  EXPECT_EQ(send(owner_, "PUT", at(vault::kGroup, "admin"), password_of("admin")).code(),
            "PasswordNeedsOneMachine");
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  EXPECT_THAT(must(found("admin"))->host_keys, ElementsAre(host_key_));
  // Whoever may say which host keys are the machine's may not read the password.
  give_host_key(new_key());
  EXPECT_THAT(refusal("admin"), HasSubstr("host keys have changed"));
  EXPECT_EQ(send(owner_, "GET", at(kMachine, "admin")).at("properties.state"), "HostKeyChanged");
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 200);
  EXPECT_EQ(text_for("admin"), kPassword);
}

TEST_F(CredentialTest, WhatIsChangedMeanwhileIsNotUsedAsItWas) {
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  const Found before = *must(found("admin"));
  clock_.advance(std::chrono::seconds(1));
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 200);
  EXPECT_EQ(credentials_->secret(before, use_for("admin")).error().code, "CredentialChanged");
  const Found now = *must(found("admin"));
  EXPECT_EQ(credentials_->secret(now, use_for("root")).error().code, "CredentialChanged");
  EXPECT_THAT(uses(), IsEmpty());
}

TEST_F(CredentialTest, OneLoginHasOneCredentialAtAScope) {
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "one"), password_of("admin")).status, 201);
  EXPECT_EQ(send(owner_, "PUT", at(kMachine, "two"), password_of("admin")).code(), "LoginHasCredential");
}

TEST_F(CredentialTest, WhatGoesTakesItsCredentialsAlong) {
  ASSERT_EQ(data("kv-web", "PUT", "/secrets/key", secret_body("-----BEGIN PRIVATE KEY-----")).status, 200);
  ASSERT_EQ(send(owner_, "PUT", at(kMachine, "admin"), password_of("admin")).status, 201);
  ASSERT_EQ(send(owner_, "PUT", at(vault::kGroup, "ops"), key_of("ops")).status, 201);
  EXPECT_LT(control("DELETE", kMachine, {}, "2024-07-01").status, 300);
  EXPECT_FALSE(must(found("admin")).has_value());
  EXPECT_THAT(entries("Merlon.Bastion/machineCredentials/delete"), SizeIs(1));
  EXPECT_TRUE(must(found("ops")).has_value());
  // A group that is made anew under the name of one that was deleted has none of its credentials.
  EXPECT_LT(control("DELETE", vault::kGroup).status, 300);
  EXPECT_FALSE(must(found("ops")).has_value());
}

TEST_F(CredentialTest, NonsenseIsRefused) {
  const auto code = [&](JsonObject body, const std::string& name = "x") {
    return send(owner_, "PUT", at(kMachine, name), body).code();
  };
  EXPECT_EQ(code(body_of("admin", "Password", "kv-web/none")), "SecretNotFound");
  EXPECT_EQ(code(body_of("admin", "Password", "nokv/none")), "VaultNotFound");
  EXPECT_EQ(code(body_of("ad min", "Password", "kv-web/web-1-admin")), "InvalidRequestContent");
  EXPECT_EQ(code(body_of("admin+web", "Password", "kv-web/web-1-admin")), "InvalidRequestContent");
  EXPECT_EQ(code(body_of("admin", "Certificate", "kv-web/web-1-admin")), "InvalidRequestContent");
  EXPECT_EQ(code(password_of("admin"), "no%20name"), "InvalidResourceName");
  JsonObject elsewhere = password_of("admin");
  elsewhere["properties"].get_object()["secretId"] = "https://kv-web.vault.example.org/secrets/web-1-admin";
  EXPECT_EQ(code(elsewhere), "InvalidRequestContent");
  EXPECT_EQ(send(owner_, "PUT", at(vault::kGroup + "/providers/Microsoft.Compute/virtualMachines/none", "x"),
                 password_of("admin"))
                .status,
            404);
}

}  // namespace
}  // namespace merlon::credential

// Machines' identities through the whole server: who may assign them, to which principal they are bound, and
// that they end with their machine.
#include <gmock/gmock.h>

#include "server/assembly_fixture.h"

namespace merlon::server {
namespace {

constexpr const char* kOperator = "f1a07417-d97a-45cb-824c-7a7467783830";     // Managed Identity Operator
constexpr const char* kContributor = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c";  // Virtual Machine Contributor

class MachineIdentityTest : public AssemblyTest {
 protected:
  void SetUp() override {
    AssemblyTest::SetUp();
    call("PUT", group(), {{"location", "local"}}, 201);
  }
  std::string group() const { return subscription_ + std::string(kGroup); }
  std::string vm(const std::string& name = "web-1") const {
    return group() + "/providers/Microsoft.Compute/virtualMachines/" + name;
  }
  std::string identity(const std::string& name) const {
    return group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name;
  }
  JsonObject make_identity(const std::string& name) {
    return call("PUT", identity(name), {{"location", "local"}}, 201);
  }
  JsonObject put_vm(const JsonObject& envelope, int expected, const std::string& name = "web-1") {
    return call("PUT", vm(name), {{"location", "local"}, {"identity", envelope}}, expected);
  }
  JsonObject patch_vm(const JsonObject& envelope, int expected) {
    return call("PATCH", vm(), {{"identity", envelope}}, expected);
  }
  static JsonObject assigned(const std::string& id, const Json& value = JsonObject()) {
    return {{"type", "UserAssigned"}, {"userAssignedIdentities", JsonObject{{id, value}}}};
  }
  std::optional<identity::Directory::Found> principal(const std::string& id) {
    return *store::read_value<std::optional<identity::Directory::Found>>(
        assembly_->store(), [&](store::Reader& reader) {
          return assembly_->core().directory.find_object(reader, *Uuid::parse(id));
        });
  }
  static std::string at(const JsonObject& json, const std::string& path) {
    return string_at(json, path).value_or("");
  }
  static const JsonObject* bound(const JsonObject& vm, const std::string& id) {
    const JsonObject* all = object_at(vm, "identity.userAssignedIdentities");
    const Json* value = all == nullptr ? nullptr : all->if_contains(id);
    return value == nullptr ? nullptr : value->if_object();
  }
  // An application with roles, signed in.
  std::string sign_in_with(const std::string& name,
                           const std::vector<std::pair<std::string, std::string>>& roles) {
    std::string secret;
    const auto made = *store::write_value<identity::Application>(
        assembly_->store(), [&](store::Transaction& tx) -> Result<identity::Application> {
          identity::Application application;
          application.display_name = name;
          const auto both = TRY(assembly_->core().directory.create_application(tx, application));
          secret = std::string(
              TRY(assembly_->core().directory.add_secret(tx, both.first.id, "s", std::chrono::hours(1)))
                  .text.expose_text());
          for (const auto& [role, scope] : roles) {
            access::RoleAssignment assignment;
            assignment.id = Uuid::generate(random_);
            assignment.scope = scope;
            assignment.role_definition_id = *Uuid::parse(role);
            assignment.principal_id = both.second.id;
            assignment.principal_type = "ServicePrincipal";
            TRY(assembly_->core().access.assign(tx, assignment));
          }
          return both.first;
        });
    return sign_in(made.app_id.text(), secret);
  }
};

TEST_F(MachineIdentityTest, AMachinesOwnIdentityIsMadeKeptAndRemovedWithIt) {
  const JsonObject made = put_vm({{"type", "SystemAssigned"}}, 201);
  const std::string own = at(made, "identity.principalId");
  ASSERT_TRUE(Uuid::parse(own)) << to_text(made);
  EXPECT_EQ(at(made, "identity.tenantId"), assembly_->core().tenant.text());
  ASSERT_TRUE(principal(own));
  EXPECT_EQ(principal(own)->display_name, "web-1");
  EXPECT_EQ(at(put_vm({{"type", "SystemAssigned"}, {"principalId", Uuid::generate(random_).text()}}, 200),
               "identity.principalId"),
            own)
      << "nobody chooses it";
  EXPECT_EQ(at(call("PUT", vm(), {{"location", "local"}}, 200), "identity.principalId"), own)
      << "a PUT without the envelope leaves it";
  EXPECT_EQ(at(call("PATCH", vm(), {{"tags", JsonObject{{"a", "b"}}}}, 200), "identity.principalId"), own);
  const JsonObject without = patch_vm({{"type", "None"}}, 200);
  EXPECT_FALSE(without.contains("identity")) << to_text(without);
  EXPECT_FALSE(principal(own)) << "it ends with the identity";
  const std::string next = at(patch_vm({{"type", "SystemAssigned"}}, 200), "identity.principalId");
  EXPECT_NE(next, own) << "another one, with none of the old one's roles";
  call("DELETE", vm(), {}, 200);
  EXPECT_FALSE(principal(next)) << "it ends with the machine";
}

TEST_F(MachineIdentityTest, AnEnrolledMachinesIdentityEndsWhenItIsRemoved) {
  enrol();
  const std::string own = at(patch_vm({{"type", "SystemAssigned"}}, 200), "identity.principalId");
  ASSERT_TRUE(principal(own));
  const auto answer = send(
      "DELETE", group() + "/providers/Merlon.Machines/machines/web-1?api-version=2024-05-01", {}, token_);
  EXPECT_LT(answer.status, 300) << answer.body;
  EXPECT_FALSE(principal(own));
}

TEST_F(MachineIdentityTest, AUserAssignedIdentityMustExist) {
  const JsonObject refused = put_vm(assigned(identity("app")), 400);
  EXPECT_EQ(at(refused, "error.code"), "FailedIdentityOperation") << to_text(refused);
  call("GET", vm(), {}, 404);
  put_vm(assigned(vm("other")), 400);
  put_vm(assigned("nonsense"), 400);
  put_vm({{"type", "UserAssigned"}}, 400);
  put_vm({{"type", "Anything"}}, 400);
  JsonObject both = assigned(identity("app"));
  both["type"] = "SystemAssigned";
  make_identity("app");
  put_vm(both, 400);
  call("GET", vm(), {}, 404);
}

TEST_F(MachineIdentityTest, AnIdentityIsBoundToItsPrincipalNotToItsName) {
  const JsonObject app = make_identity("app");
  const JsonObject made = put_vm(assigned(identity("APP")), 201);
  const JsonObject* binding = bound(made, identity("app"));
  ASSERT_NE(binding, nullptr) << to_text(made);
  EXPECT_EQ(at(*binding, "principalId"), at(app, "properties.principalId"));
  EXPECT_EQ(at(*binding, "clientId"), at(app, "properties.clientId"));
  call("DELETE", identity("app"), {}, 200);
  const JsonObject again = make_identity("app");
  const JsonObject touched = call("PATCH", vm(), {{"tags", JsonObject{{"a", "b"}}}}, 200);
  EXPECT_EQ(at(*bound(touched, identity("app")), "principalId"), at(app, "properties.principalId"))
      << "the new one under the old name is not this machine's";
  const JsonObject renewed = patch_vm(assigned(identity("app")), 200);
  EXPECT_EQ(at(*bound(renewed, identity("app")), "principalId"), at(again, "properties.principalId"));
}

TEST_F(MachineIdentityTest, APatchAddsAndTakesAwayWhateverTheCaseOfTheId) {
  make_identity("one");
  make_identity("two");
  put_vm({{"type", "SystemAssigned, UserAssigned"},
          {"userAssignedIdentities", JsonObject{{identity("one"), JsonObject()}}}},
         201);
  JsonObject both = patch_vm({{"type", "SystemAssigned,UserAssigned"},
                              {"userAssignedIdentities", JsonObject{{identity("two"), JsonObject()}}}},
                             200);
  EXPECT_EQ(at(both, "identity.type"), "SystemAssigned, UserAssigned");
  EXPECT_NE(bound(both, identity("one")), nullptr);
  EXPECT_NE(bound(both, identity("two")), nullptr);
  const JsonObject one = patch_vm({{"userAssignedIdentities", JsonObject{{identity("ONE"), nullptr}}}}, 200);
  EXPECT_EQ(bound(one, identity("one")), nullptr) << to_text(one);
  EXPECT_NE(bound(one, identity("two")), nullptr);
  const std::string own = at(one, "identity.principalId");
  const JsonObject user = patch_vm({{"type", "UserAssigned"}}, 200);
  EXPECT_FALSE(principal(own)) << "the machine's own one is gone";
  EXPECT_NE(bound(user, identity("two")), nullptr);
  patch_vm({{"userAssignedIdentities", JsonObject{{identity("two"), nullptr}}}}, 400);
  const JsonObject system = patch_vm({{"type", "SystemAssigned"}}, 200);
  EXPECT_EQ(object_at(system, "identity.userAssignedIdentities"), nullptr);
}

TEST_F(MachineIdentityTest, AssigningTakesARightOnTheIdentityEachTimeItIsAnother) {
  make_identity("app");
  put_vm({{"type", "None"}}, 201);
  const std::string owner = token_;
  token_ = sign_in_with("without", {{kContributor, group()}});
  const JsonObject refused = patch_vm(assigned(identity("app")), 403);
  EXPECT_EQ(at(refused, "error.code"), "LinkedAuthorizationFailed");
  EXPECT_EQ(at(patch_vm(assigned(identity("absent")), 403), "error.code"), "LinkedAuthorizationFailed")
      << "what exists is not for everyone to know";
  token_ = sign_in_with("with", {{kContributor, group()}, {kOperator, identity("app")}});
  patch_vm(assigned(identity("app")), 200);
  token_ = sign_in_with("later", {{kContributor, group()}});
  patch_vm(assigned(identity("app")), 200);
  token_ = owner;
  call("DELETE", identity("app"), {}, 200);
  make_identity("app");
  token_ = sign_in_with("last", {{kContributor, group()}});
  patch_vm(assigned(identity("app")), 403);
}

// Whoever enrols as a machine acts as it: a right to invite machines must not become the identities that a
// person gave one beforehand.
TEST_F(MachineIdentityTest, WhoInvitesADescribedMachineMustBeOneWhoMayGiveItItsIdentities) {
  const std::string inviter = "aaaaaaaa-0000-4000-8000-000000000001";
  call("PUT",
       group() + "/providers/Microsoft.Authorization/roleDefinitions/" + inviter + "?api-version=2022-04-01",
       {{"properties",
         JsonObject{{"roleName", "Inviter"},
                    {"type", "CustomRole"},
                    {"assignableScopes", JsonArray{group()}},
                    {"permissions", JsonArray{JsonObject{{"actions", JsonArray{"Merlon.Machines/*"}}}}}}}},
       201);
  make_identity("app");
  const std::string owner = token_;
  const auto invite = [&](int expected) {
    return call("POST", group() + "/providers/Merlon.Machines/enrolmentTokens", {{"name", "web-1"}},
                expected);
  };
  const auto enrol_by = [&](const JsonObject& invitation) {
    machine::EnrolRequest request;
    request.token = at(invitation, "token");
    request.certificate_request_pem =
        *crypto::make_request(*crypto::PrivateKey::generate(crypto::KeyKind::ec_p256), "web-1");
    request.facts.hostname = "web-1";
    request.facts.boot_id = "boot-1";
    machine::ReportedInterface eth0;
    eth0.name = "eth0";
    eth0.addresses = {{*IpAddress::parse("10.7.0.4"), 24U}};
    request.facts.interfaces = {eth0};
    return send("POST", "/agent/v1/enrol", to_text(request.to_json()));
  };
  token_ = sign_in_with("inviter", {{inviter, group()}});
  const JsonObject early = invite(201);  // before there was anything to gain

  token_ = owner;
  put_vm({{"type", "SystemAssigned"}}, 201);
  token_ = sign_in_with("own", {{inviter, group()}});
  EXPECT_EQ(at(invite(403), "error.code"), "LinkedAuthorizationFailed");
  const auto refused = enrol_by(early);
  EXPECT_EQ(refused.status, 403) << refused.body;
  EXPECT_THAT(refused.body, testing::HasSubstr("LinkedAuthorizationFailed"));
  token_ = sign_in_with("writer", {{inviter, group()}, {kContributor, group()}});
  invite(201);  // who may write the machine might have had its identity made

  token_ = owner;
  patch_vm(assigned(identity("app")), 200);
  token_ = sign_in_with("writer of this", {{inviter, group()}, {kContributor, group()}});
  EXPECT_EQ(at(invite(403), "error.code"), "LinkedAuthorizationFailed");
  EXPECT_EQ(enrol_by(early).status, 403);
  token_ = sign_in_with("operator", {{inviter, group()}, {kOperator, identity("app")}});
  EXPECT_EQ(enrol_by(invite(201)).status, 201);
}

class MachineTokenTest : public MachineIdentityTest {
 protected:
  void SetUp() override {
    MachineIdentityTest::SetUp();
    enrol();
    const JsonObject made = patch_vm({{"type", "SystemAssigned"}}, 200);
    own_ = at(made, "identity.principalId");
    give_role(own_, kReader, group());
  }
  void give_role(const std::string& principal, const char* role, const std::string& scope) {
    access::RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = scope;
    assignment.role_definition_id = *Uuid::parse(role);
    assignment.principal_id = *Uuid::parse(principal);
    assignment.principal_type = "ServicePrincipal";
    ASSERT_TRUE(store::write_value<access::RoleAssignment>(assembly_->store(), [&](store::Transaction& tx) {
      return assembly_->core().access.assign(tx, assignment);
    }));
  }
  machine::IdentityEndpoint endpoint() { return sync().state->identity; }
  std::string client_of(const std::string& principal) {
    for (const machine::BoundIdentity& identity : endpoint().identities)
      if (identity.principal_id == principal) return identity.client_id;
    return "";
  }
  net::Response ask(const std::string& client_id, const std::string& caller = {},
                    const std::string& audience = "https://management.azure.com/",
                    const std::string& boot_id = "boot-1") {
    const machine::TokenRequest asked{
        .boot_id = boot_id, .client_id = client_id, .audience = audience, .caller = caller};
    return send("POST", "/agent/v1/token", to_text(asked.to_json()), {}, net::Plane::agents, certificate_);
  }
  std::string code_of(const net::Response& response) {
    const auto json = parse_json_object(response.body);
    return json ? string_at(*json, "error.code").value_or("") : "";
  }
  std::string token(const std::string& client_id, const std::string& caller = {}) {
    const auto answer = ask(client_id, caller);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto read_answer = machine::TokenAnswer::from_json(*parse_json_object(answer.body));
    EXPECT_TRUE(read_answer.has_value());
    return read_answer ? std::string(read_answer->token.expose_text()) : "";
  }
  int works(const std::string& token) {
    return send("GET", group() + "?api-version=2021-04-01", {}, token).status;
  }
  static constexpr const char* kReader = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
  std::string own_;
};

JsonObject claims_of(const std::string& token) {
  const size_t first = token.find('.');
  const auto bytes = from_base64url(token.substr(first + 1, token.rfind('.') - first - 1));
  return *parse_json_object(as_text(*bytes));
}

TEST_F(MachineTokenTest, AnAgentGetsTokensThatActAsItsMachine) {
  const std::string client = client_of(own_);
  ASSERT_FALSE(client.empty());
  const std::string made = token(client);
  EXPECT_EQ(works(made), 200);
  const JsonObject claims = claims_of(made);
  EXPECT_EQ(at(claims, "aud"), "https://management.azure.com/");
  EXPECT_EQ(at(claims, "oid"), own_);
  EXPECT_EQ(at(claims, "appid"), client);
  EXPECT_EQ(at(claims, "idtyp"), "app");
  EXPECT_EQ(at(claims, "appidacr"), "2");
  EXPECT_EQ(at(claims, "xms_mirid"), vm_);
  EXPECT_EQ(at(claims, "xms_az_rid"), vm_);
  EXPECT_EQ(at(claims, "iss"), "https://merlon.localhost:8443/" + assembly_->core().tenant.text() + "/");
  const std::string lines = ledger_lines();
  EXPECT_NE(lines.find("Merlon.Machines/machines/token/action"), std::string::npos);
  EXPECT_NE(lines.find(at(claims, "uti")), std::string::npos) << "each issue is in the ledger";
  EXPECT_EQ(lines.find(made), std::string::npos) << "and no token is";
}

TEST_F(MachineTokenTest, AnIdentityThatIsTakenAwayEndsItsTokensAndAnAddedOneRevivesNone) {
  const std::string client = client_of(own_);
  const std::string first = token(client);
  ASSERT_EQ(works(first), 200);
  patch_vm({{"type", "None"}}, 200);
  EXPECT_EQ(works(first), 401);
  EXPECT_TRUE(endpoint().empty()) << "the agent is told";
  EXPECT_EQ(code_of(ask(client)), "IdentityNotFound");

  const JsonObject app = make_identity("app");
  const std::string principal_id = at(app, "properties.principalId");
  give_role(principal_id, kReader, group());
  patch_vm(assigned(identity("app")), 200);
  const std::string app_client = at(app, "properties.clientId");
  const std::string second = token(app_client);
  EXPECT_EQ(works(second), 200);
  EXPECT_EQ(at(claims_of(second), "xms_mirid"), identity("app"));
  EXPECT_EQ(at(claims_of(second), "xms_az_rid"), vm_);
  patch_vm({{"type", "None"}}, 200);
  EXPECT_EQ(works(second), 401) << "although the identity itself is still there";
  patch_vm(assigned(identity("app")), 200);
  EXPECT_EQ(works(second), 401) << "giving it back revives nothing";
  const std::string third = token(app_client);
  EXPECT_EQ(works(third), 200);
  call("DELETE", identity("app"), {}, 200);
  EXPECT_EQ(works(third), 401);
  EXPECT_TRUE(endpoint().empty());
  make_identity("app");
  EXPECT_EQ(code_of(ask(app_client)), "IdentityNotFound");
}

TEST_F(MachineTokenTest, ARemovedMachinesTokensEnd) {
  const JsonObject app = make_identity("app");
  give_role(at(app, "properties.principalId"), kReader, group());
  patch_vm(assigned(identity("app")), 200);
  const std::string made = token(at(app, "properties.clientId"));
  ASSERT_EQ(works(made), 200);
  send("DELETE", group() + "/providers/Merlon.Machines/machines/web-1?api-version=2024-05-01", {}, token_);
  EXPECT_EQ(works(made), 401);
  EXPECT_EQ(ask(at(app, "properties.clientId")).status, 401);
}

TEST_F(MachineTokenTest, OnlyTheMachineAsItIsGetsTokensAndForWhatIsThere) {
  const std::string client = client_of(own_);
  const std::string before = token(client);
  EXPECT_EQ(code_of(ask(client, {}, "https://management.azure.com/", "boot-2")), "OtherBoot");
  EXPECT_EQ(code_of(ask(client, {}, "https://nobody.example.com/")), "InvalidResource");
  EXPECT_EQ(code_of(ask(Uuid::generate(random_).text())), "IdentityNotFound");
  EXPECT_EQ(code_of(ask(client, "made up")), "CallerNotAllowed");
  EXPECT_EQ(send("POST", "/agent/v1/token", "{}", {}, net::Plane::agents, certificate_).status, 400);
  EXPECT_EQ(send("POST", "/agent/v1/token", "{}", {}, net::Plane::control).status, 421);
  sync("boot-2");
  clock_.advance(std::chrono::seconds(1));
  machine::SyncRequest copy;
  copy.nonce = "n";
  copy.boot_id = "boot-1";
  send("POST", "/agent/v1/sync", to_text(copy.to_json()), {}, net::Plane::agents, certificate_);
  EXPECT_EQ(code_of(ask(client)), "MachineQuarantined");
  EXPECT_EQ(works(before), 401) << "one of the two copies had it";
}

TEST_F(MachineTokenTest, TheOwnersRulesReachTheAgentAndAreJudgedAgain) {
  const JsonObject app = make_identity("app");
  const std::string app_client = at(app, "properties.clientId");
  patch_vm({{"type", "SystemAssigned, UserAssigned"},
            {"userAssignedIdentities", JsonObject{{identity("app"), JsonObject()}}}},
           200);
  const std::string own_client = client_of(own_);
  const std::string path = vm_ + "/providers/Merlon.ManagedIdentity/callers/default";
  const JsonObject web{{"name", "web"},
                       {"users", JsonArray{"www-data"}},
                       {"units", JsonArray{"nginx.service"}},
                       {"identities", JsonArray{identity("APP")}}};
  call("PUT", path, {{"properties", JsonObject{{"rules", JsonArray{web}}, {"linkLocal", true}}}}, 200);
  EXPECT_EQ(at(call("GET", path, {}, 200), "id"), path);
  const auto told = endpoint();
  ASSERT_TRUE(told.has_rules);
  EXPECT_TRUE(told.link_local);
  ASSERT_EQ(told.rules.size(), 1U);
  EXPECT_EQ(told.rules[0].users, std::vector<std::string>{"www-data"});
  EXPECT_EQ(told.rules[0].units, std::vector<std::string>{"nginx.service"});
  EXPECT_EQ(told.rules[0].client_ids, std::vector<std::string>{app_client});
  EXPECT_EQ(ask(app_client, "web").status, 200);
  EXPECT_EQ(code_of(ask(own_client, "web")), "CallerNotAllowed");
  EXPECT_EQ(code_of(ask(app_client)), "CallerNotAllowed");
  EXPECT_EQ(code_of(ask(app_client, "other")), "CallerNotAllowed");
  call("PUT", vm_, call("GET", vm_, {}, 200), 200);
  EXPECT_TRUE(endpoint().has_rules) << "a PUT of the machine by any client leaves them";
  call("PUT", path, {{"properties", JsonObject{{"rules", JsonArray()}}}}, 200);
  EXPECT_EQ(code_of(ask(app_client, "web")), "CallerNotAllowed") << "no rule: nobody";
  call("DELETE", path, {}, 200);
  call("DELETE", path, {}, 204);
  EXPECT_FALSE(endpoint().has_rules);
  EXPECT_EQ(ask(app_client).status, 200);
}

TEST_F(MachineTokenTest, RulesThatMeanNothingAreRefused) {
  const std::string path = vm_ + "/providers/Merlon.ManagedIdentity/callers/default";
  const auto with = [&](const JsonObject& rule) {
    return JsonObject{{"properties", JsonObject{{"rules", JsonArray{rule}}}}};
  };
  const JsonArray own{"SystemAssigned"};
  for (const JsonObject& rule :
       {JsonObject{{"name", "a"}, {"identities", own}},
        JsonObject{{"users", JsonArray{"root"}}, {"identities", own}},
        JsonObject{{"name", "a"}, {"users", JsonArray{"root"}}, {"identities", JsonArray()}},
        JsonObject{{"name", "a"}, {"users", JsonArray{"root"}}, {"identities", JsonArray{vm_}}},
        JsonObject{{"name", "a"}, {"users", JsonArray{"a b"}}, {"identities", own}},
        JsonObject{{"name", "a"}, {"users", JsonArray{"\"drop\""}}, {"identities", own}},
        JsonObject{{"name", "a"}, {"units", JsonArray{"../x.service"}}, {"identities", own}},
        JsonObject{{"name", "a"}, {"units", JsonArray{"nginx"}}, {"identities", own}}})
    call("PUT", path, with(rule), 400);
  call("PUT", vm("absent") + "/providers/Merlon.ManagedIdentity/callers/default",
       with({{"name", "a"}, {"users", JsonArray{"root"}}, {"identities", own}}), 404);
  EXPECT_FALSE(endpoint().has_rules);
}

TEST_F(MachineTokenTest, AMachineThatWasDescribedBeforeHasItsIdentityFromTheFirstMoment) {
  send("DELETE", group() + "/providers/Merlon.Machines/machines/web-1?api-version=2024-05-01", {}, token_);
  machine::SyncRequest farewell;
  farewell.nonce = "n";
  farewell.boot_id = "boot-1";
  farewell.gone = true;
  send("POST", "/agent/v1/sync", to_text(farewell.to_json()), {}, net::Plane::agents, certificate_);
  const std::string described = at(put_vm({{"type", "SystemAssigned"}}, 201), "identity.principalId");
  enrol();
  EXPECT_EQ(at(call("GET", vm_, {}, 200), "identity.principalId"), described);
  EXPECT_EQ(ask(client_of(described)).status, 200);
  const JsonObject shown =
      call("GET", vm_ + "/providers/Microsoft.ManagedIdentity/identities/default", {}, 200);
  EXPECT_EQ(at(shown, "properties.principalId"), described);
  EXPECT_EQ(at(shown, "properties.clientId"), client_of(described));
}

}  // namespace
}  // namespace merlon::server

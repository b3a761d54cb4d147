// The whole server without sockets: bootstrap, sign-in, enrolment, policy, request, expiry, and the ledger of
// it all.
#include "identity/bootstrap.h"
#include "server/assembly_fixture.h"
#include "server/bootstrap_roles.h"

namespace merlon::server {
namespace {

TEST_F(AssemblyTest, AnOpeningOpensAndClosesByItself) {
  enrol();
  const std::string group_before = to_text(call("GET", group_path(), {}, 200));
  set_policy();
  EXPECT_EQ(rules().size(), 2U) << "one deny per address";
  EXPECT_TRUE(sync().state->openings.empty());
  initiate({{"duration", "PT30M"}}, 202);
  const auto open = sync();
  ASSERT_EQ(open.state->openings.size(), 1U) << "an IPv4 caller opens IPv4 alone";
  EXPECT_EQ(open.state->openings[0].source.text(), "198.51.100.7");
  EXPECT_EQ(open.state->openings[0].deadline - open.server_time, std::chrono::minutes(30));
  EXPECT_EQ(rules().size(), 3U);
  clock_.advance(std::chrono::minutes(31));
  token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
  assembly_->tick();
  EXPECT_TRUE(sync().state->openings.empty());
  EXPECT_EQ(rules().size(), 2U);
  const JsonObject policy = call("GET", policy_path() + "?api-version=2020-01-01", {}, 200);
  const std::string text = to_text(policy);
  EXPECT_NE(text.find("\"Revoked\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"Expired\""), std::string::npos) << text;
  call("DELETE", policy_path() + "?api-version=2020-01-01", {}, 200);
  EXPECT_EQ(to_text(call("GET", group_path(), {}, 200)), group_before) << "the group is what it was";
}

TEST_F(AssemblyTest, WhatRanOutWhileTheServerWasDeadIsClosedBeforeItServes) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  start();
  clock_.advance(std::chrono::minutes(11));
  ASSERT_TRUE(assembly_->grants().expire_due().has_value());
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, ASteppedBackClockDoesNotProlongAnOpening) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  clock_.advance(std::chrono::minutes(9));
  assembly_->tick();
  clock_.step_wall(-std::chrono::hours(24));
  assembly_->tick();
  start();
  EXPECT_GE(assembly_->grants().now(), clock_.now() + std::chrono::hours(23))
      << "the mark survives a restart";
}

TEST_F(AssemblyTest, APersonsEditDuringAnOpeningRemainsAndTheirCopyOfTheOpeningIsNotKept) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  JsonObject group = call("GET", group_path(), {}, 200);
  JsonArray& shown = group["properties"].as_object()["securityRules"].as_array();
  shown.push_back(JsonObject{{"name", "web"},
                             {"properties", JsonObject{{"protocol", "Tcp"},
                                                       {"sourcePortRange", "*"},
                                                       {"destinationPortRange", "443"},
                                                       {"sourceAddressPrefix", "*"},
                                                       {"destinationAddressPrefix", "*"},
                                                       {"access", "Allow"},
                                                       {"priority", 500},
                                                       {"direction", "Inbound"}}}});
  call("PUT", group_path(), group, 200);
  EXPECT_EQ(rules().size(), 4U);
  clock_.advance(std::chrono::minutes(11));
  assembly_->tick();
  token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
  EXPECT_EQ(rules().size(), 3U);
  call("PUT", group_path(), group, 200);
  EXPECT_EQ(rules().size(), 3U) << "a stale copy reopens nothing";
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, LeavingTheAllowRuleOutRevokesTheOpening) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  call("PUT", group_path(),
       {{"location", "local"}, {"properties", JsonObject{{"securityRules", JsonArray()}}}}, 200);
  EXPECT_TRUE(sync().state->openings.empty());
  EXPECT_EQ(rules().size(), 2U) << "the doors stay closed";
}

TEST_F(AssemblyTest, RefusedRequestsOpenNothing) {
  enrol();
  set_policy();
  initiate({{"duration", "PT4H"}}, 400);
  initiate({{"endTimeUtc", "2001-01-01T00:00:00Z"}}, 400);
  initiate({{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "not-an-address"}}, 400);
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, WhoHasNoRightIsRefusedAndRecorded) {
  enrol();
  set_policy();
  const std::string admin = token_;
  const JsonObject app = call("POST", "/v1.0/applications", {{"displayName", "stranger"}}, 201);
  const std::string app_id = string_at(app, "appId").value_or("");
  call("POST", "/v1.0/servicePrincipals", {{"appId", app_id}}, 201);
  const JsonObject secret =
      call("POST", "/v1.0/applications/" + string_at(app, "id").value_or("") + "/addPassword",
           {{"passwordCredential", JsonObject{{"displayName", "test"}}}}, 200);
  token_ = sign_in(app_id, string_at(secret, "secretText").value_or(""));
  const JsonObject denied = initiate({{"duration", "PT1H"}}, 403);
  EXPECT_EQ(string_at(denied, "error.code"), "AuthorizationFailed");
  token_ = admin;
  EXPECT_TRUE(sync().state->openings.empty());
  const JsonObject entries = call("GET", "/providers/Merlon.Ledger/entries?api-version=2026-11-01", {}, 200);
  EXPECT_NE(to_text(entries).find("denied"), std::string::npos) << to_text(entries);
}

// What is made is Owner of everything and Global Administrator: a role with every action is not enough for
// that, nor is Owner, who administers no directory.
TEST_F(AssemblyTest, OnlyAGlobalAdministratorMakesAdministrators) {
  const JsonObject wanted{{"userPrincipalName", "mallory@merlon.localhost"}};
  const std::string admin = token_;
  for (const char* role : {"b24988ac-6180-42a0-ab88-20f7382dd24c", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"}) {
    std::string secret;
    const auto made = *store::write_value<identity::Application>(
        assembly_->store(), [&](store::Transaction& tx) -> Result<identity::Application> {
          identity::Application application;
          application.display_name = role;
          const auto both = TRY(assembly_->core().directory.create_application(tx, application));
          secret = std::string(
              TRY(assembly_->core().directory.add_secret(tx, both.first.id, "s", std::chrono::hours(1)))
                  .text.expose_text());
          access::RoleAssignment assignment;
          assignment.id = Uuid::generate(random_);
          assignment.scope = "/";
          assignment.role_definition_id = *Uuid::parse(role);
          assignment.principal_id = both.second.id;
          assignment.principal_type = "ServicePrincipal";
          TRY(assembly_->core().access.assign(tx, assignment));
          return both.first;
        });
    token_ = sign_in(made.app_id.text(), secret);
    call("POST", "/providers/Merlon.Identity/administrators?api-version=2024-05-01", wanted, 403);
  }
  token_ = admin;
  call("POST", "/providers/Merlon.Identity/administrators?api-version=2024-05-01", wanted, 201);
}

// Switched on again by a Global Administrator and given a secret, it would own everything as a program.
TEST_F(AssemblyTest, TheRetiredBootstrapHasNoRoleAnyMore) {
  const auto roles = [&] {
    return *store::read_value<size_t>(assembly_->store(), [&](store::Reader& reader) -> Result<size_t> {
      const auto id = TRY(identity::bootstrap_service_principal(reader, assembly_->core().directory));
      return TRY(store::find<access::RoleAssignment>(reader, assembly_->core().tenant, "principal",
                                                     id->text()))
          .size();
    });
  };
  const auto take = [&] {
    return assembly_->store().write(
        [&](store::Transaction& tx) { return take_roles_of_retired_bootstrap(assembly_->core(), tx); });
  };
  EXPECT_EQ(roles(), 1U);
  ASSERT_TRUE(take());
  EXPECT_EQ(roles(), 1U) << "it is in use";
  ASSERT_TRUE(assembly_->store().write([&](store::Transaction& tx) -> Result<void> {
    const auto id = TRY(identity::bootstrap_service_principal(tx, assembly_->core().directory));
    return assembly_->core().directory.set_enabled(tx, *id, false);
  }));
  ASSERT_TRUE(take());
  EXPECT_EQ(roles(), 0U);
}

TEST_F(AssemblyTest, TheLedgerOfItVerifies) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  std::stringstream file;
  ASSERT_TRUE(assembly_->core()
                  .ledger
                  .export_lines([&](const std::string& line) -> Result<void> {
                    file << line << "\n";
                    return {};
                  })
                  .has_value());
  const auto report = ledger::verify_export(file, {});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_GT(report->entries, 5U);
  EXPECT_NE(file.str().find("initiate/action"), std::string::npos);
  EXPECT_NE(file.str().find("look at the log"), std::string::npos) << "the justification is in the ledger";
  EXPECT_EQ(file.str().find(*string_at(bootstrap_, "clientSecret")), std::string::npos);
}

TEST_F(AssemblyTest, EveryRouteHasAPermissionOrSaysWhyItIsPublic) {
  size_t checked = 0;
  for (const resource::Route& route : assembly_->manager().routes()) {
    EXPECT_NE(route.permission.empty(), route.public_because.empty()) << route.method << " " << route.path;
    EXPECT_FALSE(route.summary.empty()) << route.method << " " << route.path;
    ++checked;
  }
  EXPECT_GT(checked, 50U);
}

}  // namespace
}  // namespace merlon::server

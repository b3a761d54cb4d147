// Session policies: whom they concern, what they refuse, and that the strictest of several counts.
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

class PolicyTest : public BastionFixture {
 protected:
  PolicyTest() { make_setting("Premium", {{"enableSessionRecording", false}}); }
};

TEST_F(PolicyTest, IsKeptShownAndRemoved) {
  const std::string path = kHostId + "/providers/Merlon.Bastion/sessionPolicies/short";
  set_policy("short", {{"maximumTime", "PT1H"}});
  set_policy("short", {{"maximumTime", "PT2H"}}, 200);
  EXPECT_EQ(string_at(call(owner_, "GET", path, {}, 200), "properties.maximumTime"), "PT2H");
  const JsonObject all = call(ada_, "GET", kHostId + "/providers/Merlon.Bastion/sessionPolicies", {}, 200);
  EXPECT_EQ(array_at(all, "value")->size(), 1U);
  EXPECT_EQ(send(ada_, "PUT", path, {{"properties", JsonObject{}}}).status, 403);
  EXPECT_EQ(send(owner_, "DELETE", path).status, 200);
  EXPECT_EQ(send(owner_, "DELETE", path).status, 204);
  EXPECT_EQ(send(owner_, "GET", path).status, 404);
  set_policy("short", {{"maximumTime", "PT2H"}});
  EXPECT_EQ(send(owner_, "DELETE", kHostId).status, 202);
  make_host("Standard", "net");
  EXPECT_EQ(send(owner_, "GET", path).status, 404);  // it went with the bastion
}

// Made anew, the bastion would ask nothing of what they ask.
TEST_F(PolicyTest, WhoMayNotRemoveThemDoesNotRemoveTheirBastion) {
  const Person eve = person("eve");
  assign(eve.id, "4d97b98b-1d4f-4787-a291-c67834d212e7", kRg);  // Network Contributor
  set_policy("watched", {{"maximumTime", "PT1H"}});
  EXPECT_EQ(send(eve, "DELETE", kHostId).status, 403);
  EXPECT_EQ(send(owner_, "GET", kHostId).status, 200);
  call(owner_, "DELETE", kHostId + "/providers/Merlon.Bastion/sessionPolicies/watched", {}, 200);
  EXPECT_EQ(send(eve, "DELETE", kHostId).status, 202);
}

TEST_F(PolicyTest, RefusesWhatCannotBeMeant) {
  for (const JsonObject& bad : std::vector<JsonObject>{
           {{"maximumTime", "1h"}},
           {{"idleTimeout", "PT0S"}},
           {{"mfaWithin", "P1M"}},
           {{"atGrantEnd", "maybe"}},
           {{"recording", "off"}},
           {{"sourceNetworks", JsonArray{"10.0.0.0/40"}}},
           {{"virtualMachineIds", JsonArray{"web-1"}}},
           {{"appliesTo", JsonObject{{"principalIds", JsonArray{"ada"}}}}},
           {{"appliesTo", JsonObject{{"principalIds", JsonArray{"00000000-0000-4000-8000-000000000000"}}}}},
           {{"appliesTo",
             JsonObject{{"roleDefinitionIds", JsonArray{"00000000-0000-4000-8000-000000000000"}}}}},
           {{"channels", JsonObject{{"shell", "no"}}}},
           {{"recording", "require"}}})
    set_policy("bad", bad, 400);
  EXPECT_EQ(send(owner_, "GET", kHostId + "/providers/Merlon.Bastion/sessionPolicies/bad").status, 404);
}

TEST_F(PolicyTest, ConcernsPeopleGroupsRolesAndMachines) {
  const std::string nobody = "SessionPolicyViolation";
  const JsonObject none = {{"virtualMachineIds", JsonArray{kMachines + "other"}}};
  const auto with = [&](JsonObject concerned) {
    JsonObject policy = none;
    policy["appliesTo"] = std::move(concerned);
    set_policy("p", policy,
               send(owner_, "GET", kHostId + "/providers/Merlon.Bastion/sessionPolicies/p").status == 200
                   ? 200
                   : 201);
    return code(bastion_->admit(way(ada_)));
  };
  EXPECT_EQ(with({{"principalIds", JsonArray{owner_.id.text()}}}), "admitted");
  EXPECT_EQ(with({{"principalIds", JsonArray{ada_.id.text()}}}), nobody);
  EXPECT_EQ(with({{"roleDefinitionIds", JsonArray{kOwnerRole}}}), "admitted");
  EXPECT_EQ(with({{"roleDefinitionIds", JsonArray{kReaderRole}}}), nobody);
  EXPECT_EQ(with({{"virtualMachineIds", JsonArray{kMachines + "web-9"}}}), "admitted");
  EXPECT_EQ(with({{"virtualMachineIds", JsonArray{kRg}}}), nobody);
  EXPECT_EQ(with({{"protocols", JsonArray{"RDP"}}}), "admitted");
  EXPECT_EQ(with({{"protocols", JsonArray{"ssh"}}}), nobody);
  const Uuid group = must(store::write_value<Uuid>(world_.store(), [&](auto& tx) -> Result<Uuid> {
    identity::Group made;
    made.display_name = "contractors";
    const Uuid id = TRY(core().directory.create_group(tx, made)).id;
    TRY(core().directory.add_member(tx, id, ada_.id));
    return id;
  }));
  EXPECT_EQ(with({{"principalIds", JsonArray{group.text()}}}), nobody);
}

// An sshd listens wherever its owner wants, and a token of any kind carries any bytes.
TEST_F(PolicyTest, WhatNobodyLooksIntoCountsAsSshButForRemoteDesktopsOwnPort) {
  WayIn opaque = way(ada_);
  opaque.ends_protocol = false;
  opaque.login.clear();
  opaque.transport = Transport::tunnel;
  const auto with = [&](Protocol protocol, uint16_t port) {
    opaque.protocol = protocol;
    opaque.port = port;
    return code(bastion_->admit(opaque));
  };
  set_policy("nobody", {{"appliesTo", JsonObject{{"protocols", JsonArray{"SSH"}}}},
                        {"virtualMachineIds", JsonArray{kMachines + "other"}}});
  EXPECT_EQ(with(Protocol::tcp, 2222), "SessionPolicyViolation");
  EXPECT_EQ(with(Protocol::rdp, 2222), "SessionPolicyViolation");
  EXPECT_EQ(with(Protocol::rdp, 3389), "admitted");
  call(owner_, "DELETE", kHostId + "/providers/Merlon.Bastion/sessionPolicies/nobody", {}, 200);
  set_policy("files", {{"channels", JsonObject{{"upload", false}}}});
  EXPECT_EQ(with(Protocol::tcp, 2222), "SessionPolicyViolation");
  EXPECT_EQ(with(Protocol::rdp, 2222), "SessionPolicyViolation");
  EXPECT_EQ(with(Protocol::rdp, 3389), "admitted");
}

TEST_F(PolicyTest, ALongListOfLoginsIsNotReadOut) {
  JsonArray logins;
  for (int i = 0; i < 100; ++i) logins.push_back(Json("login-" + std::to_string(i)));
  set_policy("many", {{"logins", std::move(logins)}});
  const auto refused = bastion_->admit(way(ada_));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("login-4 and 95 more"), std::string::npos)
      << refused.error().message;
}

TEST_F(PolicyTest, LimitsLoginsSourcesAndReasons) {
  set_policy("logins", {{"logins", JsonArray{"deploy", "{user}"}}});
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "SessionPolicyViolation");
  WayIn asked = way(ada_);
  for (const char* login : {"deploy", "ada"}) {
    asked.login = login;
    EXPECT_EQ(code(bastion_->admit(asked)), "admitted") << login;
  }
  set_policy("from", {{"sourceNetworks", JsonArray{"198.51.100.0/24"}}});
  EXPECT_EQ(code(bastion_->admit(asked)), "admitted");
  asked.caller.address = *IpAddress::parse("203.0.113.1");
  EXPECT_EQ(code(bastion_->admit(asked)), "SessionPolicyViolation");
  asked.caller.address = *IpAddress::parse("198.51.100.1");
  set_policy("why", {{"justificationRequired", true}});
  EXPECT_EQ(code(bastion_->admit(asked)), "SessionPolicyViolation");
  asked.justification = "  ";
  EXPECT_EQ(code(bastion_->admit(asked)), "SessionPolicyViolation");
  asked.justification = "ticket 7";
  EXPECT_EQ(code(bastion_->admit(asked)), "admitted");
  set_policy("inside", {{"privateOnly", true}});
  asked.caller.address = *IpAddress::parse("8.8.8.8");
  EXPECT_EQ(code(bastion_->admit(asked)), "SessionPolicyViolation");
}

TEST_F(PolicyTest, ALoginThatIsKnownLaterIsAskedAboutThen) {
  set_policy("logins", {{"logins", JsonArray{"deploy", "{user}"}}});
  WayIn asked = way(ada_);
  asked.login.clear();
  const Admission admission = must(bastion_->admit(asked));
  EXPECT_EQ(admission.logins, (std::vector<std::string>{"deploy", "ada"}));
  EXPECT_EQ(bastion_->name_login(admission.session, "root").error().code, "SessionPolicyViolation");
  EXPECT_EQ(bastion_->name_login(admission.session, "a b").error().code, "InvalidLogin");
  must(bastion_->name_login(admission.session, "ada"));
  EXPECT_EQ(string_at(session(admission.session), "properties.login"), "ada");
  must(bastion_->ended(admission.session, {}));
  EXPECT_EQ(bastion_->name_login(admission.session, "ada").error().code, "SessionEnded");
}

TEST_F(PolicyTest, TheStrictestOfSeveralCounts) {
  set_policy(
      "a",
      {{"maximumTime", "PT2H"}, {"idleTimeout", "PT10M"}, {"channels", JsonObject{{"forwarding", false}}}});
  set_policy(
      "b", {{"maximumTime", "PT1H"}, {"idleTimeout", "PT20M"}, {"channels", JsonObject{{"upload", false}}}});
  const Admission admission = must(bastion_->admit(way(ada_)));
  EXPECT_EQ(admission.deadline, clock_.now() + std::chrono::hours(1));
  EXPECT_EQ(admission.idle_max, std::chrono::minutes(10));
  EXPECT_FALSE(admission.channels.forwarding);
  EXPECT_FALSE(admission.channels.upload);
  EXPECT_TRUE(admission.channels.download);
  EXPECT_TRUE(admission.channels.shell);
}

TEST_F(PolicyTest, WhatAnOpaqueTunnelHidesIsNotLetThrough) {
  WayIn tunnel = way(ada_);
  tunnel.transport = Transport::tunnel;
  tunnel.ends_protocol = false;
  tunnel.login.clear();
  EXPECT_EQ(code(bastion_->admit(tunnel)), "admitted");
  set_policy("no-forward", {{"channels", JsonObject{{"forwarding", false}}}});
  EXPECT_EQ(code(bastion_->admit(tunnel)), "SessionPolicyViolation");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "admitted");
}

TEST_F(PolicyTest, RecordingIsRequiredOnceSwitchedOnUnlessAPolicySaysLess) {
  JsonObject properties = {{"enableTunneling", true}, {"enableSessionRecording", true}};
  call(owner_, "PUT", kHostId, host_body("Premium", "net", properties), 200);
  EXPECT_EQ(must(bastion_->admit(way(ada_))).recording, Recording::require);
  WayIn tunnel = way(ada_);
  tunnel.transport = Transport::tunnel;
  tunnel.ends_protocol = false;
  EXPECT_EQ(code(bastion_->admit(tunnel)), "SessionRecordingRequired");
  set_policy("less", {{"recording", "bestEffort"}});
  EXPECT_EQ(must(bastion_->admit(way(ada_))).recording, Recording::best_effort);
  EXPECT_EQ(code(bastion_->admit(tunnel)), "admitted");
  set_policy("more", {{"recording", "require"}});
  EXPECT_EQ(must(bastion_->admit(way(ada_))).recording, Recording::require);
}

TEST_F(PolicyTest, AsksForAFreshSecondFactor) {
  set_policy("fresh", {{"mfaWithin", "PT10M"}});
  const auto refused = bastion_->admit(way(ada_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unauthenticated);
  Person with_mfa = ada_;
  with_mfa.amr = {"pwd", "mfa"};
  WayIn asked = way(with_mfa);
  EXPECT_EQ(code(bastion_->admit(asked)), "admitted");
  clock_.advance(std::chrono::minutes(11));
  EXPECT_NE(code(bastion_->admit(asked)), "admitted");
}

// Its owners call a program what they like.
TEST_F(PolicyTest, NoLoginIsAProgramsOwn) {
  set_policy("own", {{"logins", JsonArray{"{user}"}}});
  WayIn asked = way(ada_);
  asked.login = "ada";
  EXPECT_EQ(code(bastion_->admit(asked)), "admitted");
  asked.caller.kind = identity::PrincipalKind::service_principal;
  EXPECT_EQ(code(bastion_->admit(asked)), "SessionPolicyViolation");
}

TEST_F(PolicyTest, ARecordingIsKeptAsLongAsTheLongestSays) {
  set_policy("bad", {{"recordingRetention", "PT1H"}}, 400);
  call(owner_, "PUT", kHostId,
       host_body("Premium", "net", {{"enableTunneling", true}, {"enableSessionRecording", true}}), 200);
  EXPECT_EQ(must(bastion_->admit(way(ada_))).recording_kept, std::nullopt);
  set_policy("short", {{"recordingRetention", "P30D"}});
  set_policy("long", {{"recordingRetention", "P90D"}});
  EXPECT_EQ(must(bastion_->admit(way(ada_))).recording_kept, std::chrono::hours(24 * 90));
}

TEST_F(PolicyTest, TurningRecordingOnEndsWhatRunsUnrecorded) {
  const Admission admission = must(bastion_->admit(way(ada_)));
  std::string reason;
  bastion_->watch(admission.session, [&](const Notice& notice) { reason = notice.reason; });
  call(owner_, "PUT", kHostId,
       host_body("Premium", "net", {{"enableTunneling", true}, {"enableSessionRecording", true}}), 200);
  pass(std::chrono::seconds(1));
  EXPECT_EQ(reason, "BastionChanged");
}

}  // namespace
}  // namespace merlon::bastion

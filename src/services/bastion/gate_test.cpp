// Who is let in, and what for.
#include <atomic>
#include <thread>

#include "identity/second_factor_sign_in.h"
#include "resource/step_up.h"
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

using GateTest = BastionFixture;

// "Virtual Machine User Login", with a policy that asks for a fresh second factor where it is used.
TEST_F(GateTest, ALoginThatAsksForAFreshSecondFactorIsNotThereWithoutOne) {
  make_setting();
  assign(ada_.id, "fb879df8-f326-4884-b1cf-06f3ad86be52", kRg);
  EXPECT_TRUE(must(bastion_->admit(way(ada_))).may_log_in);
  must(world_.store().write([&](store::Transaction& tx) {
    return resource::StepUps(core()).put(
        tx, kRg, "logins",
        {{"id", resource::step_up_id(kRg, "logins")},
         {"name", "logins"},
         {"properties",
          {{"scope", kRg},
           {"maxAgeMinutes", 5},
           {"actions", JsonArray{"Microsoft.Compute/virtualMachines/login/action"}},
           {"roleDefinitionIds", JsonArray()}}}});
  }));
  const auto refused = bastion_->admit(way(ada_));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(resource::is_step_up(refused.error())) << refused.error().message;
  WayIn fresh = way(ada_);
  fresh.caller.amr = {std::string(identity::kMfa)};
  EXPECT_TRUE(must(bastion_->admit(fresh)).may_log_in);
}

TEST_F(GateTest, AdmitsAReaderAndEntersIt) {
  make_setting();
  const Admission admission = must(bastion_->admit(way(ada_)));
  EXPECT_EQ(admission.address.text(), "10.1.0.4");
  EXPECT_EQ(admission.port, 22);
  EXPECT_EQ(admission.target_id, kMachines + "web-1");
  EXPECT_FALSE(admission.deadline);
  EXPECT_EQ(admission.recording, Recording::off);
  EXPECT_FALSE(admission.may_log_in);
  const auto entries = world_.entries("Merlon.Bastion/sessions/start");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].actor.name, ada_.name);
  EXPECT_EQ(entries[0].resource, kMachines + "web-1");
  EXPECT_EQ(string_at(entries[0].details, "source"), kServerAddress);
  const auto sessions = active();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(string_at(sessions[0], "sessionId"), admission.session.text());
  EXPECT_EQ(string_at(sessions[0], "protocol"), "SSH");
  EXPECT_EQ(string_at(sessions[0], "targetHostName"), "web-1");
  EXPECT_EQ(string_at(sessions[0], "targetResourceGroup"), "rg1");
}

TEST_F(GateTest, ASessionSaysHowItsPersonSignedIn) {
  make_setting();
  for (const auto& [by, text] : {std::pair(SignedInBy::key, "key"),
                                 {SignedInBy::certificate, "certificate"},
                                 {SignedInBy::device_code, "deviceCode"},
                                 {SignedInBy::web_session, "webSession"}}) {
    WayIn in = way(ada_);
    in.signed_in_by = by;
    const Admission admission = must(bastion_->admit(in));
    EXPECT_EQ(admission.signed_in_by, by);
    EXPECT_EQ(string_at(session(admission.session), "properties.signedInBy"), text);
    EXPECT_EQ(string_at(world_.entries("Merlon.Bastion/sessions/start").back().details, "signedInBy"), text);
  }
}

TEST_F(GateTest, NobodyLearnsOfAMachineThatTheyMayNotSee) {
  make_setting();
  const Person eve = person("eve");
  const auto refused = bastion_->admit(way(eve));
  EXPECT_EQ(code(refused), "MachineNotFound");
  EXPECT_EQ(code(bastion_->admit(way(eve, "no-such"))), "MachineNotFound");
  EXPECT_EQ(code(bastion_->admit(way(eve, kMachines + "web-1"))), "MachineNotFound");
  assign(eve.id, kReaderRole, kMachines + "web-1");
  EXPECT_EQ(code(bastion_->admit(way(eve))), "NoBastionForMachine");
  assign(eve.id, kReaderRole, kHostId);
  EXPECT_EQ(code(bastion_->admit(way(eve))), "LinkedAuthorizationFailed");  // not of the interface
  assign(eve.id, kReaderRole, kNet + "networkInterfaces/web-1-nic");
  EXPECT_EQ(code(bastion_->admit(way(eve))), "admitted");
  const auto entries = world_.entries("Merlon.Bastion/sessions/start");
  ASSERT_EQ(entries.size(), 2U);  // refusals are summed up
  EXPECT_EQ(entries[0].count + entries[1].count, 6);
}

TEST_F(GateTest, WhoMayReachOneMachineDoesNotReachAnother) {
  make_setting();
  make_machine("web-2", "net");
  const Person eve = person("eve");
  for (const std::string& scope : {kHostId, kMachines + "web-1", kNet + "networkInterfaces/web-1-nic"})
    assign(eve.id, kReaderRole, scope);
  EXPECT_EQ(code(bastion_->admit(way(eve, "web-1"))), "admitted");
  EXPECT_EQ(code(bastion_->admit(way(eve, "web-2"))), "MachineNotFound");
  EXPECT_EQ(code(bastion_->admit(way(eve, kMachines + "web-2"))), "MachineNotFound");
}

TEST_F(GateTest, ServesItsNetworkAndThosePeeredWithIt) {
  make_setting();
  make_network("far", 2);
  make_machine("far-1", "far");
  EXPECT_EQ(code(bastion_->admit(way(ada_, "far-1"))), "NoBastionForMachine");
  WayIn named = way(ada_, "far-1");
  named.bastion = kHostId;
  EXPECT_EQ(code(bastion_->admit(named)), "TargetNotCovered");
  peer("net", "far");
  EXPECT_EQ(code(bastion_->admit(way(ada_, "far-1"))), "NoBastionForMachine");  // one side alone
  peer("far", "net");
  EXPECT_EQ(must(bastion_->admit(way(ada_, "far-1"))).address.text(), "10.2.0.4");
}

TEST_F(GateTest, ADeveloperBastionServesNoPeers) {
  make_setting("Developer");
  make_network("far", 2);
  make_machine("far-1", "far");
  peer("net", "far");
  peer("far", "net");
  EXPECT_EQ(code(bastion_->admit(way(ada_, "far-1"))), "NoBastionForMachine");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "admitted");
}

TEST_F(GateTest, SaysWhenSeveralBastionsServeAMachine) {
  make_setting();
  make_network("far", 2);
  make_host("Standard", "far", {{"enableTunneling", true}}, "other");
  peer("net", "far");
  peer("far", "net");
  const auto refused = bastion_->admit(way(ada_));
  EXPECT_EQ(code(refused), "SeveralBastionsForMachine");
  EXPECT_NE(refused.error().message.find("rg1/other"), std::string::npos);
  for (const std::string& name : {std::string("other"), kNet + "bastionHosts/other"}) {
    WayIn named = way(ada_);
    named.bastion = name;
    EXPECT_EQ(must(bastion_->admit(named)).bastion_id, kNet + "bastionHosts/other");
  }
  WayIn unknown = way(ada_);
  unknown.bastion = "nobody";
  EXPECT_EQ(code(bastion_->admit(unknown)), "BastionNotFound");
}

TEST_F(GateTest, ABasicBastionTakesNoNativeClientAndNoOtherPort) {
  make_setting("Basic");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "BastionFeatureNotEnabled");
  WayIn browser = way(ada_);
  browser.transport = Transport::browser;
  EXPECT_EQ(code(bastion_->admit(browser)), "admitted");
  browser.port = 2222;
  EXPECT_EQ(code(bastion_->admit(browser)), "BastionFeatureNotEnabled");
  browser.protocol = Protocol::rdp;
  browser.port = 3389;
  EXPECT_EQ(code(bastion_->admit(browser)), "BastionFeatureNotEnabled");  // RDP to Linux
  make_machine("win-1", "net", "Windows");
  WayIn rdp = way(ada_, "win-1");
  rdp.transport = Transport::browser;
  EXPECT_EQ(code(bastion_->admit(rdp)), "BastionFeatureNotEnabled");  // SSH to Windows
  rdp.protocol = Protocol::rdp;
  rdp.port = 3389;
  EXPECT_EQ(code(bastion_->admit(rdp)), "admitted");
}

TEST_F(GateTest, AStandardBastionTakesNativeClientsWhenTheyAreSwitchedOn) {
  make_network("net");
  make_machine("web-1", "net");
  make_host("Standard", "net");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "BastionFeatureNotEnabled");
  call(owner_, "PUT", kHostId, host_body("Standard", "net", {{"enableTunneling", true}}), 200);
  WayIn custom = way(ada_);
  custom.port = 2222;
  EXPECT_EQ(code(bastion_->admit(custom)), "admitted");
  WayIn link = way(ada_);
  link.transport = Transport::link;
  EXPECT_EQ(code(bastion_->admit(link)), "BastionFeatureNotEnabled");
}

TEST_F(GateTest, ConnectsToAnAddressOnlyWhereThatIsSwitchedOn) {
  make_setting();
  WayIn by_address = way(ada_, kNet + "bh-hostConnect/10.1.0.4");
  by_address.bastion = kHostId;
  const Admission known = must(bastion_->admit(by_address));
  EXPECT_EQ(known.target_id, kMachines + "web-1");  // guarded like the machine that it is
  by_address.target = kNet + "bh-hostConnect/10.1.0.77";
  EXPECT_EQ(must(bastion_->admit(by_address)).address.text(), "10.1.0.77");
  for (const char* address : {"127.0.0.1", "169.254.169.254", "192.0.2.1", "10.2.0.1", "x", "0.0.0.0"}) {
    by_address.target = kNet + std::string("bh-hostConnect/") + address;
    EXPECT_NE(code(bastion_->admit(by_address)), "admitted") << address;
  }
  by_address.target = kNet + "bh-hostConnect/10.1.0.77";
  by_address.port = 8080;
  EXPECT_EQ(code(bastion_->admit(by_address)), "BastionFeatureNotEnabled");
  by_address.port = 22;
  call(owner_, "PUT", kHostId, host_body("Standard", "net", {{"enableTunneling", true}}), 200);
  EXPECT_EQ(code(bastion_->admit(by_address)), "BastionFeatureNotEnabled");
}

// Whoever writes documents of their own does not come to another's machine by them.
TEST_F(GateTest, AnAddressThatAnAgentReportsIsItsMachinesAlone) {
  make_setting();
  const JsonObject token = call(owner_, "POST", kRg + "/providers/Merlon.Machines/enrolmentTokens",
                                {{"name", "victim"}, {"enforce", true}}, 201);
  machine::EnrolRequest enrolment;
  enrolment.token = string_at(token, "token").value_or("");
  const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  enrolment.certificate_request_pem = must(crypto::make_request(key, "victim"));
  enrolment.facts.hostname = "victim";
  enrolment.facts.boot_id = "boot-1";
  machine::ReportedInterface eth0;
  eth0.name = "eth0";
  eth0.addresses = {{*IpAddress::parse("10.1.0.66"), 24U}};
  eth0.default_route = true;
  enrolment.facts.interfaces = {eth0};
  net::Request request = request_to("POST", "/agent/v1/enrol");
  request.body = to_text(enrolment.to_json());
  int status = 0;
  machines_->handle(std::move(request),
                    net::Responder([&](const net::Response& response) { status = response.status; }));
  ASSERT_EQ(status, 201);
  make_machine("thief", "net");
  JsonObject nic = call(owner_, "GET", kNet + "networkInterfaces/thief-nic", {}, 200);
  JsonObject& configuration =
      nic["properties"].as_object()["ipConfigurations"].as_array()[0].as_object()["properties"].as_object();
  configuration["privateIPAddress"] = "10.1.0.66";
  configuration["privateIPAllocationMethod"] = "Static";
  call(owner_, "PUT", kNet + "networkInterfaces/thief-nic", nic, 200);
  const auto refused = bastion_->admit(way(ada_, "thief"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "InvalidTarget");
  WayIn by_address = way(ada_, kNet + "bh-hostConnect/10.1.0.66");
  by_address.bastion = kHostId;
  EXPECT_EQ(code(bastion_->admit(by_address)), "InvalidTarget");
}

TEST_F(GateTest, ReachesNoOtherNetworksThanTheServersOwnerSays) {
  reaches_ = {*IpPrefix::parse("10.9.0.0/16")};
  start();
  make_setting();
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "InvalidTarget");
  reaches_ = {*IpPrefix::parse("10.9.0.0/16"), *IpPrefix::parse("10.1.0.0/16")};
  start();
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "admitted");
}

TEST_F(GateTest, TheSecurityGroupDecidesWhereNoPolicyGuardsThePort) {
  make_setting();
  deny("web-1", 22);
  const auto refused = bastion_->admit(way(ada_));
  EXPECT_EQ(code(refused), "BlockedBySecurityGroup");
  EXPECT_NE(refused.error().message.find("securityRules/no"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(active().empty());
}

TEST_F(GateTest, AsksForJustInTimeAccessForItsOwnAddressByTheCallersRight) {
  make_setting();
  deny("web-1", 22);
  set_jit("web-1");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "LinkedAuthorizationFailed");  // a reader may not initiate
  EXPECT_EQ(open_grants(), 0U);
  assign(ada_.id, kOwnerRole, kRg);
  const Admission admission = must(bastion_->admit(way(ada_)));
  EXPECT_EQ(open_grants(), 1U);
  EXPECT_EQ(admission.deadline, clock_.now() + std::chrono::hours(3));
  const JsonObject shown = session(admission.session);
  const std::string opening = string_at(shown, "properties.openingId").value_or("");
  const JsonObject granted =
      call(owner_, "GET",
           kRg +
               "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default/providers/"
               "Merlon.Jit/openings/" +
               opening,
           {}, 200);
  EXPECT_EQ(to_text(*array_at(granted, "properties.sources")), "[\"10.1.0.9\"]");
  EXPECT_EQ(string_at(granted, "properties.requestor"), ada_.name);
  must(bastion_->ended(admission.session, {}));
  EXPECT_EQ(open_grants(), 0U);
}

TEST_F(GateTest, SeveralPeopleHaveEachTheirOwnOpening) {
  make_setting();
  set_jit("web-1");
  assign(ada_.id, kOwnerRole, kRg);
  const Admission first = must(bastion_->admit(way(ada_)));
  const Admission second = must(bastion_->admit(way(owner_)));
  EXPECT_EQ(open_grants(), 2U);
  must(bastion_->ended(second.session, {}));
  EXPECT_EQ(open_grants(), 1U);
  must(bastion_->ended(second.session, {}));  // more often does no harm
  tick();
  EXPECT_EQ(active().size(), 1U);
  must(bastion_->ended(first.session, {}));
  EXPECT_EQ(open_grants(), 0U);
}

TEST_F(GateTest, TakesAnApprovedOpeningWhereOthersMustAgree) {
  make_setting();
  set_jit("web-1");
  const std::string policy =
      kRg + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
  call(owner_, "PUT", policy + "/providers/Merlon.Jit/options/default",
       {{"properties", JsonObject{{"approval", JsonObject{{"required", 1}}}}}}, 200);
  assign(ada_.id, kOwnerRole, kRg);
  const auto refused = bastion_->admit(way(ada_));
  EXPECT_EQ(code(refused), "JitApprovalRequired");
  EXPECT_NE(refused.error().message.find("--from 10.1.0.9"), std::string::npos);
  const JsonObject port = {
      {"number", 22}, {"allowedSourceAddressPrefix", kServerAddress}, {"duration", "PT1H"}};
  const JsonObject asked = call(
      ada_, "POST", policy + "/initiate",
      {{"virtualMachines", JsonArray{JsonObject{{"id", kMachines + "web-1"}, {"ports", JsonArray{port}}}}}},
      202);
  call(owner_, "POST",
       policy + "/providers/Merlon.Jit/requests/" + string_at(asked, "id").value_or("") + "/approve", {},
       200);
  const Admission admission = must(bastion_->admit(way(ada_)));
  EXPECT_EQ(admission.deadline, clock_.now() + std::chrono::hours(1));
  must(bastion_->ended(admission.session, {}));
  EXPECT_EQ(open_grants(), 1U);  // it is the person's own
}

TEST_F(GateTest, TheLimitHoldsAgainstAHundredAtOnce) {
  make_setting("Developer");
  const WayIn asked = way(ada_);
  std::atomic<int> admitted = 0, full = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 100; ++i)
    threads.emplace_back([&] {
      const auto result = bastion_->admit(asked);
      if (result) ++admitted;
      if (code(result) == "BastionSessionLimitReached") ++full;
    });
  threads.clear();
  EXPECT_EQ(admitted, 2);
  EXPECT_EQ(full, 98);
  EXPECT_EQ(active().size(), 2U);
}

TEST_F(GateTest, EachProtocolHasItsRoomAndScaleUnitsAddToIt) {
  make_setting("Standard", {{"scaleUnits", 2}});
  WayIn rdp = way(ada_);
  rdp.protocol = Protocol::rdp;
  rdp.port = 3389;
  rdp.ends_protocol = false;
  rdp.transport = Transport::tunnel;
  for (int i = 0; i < 40; ++i) EXPECT_EQ(code(bastion_->admit(rdp)), "admitted");
  EXPECT_EQ(code(bastion_->admit(rdp)), "BastionSessionLimitReached");
  const Admission ssh = must(bastion_->admit(way(ada_)));
  for (int i = 1; i < 80; ++i) EXPECT_EQ(code(bastion_->admit(way(ada_))), "admitted");
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "BastionSessionLimitReached");
  must(bastion_->ended(ssh.session, {}));
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "admitted");
}

TEST_F(GateTest, APrivateBastionLetsNobodyInFromAPublicAddress) {
  make_network("net");
  make_machine("web-1", "net");
  call(owner_, "PUT", kHostId,
       host_body("Premium", "net", {{"enablePrivateOnlyBastion", true}, {"enableTunneling", true}}, false),
       201);
  WayIn inside = way(ada_);
  inside.caller.address = *IpAddress::parse("10.1.0.50");
  EXPECT_EQ(code(bastion_->admit(inside)), "admitted");
  inside.caller.address = *IpAddress::parse("8.8.8.8");
  EXPECT_EQ(code(bastion_->admit(inside)), "BastionPrivateOnly");
}

TEST_F(GateTest, ASignInThatHasEndedIsNone) {
  make_setting();
  WayIn asked = way(ada_);
  must(world_.store().write([&](store::Transaction& tx) {
    return identity::end_session(tx, core().tenant, *Uuid::parse(asked.caller.session_id));
  }));
  EXPECT_EQ(code(bastion_->admit(asked)), "SignInEnded");
  WayIn tunnel = way(ada_);
  tunnel.caller.session_id.clear();
  tunnel.transport = Transport::tunnel;
  EXPECT_EQ(code(bastion_->admit(tunnel)), "SignInEnded");
}

TEST_F(GateTest, BadInputIsRefusedAndLeavesNothing) {
  make_setting();
  WayIn bad = way(ada_);
  bad.port = 0;
  EXPECT_EQ(code(bastion_->admit(bad)), "InvalidPort");
  bad = way(ada_);
  bad.login = "a b";
  EXPECT_EQ(code(bastion_->admit(bad)), "InvalidLogin");
  for (const char* target : {"", "/", "/subscriptions/x", "..", "\n", "/providers/x"})
    EXPECT_NE(code(bastion_->admit(way(ada_, target))), "admitted") << target;
  EXPECT_EQ(code(bastion_->admit(way(ada_, kNet + "networkInterfaces/web-1-nic"))), "InvalidTarget");
  source_ = "10.1.0.4";  // the machine claims the server's own address
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "InvalidTarget");
  source_ = "no route";
  EXPECT_EQ(code(bastion_->admit(way(ada_))), "NoRouteToMachine");
  EXPECT_TRUE(active().empty());
}

}  // namespace
}  // namespace merlon::bastion

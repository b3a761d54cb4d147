// What a machine, or whoever has stolen its key or its token, may try against the server and against other
// machines: the right answer, and nothing changed.
#include "server/hostile_agents_fixture.h"

namespace merlon::server {
namespace {

using std::chrono::hours;

// ---- Enrolment.

TEST_F(HostileAgentsTest, AnEnrolmentTokenWorksOnceWhoeverShowsItAgain) {
  const std::string token = token_for("web-1");
  const auto key = new_key();
  ASSERT_EQ(try_enrol(token, key, "boot", "10.7.0.4").status, 201);
  const std::string vm = group() + "/providers/Microsoft.Compute/virtualMachines/web-1";
  const std::string before = record(vm);
  const uint64_t commits_before = commits();
  expect_refused(try_enrol(token, key, "boot", "10.7.0.4"), 401, "EnrolmentTokenInvalid");
  expect_refused(try_enrol(token, new_key(), "other boot", "10.7.0.9"), 401, "EnrolmentTokenInvalid");
  EXPECT_EQ(record(vm), before);
  EXPECT_EQ(commits(), commits_before);
  // Nor does it after the machine has gone.
  remove("web-1");
  expect_refused(try_enrol(token, new_key(), "boot", "10.7.0.4"), 401, "EnrolmentTokenInvalid");
}

TEST_F(HostileAgentsTest, ATokenThatIsOldTamperedWithOrNobodysEnrolsNothing) {
  const std::string token = token_for("web-1");
  const uint64_t commits_before = commits();
  std::string other = token;
  other.back() = other.back() == 'A' ? 'B' : 'A';
  for (const std::string& wrong : {other, token + "A", token.substr(0, token.rfind('.')),
                                   std::string("mrl1.x.y"), std::string(500, '.')})
    expect_refused(try_enrol(wrong, new_key(), "boot", "10.7.0.4"), 401, "EnrolmentTokenInvalid");
  clock_.advance(hours(24 * 8));
  expect_refused(try_enrol(token, new_key(), "boot", "10.7.0.4"), 401, "EnrolmentTokenInvalid");
  EXPECT_EQ(commits(), commits_before);
}

TEST_F(HostileAgentsTest, AnEnrolmentTokenIsAsGoodAsTheRightOfWhoeverMadeIt) {
  const std::string token = token_for("web-1");
  const std::string id = token.substr(token.find('.') + 1, 36);
  const TenantId tenant = assembly_->core().tenant;
  std::string maker;
  const auto made_by = [&](const std::string& other) {
    EXPECT_TRUE(assembly_->store().write([&](store::Transaction& tx) -> Result<void> {
      auto row = TRY(store::get<machine::EnrolmentToken>(tx, tenant, id));
      if (!row) return internal_error("no such token");
      if (maker.empty()) maker = row->created_by;
      row->created_by = other;
      return store::put(tx, tenant, *row);
    }));
  };
  identity::User leaver;
  leaver.user_principal_name = "leaver@merlon.localhost";
  leaver.display_name = "Leaver";
  const auto user = store::write_value<identity::User>(assembly_->store(), [&](store::Transaction& tx) {
    return assembly_->core().directory.create_user(tx, leaver);
  });
  ASSERT_TRUE(user.has_value());
  for (const Uuid& other : {Uuid::generate(random_), user->id}) {
    made_by(other.text());
    const uint64_t commits_before = commits();
    expect_refused(try_enrol(token, new_key(), "boot", "10.7.0.4"), 401, "EnrolmentTokenInvalid");
    EXPECT_EQ(commits(), commits_before);
  }
  made_by(maker);
  EXPECT_EQ(try_enrol(token, new_key(), "boot", "10.7.0.4").status, 201);
}

TEST_F(HostileAgentsTest, ARequestWithoutProofOfItsKeyEnrolsNothingAndLeavesTheToken) {
  const std::string token = token_for("web-1");
  machine::EnrolRequest request;
  request.token = token;
  request.facts = facts("boot", "10.7.0.4");
  request.certificate_request_pem = *crypto::make_request(new_key(), "agent");
  request.certificate_request_pem[request.certificate_request_pem.size() / 2] ^= 1;
  EXPECT_EQ(send("POST", "/agent/v1/enrol", to_text(request.to_json())).status, 400);
  EXPECT_EQ(try_enrol(token, new_key(), "boot", "10.7.0.4").status, 201) << "it is still good";
}

TEST_F(HostileAgentsTest, AMachineCannotEnrolWithAnothersAddressKeyOrName) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const std::string before = record(web.vm);
  const std::string token = token_for("web-2");
  const std::string same_name = token_for("web-1");
  const uint64_t commits_before = commits();
  expect_refused(try_enrol(token, new_key(), "boot", "10.7.0.4"), 409, "PrivateIPAddressInUse");
  expect_refused(try_enrol(token, web.key, "boot", "10.7.0.9"), 409, "KeyAlreadyEnrolled");
  expect_refused(try_enrol(same_name, new_key(), "boot", "10.7.0.9"), 409, "MachineAlreadyEnrolled");
  EXPECT_EQ(record(web.vm), before);
  EXPECT_EQ(commits(), commits_before);
}

// ---- Whose words they are.

TEST_F(HostileAgentsTest, ACertificateThatNoMachineHasIsRefused) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const std::string before = record(web.vm);
  crypto::LeafParameters leaf;
  leaf.common_name = web.name;
  leaf.use = crypto::LeafUse::tls_client;
  leaf.not_before = clock_.now() - hours(1);
  leaf.not_after = clock_.now() + hours(1);
  const std::string own = *crypto::make_self_signed(leaf, new_key(), random_);
  const std::string body = to_text(words(web).to_json());
  expect_refused(say(own, body), 401, "MachineNotEnrolled");
  expect_refused(say("", body), 401, "MachineNotEnrolled");
  expect_refused(say("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", body), 401,
                 "MachineNotEnrolled");
  expect_refused(renew(own, new_key()), 401, "MachineNotEnrolled");
  EXPECT_EQ(record(web.vm), before);
}

TEST_F(HostileAgentsTest, TheAgentsPlaneAndTheControlPlaneDoNotMix) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const std::string body = to_text(words(web).to_json());
  const auto on_control = send("POST", "/agent/v1/sync", body, {}, net::Plane::control, web.certificate);
  expect_refused(on_control, 421, "MisdirectedRequest");
  EXPECT_EQ(send("POST", "/agent/v1/enrol", enrolment_body_, {}, net::Plane::agents, web.certificate).status,
            404);
  EXPECT_EQ(send("GET", "/agent/v1/sync", {}, {}, net::Plane::agents, web.certificate).status, 404);
  EXPECT_EQ(send("POST", "/agent/v1/else", body, {}, net::Plane::agents, web.certificate).status, 404);
}

TEST_F(HostileAgentsTest, WhatAMachineSaysCountsForItAlone) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  const std::string victim = vm_;
  const std::string opening = sync().state->openings.at(0).id;
  const std::string before = record(victim);
  const Enrolled web = enrol_as("web-2", "10.7.0.5");
  machine::SyncRequest request = words(web);
  request.applied.open = {opening};
  for (const char* kind : {"closed", "opened", "rolled-back", "released", "table-lost"})
    request.observations.push_back(
        {kind, Duration(0), {{"id", opening}, {"machine", victim}, {"reason", "revoked"}}});
  const auto answer = read_answer(say(web, request));
  ASSERT_TRUE(answer.state.has_value());
  EXPECT_TRUE(answer.state->openings.empty()) << "nothing of another machine's is told";
  EXPECT_EQ(record(victim), before);
  EXPECT_EQ(sync().state->openings.size(), 1U);
  // In the ledger it is the sender's.
  ASSERT_TRUE(assembly_->core().ledger.flush(Timestamp::max()));
  std::stringstream lines(ledger_lines());
  size_t entered = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("machines/observations/") == std::string::npos) continue;
    ++entered;
    EXPECT_EQ(string_at(*parse_json_object(line), "entry.resource"), web.vm) << line;
  }
  EXPECT_EQ(entered, 5U);
}

TEST_F(HostileAgentsTest, AMachineThatClaimsAnothersAddressGetsNoneOfItsRules) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  const std::string before = record(vm_);
  const Enrolled web = enrol_as("web-2", "10.7.0.5");
  const std::string rules_before = to_text(read_answer(say(web, words(web))).state->to_json());
  machine::SyncRequest request = words(web);
  request.facts = facts("boot of web-2", "10.7.0.4");
  const auto answer = read_answer(say(web, request));
  EXPECT_EQ(to_text(answer.state->to_json()), rules_before) << "addresses are set at enrolment or by people";
  EXPECT_EQ(record(vm_), before);
  EXPECT_EQ(sync().state->openings.size(), 1U);
}

// ---- Keys.

TEST_F(HostileAgentsTest, AnExpiredCertificateOfAnEnrolledKeyMayOnlyRenew) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  clock_.advance(hours(24 * 400));
  const std::string before = record(web.vm);
  const uint64_t commits_before = commits();
  expect_refused(say(web, words(web)), 401, "CertificateExpired");
  EXPECT_EQ(record(web.vm), before);
  EXPECT_EQ(commits(), commits_before);
  const auto renewed = renew(web.certificate, web.key);
  ASSERT_EQ(renewed.status, 200) << renewed.body;
  Enrolled now = web;
  now.certificate = string_at(*parse_json_object(renewed.body), "certificate").value_or("");
  EXPECT_EQ(say(now, words(now)).status, 200);
  expect_refused(say(web, words(web)), 401, "CertificateExpired");
}

TEST_F(HostileAgentsTest, NobodyRenewsToAnothersKeyOrWithoutProofOfTheNewOne) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled other = enrol_as("web-2", "10.7.0.5");
  const std::string before = record(web.vm) + record(other.vm);
  expect_refused(renew(web.certificate, other.key), 409, "KeyAlreadyEnrolled");
  std::string request = *crypto::make_request(new_key(), "agent");
  request[request.size() / 2] ^= 1;
  EXPECT_EQ(send("POST", "/agent/v1/renew", to_text(JsonObject{{"request", request}}), {}, net::Plane::agents,
                 web.certificate)
                .status,
            400);
  EXPECT_EQ(record(web.vm) + record(other.vm), before);
}

TEST_F(HostileAgentsTest, AnOldKeyIsGoodUntilTheNewOneWasUsedAndNoLonger) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  Enrolled renewed = web;
  renewed.key = new_key();
  const auto answer = renew(web.certificate, renewed.key);
  ASSERT_EQ(answer.status, 200);
  renewed.certificate = string_at(*parse_json_object(answer.body), "certificate").value_or("");
  EXPECT_EQ(say(web, words(web)).status, 200) << "the answer may have been lost";
  EXPECT_EQ(say(renewed, words(renewed)).status, 200);
  expect_refused(say(web, words(web)), 401, "MachineNotEnrolled");
  expect_refused(renew(web.certificate, new_key()), 401, "MachineNotEnrolled");
}

TEST_F(HostileAgentsTest, AKeyOnTwoBootsIsQuarantinedUntilItsMachineIsRemoved) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  machine::SyncRequest first = words(web);
  machine::SyncRequest second = words(web);
  second.boot_id = "the clone's";
  EXPECT_EQ(say(web, first).status, 200);
  EXPECT_EQ(say(web, second).status, 200);
  expect_refused(say(web, first), 403, "MachineQuarantined");
  expect_refused(say(web, second), 403, "MachineQuarantined");
  expect_refused(renew(web.certificate, web.key), 403, "MachineQuarantined");
  remove("web-1");
  EXPECT_TRUE(read_answer(say(web, first)).released) << "what was quarantined must let go too";
}

// ---- Versions and form.

// A claim to something newer than there is moves the machine's own version beyond it (a second restore of one
// backup needs that), and nothing else.
TEST_F(HostileAgentsTest, WhateverVersionAMachineClaimsItIsToldTheRealState) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled other = enrol_as("web-2", "10.7.0.5");
  const auto truth = read_answer(say(web, words(web))).state;
  const auto others = read_answer(say(other, words(other))).state;
  ASSERT_TRUE(truth.has_value() && others.has_value());
  for (const machine::Version& claimed :
       {machine::Version{truth->version.epoch, truth->version.number + 1},
        machine::Version{INT64_MAX, INT64_MAX}, machine::Version{truth->version.epoch + 5, 0},
        machine::Version{0, truth->version.number}}) {
    machine::SyncRequest request = words(web);
    request.have = claimed;
    request.applied.version = claimed;
    request.wait_ms = 30'000;
    const auto answer = read_answer(say(web, request));
    ASSERT_TRUE(answer.state.has_value());
    EXPECT_LE(answer.state->version.epoch, truth->version.epoch + 6);
    machine::DesiredState told = *answer.state;
    told.version = truth->version;
    EXPECT_EQ(to_text(told.to_json()), to_text(truth->to_json()));
  }
  EXPECT_EQ(to_text(read_answer(say(other, words(other))).state->to_json()), to_text(others->to_json()));
}

TEST_F(HostileAgentsTest, MessagesThatAreNoneChangeNothing) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const std::string before = record(web.vm);
  const JsonObject good = words(web).to_json();
  const auto with = [&](std::string_view key, Json value) {
    JsonObject body = good;
    body[key] = std::move(value);
    return to_text(body);
  };
  const auto without = [&](std::string_view key) {
    JsonObject body = good;
    body.erase(key);
    return to_text(body);
  };
  const JsonObject no_version = {{"epoch", -1}, {"number", 1}};
  JsonArray many;
  for (int i = 0; i < 1025; ++i)
    many.push_back(JsonObject{{"kind", "opened"}, {"ageMs", 0}, {"facts", JsonObject()}});
  const uint64_t commits_before = commits();
  for (const std::string& wrong :
       {std::string(),
        std::string("{"),
        std::string("[]"),
        std::string("null"),
        without("nonce"),
        without("bootId"),
        without("have"),
        without("applied"),
        with("have", Json(no_version)),
        with("have", Json(JsonObject{{"epoch", "1"}, {"number", 1}})),
        with("have", "1.1"),
        with("waitMs", 30'001),
        with("waitMs", -1),
        with("nonce", std::string(129, 'n').c_str()),
        with("nonce", 7),
        with("observations", Json(many)),
        with("observations", JsonArray{JsonObject{{"kind", "x"}, {"ageMs", -5}, {"facts", JsonObject()}}}),
        with("observations", JsonArray{JsonObject{{"kind", "x/y"}, {"ageMs", 5}, {"facts", JsonObject()}}}),
        with("gone", "yes"),
        with("facts", JsonArray())})
    EXPECT_EQ(say(web.certificate, wrong).status, 400) << wrong.substr(0, 200);
  EXPECT_EQ(record(web.vm), before);
  EXPECT_EQ(commits(), commits_before);
}

// ---- The end.

TEST_F(HostileAgentsTest, ARemovedMachineIsToldUntilItSaysThatItsRulesAreDown) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  const Enrolled web{.name = "web-1", .certificate = certificate_, .vm = vm_, .key = new_key()};
  machine::SyncRequest request = words(web);
  request.boot_id = "boot-1";
  remove("web-1");
  for (int lost = 0; lost < 3; ++lost) EXPECT_TRUE(read_answer(say(web, request)).released);
  // It has no other rights any more, and its reports are nobody's.
  const uint64_t commits_before = commits();
  machine::SyncRequest report = request;
  report.observations.push_back({"opened", Duration(0), {{"id", "x"}}});
  EXPECT_TRUE(read_answer(say(web, report)).released);
  expect_refused(renew(certificate_, new_key()), 401, "MachineNotEnrolled");
  EXPECT_EQ(commits(), commits_before);
  // Another one may have its name meanwhile, and neither disturbs the other.
  const Enrolled next = enrol_as("web-1", "10.7.0.4");
  EXPECT_FALSE(read_answer(say(next, words(next))).released);
  EXPECT_TRUE(read_answer(say(web, request)).released);
  // Also after its certificate has run out.
  clock_.advance(hours(24 * 400));
  EXPECT_TRUE(read_answer(say(web, request)).released);
  request.gone = true;
  EXPECT_TRUE(read_answer(say(web, request)).released);
  expect_refused(say(web, request), 401, "MachineNotEnrolled");
  EXPECT_NE(ledger_lines().find("Merlon.Machines/machines/released/action"), std::string::npos);
}

TEST_F(HostileAgentsTest, NoMachineLeavesByItself) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  machine::SyncRequest request = words(web);
  request.gone = true;
  const std::string before = record(web.vm);
  expect_refused(say(web, request), 409, "MachineNotRemoved");
  EXPECT_EQ(record(web.vm), before);
}

}  // namespace
}  // namespace merlon::server

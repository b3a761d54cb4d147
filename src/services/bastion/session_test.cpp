// How sessions end: by whoever carries them, by whoever may end them, by time, by a right that is gone, and
// with the server that carried them.
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

class SessionTest : public BastionFixture {
 protected:
  // Admitted and watched.
  SessionTest() {
    for (const Uuid& who : {owner_.id, ada_.id}) assign(who, kAdminLoginRole, kRg);
  }
  Admission run(const Person& who, const std::string& target = "web-1") {
    Admission admission = must(bastion_->admit(way(who, target)));
    bastion_->watch(admission.session, [this](const Notice& notice) { notices_.push_back(notice); });
    return admission;
  }
  std::string heard() const {
    std::string all;
    for (const Notice& notice : notices_)
      all += (notice.kind == Notice::Kind::warn ? "warn " : "end ") + notice.reason + ";";
    return all;
  }
  std::string ended_because(const Uuid& id) {
    return string_at(session(id), "properties.endReason").value_or("");
  }
  std::vector<Notice> notices_;
};

TEST_F(SessionTest, AnEndIsEnteredWithItsReasonAndCounters) {
  make_setting();
  const Admission admission = run(ada_);
  clock_.advance(std::chrono::minutes(5));
  must(bastion_->ended(admission.session, {.reason = "ClientClosed",
                                           .message = {},
                                           .bytes_to_machine = 10,
                                           .bytes_to_client = 20,
                                           .details = {{"files", 3}}}));
  const auto entries = world_.entries("Merlon.Bastion/sessions/end");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(int_at(entries[0].details, "durationSeconds"), 300);
  EXPECT_EQ(int_at(entries[0].details, "bytesToClient"), 20);
  EXPECT_EQ(int_at(entries[0].details, "files"), 3);
  EXPECT_EQ(string_at(entries[0].details, "user"), ada_.name);
  EXPECT_EQ(ended_because(admission.session), "ClientClosed");
  EXPECT_TRUE(active().empty());
  must(bastion_->ended(admission.session, {.reason = "Again"}));
  EXPECT_EQ(ended_because(admission.session), "ClientClosed");
}

TEST_F(SessionTest, WhoMayDisconnectsIt) {
  make_setting();
  const Admission admission = run(ada_);
  const JsonObject body = {{"sessionIds", JsonArray{admission.session.text(), "nonsense",
                                                    "00000000-0000-4000-8000-000000000000"}}};
  EXPECT_EQ(send(ada_, "POST", kHostId + "/disconnectActiveSessions", body).status, 403);
  tick();
  EXPECT_EQ(heard(), "");
  const JsonObject answer = call(owner_, "POST", kHostId + "/disconnectActiveSessions", body, 200);
  const JsonArray& value = *array_at(answer, "value");
  ASSERT_EQ(value.size(), 3U);
  EXPECT_EQ(string_at(value[0].as_object(), "state"), "Disconnected");
  EXPECT_EQ(string_at(value[1].as_object(), "state"), "Failed");
  EXPECT_EQ(string_at(value[2].as_object(), "state"), "Failed");
  clock_.advance(std::chrono::seconds(1));
  tick();
  tick();
  EXPECT_EQ(heard(), "end Disconnected;");
  EXPECT_EQ(world_.entries("Merlon.Bastion/sessions/disconnect").size(), 1U);
}

TEST_F(SessionTest, ANoticeWaitsForWhoeverWatches) {
  make_setting();
  const Admission admission = must(bastion_->admit(way(ada_)));
  must(world_.store().write([&](store::Transaction& tx) {
    return world_.manager().as_system(tx, "test", [&](resource::WriteContext& context) -> Result<void> {
      TRY(bastion_->disconnect(context, admission.session, "Disconnected"));
      return {};
    });
  }));
  pass(std::chrono::seconds(1));
  bastion_->watch(admission.session, [this](const Notice& notice) { notices_.push_back(notice); });
  EXPECT_EQ(heard(), "end Disconnected;");
}

TEST_F(SessionTest, TheEndOfAGrantIsWarnedOfAndCuts) {
  make_setting();
  set_jit("web-1", "PT10M");
  const Admission admission = run(owner_);
  EXPECT_EQ(admission.deadline, clock_.now() + std::chrono::minutes(10));
  pass(std::chrono::minutes(8));
  EXPECT_EQ(heard(), "");
  pass(std::chrono::seconds(61));
  EXPECT_EQ(heard(), "warn DeadlineNear;");
  EXPECT_EQ(notices_[0].at, admission.deadline);
  pass(std::chrono::seconds(60));
  EXPECT_EQ(heard(), "warn DeadlineNear;end DeadlinePassed;");
}

// The record of one is damaged: the others end as they should, and it does not go on for good.
TEST_F(SessionTest, OneThatCannotBeJudgedKeepsNoOtherFromItsEndAndEndsItself) {
  make_setting();
  set_jit("web-1", "PT3H");
  const Admission damaged = run(owner_);
  const std::string opening = string_at(session(damaged.session), "properties.openingId").value_or("");
  set_policy("short", {{"maximumTime", "PT10S"}});
  std::string other;
  const Admission sound = run(owner_);
  bastion_->watch(sound.session, [&](const Notice& notice) { other += notice.reason + ";"; });
  must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
    auto row = TRY(tx.get(grant::Grant::table(), core().tenant, opening));
    return tx.put(grant::Grant::table(), core().tenant,
                  {.key = opening, .body = "{", .index_values = {{}, {}, {}, {}}});
  }));
  clock_.advance(std::chrono::seconds(11));
  must(bastion_->tick({}, true));
  EXPECT_NE(other.find("DeadlinePassed"), std::string::npos) << other;
  EXPECT_EQ(heard(), "");
  clock_.advance(std::chrono::seconds(31));
  must(bastion_->tick({}, true));
  EXPECT_EQ(heard(), "end NotJudged;");
}

TEST_F(SessionTest, APolicyMayKeepASessionBeyondItsGrant) {
  make_setting();
  set_jit("web-1", "PT10M");
  set_policy("keep", {{"atGrantEnd", "keep"}});
  EXPECT_FALSE(run(owner_).deadline);
  pass(std::chrono::minutes(11));
  EXPECT_EQ(open_grants(), 0U);
  EXPECT_EQ(heard(), "");
  set_policy("cut", {{"atGrantEnd", "cut"}});
  EXPECT_TRUE(run(owner_).deadline);  // the strictest of several
}

TEST_F(SessionTest, ARevokedGrantEndsItEvenWhereAPolicyKeepsIt) {
  make_setting();
  set_jit("web-1");
  set_policy("keep", {{"atGrantEnd", "keep"}});
  const Admission admission = run(owner_);
  const std::string opening = string_at(session(admission.session), "properties.openingId").value_or("");
  call(owner_, "POST",
       kRg +
           "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default/providers/"
           "Merlon.Jit/openings/" +
           opening + "/revoke",
       {}, 200);
  pass(std::chrono::seconds(1));
  EXPECT_EQ(heard(), "end AccessRevoked;");
}

TEST_F(SessionTest, ItsOwnMaximumStaysWhenItsGrantIsProlonged) {
  make_setting();
  set_jit("web-1", "PT3H");
  set_policy("short", {{"maximumTime", "PT1H"}, {"atGrantEnd", "cut"}});
  const Admission limited = run(owner_);
  EXPECT_EQ(limited.deadline, clock_.now() + std::chrono::hours(1));
  const std::string opening = string_at(session(limited.session), "properties.openingId").value_or("");
  call(owner_, "POST",
       kRg +
           "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default/providers/"
           "Merlon.Jit/openings/" +
           opening + "/extend",
       {{"duration", "PT2H"}}, 200);
  pass(std::chrono::minutes(61));
  EXPECT_EQ(heard(), "end DeadlinePassed;");
}

// A Reader is everybody in a team. Over a connection of before they would open one shell after another.
TEST_F(SessionTest, WhoLosesTheRightToLogInIsCutAlthoughTheyMayStillRead) {
  constexpr const char* kUserLoginRole = "fb879df8-f326-4884-b1cf-06f3ad86be52";
  const std::string elsewhere = "/";
  make_setting();
  const Person bob = person("bob");
  assign(bob.id, kReaderRole, kRg);
  const auto run_as = [&](const std::string& login) {
    WayIn in = way(bob);
    in.login = login;
    const Admission admission = must(bastion_->admit(in));
    bastion_->watch(admission.session, [this](const Notice& notice) { notices_.push_back(notice); });
  };
  assign(bob.id, kUserLoginRole, elsewhere);
  run_as("bob");
  pass(std::chrono::seconds(5));
  EXPECT_EQ(heard(), "");
  unassign_all(bob, elsewhere);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end RightsRemoved;");
  notices_.clear();
  assign(bob.id, kAdminLoginRole, elsewhere);
  run_as("admin");
  pass(std::chrono::seconds(5));
  EXPECT_EQ(heard(), "");
  unassign_all(bob, elsewhere);
  assign(bob.id, kUserLoginRole, elsewhere);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end RightsRemoved;") << "'admin' is not the login of who may be a user there";
}

TEST_F(SessionTest, WhoLosesTheRightOrTheSignInIsCut) {
  make_setting();
  run(ada_);
  pass(std::chrono::seconds(5));
  EXPECT_EQ(heard(), "");
  unassign_all(ada_);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end RightsRemoved;");
  notices_.clear();
  const Admission admission = run(owner_);
  must(world_.store().write(
      [&](store::Transaction& tx) { return identity::end_session(tx, core().tenant, owner_.id); }));
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end SignInEnded;");
}

TEST_F(SessionTest, ADisabledPersonIsCut) {
  make_setting();
  run(ada_);
  must(world_.store().write(
      [&](store::Transaction& tx) { return core().directory.set_enabled(tx, ada_.id, false); }));
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end SignInEnded;");
}

TEST_F(SessionTest, GoesWithTheBastionAndWithTheMachine) {
  make_setting();
  const Admission first = run(ada_);
  call(owner_, "PUT", kHostId, host_body("Standard", "net"), 200);  // native clients are switched off
  pass(std::chrono::seconds(1));
  EXPECT_EQ(heard(), "end BastionChanged;");
  must(bastion_->ended(first.session, {}));
  notices_.clear();
  call(owner_, "PUT", kHostId, host_body("Standard", "net", {{"enableTunneling", true}}), 200);
  const Admission second = run(ada_);
  EXPECT_EQ(send(owner_, "DELETE", kMachines + "web-1").status / 100, 2);
  pass(std::chrono::seconds(1));
  EXPECT_EQ(heard(), "end MachineRemoved;");
  must(bastion_->ended(second.session, {}));
  notices_.clear();
  make_machine("web-2", "net");
  run(ada_, "web-2");
  EXPECT_EQ(send(owner_, "DELETE", kHostId).status, 202);
  pass(std::chrono::seconds(1));
  EXPECT_EQ(heard(), "end BastionDeleted;");
}

// Nobody stays in by policies of before: each of these is written while a session runs that it would refuse.
TEST_F(SessionTest, APolicyThatIsWrittenWhileItRunsBindsItToo) {
  make_setting();
  const std::string path = kHostId + "/providers/Merlon.Bastion/sessionPolicies/late";
  const auto after = [&](const JsonObject& policy) {
    notices_.clear();
    const Admission admission = run(ada_);
    set_policy("late", policy);
    pass(std::chrono::seconds(3));
    const std::string said = heard();
    must(bastion_->ended(admission.session, {}));
    EXPECT_EQ(send(owner_, "DELETE", path).status, 200);
    return said;
  };
  const std::string put_out = "end SessionPolicyChanged;";
  EXPECT_EQ(after({{"logins", JsonArray{"deploy"}}}), put_out);
  EXPECT_EQ(after({{"channels", JsonObject{{"forwarding", false}}}}), put_out);
  EXPECT_EQ(after({{"sourceNetworks", JsonArray{"10.0.0.0/8"}}}), put_out);
  EXPECT_EQ(after({{"privateOnly", true}}), "");  // 198.51.100.7 is a documentation network
  EXPECT_EQ(after({{"virtualMachineIds", JsonArray{kMachines + "other"}}}), put_out);
  EXPECT_EQ(after({{"mfaWithin", "PT10M"}}), put_out);
  EXPECT_EQ(after({{"justificationRequired", true}}), put_out);
  EXPECT_EQ(after({{"maximumTime", "PT2S"}}), "end DeadlinePassed;");
  EXPECT_EQ(after({{"maximumTime", "PT1H"}}), "");
  EXPECT_EQ(after({{"logins", JsonArray{"admin"}}, {"idleTimeout", "PT5M"}}), "");
  const JsonObject others = {{"principalIds", JsonArray{owner_.id.text()}}};
  EXPECT_EQ(after({{"appliesTo", others}, {"logins", JsonArray{"deploy"}}}), "");
}

TEST_F(SessionTest, APolicyThatIsLiftedEndsNothing) {
  make_setting();
  set_policy("early", {{"maximumTime", "PT1H"}, {"channels", JsonObject{{"forwarding", false}}}});
  run(ada_);
  call(owner_, "DELETE", kHostId + "/providers/Merlon.Bastion/sessionPolicies/early", {}, 200);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "");
  pass(std::chrono::hours(1));
  EXPECT_NE(heard().find("end DeadlinePassed;"), std::string::npos);  // its time is what it was promised
}

// A login is named inside such a tunnel, so that the right to it is looked at there, too.
TEST_F(SessionTest, WhoLosesTheLoginRoleLosesATunnelThatTheBastionEnds) {
  make_setting();
  WayIn tunnel = way(ada_);
  tunnel.transport = Transport::tunnel;
  tunnel.login.clear();
  const Admission admission = must(bastion_->admit(tunnel));
  bastion_->watch(admission.session, [this](const Notice& notice) { notices_.push_back(notice); });
  must(bastion_->name_login(admission.session, "admin"));
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "");
  unassign_all(ada_);
  assign(ada_.id, kReaderRole, kRg);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(heard(), "end RightsRemoved;");
}

TEST_F(SessionTest, ADeadServersSessionsAreEndedAtTheNextStart) {
  make_setting();
  set_jit("web-1");
  const Admission admission = run(owner_);
  pass(std::chrono::seconds(6));
  bastion_.reset();  // no stop: as after kill -9
  start();
  EXPECT_EQ(active().size(), 1U);
  tick();
  EXPECT_TRUE(active().empty());
  EXPECT_EQ(open_grants(), 0U);
  EXPECT_EQ(ended_because(admission.session), "ServerDied");
  EXPECT_NE(string_at(session(admission.session), "properties.endMessage").value_or("").find("not known"),
            std::string::npos);
}

TEST_F(SessionTest, AStopEndsWhatRunsHere) {
  make_setting();
  const Admission admission = run(ada_);
  bastion_->stop();
  EXPECT_EQ(heard(), "end ServerStopping;");
  EXPECT_EQ(ended_because(admission.session), "ServerStopping");
}

TEST_F(SessionTest, AreListedPageByPageForThoseWhoMay) {
  make_setting();
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(must(bastion_->admit(way(ada_))).session.text());
    clock_.advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(send(person("eve"), "GET", kHostId + "/providers/Merlon.Bastion/sessions").status, 403);
  const JsonObject all = call(owner_, "GET", kHostId + "/providers/Merlon.Bastion/sessions", {}, 200);
  ASSERT_EQ(array_at(all, "value")->size(), 5U);
  EXPECT_EQ(string_at(array_at(all, "value")->front().as_object(), "name"), ids.back());
  EXPECT_EQ(send(owner_, "GET", kHostId + "/providers/Merlon.Bastion/sessions/nonsense").status, 404);
}

}  // namespace
}  // namespace merlon::bastion

// The channel loop: what is asked, what follows from each answer, and from there being none.
#include "agent/test_session.h"

namespace merlon::agent::testing {
namespace {

TEST_F(SessionTest, TheFirstContactAsksForEverythingAtOnceAndTellsFacts) {
  step();
  EXPECT_EQ(server.last().have, machine::Version());
  EXPECT_EQ(server.last().wait_ms, 0);
  EXPECT_TRUE(server.last().facts.has_value());
  EXPECT_EQ(server.last().boot_id, "boot");
  EXPECT_THAT(server.last().applied.blockers, ElementsAre("inet filter input (policy drop)"));
  step();
  EXPECT_EQ(server.last().wait_ms, 25'000);
  EXPECT_FALSE(server.last().facts.has_value());
  EXPECT_NE(server.requests[0].nonce, server.requests[1].nonce);
}

TEST_F(SessionTest, ANewStateIsAppliedThenConfirmedByTheNextContact) {
  step();
  server.state = state(4);
  step();
  EXPECT_THAT(told(), ElementsAre("apply", "openings"));
  step();
  EXPECT_EQ(server.last().wait_ms, 0) << "the confirming contact is made at once";
  EXPECT_EQ(server.last().have, (machine::Version{1, 4}));
  EXPECT_EQ(server.last().applied.version, (machine::Version{1, 4}));
  EXPECT_FALSE(server.last().applied.confirmed);
  EXPECT_THAT(told(), ElementsAre("confirm"));
  step();
  EXPECT_TRUE(server.last().applied.confirmed);
  EXPECT_EQ(server.last().wait_ms, 25'000);
}

TEST_F(SessionTest, AChangeIsNotConfirmedWithoutAContact) {
  server.state = state(4);
  step();
  told();
  server.error = fail(ErrorKind::unavailable, "ConnectionFailed", "no").error();
  step();
  EXPECT_THAT(told(), IsEmpty());
  server.error.reset();
  server.wrong_nonce = true;
  step();
  EXPECT_THAT(told(), IsEmpty()) << "an answer to another request is no contact";
  server.wrong_nonce = false;
  step();
  EXPECT_THAT(told(), ElementsAre("confirm"));
}

TEST_F(SessionTest, WhatRemainsIsCountedFromTheSendingByTheServersClock) {
  server.ahead = hours(5);  // our wall clock is wrong, and nobody asks it
  server.state = state(1, {minutes(10)});
  step();  // took 10 ms
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10)).count() - 20));
}

// By a server from before it told what it held.
TEST_F(SessionTest, ALongPollShortensAnOpeningUntilTheNextAnswerAndNoLonger) {
  step();
  server.takes = seconds(20);
  server.state = state(1, {minutes(10)});
  step();
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(40)).count()));
  server.takes = Duration(10);
  step();
  EXPECT_EQ(server.last().wait_ms, 0);
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(20)).count() - 20));
}

TEST_F(SessionTest, ALongPollThatTheServerHeldBoundsItsTimeAsAQuickOne) {
  server.takes = seconds(20);
  server.held = seconds(20) - Duration(3);
  server.state = state(1, {minutes(10)});
  step();
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(20)).count() - 3));
}

TEST_F(SessionTest, APastDeadlineIsNothingLeft) {
  server.state = state(1, {seconds(-1)});
  step();
  EXPECT_THAT(warden.remaining, ElementsAre(0));
}

TEST_F(SessionTest, WhenItIsLaterThanThoughtOpeningsAreShortenedWithoutANewState) {
  server.state = state(1, {minutes(10)});
  step();
  step();
  told();
  server.ahead = minutes(3);  // set forward, or this machine was paused
  step();
  EXPECT_THAT(told(), ElementsAre("openings"));
  EXPECT_NEAR(static_cast<double>(warden.remaining.at(0)), static_cast<double>(Duration(minutes(7)).count()),
              100);
}

TEST_F(SessionTest, AServersClockSteppedADayForwardEndsWhatIsOverByIt) {
  server.state = state(1, {minutes(10)});
  step();
  step();
  server.ahead = hours(24);
  server.state->version.number = 2;  // the same openings, with deadlines of before the step
  step();
  EXPECT_THAT(warden.remaining, ElementsAre(0));
  server.ahead = -hours(24);
  server.state = state(3, {minutes(10)});
  step();
  EXPECT_LE(warden.remaining.at(0), Duration(minutes(10)).count());
}

// Between servers whose clocks are apart: what is told of the one is not counted by the time of the other.
TEST_F(SessionTest, WhatRemainsIsCountedByTheTimeOfTheServerThatToldOfIt) {
  server.name = "behind";
  step();
  server.name = "ahead";
  server.ahead = seconds(2);
  server.takes = seconds(8);
  server.state = state(1, {minutes(10)});
  step();
  // Eight seconds on the way, all of them perhaps after it had answered.
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(16)).count()));
  EXPECT_THAT(warden.remaining_most, ElementsAre(Duration(minutes(10) - seconds(8)).count()));
  // The next answer, for which nobody waits, says it more exactly.
  server.takes = Duration(10);
  told();
  step();
  EXPECT_EQ(server.last().wait_ms, 0);
  EXPECT_THAT(told(), ElementsAre("confirm", "openings"));
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(8)).count() - 20));
  EXPECT_THAT(warden.remaining_most, ElementsAre(Duration(minutes(10) - seconds(8)).count() - 10));
  step();
  EXPECT_THAT(told(), IsEmpty()) << "once";
  // Nor does the other one lengthen it by answering that it is as it was.
  server.name = "behind";
  server.ahead = {};
  step();
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(SessionTest, AServerWhereItIsLaterEndsWhatItCallsItsOwnSooner) {
  server.name = "a";
  server.state = state(1, {minutes(10)});
  step();
  step();
  told();
  server.name = "b";
  server.ahead = minutes(3);
  step();
  EXPECT_THAT(told(), ElementsAre("openings"));
  EXPECT_NEAR(static_cast<double>(warden.remaining.at(0)), static_cast<double>(Duration(minutes(7)).count()),
              100);
  // Until a state comes from one that knows it better: a wrong clock that was set right ends nothing for
  // good.
  server.name = "a";
  server.ahead = {};
  server.state = state(2, {minutes(10)});
  step();
  EXPECT_EQ(warden.remaining.at(0), Duration(minutes(10)).count() - 20);
}

TEST_F(SessionTest, AWaitThatIsGivenUpIsNoFailureAndTheNextContactIsAtOnce) {
  step();
  warden.happen("table-lost");
  server.error = fail(ErrorKind::unavailable, "RequestStopped", "given up").error();
  step();  // carries the event: it was there before the request
  server.error.reset();
  step();
  ASSERT_EQ(server.last().observations.size(), 1U) << "unanswered, so it is sent again";
  EXPECT_EQ(server.last().wait_ms, 0);
}

TEST_F(SessionTest, AnOlderStateIsNotUsed) {
  server.state = state(5);
  step();
  step();
  told();
  server.state = state(4);
  step();
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(warden.version.number, 5);
}

TEST_F(SessionTest, AWaitEndsWithTheNextDeadline) {
  step();
  warden.next_deadline_ms = 4000;
  step();
  EXPECT_EQ(server.last().wait_ms, 4150);
}

TEST_F(SessionTest, AnOpeningThatNeedsALiveServerIsKeptAliveByItsAnswers) {
  step();
  EXPECT_THAT(told(), IsEmpty()) << "nothing needs it yet";
  server.state = state(1, {minutes(10)});
  server.state->openings.front().live_server = true;
  const Duration sent = clock.boottime();
  step();
  EXPECT_THAT(told(), ElementsAre("heard", "apply", "openings"));
  EXPECT_EQ(warden.heard, sent) << "the server was alive when it was asked; nobody knows about later";
  step();
  told();
  step();
  EXPECT_EQ(server.last().wait_ms, 4000);
  EXPECT_THAT(told(), ElementsAre("heard"));
  server.error = fail(ErrorKind::unavailable, "ConnectionFailed", "no").error();
  step();
  EXPECT_THAT(told(), IsEmpty());
  server.error.reset();
  server.wrong_nonce = true;
  step();
  EXPECT_THAT(told(), IsEmpty()) << "a replayed answer keeps nothing alive";
}

TEST_F(SessionTest, EventsAreSentUntilTheyHaveArrived) {
  step();
  warden.happen("closed");
  server.error = fail(ErrorKind::unavailable, "ConnectionFailed", "no").error();
  step();
  ASSERT_EQ(server.last().observations.size(), 1U);
  EXPECT_EQ(server.last().wait_ms, 0);
  warden.happen("table-lost");
  server.error.reset();
  step();
  ASSERT_EQ(server.last().observations.size(), 2U);
  EXPECT_EQ(server.last().observations[0].kind, "closed");
  step();
  EXPECT_THAT(server.last().observations, IsEmpty());
}

// The server takes 4 MiB: a request beyond it would be refused for ever.
TEST_F(SessionTest, MoreThanOneRequestTakesIsSentInSeveralAndEachOnce) {
  step();
  step();
  for (int i = 0; i < 400; ++i) warden.happen("traffic", {{"n", i}, {"more", std::string(20'000, 'x')}});
  server.error = fail(ErrorKind::unavailable, "ConnectionFailed", "no").error();
  step();
  server.error.reset();
  server.head = "no head";  // one of its own
  const size_t before = server.requests.size();
  for (int i = 0; i < 12; ++i) step();
  int64_t next = 0;
  size_t forks = 0;
  for (size_t i = before; i < server.requests.size(); ++i) {
    const SyncRequest& request = server.requests[i];
    EXPECT_LT(to_text(request.to_json()).size(), 1'200'000U);
    EXPECT_TRUE(request.observations.empty() || request.wait_ms == 0);
    for (const auto& observation : request.observations)
      if (observation.kind == "traffic") {
        EXPECT_EQ(int_at(observation.facts, "n"), next++);
      } else {
        ++forks;
      }
  }
  EXPECT_EQ(next, 400);
  EXPECT_EQ(forks, 1U);
  EXPECT_THAT(server.last().observations, IsEmpty());
}

TEST_F(SessionTest, ChangedAddressesAreReportedOnceWithTheFacts) {
  step();
  machine::ReportedInterface interface;
  interface.name = "eth0";
  interface.addresses.emplace_back(IpAddress::parse("10.0.0.4").value(), 24U);
  facts.interfaces.push_back(interface);
  step();
  ASSERT_EQ(server.last().observations.size(), 1U);
  EXPECT_EQ(server.last().observations[0].kind, "address-changed");
  EXPECT_TRUE(server.last().facts.has_value());
  step();
  EXPECT_THAT(server.last().observations, IsEmpty());
  EXPECT_FALSE(server.last().facts.has_value());
}

TEST_F(SessionTest, WhatThereIsNoRoomForIsCountedAndTold) {
  step();
  server.full = true;
  for (int i = 0; i < 100; ++i) {
    server.head = "no head " + std::to_string(i);  // each is a fork of its own
    step();
  }
  step();
  const auto& told_of = server.last().observations;
  ASSERT_EQ(told_of.size(), 64U);
  EXPECT_EQ(told_of.front().kind, "fork");
  EXPECT_EQ(string_at(told_of.front().facts, "shown"), "no head 37");
  EXPECT_EQ(told_of.back().kind, "reports-dropped");
  EXPECT_EQ(int_at(told_of.back().facts, "exchangesSinceTheAgentStarted"), 37);
}

TEST_F(SessionTest, FailuresBackOffWithinBounds) {
  server.error = fail(ErrorKind::unavailable, "ConnectionFailed", "no").error();
  Duration longest{};
  for (int i = 0; i < 40; ++i) {
    const Duration pause = step().pause;
    EXPECT_GE(pause, milliseconds(200));
    EXPECT_LE(pause, seconds(5));
    longest = std::max(longest, pause);
  }
  EXPECT_GE(longest, seconds(2));
  server.error.reset();
  EXPECT_EQ(step().pause, Duration(0));
}

TEST_F(SessionTest, ARefusedChangeIsTriedAgainLater) {
  server.state = state(3);
  warden.refuse = "apply";
  step();
  step();
  EXPECT_EQ(server.last().have.number, 3) << "not at once: that would be a loop";
  warden.refuse.clear();
  clock.advance(seconds(31));
  step();
  EXPECT_EQ(server.last().have.number, 0);
  EXPECT_EQ(warden.version.number, 3);
}

class TakenPort final : public IdentityPort {
 public:
  Result<JsonObject> follow(const machine::IdentityEndpoint&) override {
    ++asked;
    if (taken) return fail(ErrorKind::conflict, "AddressInUse", "taken");
    return JsonObject{};
  }
  void settle() override { ++settled; }
  int asked = 0, settled = 0;
  bool taken = true;
};

TEST_F(SessionTest, AnIdentityEndpointWhosePortIsTakenIsTriedAgainAndToldOnce) {
  TakenPort port;
  session->serve_identities(port);
  server.state = state(3);
  const auto tries = [&] {
    clock.advance(seconds(31));
    step();
    step();
  };
  tries();
  tries();
  EXPECT_EQ(port.asked, 2);
  EXPECT_EQ(std::ranges::count(told(), "identity"), 0);
  std::vector<std::string> kinds;
  for (const SyncRequest& request : server.requests)
    for (const auto& observation : request.observations) kinds.push_back(observation.kind);
  EXPECT_THAT(kinds, ElementsAre("identity-endpoint-failed"));
  port.taken = false;
  tries();
  EXPECT_EQ(port.asked, 3);
  EXPECT_EQ(std::ranges::count(told(), "identity"), 1);
  tries();
  EXPECT_EQ(port.asked, 3) << "what works is left alone";
}

TEST_F(SessionTest, WhatIsToldOfTheSshServerIsToldWhenItChangesAndAfterARestore) {
  const auto keys_of = [&] {
    const auto& told = server.last().facts;
    return told && told->ssh ? told->ssh->host_keys : std::vector<std::string>();
  };
  warden.ssh = machine::SshFacts{{"ssh-ed25519 AAAA"}, "Off", ""};
  server.state = state(3);
  step();
  EXPECT_THAT(keys_of(), ElementsAre("ssh-ed25519 AAAA"));
  step();
  EXPECT_FALSE(server.last().facts.has_value());
  warden.ssh->host_keys = {"ssh-ed25519 BBBB"};
  step();
  EXPECT_THAT(keys_of(), ElementsAre("ssh-ed25519 BBBB"));
  server.state->version = {2, 1};
  step();
  step();
  EXPECT_THAT(keys_of(), ElementsAre("ssh-ed25519 BBBB")) << "the server's memory is an older one";
}

TEST_F(SessionTest, TheIdentityEndpointIsSettledOnceTheKernelFollows) {
  TakenPort port;
  port.taken = false;
  session->serve_identities(port);
  warden.refuse = "identity";
  server.state = state(3);
  step();
  step();
  EXPECT_EQ(port.asked, 1);
  EXPECT_EQ(port.settled, 0) << "callers may still be brought to where they were";
  warden.refuse.clear();
  server.state = state(4);
  step();
  EXPECT_EQ(port.asked, 2);
  EXPECT_EQ(port.settled, 1);
}

TEST_F(SessionTest, AfterALocalReleaseEndsTheWholeStateIsAskedFor) {
  server.state = state(3);
  step();
  warden.released = true;
  step();
  step();
  EXPECT_EQ(server.last().have.number, 3);
  EXPECT_EQ(server.last().wait_ms, 5000) << "it may be protected again at any time";
  warden.released = false;
  step();
  EXPECT_EQ(server.last().have.number, 0);
}

TEST_F(SessionTest, ARemovedMachineTakesItsRulesDownAndStops) {
  server.removed = true;
  EXPECT_TRUE(step().removed);
  EXPECT_THAT(told(), ElementsAre("remove"));
  ASSERT_EQ(server.requests.size(), 2U);
  EXPECT_FALSE(server.requests.front().gone);
  EXPECT_TRUE(server.last().gone) << "its last word: the server need not know its key any longer";
  EXPECT_NE(server.requests.front().nonce, server.last().nonce);
}

TEST_F(SessionTest, ARemovedMachineWhoseRulesDoNotComeDownTriesAgainAndDoesNotLeave) {
  server.removed = true;
  warden.refuse = "remove";
  const Session::Step failed = step();
  EXPECT_FALSE(failed.removed);
  EXPECT_EQ(failed.pause, seconds(5));
  for (const SyncRequest& request : server.requests) EXPECT_FALSE(request.gone);
  warden.refuse.clear();
  EXPECT_TRUE(step().removed);
}

TEST_F(SessionTest, WhatAServerWithoutRoomCouldNotKeepIsSaidAgainAndHurriesNothing) {
  step();
  step();
  server.full = true;
  warden.happen("table-lost");
  facts.interfaces.push_back({.name = "eth1", .mac = {}, .addresses = {}});
  server.state = state(5);
  step();
  EXPECT_EQ(warden.version.number, 5) << "what the machine must do arrives all the same";
  step();
  EXPECT_EQ(server.last().wait_ms, 0) << "the contact that confirms the change";
  step();
  EXPECT_EQ(server.last().wait_ms, 25'000);
  ASSERT_EQ(server.last().observations.size(), 2U);
  EXPECT_TRUE(server.last().facts.has_value());
  server.full = false;
  step();
  EXPECT_EQ(server.last().observations.size(), 2U);
  step();
  EXPECT_THAT(server.last().observations, IsEmpty());
  EXPECT_FALSE(server.last().facts.has_value());
}

TEST_F(SessionTest, WithoutItsOtherHalfItEnds) {
  warden.gone = true;
  EXPECT_FALSE(session->step());
}

TEST_F(SessionTest, TheCertificateIsRenewedAtHalfLifeByTheServersTime) {
  server.ahead = hours(24 * 20);
  server.half_life = clock.now() + hours(24 * 15);
  step();
  EXPECT_EQ(server.renewals, 0) << "before the first answer nobody knows the time";
  step();
  EXPECT_EQ(server.renewals, 1);
  EXPECT_THAT(told(), ElementsAre("keep-certificate"));
  step();
  EXPECT_EQ(server.renewals, 1);
}

TEST_F(SessionTest, AnExpiredCertificateMayStillRenew) {
  server.error = fail(ErrorKind::unavailable, "CertificateExpired", "no").error();
  step();
  EXPECT_EQ(server.renewals, 1);
}

}  // namespace
}  // namespace merlon::agent::testing

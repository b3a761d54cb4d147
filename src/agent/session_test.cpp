// The channel loop with everything played by the test: server, privileged half, time and chance.
#include "agent/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "crypto/key.h"
#include "ledger/head_signer.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

using machine::DesiredState;
using machine::SyncAnswer;
using machine::SyncRequest;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Counting final : public Random {
 public:
  void fill(std::span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = ++next_;
  }

 private:
  uint8_t next_ = 0;
};

// As it arrives at the other end of a wire.
JsonObject through_text(const JsonObject& json) { return parse_json_object(to_text(json)).value(); }

// A warden that does what it is told and remembers it.
class FakeWarden final : public WardenPort {
 public:
  Result<JsonObject> ask(std::string_view name, JsonObject question) override {
    JsonObject body = through_text(question);
    if (gone) return fail(ErrorKind::unavailable, "AgentHalfGone", "gone");
    if (name != "status") asked.emplace_back(name);
    if (name == refuse) return fail(ErrorKind::conflict, "Refused", "no");
    if (name == "status") return status(body);
    if (name == "apply") {
      const auto state = DesiredState::from_json(body["state"].as_object()).value();
      EXPECT_TRUE(state.openings.empty());
      confirmed = confirmed && state.version == version;
      version = state.version;
      return JsonObject{};
    }
    if (name == "openings") {
      remaining.clear();
      for (const Json& order : body["orders"].as_array())
        remaining.push_back(order.as_object().at("remainingMs").as_int64());
      return JsonObject{};
    }
    if (name == "confirm") confirmed = true;
    if (name == "heard") heard = Duration(int_at(body, "sentMs").value());
    if (name == "keep-head") head = string_at(body, "head").value();
    return JsonObject{};
  }
  void happen(std::string kind) { events.push_back({++number, std::move(kind)}); }

  std::vector<std::string> asked;
  std::vector<int64_t> remaining;
  machine::Version version;
  std::string head, refuse;
  std::optional<int64_t> next_deadline_ms;
  Duration heard{};
  bool confirmed = true, released = false, gone = false;

 private:
  JsonObject status(const JsonObject& body) {
    while (!events.empty() && events.front().first <= int_at(body, "seen").value()) events.pop_front();
    JsonArray list;
    for (const auto& [event, kind] : events)
      list.push_back(JsonObject{{"number", event}, {"kind", kind}, {"ageMs", 5}, {"facts", JsonObject()}});
    JsonObject answer = {{"version", JsonObject{{"epoch", version.epoch}, {"number", version.number}}},
                         {"mode", "enforce"},
                         {"confirmed", confirmed},
                         {"error", ""},
                         {"released", released},
                         {"open", JsonArray()},
                         {"blockers", JsonArray{"inet filter input (policy drop)"}},
                         {"events", std::move(list)}};
    if (next_deadline_ms) answer["nextDeadlineMs"] = *next_deadline_ms;
    return answer;
  }
  std::deque<std::pair<int64_t, std::string>> events;
  int64_t number = 0;
};

class FakeServer final : public Exchange {
 public:
  explicit FakeServer(ManualClock& clock) : clock_(clock) {}
  Result<SyncAnswer> sync(const SyncRequest& request) override {
    // What goes over the wire must be readable at the other end.
    EXPECT_TRUE(SyncRequest::from_json(through_text(request.to_json())));
    requests.push_back(request);
    clock_.advance(takes);
    if (error) return std::unexpected(*error);
    SyncAnswer answer;
    answer.nonce = wrong_nonce ? "somebody else's" : request.nonce;
    answer.server_time = clock_.now() + ahead;
    answer.head = head;
    answer.consistency = proof;
    answer.released = removed;
    answer.unheard = full;
    if (state && state->version != request.have) answer.state = state;
    return SyncAnswer::from_json(through_text(answer.to_json()));
  }
  Result<std::string> renew() override {
    ++renewals;
    return std::string("certificate");
  }
  Timestamp renew_after() const override { return half_life; }
  const SyncRequest& last() const { return requests.back(); }

  std::vector<SyncRequest> requests;
  std::optional<DesiredState> state;
  std::optional<Error> error;
  Duration takes{10};
  Duration ahead{};  // of our own wall clock, which must not matter
  std::string head;
  std::vector<std::string> proof;
  bool wrong_nonce = false, removed = false, full = false;
  int renewals = 0;
  Timestamp half_life = Timestamp::max();

 private:
  ManualClock& clock_;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { start(""); }
  void start(std::string head) {
    session.emplace(clock, random, server, warden, [this] { return facts; }, std::move(head));
    facts.boot_id = "boot";
  }
  Session::Step step() { return session->step().value(); }
  DesiredState state(int64_t number, std::vector<Duration> openings = {}) {
    DesiredState made;
    made.version = {1, number};
    for (const Duration left : openings) {
      machine::Opening opening;
      opening.id = "grant" + std::to_string(made.openings.size());
      opening.source = IpPrefix::parse("192.0.2.7").value();
      opening.destination = IpAddress::parse("10.0.0.4").value();
      opening.port = 22;
      opening.deadline = clock.now() + server.ahead + left;
      made.openings.push_back(opening);
    }
    return made;
  }
  std::vector<std::string> told() { return std::exchange(warden.asked, {}); }

  ManualClock clock;
  Counting random;
  FakeWarden warden;
  FakeServer server{clock};
  machine::MachineFacts facts;
  std::optional<Session> session;
};

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

TEST_F(SessionTest, ALongPollDoesNotShortenAnOpening) {
  step();
  server.takes = seconds(20);
  server.state = state(1, {minutes(10)});
  step();
  // 20 s have passed, and the bound of the quick first exchange is 10 ms wide.
  EXPECT_THAT(warden.remaining, ElementsAre(Duration(minutes(10) - seconds(20)).count() - 10));
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

// A ledger of our own, with heads at any size.
class Ledger {
 public:
  Ledger() : signer_(crypto::PrivateKey::generate(crypto::KeyKind::ed25519).value()) {}
  void add(std::string_view text) {
    leaves_.push_back(ledger::leaf_hash(as_bytes(text)));
    frontier_.append(leaves_.back(), [this](unsigned level, uint64_t index, const ledger::Hash& hash) {
      nodes_[{level, index}] = hash;
    });
  }
  std::string head() const {
    return to_text(signer_.sign({}, frontier_, Timestamp(hours(1))).value().to_json());
  }
  std::vector<std::string> proof(uint64_t from) const {
    std::vector<std::string> hex;
    for (const ledger::Hash& hash :
         ledger::consistency_proof(from, frontier_.size,
                                   [this](unsigned level, uint64_t index) -> Result<ledger::Hash> {
                                     return nodes_.at({level, index});
                                   })
             .value())
      hex.push_back(to_hex(hash));
    return hex;
  }

 private:
  ledger::HeadSigner signer_;
  ledger::Frontier frontier_;
  std::vector<ledger::Hash> leaves_;
  std::map<std::pair<unsigned, uint64_t>, ledger::Hash> nodes_;
};

class HeadTest : public SessionTest {
 protected:
  HeadTest() {
    for (const std::string_view text : {"a", "b", "c"}) ledger.add(text);
    seen = ledger.head();
    start(seen);
  }
  // What the server shows next, and whether the agent took it.
  bool takes(const std::string& head, std::vector<std::string> proof) {
    server.head = head;
    server.proof = std::move(proof);
    step();
    forked = false;
    step();
    for (const auto& observation : server.last().observations) forked = forked || observation.kind == "fork";
    return warden.head == head;
  }
  Ledger ledger;
  std::string seen;
  bool forked = false;
};

TEST_F(HeadTest, AContinuationIsTakenAndKept) {
  ledger.add("d");
  ledger.add("e");
  EXPECT_TRUE(takes(ledger.head(), ledger.proof(3)));
  EXPECT_FALSE(forked);
  EXPECT_EQ(server.last().head, ledger.head());
}

TEST_F(HeadTest, WhatDoesNotContinueIsAForkToldOnce) {
  ledger.add("d");
  EXPECT_FALSE(takes(ledger.head(), {}));
  EXPECT_TRUE(forked);
  EXPECT_EQ(server.last().head, seen) << "the evidence stays";
  EXPECT_FALSE(takes(ledger.head(), {}));
  EXPECT_FALSE(forked);
}

TEST_F(HeadTest, AnotherHistoryAShorterOneOrAnotherKeyIsAFork) {
  Ledger other;
  for (const std::string_view text : {"a", "b", "x", "d"}) other.add(text);
  EXPECT_FALSE(takes(other.head(), other.proof(3)));
  EXPECT_TRUE(forked);
  Ledger shorter;
  shorter.add("a");
  EXPECT_FALSE(takes(shorter.head(), {}));
  EXPECT_TRUE(forked);
  EXPECT_FALSE(takes("{\"size\":\"many\"}", {}));
  EXPECT_TRUE(forked);
}

}  // namespace
}  // namespace merlon::agent

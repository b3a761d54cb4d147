// What becomes of a machine whose agent's key was stolen, whatever the thief does with it; and what becomes
// of one whose agent has only had bad luck.
#include "machine/keys.h"
#include "server/hostile_agents_fixture.h"

namespace merlon::server {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class StolenKeysTest : public HostileAgentsTest {
 protected:
  Enrolled renewed(const Enrolled& from) {
    Enrolled next = from;
    next.key = new_key();
    const auto answer = renew(from.certificate, next.key);
    EXPECT_EQ(answer.status, 200) << answer.body;
    next.certificate = string_at(*parse_json_object(answer.body), "certificate").value_or("");
    return next;
  }
  net::Response say(const Enrolled& from) { return HostileAgentsTest::say(from, words(from)); }
  net::Response say_from_boot(const Enrolled& from, const std::string& boot) {
    machine::SyncRequest request = words(from);
    request.boot_id = boot;
    return HostileAgentsTest::say(from, request);
  }
  std::string token_of(const Enrolled& from) {
    const auto answer = send(
        "POST", "/agent/v1/token",
        to_text(JsonObject{
            {"bootId", "boot of " + from.name}, {"clientId", "x"}, {"audience", "https://vault.azure.net"}}),
        {}, net::Plane::agents, from.certificate);
    return code_of(answer);
  }
  // The entries of its quarantine in the ledger.
  std::vector<JsonObject> quarantines() {
    EXPECT_TRUE(assembly_->core().ledger.flush(Timestamp::max()));
    std::vector<JsonObject> found;
    std::stringstream lines(ledger_lines());
    for (std::string line; std::getline(lines, line);)
      if (line.find("machines/quarantine/action") != std::string::npos)
        found.push_back(*parse_json_object(line));
    return found;
  }
  std::string message_of(const net::Response& response) {
    return string_at(*parse_json_object(response.body), "error.message").value_or("");
  }
};

TEST_F(StolenKeysTest, AThiefWhoTakesAnotherKeyIsFoundOutByTheMachinesOwn) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled thief = renewed(web);
  EXPECT_EQ(say(thief).status, 200);
  clock_.advance(minutes(2));
  const auto told = say(web);
  expect_refused(told, 403, "MachineQuarantined");
  EXPECT_NE(message_of(told).find("merlon machine remove web-1"), std::string::npos) << told.body;
  expect_refused(say(thief), 403, "MachineQuarantined");
  expect_refused(renew(thief.certificate, new_key()), 403, "MachineQuarantined");
  const auto entries = quarantines();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(string_at(entries.front(), "entry.details.reason"), "RetiredKey");
  EXPECT_EQ(string_at(entries.front(), "entry.resource"), web.vm);
  // Shown again and again, it costs nothing and says nothing new.
  const uint64_t before = commits();
  expect_refused(say(web), 403, "MachineQuarantined");
  expect_refused(say_from_boot(web, "another"), 403, "MachineQuarantined");
  expect_refused(say_from_boot(thief, "another"), 403, "MachineQuarantined");
  EXPECT_EQ(commits(), before);
  // The machine itself must let go as well, although its key is an old one.
  remove("web-1");
  EXPECT_TRUE(read_answer(say(web)).released);
  EXPECT_TRUE(read_answer(say(thief)).released);
}

TEST_F(StolenKeysTest, NoNumberOfKeysAndNoTimeHidesTheFirst) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  Enrolled thief = web;
  for (int i = 0; i < 80; ++i) {
    clock_.advance(minutes(2));
    thief = renewed(thief);
    if (i % 2 == 0) EXPECT_EQ(say(thief).status, 200);
  }
  EXPECT_EQ(say(thief).status, 200);
  clock_.advance(hours(24 * 400));
  // Its certificate has run out as well: what it has of the key is proof enough.
  expect_refused(say(web), 403, "MachineQuarantined");
  EXPECT_EQ(quarantines().size(), 1U);
}

TEST_F(StolenKeysTest, EveryUseOfAnOldKeyShowsThatItWasCopied) {
  const auto stolen = [&](const std::string& name, const std::string& address) {
    const Enrolled web = enrol_as(name, address);
    EXPECT_EQ(say(renewed(web)).status, 200);
    clock_.advance(minutes(2));
    return web;
  };
  const Enrolled renews = stolen("web-1", "10.7.0.4");
  expect_refused(renew(renews.certificate, new_key()), 403, "MachineQuarantined");
  const Enrolled asks = stolen("web-2", "10.7.0.5");
  EXPECT_EQ(token_of(asks), "MachineQuarantined");
  EXPECT_EQ(quarantines().size(), 2U);
  // Nobody enrols with such a key either.
  expect_refused(try_enrol(token_for("web-3"), asks.key, "boot", "10.7.0.6"), 409, "KeyAlreadyEnrolled");
}

TEST_F(StolenKeysTest, AKeyThatWasNotUsedYetIsGoodForNothingElse) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled thief = renewed(web);
  EXPECT_EQ(token_of(thief), "KeyNotUsed");
  EXPECT_EQ(say(web).status, 200);
  const uint64_t before = commits();
  EXPECT_EQ(say(web).status, 200);
  EXPECT_EQ(commits(), before) << "that the new key was not used is no news";
}

TEST_F(StolenKeysTest, AnAgentThatDiesBeforeItHasKeptItsNewKeyIsNotQuarantined) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  for (int crash = 0; crash < 5; ++crash) {
    clock_.advance(minutes(2));
    renewed(web);
    EXPECT_EQ(say(web).status, 200) << crash;
  }
  // It keeps the key that it has after all, and later takes another one in earnest.
  clock_.advance(minutes(2));
  EXPECT_EQ(renew(web.certificate, web.key).status, 200);
  EXPECT_EQ(say(web).status, 200);
  clock_.advance(minutes(2));
  const Enrolled next = renewed(web);
  EXPECT_EQ(say(web).status, 200) << "an answer was lost";
  EXPECT_EQ(say(next).status, 200);
  // A request from before was still under way.
  expect_refused(say(web), 401, "MachineNotEnrolled");
  clock_.advance(minutes(2));
  EXPECT_EQ(say(next).status, 200);
  EXPECT_TRUE(quarantines().empty());
}

TEST_F(StolenKeysTest, AKeyThatWasAskedForAndGivenUpIsACopyWhenItIsUsed) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled given_up = renewed(web);
  clock_.advance(minutes(2));
  renewed(web);
  clock_.advance(minutes(2));
  expect_refused(say(given_up), 403, "MachineQuarantined");
}

// All agents of one boot have its id, however often they are started, and however much they say.
TEST_F(StolenKeysTest, RestartsOfTheAgentAndOfTheMachineAreNoCopies) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  for (int start = 0; start < 50; ++start) {
    machine::SyncRequest request = words(web);
    request.facts = facts("boot of web-1", "10.7.0.4");
    EXPECT_EQ(HostileAgentsTest::say(web, request).status, 200);
    clock_.advance(seconds(1));
  }
  // An administrator who tries something out.
  for (int boot = 0; boot < 4; ++boot) {
    EXPECT_EQ(say_from_boot(web, "boot " + std::to_string(boot)).status, 200);
    clock_.advance(minutes(2));
  }
  // And one that starts every three minutes for a day.
  for (int boot = 0; boot < 480; ++boot) {
    clock_.advance(minutes(3));
    ASSERT_EQ(say_from_boot(web, "later " + std::to_string(boot)).status, 200) << boot;
  }
  EXPECT_TRUE(quarantines().empty());
}

TEST_F(StolenKeysTest, WhoeverInventsBootIdsDoesNotGetTheMachinesOwnForgotten) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(say_from_boot(web, "invented " + std::to_string(i)).status, 200);
  const auto told = say_from_boot(web, "invented 4");
  expect_refused(told, 403, "MachineQuarantined");
  EXPECT_NE(message_of(told).find("keeps restarting"), std::string::npos) << told.body;
  expect_refused(say(web), 403, "MachineQuarantined");
  const auto entries = quarantines();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(string_at(entries.front(), "entry.details.reason"), "ManyBoots");
  EXPECT_EQ(string_at(entries.front(), "entry.details.bootId"), "invented 4");
}

}  // namespace
}  // namespace merlon::server

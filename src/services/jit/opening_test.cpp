// Openings: who may end and prolong them, what the machine says about them, and races decided in one order.
#include "resource/step_up.h"
#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OpeningTest : public JitFixture {
 protected:
  std::string open(const Person& who, const JsonObject& port = {}) {
    EXPECT_EQ(initiate(who, port).status, 202);
    return only_opening();
  }
  JsonObject shown(const std::string& id) { return call(owner_, "GET", opening_path(id), {}, 200); }
  std::string machine_state(const std::string& id) {
    return string_at(shown(id), "properties.machineState").value_or("");
  }
  std::string machine_message(const std::string& id) {
    return string_at(shown(id), "properties.machineMessage").value_or("");
  }
  static machine::Applied holding(const std::string& place, const std::string& blocker = {}) {
    machine::Applied applied;
    applied.open = {place};
    if (!blocker.empty()) applied.blockers = {blocker};
    return applied;
  }
  static machine::Observation saw(const std::string& kind, JsonObject facts) {
    machine::Observation observation;
    observation.kind = kind;
    observation.facts = std::move(facts);
    return observation;
  }
  Answer revoke(const Person& who, const std::string& id) {
    return send(who, "POST", opening_path(id) + "/revoke");
  }
};

TEST_F(OpeningTest, ItsHolderRevokesItAndTwiceIsFine) {
  const std::string id = open(ada_);
  const Answer first = revoke(ada_, id);
  ASSERT_EQ(first.status, 200) << to_text(first.body);
  EXPECT_EQ(first.at("properties.statusReason"), "UserRequested");
  const Answer again = revoke(ada_, id);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.at("properties.endedTimeUtc"), first.at("properties.endedTimeUtc"));
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(history(), ElementsAre("Revoked UserRequested"));
  EXPECT_THAT(world_.entries("Merlon.Jit/openings/close/action"), SizeIs(1));
  const auto entered = world_.entries("Merlon.Jit/openings/revoke/action");
  ASSERT_THAT(entered, SizeIs(2)) << "the ledger names what was done";
  EXPECT_EQ(entered.front().actor.name, ada_.name);
}

TEST_F(OpeningTest, OthersNeedTheRightToRevoke) {
  const std::string id = open(ada_);
  const Person eve = person("eve");
  EXPECT_EQ(revoke(eve, id).code(), "AuthorizationFailed");
  assign(eve.id, asker_role_, kRg);  // who may ask may not for that end what others hold
  const Answer refused = revoke(eve, id);
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.message(), HasSubstr("Merlon.Jit/openings/revoke/action"));
  EXPECT_THAT(told(web_), SizeIs(1));
  EXPECT_EQ(world_.entries("Merlon.Jit/openings/revoke/action").back().decision, ledger::Decision::denied);
  assign(eve.id, role("Closer", {"Merlon.Jit/openings/revoke/action"}), kRg);
  const std::string policy = kRg + "/providers/Merlon.Authorization/stepUpPolicies/closing";
  const JsonObject fresh{
      {"properties", {{"maxAgeMinutes", 5}, {"actions", JsonArray{"Merlon.Jit/openings/revoke/action"}}}}};
  ASSERT_LT(send(owner_, "PUT", policy, fresh).status, 300);
  EXPECT_EQ(revoke(eve, id).status, 401) << "with a fresh second factor alone";
  EXPECT_THAT(told(web_), SizeIs(1));
  must(world_.store().write(
      [&](store::Transaction& tx) { return resource::StepUps(core()).erase(tx, kRg, "closing"); }));
  EXPECT_EQ(revoke(eve, id).status, 200);
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(OpeningTest, WhatIsNoOpeningIsNotFound) {
  const std::string id = open(ada_);
  EXPECT_EQ(revoke(owner_, "none").status, 400);
  EXPECT_EQ(revoke(owner_, Uuid::generate(world_.random).text()).status, 404);
  const std::string other =
      kRg + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/other";
  call(owner_, "PUT", other, {{"properties", JsonObject{{"virtualMachines", JsonArray()}}}}, 200);
  EXPECT_EQ(send(owner_, "POST", other + "/providers/Merlon.Jit/openings/" + id + "/revoke").status, 404)
      << "an opening belongs to one policy";
  EXPECT_THAT(told(web_), SizeIs(1));
}

TEST_F(OpeningTest, IsExtendedUpToThePolicysMaximumFromItsStart) {
  const std::string id = open(ada_, {{"duration", "PT1H"}});
  const Timestamp start = clock_.now();
  clock_.advance(minutes(50));
  const Answer longer = extend(ada_, id, {{"duration", "PT1H"}, {"justification", "not done yet"}});
  ASSERT_EQ(longer.status, 200) << to_text(longer.body);
  EXPECT_EQ(longer.at("properties.endTimeUtc"), to_rfc3339(start + minutes(110)));
  EXPECT_EQ(told(web_).front().deadline, start + minutes(110));
  const Answer too_long = extend(ada_, id, {{"endTimeUtc", to_rfc3339(start + hours(3) + seconds(1))}});
  EXPECT_EQ(too_long.status, 400);
  EXPECT_EQ(too_long.code(), "JitRequestTooLong");
  EXPECT_THAT(too_long.message(), HasSubstr(to_rfc3339(start + hours(3))));
  EXPECT_EQ(extend(ada_, id, {{"endTimeUtc", to_rfc3339(start + hours(3))}}).status, 200);
  pass(hours(2));
  EXPECT_EQ(told(web_).size(), 1U);
  pass(minutes(10));
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_THAT(history(), ElementsAre("Revoked Expired"));
  const auto entered = world_.entries("Merlon.Jit/openings/extend/action");
  ASSERT_THAT(entered, SizeIs(3));
  EXPECT_EQ(entered.front().justification, "not done yet");
  EXPECT_THAT(world_.entries("Merlon.Jit/openings/prolong/action"), SizeIs(2));
}

TEST_F(OpeningTest, AnExtensionIsANewerVersionForTheMachine) {
  const std::string id = open(ada_);
  const auto before = sync(web_);
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).status, 200);
  const auto after = sync(web_);
  EXPECT_GT(after.state->version, before.state->version);
  EXPECT_EQ(after.state->openings.front().id, before.state->openings.front().id);
}

TEST_F(OpeningTest, RefusesAnExtensionThatIsNone) {
  const std::string id = open(ada_, {{"duration", "PT1H"}});
  const std::vector<std::pair<JsonObject, std::string>> cases = {
      {{{"duration", "PT1H"}}, "JitExtensionNotLonger"},
      {{{"duration", "PT10M"}}, "JitExtensionNotLonger"},
      {{{"endTimeUtc", to_rfc3339(clock_.now() - hours(1))}}, "JitRequestInThePast"},
      {{{"endTimeUtc", "later"}}, "InvalidRequestContent"},
      {{{"duration", "PT0S"}}, "InvalidRequestContent"},
      {{{"duration", "-PT1H"}}, "InvalidRequestContent"},
      {{{"duration", "PT2H"}, {"endTimeUtc", to_rfc3339(clock_.now() + hours(2))}}, "InvalidRequestContent"},
      {JsonObject(), "InvalidRequestContent"},
      {{{"duration", "PT99H"}}, "JitRequestTooLong"},
  };
  for (const auto& [body, code] : cases) {
    const Answer refused = extend(ada_, id, body);
    EXPECT_EQ(refused.status, 400) << to_text(body);
    EXPECT_EQ(refused.code(), code) << to_text(body);
  }
  EXPECT_EQ(told(web_).front().deadline, clock_.now() + hours(1));
}

TEST_F(OpeningTest, OnlyItsHolderExtendsAndOnlyWithTheRightsOfTheRequest) {
  const std::string id = open(ada_);
  EXPECT_EQ(extend(owner_, id, {{"duration", "PT1H"}}).code(), "JitOpeningNotYours");
  unassign_all(ada_);
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).code(), "AuthorizationFailed");
  assign(ada_.id, role("Half", {"Microsoft.Security/locations/jitNetworkAccessPolicies/*"}), kRg);
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).code(), "LinkedAuthorizationFailed");
  EXPECT_EQ(told(web_).front().deadline, clock_.now() + minutes(30));
}

TEST_F(OpeningTest, WhatIsOverIsNotExtended) {
  const std::string id = open(ada_);
  clock_.advance(minutes(30));  // to the millisecond, and the timer has not run
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).code(), "JitOpeningEnded");
  tick();
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).code(), "JitOpeningEnded");
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(OpeningTest, RevokedIsNotExtendedAndExtendedIsRevoked) {
  const std::string id = open(ada_);
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT1H"}}).status, 200);
  EXPECT_EQ(revoke(ada_, id).status, 200);
  EXPECT_EQ(extend(ada_, id, {{"duration", "PT2H"}}).code(), "JitOpeningEnded");
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(OpeningTest, TheNewerOfTwoForTheSameDoorStays) {
  ASSERT_EQ(initiate(ada_, {{"duration", "PT1H"}}).status, 202);
  ASSERT_EQ(initiate(ada_, {{"duration", "PT10M"}}).status, 202);
  EXPECT_THAT(history(), ElementsAre("Revoked NewerRequestInitiated", "Initiated UserRequested"));
  const auto openings = told(web_);
  ASSERT_THAT(openings, SizeIs(1));
  EXPECT_EQ(openings.front().deadline, clock_.now() + minutes(10));
}

TEST_F(OpeningTest, NobodyEndsAnothersOpeningByAskingForTheSameDoor) {
  const std::string id = open(ada_, {{"duration", "PT10M"}});
  const Person eve = person("eve");  // from the same address
  assign(eve.id, asker_role_, kRg);
  ASSERT_EQ(initiate(eve, {{"duration", "PT1M"}}).status, 202);
  EXPECT_THAT(told(web_), SizeIs(2));
  EXPECT_EQ(allows(), 2U);
  pass(minutes(2));
  EXPECT_THAT(told(web_), SizeIs(1)) << "hers is over, and ada's is not";
  EXPECT_EQ(allows(), 1U);
  EXPECT_EQ(only_opening(), id);
  pass(minutes(8));
  EXPECT_THAT(told(web_), IsEmpty());
  EXPECT_EQ(allows(), 0U);
}

// A request may name ten thousand ports: what it replaces and opens is brought to the machine and to the
// group once.
TEST_F(OpeningTest, WhatOneRequestReplacesIsReplacedInOneGo) {
  JsonArray guarded;
  JsonArray wanted;
  for (int number = 1; number <= 40; ++number) {
    guarded.push_back(port_policy(number));
    wanted.push_back(JsonObject{{"number", number}, {"duration", "PT30M"}});
  }
  call(owner_, "PUT", kDefaultPolicy, policy_of(web_.vm, guarded), 200);
  const JsonObject body = {
      {"virtualMachines", JsonArray{JsonObject{{"id", web_.vm}, {"ports", std::move(wanted)}}}}};
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", body).status, 202);
  const auto before = sync(web_);
  EXPECT_THAT(before.state->openings, SizeIs(40));
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", body).status, 202);
  const auto after = sync(web_);
  EXPECT_THAT(after.state->openings, SizeIs(40));
  EXPECT_LE(after.state->version.number - before.state->version.number, 2) << "rules, and openings";
  EXPECT_EQ(allows(), 40U);
  EXPECT_THAT(openings(), SizeIs(40));
  std::vector<std::string> expected(40, "Revoked NewerRequestInitiated");
  expected.resize(80, "Initiated UserRequested");
  EXPECT_EQ(history(), expected);
  EXPECT_THAT(world_.entries("Merlon.Jit/openings/close/action"), SizeIs(40));
}

TEST_F(OpeningTest, OverlappingOpeningsEndEachByItself) {
  ASSERT_EQ(initiate(ada_, {{"allowedSourceAddressPrefix", "192.0.2.0/24"}, {"duration", "PT1H"}}).status,
            202);
  ASSERT_EQ(initiate(ada_, {{"allowedSourceAddressPrefix", "192.0.2.7"}, {"duration", "PT10M"}}).status, 202);
  EXPECT_EQ(told(web_).size(), 2U);
  EXPECT_EQ(allows(), 2U);
  pass(minutes(10));
  const auto left = told(web_);
  ASSERT_THAT(left, SizeIs(1)) << "the host's end leaves the prefix open";
  EXPECT_EQ(left.front().source.text(), "192.0.2.0/24");
  EXPECT_EQ(allows(), 1U);
}

TEST_F(OpeningTest, SaysWhatTheMachineSays) {
  const std::string id = open(ada_);
  EXPECT_EQ(machine_state(id), "not reachable") << "its agent was never heard";
  const std::string place = told(web_).front().id;
  EXPECT_EQ(machine_state(id), "pending");
  sync(web_, holding(place));
  EXPECT_EQ(machine_state(id), "open");
  EXPECT_EQ(string_at(shown(id), "properties.remaining"), "PT30M");
  sync(web_, holding(place, "inet filter input (policy drop)"));
  EXPECT_EQ(machine_state(id), "blocked by inet filter input (policy drop)");
  sync(web_, holding(place));
  EXPECT_EQ(revoke(ada_, id).status, 200);
  EXPECT_EQ(machine_state(id), "closing");
  sync(web_);
  EXPECT_EQ(machine_state(id), "closed");
}

TEST_F(OpeningTest, ASilentMachineIsSaidToBeSo) {
  const std::string id = open(ada_);
  sync(web_);
  clock_.advance(minutes(2));
  EXPECT_EQ(machine_state(id), "not reachable");
  EXPECT_THAT(machine_message(id), HasSubstr("last heard"));
}

TEST_F(OpeningTest, WhatTheMachinesOwnCapRefusesComesBackToThePerson) {
  const std::string id = open(ada_, {{"allowedSourceAddressPrefix", "192.0.0.0/8"}});
  const std::string place = told(web_).front().id;
  sync(web_, {}, {saw("refused", {{"id", place}, {"reason", "the source is wider than the cap"}})});
  EXPECT_EQ(machine_state(id), "refused");
  EXPECT_THAT(machine_message(id), HasSubstr("wider than the cap"));
}

// A machine writes what it likes: half a character at the bound made the record one that nobody could read
// again, and kept every opening behind it open.
TEST_F(OpeningTest, WhatAMachineSaysNeverKeepsAnOpeningFromItsEnd) {
  const std::string id = open(ada_);
  const std::string place = told(web_).front().id;
  for (const std::string& reason :
       {std::string(299, 'a') + "\xc3\xa9", std::string("\xff\xc3"), std::string(400, 'a')}) {
    sync(web_, {}, {saw("refused", {{"id", place}, {"reason", reason}})});
    EXPECT_EQ(machine_state(id), "refused");
  }
  clock_.advance(hours(2));
  must(grants_->expire_due());
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(OpeningTest, WhatTheMachinesOwnCapCutsShortIsShown) {
  const std::string id = open(ada_, {{"duration", "PT3H"}});
  const std::string place = told(web_).front().id;
  const JsonObject facts = {{"id", place}, {"remainingMs", 7'200'000}, {"clippedTo", "PT2H"}};
  sync(web_, holding(place), {saw("opened", facts)});
  EXPECT_EQ(machine_state(id), "open");
  EXPECT_THAT(machine_message(id), HasSubstr("The machine's own cap is 2h"));
  EXPECT_EQ(string_at(shown(id), "properties.machineEndTimeUtc"), to_rfc3339(clock_.now() + hours(2)));
  clock_.advance(hours(2));
  sync(web_, {}, {saw("closed", {{"id", place}, {"reason", "expired"}})});
  EXPECT_EQ(machine_state(id), "closed by the machine");
}

TEST_F(OpeningTest, AnotherMachinesReportChangesNothing) {
  const Enrolled other = enrol("web-2", "10.7.0.5", "fd07::5");
  const std::string id = open(ada_);
  const std::string place = told(web_).front().id;
  for (const char* kind : {"refused", "closed", "opened"})
    sync(other, holding(place), {saw(kind, {{"id", place}, {"reason", "a lie"}, {"clippedTo", "PT1S"}})});
  sync(web_, holding(place), {saw("refused", {{"id", "../../x"}}), saw("closed", {})});
  EXPECT_EQ(machine_state(id), "open");
  EXPECT_EQ(machine_message(id), "");
}

TEST_F(OpeningTest, TheListShowsWhatOneMayReadAndWhatIsOnesOwn) {
  const std::string id = open(ada_);
  const Person eve = person("eve");
  EXPECT_THAT(list(eve, "openings"), IsEmpty());
  EXPECT_THAT(list(ada_, "openings"), SizeIs(1));
  EXPECT_THAT(list(ada_, "openings", kScope), SizeIs(1)) << "with a right at the group alone";
  EXPECT_THAT(list(bob_, "openings", kScope), SizeIs(1)) << "a reader of the policy";
  unassign_all(ada_);
  EXPECT_THAT(list(ada_, "openings"), SizeIs(1)) << "one's own";
  EXPECT_EQ(send(eve, "GET", opening_path(id)).status, 403);
}

TEST_F(OpeningTest, TheHistoryIsBounded) {
  ASSERT_EQ(initiate(ada_).status, 202);
  // As if it had been asked for a hundred times.
  must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
    const auto policy = TRY(world_.manager().get(tx, TRY(resource::ResourceId::parse(kDefaultPolicy))));
    JsonObject body = policy->body;
    JsonArray& requests = body["properties"].as_object()["requests"].as_array();
    const Json first = requests.front();
    while (requests.size() < 100) requests.push_back(first);
    TRY(world_.manager().render(tx, policy->id, std::move(body)));
    return {};
  }));
  const std::string newest = initiate(ada_).at("id");
  const JsonObject policy = call(owner_, "GET", kDefaultPolicy, {}, 200);
  const JsonArray& shown = *array_at(policy, "properties.requests");
  EXPECT_THAT(shown, SizeIs(100));
  EXPECT_EQ(string_at(shown.back().as_object(), "id"), newest);
}

TEST_F(OpeningTest, LargeRequestsLeaveRoomForTheNext) {
  ASSERT_EQ(initiate(ada_).status, 202);
  must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
    const auto policy = TRY(world_.manager().get(tx, TRY(resource::ResourceId::parse(kDefaultPolicy))));
    JsonObject body = policy->body;
    JsonArray& requests = body["properties"].as_object()["requests"].as_array();
    Json large = requests.front();
    large.as_object()["justification"] = std::string(100 * 1024, 'x');
    while (requests.size() < 40) requests.push_back(large);
    TRY(world_.manager().render(tx, policy->id, std::move(body)));
    return {};
  }));
  const std::string newest = initiate(ada_).at("id");
  const JsonObject policy = call(owner_, "GET", kDefaultPolicy, {}, 200);
  const JsonArray& shown = *array_at(policy, "properties.requests");
  EXPECT_THAT(shown, SizeIs(6)) << "half a mebibyte of them";
  EXPECT_EQ(string_at(shown.back().as_object(), "id"), newest);
}

TEST_F(OpeningTest, TheAnswerNamesTheRequestThatTheOpeningsBear) {
  const Answer answer = initiate(ada_);
  EXPECT_EQ(answer.at("id"), string_at(openings().front(), "properties.requestId"));
  EXPECT_EQ(answer.at("requestor"), ada_.name);
  EXPECT_EQ(string_at(openings().front(), "properties.requestorId"), ada_.id.text());
}

}  // namespace
}  // namespace merlon::jit

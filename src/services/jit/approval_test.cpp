// Requests that others must agree to: nothing opens before, and everything that must hold is judged again at
// the moment of opening.
#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ApprovalTest : public JitFixture {
 protected:
  ApprovalTest() { need_approvals(); }
  void opens_nothing() {
    EXPECT_THAT(told(web_), IsEmpty());
    EXPECT_EQ(allows(), 0U);
    EXPECT_THAT(openings(), IsEmpty());
  }
};

TEST_F(ApprovalTest, NothingOpensBeforeSomebodyElseAgrees) {
  const Answer asked = initiate(ada_);
  ASSERT_EQ(asked.status, 202);
  EXPECT_EQ(asked.at("approval.state"), "Pending");
  EXPECT_THAT(history(), ElementsAre("Initiating UserRequested"));
  opens_nothing();
  clock_.advance(minutes(10));
  const Answer approved = decide(bob_, asked.at("id"), "approve", "go ahead");
  ASSERT_EQ(approved.status, 200) << to_text(approved.body);
  EXPECT_EQ(approved.at("properties.state"), "Approved");
  const auto openings = told(web_);
  ASSERT_THAT(openings, SizeIs(1));
  EXPECT_EQ(openings.front().source.text(), ada_.address) << "the asker's address, not the approver's";
  EXPECT_EQ(openings.front().deadline, clock_.now() + minutes(30)) << "a duration begins when it opens";
  EXPECT_THAT(history(), ElementsAre("Initiated UserRequested"));
  const JsonObject shown = this->openings().front();
  EXPECT_EQ(string_at(shown, "properties.requestor"), ada_.name);
  EXPECT_EQ(to_text(Json(*array_at(shown, "properties.approvedBy"))), "[\"" + bob_.name + "\"]");
  pass(minutes(30));
  EXPECT_THAT(history(), ElementsAre("Revoked Expired"));
}

TEST_F(ApprovalTest, TheWholeThreadIsInTheLedger) {
  const std::string id = ask(ada_);
  ASSERT_EQ(decide(bob_, id, "approve", "go ahead").status, 200);
  const auto asked = world_.entries("Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action");
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked.front().actor.name, ada_.name);
  EXPECT_EQ(asked.front().justification, "a reason");
  EXPECT_EQ(string_at(asked.front().details, "request"), id);
  EXPECT_EQ(string_at(asked.front().details, "state"), "Pending");
  const auto approved = world_.entries("Merlon.Jit/requests/approve/action");
  ASSERT_THAT(approved, SizeIs(1));
  EXPECT_EQ(approved.front().actor.name, bob_.name);
  EXPECT_EQ(approved.front().justification, "go ahead");
  EXPECT_EQ(string_at(approved.front().details, "requestorId"), ada_.id.text());
  const auto opened = world_.entries("Merlon.Jit/openings/open/action");
  ASSERT_THAT(opened, SizeIs(1));
  EXPECT_EQ(string_at(opened.front().details, "holder"), ada_.name);
  EXPECT_EQ(string_at(opened.front().details, "request"), id);
  EXPECT_THAT(world_.entries("Merlon.Jit/requests/close/action"), SizeIs(1));
}

TEST_F(ApprovalTest, NobodyApprovesTheirOwn) {
  const std::string id = ask(owner_);
  const Answer refused = decide(owner_, id, "approve");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.code(), "JitApproverIsRequester");
  opens_nothing();
  EXPECT_EQ(state_of(id), "Pending");
  EXPECT_EQ(world_.entries("Merlon.Jit/requests/approve/action").back().decision, ledger::Decision::denied);
}

TEST_F(ApprovalTest, NobodyApprovesWithoutTheRight) {
  const std::string id = ask(owner_);
  EXPECT_EQ(decide(ada_, id, "approve").code(), "AuthorizationFailed");
  EXPECT_EQ(decide(ada_, id, "deny").code(), "AuthorizationFailed");
  EXPECT_EQ(decide(person("eve"), id, "approve").code(), "AuthorizationFailed");
  opens_nothing();
  EXPECT_EQ(state_of(id), "Pending");
}

TEST_F(ApprovalTest, OnlyThoseWhoAreNamedApprove) {
  const Person cleo = person("cleo");
  const Person dan = person("dan");
  for (const Person& who : {cleo, dan}) assign(who.id, approver_role_, kRg);
  const Uuid group = group_of({cleo});
  set_options({{"approval", JsonObject{{"required", 1}, {"approvers", JsonArray{group.text()}}}}});
  const std::string id = ask(ada_);
  EXPECT_EQ(decide(dan, id, "approve").code(), "JitApproverNotAllowed");
  EXPECT_EQ(decide(dan, id, "deny").code(), "JitApproverNotAllowed");
  opens_nothing();
  EXPECT_EQ(decide(cleo, id, "approve").status, 200) << "through the group";
  EXPECT_THAT(told(web_), SizeIs(1));
}

TEST_F(ApprovalTest, AsManyAsThePolicyAsksFor) {
  need_approvals(2);
  const Person cleo = person("cleo");
  assign(cleo.id, approver_role_, kRg);
  const std::string id = ask(ada_);
  EXPECT_EQ(decide(bob_, id, "approve").at("properties.state"), "Pending");
  EXPECT_EQ(decide(bob_, id, "approve").at("properties.state"), "Pending") << "the same one twice is one";
  opens_nothing();
  EXPECT_EQ(decide(cleo, id, "approve").at("properties.state"), "Approved");
  EXPECT_THAT(told(web_), SizeIs(1));
}

TEST_F(ApprovalTest, AnApproverWhoMayNotAnyMoreDoesNotCount) {
  need_approvals(2);
  const Person cleo = person("cleo");
  const Person dan = person("dan");
  const Person eli = person("eli");
  for (const Person& who : {cleo, dan, eli}) assign(who.id, approver_role_, kRg);
  const std::string id = ask(ada_);
  ASSERT_EQ(decide(bob_, id, "approve").status, 200);
  unassign_all(bob_);
  EXPECT_EQ(decide(cleo, id, "approve").at("properties.state"), "Pending") << "bob has lost the right";
  opens_nothing();
  set_enabled(cleo, false);
  EXPECT_EQ(decide(dan, id, "approve").at("properties.state"), "Pending") << "cleo is disabled";
  opens_nothing();
  const Answer last = decide(eli, id, "approve");
  EXPECT_EQ(last.at("properties.state"), "Approved") << to_text(last.body);
}

TEST_F(ApprovalTest, WhoAskedMustStillBeAllowedTo) {
  const std::string id = ask(ada_);
  unassign_all(ada_);
  const Answer refused = decide(bob_, id, "approve");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "AuthorizationFailed");
  EXPECT_THAT(refused.message(), HasSubstr("can not be granted any more"));
  opens_nothing();
  assign(ada_.id, asker_role_, kRg);
  set_enabled(ada_, false);
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequesterGone");
  opens_nothing();
  EXPECT_EQ(state_of(id), "Pending") << "it ends by its time, or by a no";
  set_enabled(ada_, true);
  EXPECT_EQ(decide(bob_, id, "approve").status, 200);
}

TEST_F(ApprovalTest, ThePolicyOfTheMomentCounts) {
  const std::string id = ask(ada_, {{"duration", "PT2H"}});
  set_policy("PT1H");
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequestTooLong");
  set_policy("PT3H", "203.0.113.0/24");
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitSourceNotAllowed");
  opens_nothing();
  set_policy();
  set_options({{"approval", JsonObject{{"required", 1}}}, {"requesters", JsonArray{bob_.id.text()}}});
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequesterNotAllowed");
  opens_nothing();
}

TEST_F(ApprovalTest, APortThatLeavesThePolicyTakesItsRequestsAlong) {
  const std::string id = ask(ada_);
  call(owner_, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(3389)}), 200);
  EXPECT_EQ(state_of(id), "Canceled/PolicyChanged");
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequestNotPending");
  EXPECT_THAT(history(), ElementsAre("Revoked UserRequested"));
  opens_nothing();
}

TEST_F(ApprovalTest, ANoIsFinal) {
  const std::string id = ask(ada_);
  const Answer denied = decide(bob_, id, "deny", "not today");
  EXPECT_EQ(denied.at("properties.state"), "Denied");
  EXPECT_EQ(denied.at("properties.denial.justification"), "not today");
  EXPECT_EQ(decide(owner_, id, "approve").code(), "JitRequestNotPending");
  EXPECT_EQ(decide(bob_, id, "deny").code(), "JitRequestNotPending");
  EXPECT_THAT(history(), ElementsAre("Revoked UserRequested"));
  opens_nothing();
}

TEST_F(ApprovalTest, WaitsNoLongerThanThePolicySaysAlsoOverARestart) {
  const std::string id = ask(ada_);
  start();
  EXPECT_EQ(state_of(id), "Pending");
  clock_.advance(hours(1));
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequestNotPending") << "though no timer has run yet";
  EXPECT_EQ(state_of(id), "Expired");
  tick();
  EXPECT_EQ(state_of(id), "Expired");
  EXPECT_THAT(history(), ElementsAre("Revoked Expired"));
  opens_nothing();
}

TEST_F(ApprovalTest, WhoWasAskedForATimeThatPassesWaitsNoLongerThanThat) {
  const std::string id = ask(ada_, {{"endTimeUtc", to_rfc3339(clock_.now() + minutes(20))}});
  pass(minutes(20));
  EXPECT_EQ(state_of(id), "Expired");
}

TEST_F(ApprovalTest, AnEndThatWasNamedStays) {
  const Timestamp end = clock_.now() + minutes(50);
  const std::string id = ask(ada_, {{"endTimeUtc", to_rfc3339(end)}});
  clock_.advance(minutes(40));
  ASSERT_EQ(decide(bob_, id, "approve").status, 200);
  EXPECT_EQ(told(web_).front().deadline, end);
}

TEST_F(ApprovalTest, WhoAskedTakesItBack) {
  const std::string id = ask(ada_);
  EXPECT_EQ(decide(person("eve"), id, "cancel").status, 403);
  const Person asker = person("asker");
  assign(asker.id, asker_role_, kRg);
  EXPECT_EQ(decide(asker, id, "cancel").status, 403);
  EXPECT_EQ(decide(ada_, id, "cancel").at("properties.state"), "Canceled");
  EXPECT_EQ(decide(ada_, id, "cancel").status, 200) << "twice is fine";
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitRequestNotPending");
  EXPECT_THAT(world_.entries("Merlon.Jit/requests/cancel/action"), testing::Not(IsEmpty()));
  opens_nothing();
}

TEST_F(ApprovalTest, ANewerRequestForTheSameTakesThePlaceOfTheOlder) {
  const std::string older = ask(ada_);
  const std::string other = ask(ada_, {{"allowedSourceAddressPrefix", "192.0.2.9"}});
  const std::string newer = ask(ada_);
  EXPECT_EQ(state_of(older), "Canceled/NewerRequestInitiated");
  EXPECT_EQ(state_of(other), "Pending");
  EXPECT_EQ(state_of(newer), "Pending");
  EXPECT_THAT(list(bob_, "requests"), SizeIs(2));
}

TEST_F(ApprovalTest, NobodyBuriesTheApprovers) {
  for (int i = 0; i < 20; ++i) ask(ada_, {{"allowedSourceAddressPrefix", "192.0.2." + std::to_string(i)}});
  const Answer refused = initiate(ada_, {{"allowedSourceAddressPrefix", "192.0.2.100"}});
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "JitTooManyRequests");
  EXPECT_EQ(initiate(owner_).status, 202) << "others may still ask";
}

TEST_F(ApprovalTest, TheListShowsWhatOneMayReadAndWhatIsOnesOwn) {
  ask(ada_);
  EXPECT_THAT(list(bob_, "requests"), SizeIs(1));
  EXPECT_THAT(list(ada_, "requests"), SizeIs(1)) << "one's own";
  EXPECT_THAT(list(person("eve"), "requests"), IsEmpty());
  const Person asker = person("asker");
  assign(asker.id, asker_role_, kRg);
  EXPECT_THAT(list(asker, "requests"), IsEmpty());
  EXPECT_THAT(list(owner_, "requests", kScope), SizeIs(1));
}

TEST_F(ApprovalTest, AnExtensionNeedsAgreementAgain) {
  ASSERT_EQ(decide(bob_, ask(ada_), "approve").status, 200);
  const std::string opening = only_opening();
  const Timestamp end = clock_.now() + minutes(30);
  const Answer asked = extend(ada_, opening, {{"duration", "PT1H"}});
  ASSERT_EQ(asked.status, 200) << to_text(asked.body);
  EXPECT_EQ(asked.at("properties.endTimeUtc"), to_rfc3339(end)) << "not yet";
  const auto pending = list(bob_, "requests");
  ASSERT_THAT(pending, SizeIs(1));
  EXPECT_EQ(string_at(pending.front(), "properties.extends"), opening);
  EXPECT_EQ(asked.at("properties.extension.state"), "Pending");
  const std::string id = string_at(pending.front(), "name").value_or("");
  const Timestamp wanted = clock_.now() + hours(1);
  clock_.advance(minutes(10));
  ASSERT_EQ(decide(bob_, id, "approve").status, 200);
  EXPECT_EQ(told(web_).front().deadline, wanted);
  EXPECT_THAT(world_.entries("Merlon.Jit/openings/prolong/action"), SizeIs(1));
  EXPECT_THAT(history(), ElementsAre("Initiated UserRequested"));
}

TEST_F(ApprovalTest, AnExtensionOfWhatHasEndedIsNotAgreedTo) {
  ASSERT_EQ(decide(bob_, ask(ada_), "approve").status, 200);
  const std::string opening = only_opening();
  ASSERT_EQ(extend(ada_, opening, {{"duration", "PT1H"}}).status, 200);
  const std::string id = string_at(list(bob_, "requests").front(), "name").value_or("");
  clock_.advance(minutes(30));
  EXPECT_EQ(decide(bob_, id, "approve").code(), "JitOpeningEnded") << "over, though no timer has run";
  tick();
  EXPECT_EQ(state_of(id), "Canceled/OpeningEnded");
  EXPECT_THAT(told(web_), IsEmpty());
}

TEST_F(ApprovalTest, OptionsOutliveWhatAzuresClientsWriteAndHoldUpADeletion) {
  set_policy("PT2H");  // an Azure client's PUT, which knows nothing of options
  EXPECT_EQ(initiate(ada_).at("approval.state"), "Pending");
  const Person admin = person("admin");
  assign(admin.id, role("Policy admin", {"Microsoft.Security/*", "Microsoft.Compute/virtualMachines/write"}),
         kRg);
  EXPECT_EQ(send(admin, "DELETE", kDefaultPolicy).code(), "LinkedAuthorizationFailed")
      << "deleting the policy must not shake the approval off";
  EXPECT_EQ(initiate(ada_).at("approval.state"), "Pending");
  EXPECT_EQ(send(admin, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(3389)})).code(),
            "LinkedAuthorizationFailed")
      << "nor must taking the port out, for another policy to have it";
  EXPECT_EQ(send(admin, "PUT", kDefaultPolicy,
                 JsonObject{{"kind", "Basic"}, {"properties", JsonObject{{"virtualMachines", JsonArray()}}}})
                .code(),
            "LinkedAuthorizationFailed");
  EXPECT_EQ(
      send(admin, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(22), port_policy(3389)})).status,
      200)
      << "more may be protected";
  EXPECT_EQ(send(owner_, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(22)})).status, 200);
  EXPECT_EQ(send(owner_, "DELETE", kDefaultPolicy).status, 200);
  set_policy();
  EXPECT_EQ(initiate(ada_).at("approval.state"), "") << "options went with their policy";
}

}  // namespace
}  // namespace merlon::jit

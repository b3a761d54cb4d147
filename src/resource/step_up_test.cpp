// Step-up policies: who is asked for a fresh second factor, for what, in which words; and every way around
// them that somebody with a stolen token might try.
#include "identity/claims_request.h"
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

constexpr const char* kContributor = "b24988ac-6180-42a0-ab88-20f7382dd24c";

class StepUpTest : public ResourceFixture {
 protected:
  void SetUp() override {
    make_group();
    ada_ = make_person("ada");
    assign(ada_, kContributor, kSubscription);
  }
  static std::string policy_of(const std::string& scope, const std::string& name = "p") {
    return scope + "/providers/Merlon.Authorization/stepUpPolicies/" + name;
  }
  // As the owner, just signed in with a second factor.
  Answer set(const std::string& scope, const std::string& properties, const std::string& name = "p") {
    return send_as(with_mfa(owner_), "PUT", policy_of(scope, name), R"({"properties":)" + properties + "}");
  }
  std::string with_mfa(const Person& person) {
    identity::TokenSubject subject;
    subject.principal = {.object_id = person.id,
                         .kind = identity::PrincipalKind::user,
                         .name = person.name,
                         .app_id = client_,
                         .amr = {"pwd", "otp", "mfa"},
                         .auth_time = clock_.now(),
                         .token_id = {},
                         .address = {}};
    subject.audience = std::string(kOrigin) + "/";
    subject.scope = "user_impersonation";
    subject.user_principal_name = person.name;
    subject.session_id = identity::session_of(*store_, tenant_, person.id, clock_.now());
    return must(issuer_->issue(subject, kOrigin, std::chrono::hours(1)));
  }
  Answer put_box(const std::string& token, const std::string& name = "b") {
    return send_as(token, "PUT", kBoxes + "/" + name, R"({"location":"local","properties":{"color":"red"}})");
  }
  Answer get_boxes(const std::string& token) { return send_as(token, "GET", kBoxes); }
  static identity::ClaimsRequest claims_of(const Answer& answer) {
    const std::string header(answer.headers.value_or("WWW-Authenticate", ""));
    const size_t at = header.find("claims=\"");
    EXPECT_NE(at, std::string::npos) << header;
    if (at == std::string::npos) return {};
    const auto text = from_base64(header.substr(at + 8, header.find('"', at + 8) - at - 8));
    EXPECT_TRUE(text) << header;
    const std::string json(as_text(*text));
    const auto asked = identity::parse_claims_request(&json);
    EXPECT_TRUE(asked) << json;
    return asked ? *asked : identity::ClaimsRequest{};
  }
  void expect_challenged(const Answer& answer, int minutes) {
    EXPECT_EQ(answer.status, 401) << answer.text;
    EXPECT_EQ(answer.code(), "StepUpRequired");
    const std::string header(answer.headers.value_or("WWW-Authenticate", ""));
    EXPECT_THAT(header, StartsWith("Bearer "));
    EXPECT_THAT(header, HasSubstr("error=\"insufficient_claims\""));
    EXPECT_THAT(header, HasSubstr("authorization_uri=\"https://merlon.localhost:8443/"));
    const identity::ClaimsRequest asked = claims_of(answer);
    EXPECT_TRUE(asked.mfa);
    EXPECT_EQ(asked.signed_in_since,
              std::chrono::floor<std::chrono::seconds>(clock_.now() - std::chrono::minutes(minutes)));
  }

  Person ada_;
};

TEST_F(StepUpTest, AnActionTakesAFreshSecondFactor) {
  ASSERT_EQ(set(kSubscription, R"({"maxAgeMinutes":15,"actions":["Toy.Things/boxes/write"]})").status, 201);
  expect_challenged(put_box(ada_.token), 15);
  EXPECT_EQ(get_boxes(ada_.token).status, 200) << "only what the policy names";
  const std::string fresh = with_mfa(ada_);
  EXPECT_EQ(put_box(fresh).status, 201);
  clock_.advance(std::chrono::minutes(15));
  EXPECT_EQ(put_box(fresh).status, 200);
  clock_.advance(std::chrono::milliseconds(1500));
  expect_challenged(put_box(fresh), 15);
}

TEST_F(StepUpTest, WithoutActionsEverythingBelowTheScope) {
  ASSERT_EQ(set(kGroup, R"({"maxAgeMinutes":5})").status, 201);
  expect_challenged(get_boxes(ada_.token), 5);
  expect_challenged(put_box(ada_.token), 5);
  EXPECT_EQ(send_as(ada_.token, "GET", kSubscription).status, 200) << "not what is above";
  EXPECT_EQ(get_boxes(with_mfa(ada_)).status, 200);
}

TEST_F(StepUpTest, ARoleCanBeWhatIsGuarded) {
  ASSERT_EQ(set(kSubscription,
                std::string(R"({"maxAgeMinutes":5,"roleDefinitionIds":[")") + kContributor + R"("]})")
                .status,
            201);
  expect_challenged(get_boxes(ada_.token), 5);
  EXPECT_EQ(get_boxes(owner_.token).status, 200) << "the owner has another role";
  EXPECT_EQ(set(kSubscription, R"({"maxAgeMinutes":5,"roleDefinitionIds":["nobody"]})", "q").code(),
            "RoleDefinitionDoesNotExist");
}

TEST_F(StepUpTest, TheStrictestCounts) {
  ASSERT_EQ(set(kSubscription, R"({"maxAgeMinutes":60})").status, 201);
  ASSERT_EQ(set(kGroup, R"({"maxAgeMinutes":10})", "strict").status, 201);
  ASSERT_EQ(set(kGroup, R"({"maxAgeMinutes":30})").status, 201);
  expect_challenged(get_boxes(ada_.token), 10);
  const std::string fresh = with_mfa(ada_);
  clock_.advance(std::chrono::minutes(20));
  expect_challenged(get_boxes(fresh), 10);
}

TEST_F(StepUpTest, NoRightIsGivenAndNoneIsShown) {
  ASSERT_EQ(set("/", R"({"maxAgeMinutes":5})").status, 201);
  const Person stranger = make_person("stranger");
  const Answer refused = put_box(stranger.token);
  EXPECT_EQ(refused.status, 403) << "who has no right hears nothing of policies";
  EXPECT_EQ(put_box(with_mfa(stranger)).status, 403);
}

TEST_F(StepUpTest, AStolenTokenDoesNotLiftThePolicy) {
  const std::string weak = owner_.token;
  ASSERT_EQ(set(kSubscription, R"({"maxAgeMinutes":15,"actions":["Toy.Things/boxes/write"]})").status, 201);
  expect_challenged(send_as(weak, "DELETE", policy_of(kSubscription)), 15);
  expect_challenged(
      send_as(weak, "PUT", policy_of(kSubscription), R"({"properties":{"maxAgeMinutes":10000}})"), 15);
  EXPECT_EQ(put_box(with_mfa(ada_)).status, 201);
  expect_challenged(put_box(ada_.token), 15);
  // Contributors do not touch policies at all.
  EXPECT_EQ(send_as(with_mfa(ada_), "DELETE", policy_of(kSubscription)).status, 403);
  EXPECT_EQ(send_as(with_mfa(ada_), "PUT", policy_of(kGroup), R"({"properties":{"maxAgeMinutes":1}})").status,
            403);
  EXPECT_EQ(send_as(with_mfa(owner_), "DELETE", policy_of(kSubscription)).status, 200);
  EXPECT_EQ(put_box(ada_.token).status, 200);
}

TEST_F(StepUpTest, LifeOfAPolicy) {
  const Answer made = set(kGroup, R"({"maxAgeMinutes":15,"description":"d","actions":["*/delete"]})", "Keep");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("id"), policy_of(kGroup, "Keep"));
  EXPECT_EQ(made.at("type"), "Merlon.Authorization/stepUpPolicies");
  EXPECT_EQ(send("GET", policy_of(kGroup, "KEEP")).text, made.text);
  EXPECT_EQ(set(kGroup, R"({"maxAgeMinutes":30})", "keep").status, 200);
  EXPECT_EQ(
      send_as(with_mfa(owner_), "GET", kBoxes + "/x/providers/Merlon.Authorization/stepUpPolicies").status,
      404);
  EXPECT_EQ(
      send_as(with_mfa(owner_), "GET", kGroup + "/providers/Merlon.Authorization/stepUpPolicies").names(),
      std::vector<std::string>{"Keep"});
  EXPECT_EQ(send_as(with_mfa(owner_), "GET", policy_of(kGroup, "none")).code(), "StepUpPolicyNotFound");
  EXPECT_EQ(send_as(with_mfa(owner_), "DELETE", policy_of(kGroup, "keep")).status, 200);
  EXPECT_EQ(send("DELETE", policy_of(kGroup, "keep")).status, 204);
  for (const char* wrong : {R"({"maxAgeMinutes":0})", R"({"maxAgeMinutes":20000})", R"({})",
                            R"({"maxAgeMinutes":5,"actions":[""]})", R"({"maxAgeMinutes":"5"})"})
    EXPECT_EQ(set(kGroup, wrong).status, 400) << wrong;
  EXPECT_EQ(set(kSubscription + "/resourceGroups/none", R"({"maxAgeMinutes":5})").status, 404);
  EXPECT_THAT(entries("Microsoft.Authorization/stepUpPolicies/write"), SizeIs(testing::Ge(2)));
}

TEST_F(StepUpTest, RefusalsAreEnteredUnderTheName) {
  ASSERT_EQ(set(kSubscription, R"({"maxAgeMinutes":15,"actions":["Toy.Things/boxes/write"]})").status, 201);
  put_box(ada_.token);
  bool found = false;
  for (const auto& entry : entries("Toy.Things/boxes/write"))
    found = found || (entry.reason == "StepUpRequired" && entry.actor.object_id == ada_.id.text() &&
                      entry.decision == ledger::Decision::denied);
  EXPECT_TRUE(found);
}

TEST_F(StepUpTest, WhatIsGoneTakesItsPoliciesAlong) {
  ASSERT_EQ(make_box("b").status, 201);
  ASSERT_EQ(set(kBoxes + "/b", R"({"maxAgeMinutes":5})").status, 201);
  EXPECT_EQ(send("DELETE", kBoxes + "/b").status, 401);
  EXPECT_LT(send_as(with_mfa(owner_), "DELETE", kBoxes + "/b").status, 300);
  ASSERT_EQ(make_box("b").status, 201);
  EXPECT_LT(send("DELETE", kBoxes + "/b").status, 300) << "a new one of the same name begins without";
}

// A policy names what it guards, not that its thing may go; yet with the thing it would go, and a thing comes
// back: a vault is recovered with its content, a group is made again around it.
TEST_F(StepUpTest, DeletingWhatAPolicyStandsAtTakesWhatThePolicyAsksFor) {
  ASSERT_EQ(make_box("b").status, 201);
  const std::string reads = R"({"maxAgeMinutes":5,"actions":["Toy.Things/boxes/read"]})";
  ASSERT_EQ(set(kBoxes + "/b", reads).status, 201);
  expect_challenged(send_as(ada_.token, "DELETE", kBoxes + "/b"), 5);
  expect_challenged(send_as(ada_.token, "DELETE", kGroup), 5);
  EXPECT_EQ(send_as(with_mfa(ada_), "GET", kBoxes + "/b").status, 200) << "it is still there";
  ASSERT_EQ(send_as(with_mfa(owner_), "DELETE", policy_of(kBoxes + "/b")).status, 200);
  ASSERT_EQ(set(kGroup, reads).status, 201);
  EXPECT_LT(send_as(ada_.token, "DELETE", kBoxes + "/b").status, 300) << "the group's policy stays";
  expect_challenged(send_as(ada_.token, "DELETE", kGroup), 5);
  EXPECT_LT(send_as(with_mfa(ada_), "DELETE", kGroup).status, 300);
}

TEST_F(StepUpTest, MovingAThingFromUnderAPolicyTakesWhatThePolicyAsksFor) {
  ASSERT_EQ(make_box("b").status, 201);
  const std::string target = kSubscription + "/resourceGroups/elsewhere";
  ASSERT_LT(send("PUT", target, R"({"location":"local"})").status, 300);
  ASSERT_EQ(set(kGroup, R"({"maxAgeMinutes":5,"actions":["Toy.Things/boxes/read"]})").status, 201);
  const std::string body =
      R"({"resources":[")" + kBoxes + R"(/b"],"targetResourceGroup":")" + target + R"("})";
  expect_challenged(send_as(ada_.token, "POST", kGroup + "/moveResources", body), 5);
  EXPECT_EQ(send_as(ada_.token, "GET", target + "/providers/Toy.Things/boxes/b").status, 404);
  // Where the target keeps it as well, nothing is lifted; nor does what stands at both from above.
  ASSERT_EQ(set(kSubscription, R"({"maxAgeMinutes":7,"actions":["Toy.Things/boxes/read"]})").status, 201);
  ASSERT_EQ(send_as(with_mfa(owner_), "DELETE", policy_of(kGroup)).status, 200);
  EXPECT_EQ(send_as(ada_.token, "POST", kGroup + "/moveResources", body).status, 202);
}

TEST_F(StepUpTest, ElevationTakesAFreshSecondFactorToo) {
  const std::string elevate = "/providers/Microsoft.Authorization/elevateAccess?api-version=2016-07-01";
  const Person eve = make_person("eve");
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) {
    return directory_->add_directory_role(tx, *Uuid::parse(identity::kGlobalAdministrator), eve.id);
  }));
  ASSERT_EQ(set("/", R"({"maxAgeMinutes":5})").status, 201);
  expect_challenged(send_as(eve.token, "POST", elevate), 5);
  EXPECT_EQ(send_as(eve.token, "GET", kSubscription).status, 403) << "it gave nothing";
  const Person ada = make_person("other");
  EXPECT_EQ(send_as(with_mfa(ada), "POST", elevate).status, 403);
  EXPECT_EQ(send_as(with_mfa(eve), "POST", elevate).status, 200);
}

// What a list, a graph or a reference that was expanded shows of a group that is guarded, or denied.
class NarrowedLists : public StepUpTest {
 protected:
  static inline const std::string kOther = kSubscription + "/resourceGroups/rg2";
  void SetUp() override {
    StepUpTest::SetUp();
    make_group("rg2");
    ASSERT_EQ(make_box("open").status, 201);
    ASSERT_EQ(send("PUT", kOther + "/providers/Toy.Things/boxes/guarded",
                   R"({"location":"local","properties":{"color":"red"}})")
                  .status,
              201);
    bob_ = make_person("bob");  // who has a role in the groups, and none above
    assign(bob_, kReader, kGroup);
    assign(bob_, kReader, kOther);
  }
  std::string seen(const std::string& token) {
    std::string all;
    for (const std::string& list :
         {kSubscription + "/resources?api-version=2021-04-01", kSubscription + "/providers/Toy.Things/boxes",
          kSubscription + "/resourcegroups?api-version=2021-04-01"}) {
      const Answer answer = send_as(token, "GET", list);
      EXPECT_EQ(answer.status, 200) << list << answer.text;
      all += answer.text;
    }
    for (const std::string& table : {"Resources", "ResourceContainers"}) {
      const JsonObject body{{"query", table + " | project name, id"},
                            {"subscriptions", JsonArray{Json(core_->subscription.text())}}};
      const Answer answer =
          send_as(token, "POST", "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01",
                  to_text(body));
      EXPECT_EQ(answer.status, 200) << answer.text;
      all += answer.text;
    }
    return all;
  }
  Person bob_;
};

TEST_F(NarrowedLists, WhatTakesAFresherSignInIsLeftOut) {
  EXPECT_THAT(seen(ada_.token), HasSubstr("guarded"));
  EXPECT_THAT(seen(bob_.token), HasSubstr("guarded"));
  ASSERT_EQ(set(kOther, R"({"maxAgeMinutes":5})").status, 201);
  expect_challenged(send_as(ada_.token, "GET", kOther + "/providers/Toy.Things/boxes/guarded"), 5);
  for (const Person& person : {ada_, bob_}) {
    const std::string stale = seen(person.token);
    EXPECT_THAT(stale, HasSubstr("open"));
    EXPECT_THAT(stale, testing::Not(HasSubstr("guarded"))) << person.name;
    EXPECT_THAT(stale, testing::Not(HasSubstr("rg2"))) << person.name;
    EXPECT_THAT(seen(with_mfa(person)), HasSubstr("guarded")) << person.name;
  }
}

TEST_F(NarrowedLists, WhatIsDeniedIsLeftOut) {
  access::DenyAssignment denial;
  denial.id = Uuid::generate(random_);
  denial.name = "private";
  denial.scope = kOther;
  denial.permissions.emplace_back();
  denial.permissions.back().actions = {"*/read"};
  denial.principals = {{ada_.id, "User"}};
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(access_->deny(tx, denial));
    return {};
  }));
  ASSERT_EQ(send_as(ada_.token, "GET", kOther + "/providers/Toy.Things/boxes/guarded").status, 403);
  EXPECT_THAT(seen(ada_.token), testing::Not(HasSubstr("rg2")));
  EXPECT_THAT(seen(ada_.token), HasSubstr("open"));
  EXPECT_THAT(seen(bob_.token), HasSubstr("guarded")) << "it concerns her alone";
}

}  // namespace
}  // namespace merlon::resource

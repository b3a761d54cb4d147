// What every request goes through, seen from outside: who, what, may they, and what the ledger knows
// afterwards.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class PipelineTest : public ResourceFixture {};

TEST_F(PipelineTest, AskingWithoutATokenIsToldWhereToSignIn) {
  const Answer answer = send_as("", "GET", kGroup);
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.code(), "AuthenticationFailed");
  const std::string* challenge = answer.headers.find("WWW-Authenticate");
  ASSERT_NE(challenge, nullptr);
  EXPECT_THAT(*challenge, HasSubstr("Bearer authorization_uri=\"https://merlon.localhost:8443/" +
                                    tenant_.text() + "\", error=\"invalid_token\", error_description=\""));
  // Nothing else is told: not that a path, a subscription or a method does not exist.
  EXPECT_EQ(send_as("", "GET", "/subscriptions/33333333-3333-4333-8333-333333333333").status, 401);
  EXPECT_EQ(send_as("", "GET", "/nothing/here").status, 401);
  EXPECT_EQ(send_as("", "DELETE", "/tenants").status, 401);
}

TEST_F(PipelineTest, RefusesTokensThatAreNotForUs) {
  const std::string other = token_for(owner_.id, owner_.name, "https://vault.merlon.localhost:8443");
  EXPECT_EQ(send_as(other, "GET", "/subscriptions").status, 401);
  std::string broken = owner_.token;
  broken[broken.size() / 2] = broken[broken.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_EQ(send_as(broken, "GET", "/subscriptions").status, 401);
  clock_.advance(std::chrono::hours(3));
  const Answer expired = send("GET", "/subscriptions");
  EXPECT_EQ(expired.status, 401);
  EXPECT_EQ(expired.code(), "ExpiredAuthenticationToken");
}

TEST_F(PipelineTest, ADisabledPrincipalsTokenEnds) {
  const Person ada = make_person("ada");
  assign(ada, kOwner, kSubscription);
  EXPECT_EQ(send_as(ada.token, "GET", kSubscription).status, 200);
  must(store_->write([&](auto& tx) { return directory_->set_enabled(tx, ada.id, false); }));
  EXPECT_EQ(send_as(ada.token, "GET", kSubscription).status, 401);
}

TEST_F(PipelineTest, NeedsAWellFormedApiVersion) {
  const Answer missing = send("GET", kSubscription + "?x=1");
  EXPECT_EQ(missing.status, 400);
  EXPECT_EQ(missing.code(), "MissingApiVersionParameter");
  for (const char* version :
       {"latest", "2024-13-01", "2024-02-30", "2024-01-01-x", "2024-1-1", "2024-01-01%20"}) {
    EXPECT_EQ(send("GET", kSubscription + "?api-version=" + version).code(), "InvalidApiVersionParameter")
        << version;
  }
  for (const char* version : {"2015-01-01", "2099-12-31-preview", "2018-01-01-PREVIEW"}) {
    EXPECT_EQ(send("GET", kSubscription + "?api-version=" + version).status, 200) << version;
  }
  EXPECT_EQ(send("GET", kSubscription + "?api%2Dversion=2024-01-01").status, 200);
}

TEST_F(PipelineTest, KnowsOneSubscription) {
  const Answer other = send("GET", "/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.code(), "SubscriptionNotFound");
  const Answer malformed = send("PUT", "/subscriptions/mine/resourceGroups/rg1", R"({"location":"local"})");
  EXPECT_EQ(malformed.status, 400);
  EXPECT_EQ(malformed.code(), "InvalidSubscriptionId");
}

TEST_F(PipelineTest, SaysWhatIsUnknownInAPath) {
  EXPECT_EQ(send("GET", kGroup + "/providers/No.Such/things/a").code(), "InvalidResourceNamespace");
  const Answer type = send("GET", kGroup + "/providers/toy.things/hats/a");
  EXPECT_EQ(type.status, 404);
  EXPECT_EQ(type.code(), "InvalidResourceType");
  EXPECT_THAT(type.message(), HasSubstr("'hats'"));
  EXPECT_EQ(send("GET", "/nothing/here").code(), "ResourceNotFound");
  const Answer method = send("POST", kBoxes + "/a", "{}");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(*method.headers.find("Allow"), "DELETE, GET, HEAD, PATCH, PUT");
}

TEST_F(PipelineTest, AHostileNameIsAnErrorAndNeverAShorterId) {
  make_group();
  const size_t before = entries().size();
  for (const char* name : {"a%2Fb", "%3Cscript%3E", "a%22b", "*", "%20", "a%20", "%E2%80%AE", "a%00"}) {
    if (std::string_view(name) == "a%00") continue;  // the edge refuses it: parse_target()
    const Answer answer = send("PUT", kBoxes + "/" + std::string(name), R"({"location":"local"})");
    EXPECT_EQ(answer.status, 400) << name << answer.text;
    EXPECT_EQ(answer.code(), "InvalidResourceId") << name;
  }
  EXPECT_EQ(send("PUT", kBoxes + "/-x", R"({"location":"local"})").code(), "InvalidResourceName");
  EXPECT_EQ(send("PUT", kBoxes + "/" + std::string(81, 'a'), R"({"location":"local"})").code(),
            "InvalidResourceName");
  EXPECT_THAT(send("GET", kBoxes).names(), IsEmpty());
  for (const auto& entry : entries("Toy.Things")) EXPECT_EQ(entry.decision, ledger::Decision::failed);
  EXPECT_GT(entries().size(), before);
}

TEST_F(PipelineTest, BodiesAreStrictJsonObjects) {
  make_group();
  const std::string box = kBoxes + "/a";
  const auto put = [&](const std::string& body, const std::string& type = "application/json") {
    return send("PUT", box, body, {{"Content-Type", type}});
  };
  EXPECT_EQ(put(R"({"location":"local","location":"moon"})").code(), "InvalidRequestContent");
  EXPECT_EQ(put("[1]").code(), "InvalidRequestContent");
  EXPECT_EQ(put("{").code(), "InvalidRequestContent");
  EXPECT_EQ(put(std::string(100, '[')).code(), "InvalidRequestContent");
  EXPECT_EQ(put("{\"location\":\"local\",\"x\":\"" + std::string(5 * 1024 * 1024, 'a') + "\"}").status, 413);
  EXPECT_EQ(put("location=local", "application/x-www-form-urlencoded").status, 415);
  EXPECT_EQ(put(R"({"location":"local"})", "application/json; charset=utf-16").status, 415);
  const Answer wrong = put(R"({"location":"local","properties":{"color":"green"}})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_THAT(wrong.at("error.target"), HasSubstr("properties.color"));
  EXPECT_EQ(send("GET", box).status, 404);
  EXPECT_EQ(put(R"({"location":"local"})", "application/json; charset=UTF-8").status, 201);
}

TEST_F(PipelineTest, AWriteAndItsEntryAreOne) {
  make_group();
  ASSERT_EQ(make_box("a").status, 201);
  const auto written = entries("Toy.Things/boxes/write");
  ASSERT_THAT(written, SizeIs(1));
  EXPECT_EQ(written[0].decision, ledger::Decision::allowed);
  EXPECT_EQ(written[0].actor.name, owner_.name);
  EXPECT_EQ(written[0].actor.address, "192.0.2.7");
  EXPECT_EQ(written[0].resource, kBoxes + "/a");
  EXPECT_THAT(written[0].reason, HasSubstr("/providers/Microsoft.Authorization/roleAssignments/"));
  EXPECT_EQ(bool_at(written[0].details, "created"), true);
  send("GET", kBoxes + "/a");
  EXPECT_THAT(entries("Toy.Things"), SizeIs(1));  // allowed reads are not entered
}

TEST_F(PipelineTest, AWriteThatFailsLeavesItsFailureAndNothingElse) {
  make_group();
  const Answer refused = make_box("a", R"({"color":"black"})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "NoBlackBoxes");
  EXPECT_EQ(refused.at("error.target"), "properties.color");
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 404);
  EXPECT_THAT(entries("Toy.Things/paint"), IsEmpty());
  const auto failed = entries("Toy.Things/boxes/write");
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].decision, ledger::Decision::failed);
  EXPECT_EQ(failed[0].reason, "NoBlackBoxes");
}

TEST_F(PipelineTest, ADeniedWriteChangesNothingAndIsEntered) {
  make_group();
  const Person ada = make_person("ada");
  assign(ada, kReader, kSubscription);
  const Answer denied = send_as(ada.token, "PUT", kBoxes + "/a", R"({"location":"local"})");
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.code(), "AuthorizationFailed");
  EXPECT_EQ(
      denied.message(),
      "The client 'ada@merlon.localhost' with object id '" + ada.id.text() +
          "' does not have authorization to perform action 'Toy.Things/boxes/write' over scope '" + kBoxes +
          "/a' or the scope is invalid. If access was recently granted, please refresh your credentials.");
  EXPECT_EQ(box_puts_, 0);
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 404);
  const auto entered = entries("Toy.Things/boxes/write");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(entered[0].decision, ledger::Decision::denied);
  EXPECT_EQ(entered[0].actor.object_id, ada.id.text());
  EXPECT_EQ(entered[0].reason, "AuthorizationFailed");
  // The body is not even looked at: a refusal does not depend on it.
  EXPECT_EQ(send_as(ada.token, "PUT", kBoxes + "/a", "{").status, 403);
}

TEST_F(PipelineTest, DeniedReadsAreSummedUp) {
  make_group();
  ASSERT_EQ(make_box("a").status, 201);
  const Person eve = make_person("eve");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send_as(eve.token, "GET", kBoxes + "/a").status, 403);
  const auto entered = entries("Toy.Things/boxes/read");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(entered[0].decision, ledger::Decision::denied);
  EXPECT_EQ(entered[0].count, 5);
}

TEST_F(PipelineTest, ARightThatIsGoneAtCommitDoesNotCount) {
  Route slow;
  slow.method = "POST";
  slow.path = "/subscriptions/{subscriptionId}/providers/Toy.Things/slow";
  slow.permission = "Toy.Things/slow/action";
  slow.summary = "Takes its time.";
  const Person ada = make_person("ada");
  const Uuid assignment = assign(ada, kOwner, kSubscription);
  slow.gather = [&](const Call&) -> Result<Gathered> {
    must(store_->write([&](auto& tx) -> Result<void> {
      TRY(access_->unassign(tx, kSubscription, assignment));
      return {};
    }));
    return Gathered::of(42);
  };
  bool ran = false;
  slow.write = [&](WriteContext&) -> Result<net::Response> {
    ran = true;
    return empty_response(200);
  };
  manager_->add(std::move(slow));
  EXPECT_EQ(send_as(ada.token, "POST", kSubscription + "/providers/Toy.Things/slow").status, 403);
  EXPECT_FALSE(ran);
  ASSERT_THAT(entries("Toy.Things/slow"), SizeIs(1));
  EXPECT_EQ(entries("Toy.Things/slow")[0].decision, ledger::Decision::denied);
}

TEST_F(PipelineTest, NobodyWithoutTheRightMakesUsGather) {
  Route route;
  route.method = "POST";
  route.path = "/subscriptions/{subscriptionId}/providers/Toy.Things/hash";
  route.permission = "Toy.Things/hash/action";
  route.summary = "Hashes.";
  int gathered = 0;
  route.gather = [&](const Call&) -> Result<Gathered> { return Gathered::of(++gathered); };
  route.write = [&](WriteContext& context) -> Result<net::Response> {
    return json_response(200, {{"gathered", std::any_cast<int>(context.call.gathered)}});
  };
  manager_->add(std::move(route));
  const std::string path = kSubscription + "/providers/Toy.Things/hash";
  EXPECT_EQ(send_as(make_person("eve").token, "POST", path).status, 403);
  EXPECT_EQ(gathered, 0);
  EXPECT_EQ(int_at(send("POST", path).body, "gathered"), 1);
}

TEST_F(PipelineTest, CarriesTheIdsOfARequest) {
  const std::string id = "0f8fad5b-d9cb-469f-a165-70867728950e";
  const Answer answer = send("GET", "/subscriptions", {},
                             {{"x-ms-correlation-request-id", id},
                              {"x-ms-client-request-id", "mine-1"},
                              {"x-ms-return-client-request-id", "true"}});
  EXPECT_EQ(*answer.headers.find("x-ms-correlation-request-id"), id);
  EXPECT_EQ(*answer.headers.find("x-ms-client-request-id"), "mine-1");
  EXPECT_TRUE(Uuid::parse(*answer.headers.find("x-ms-request-id")));
  EXPECT_THAT(*answer.headers.find("x-ms-routing-request-id"),
              testing::MatchesRegex("LOCAL:[0-9]{8}T[0-9]{6}Z:[0-9a-f-]{36}"));
  EXPECT_EQ(answer.headers.find("ETag"), nullptr);
  const Answer strange = send("GET", "/subscriptions", {}, {{"x-ms-correlation-request-id", "not a uuid"}});
  EXPECT_NE(*strange.headers.find("x-ms-correlation-request-id"), "not a uuid");
}

TEST_F(PipelineTest, EveryRouteHasAPermissionOrSaysWhyNot) {
  ASSERT_GT(manager_->routes().size(), 60U);
  for (const Route& route : manager_->routes()) {
    const std::string name = route.method + " " + route.path;
    EXPECT_NE(route.permission.empty(), route.public_because.empty()) << name;
    EXPECT_FALSE(route.summary.empty()) << name;
    EXPECT_NE(route.read == nullptr, route.write == nullptr) << name;
    if (route.permission.empty()) {
      EXPECT_EQ(route.path, "/metadata/endpoints") << name << " is public: is that so?";
      continue;
    }
    const bool verb = route.permission.ends_with("/read") || route.permission.ends_with("/write") ||
                      route.permission.ends_with("/delete") || route.permission.ends_with("/action");
    EXPECT_TRUE(verb) << name << " asks for " << route.permission;
    if (route.method == "GET" || route.method == "HEAD")
      EXPECT_TRUE(route.permission.ends_with("/read")) << name;
    if (route.method == "DELETE") EXPECT_TRUE(route.permission.ends_with("/delete")) << name;
    // One write is let through without the permission: a directory role decides it, in its handler.
    const bool elevates = route.path == "/providers/Microsoft.Authorization/elevateAccess";
    if (route.write != nullptr) EXPECT_EQ(route.filter_items, elevates) << name;
  }
}

TEST_F(PipelineTest, WithoutAnyRoleEveryRouteRefusesOrShowsNothing) {
  make_group();
  ASSERT_EQ(make_box("a").status, 201);
  const Person eve = make_person("eve");
  const auto count = entries().size();
  for (const Route& route : manager_->routes()) {
    if (route.permission.empty()) continue;
    std::string path;
    for (std::string segment; const auto part : split(std::string_view(route.path).substr(1), '/')) {
      segment = part;
      if (segment == "{subscriptionId}") segment = kSubscription.substr(kSubscription.rfind('/') + 1);
      if (segment == "{resourceGroupName}") segment = "rg1";
      if (segment == "{+scope}") segment = kGroup.substr(1);
      if (segment == "{resourceProviderNamespace}") segment = "Toy.Things";
      if (segment.front() == '{') segment = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
      path += "/" + segment;
    }
    const Answer answer =
        send_as(eve.token, route.method, path, route.method == "GET" || route.method == "HEAD" ? "" : "{}");
    const std::string name = route.method + " " + path + " " + answer.text;
    if (!route.filter_items) EXPECT_EQ(answer.status, 403) << name;
    EXPECT_THAT(answer.text, testing::Not(HasSubstr("Toy.Things/boxes/a"))) << name;
    EXPECT_THAT(answer.text, testing::Not(HasSubstr("\"name\":\"rg1\""))) << name;
  }
  EXPECT_GT(entries().size(), count);
}

}  // namespace
}  // namespace merlon::resource

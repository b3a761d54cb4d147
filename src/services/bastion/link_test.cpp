// Shareable links: who may make them, what they are good for, and that they end.
#include "resource/step_up.h"
#include "services/bastion/bastion_fixture.h"
#include "services/bastion/links.h"

namespace merlon::bastion {
namespace {

constexpr const char* kNetworkContributor = "4d97b98b-1d4f-4787-a291-c67834d212e7";
constexpr const char* kAdministratorLogin = "1c0163c0-47e6-4577-8991-ea5c82e286e4";
constexpr const char* kUserLoginRole = "fb879df8-f326-4884-b1cf-06f3ad86be52";

class LinkTest : public BastionFixture {
 protected:
  LinkTest() {
    make_setting();
    // Azure's right to make links, and what reaching a machine takes.
    assign(ada_.id, kNetworkContributor, kRg);
    host_ = string_at(call(owner_, "GET", kHostId, {}, 200), "properties.dnsName").value_or("");
  }
  static JsonObject vms(const std::string& machine = "web-1", JsonObject more = {}) {
    more["vms"] = JsonArray{JsonObject{{"vm", JsonObject{{"id", kMachines + machine}}}}};
    return more;
  }
  JsonObject make(const Person& who, JsonObject body) {
    const Answer answer = send(who, "POST", kHostId + "/createShareableLinks", body);
    EXPECT_EQ(answer.status, 200) << to_text(answer.body);
    const JsonArray* value = array_at(answer.body, "value");
    EXPECT_TRUE(value != nullptr && value->size() == 1);
    return value == nullptr || value->empty() ? JsonObject() : value->front().as_object();
  }
  std::string token_of(const JsonObject& link) {
    const std::string url = string_at(link, "bsl").value_or("");
    EXPECT_TRUE(url.starts_with("https://" + host_ + "/api/shareable-url/")) << url;
    return url.substr(url.rfind('/') + 1);
  }
  net::Request to_plane(const std::string& path) const {
    net::Request request = request_to("GET", path);
    request.host = host_;
    return request;
  }
  // The browser's request after the link was opened there.
  net::Request with_cookie(const std::string& token) const {
    net::Request request = to_plane("/");
    request.headers.set("Cookie", std::string(kLinkCookie) + "=" + token);
    return request;
  }
  int open(const std::string& token, net::Response* got = nullptr) {
    net::Request request = to_plane("/api/shareable-url/" + token);
    request.headers.set("Accept", "text/html");
    const net::Response response = bastion_->handle(request);
    if (got != nullptr) *got = response;
    return response.status;
  }
  Result<Admission> go_in(const std::string& token, std::optional<identity::Principal> holder = {}) {
    WayIn way = TRY(bastion_->way_by_link(with_cookie(token), std::move(holder)));
    if (way.login.empty()) way.login = "admin";
    return bastion_->admit(way);
  }
  std::vector<JsonObject> listed(const Person& who, const JsonObject& body = {}) {
    std::vector<JsonObject> all;
    const Answer answer = send(who, "POST", kHostId + "/getShareableLinks", body);
    EXPECT_EQ(answer.status, 200) << to_text(answer.body);
    if (const JsonArray* value = array_at(answer.body, "value"))
      for (const Json& link : *value) all.push_back(link.as_object());
    return all;
  }
  std::string host_;
};

TEST_F(LinkTest, ALinkLetsWhoeverHasItInByItsMakersRight) {
  const JsonObject link = make(ada_, vms());
  const std::string token = token_of(link);
  EXPECT_EQ(token.size(), 43U);
  net::Response opened;
  EXPECT_EQ(open(token, &opened), 303);
  EXPECT_EQ(opened.headers.value_or("Location", ""), "/");
  EXPECT_NE(opened.headers.value_or("Set-Cookie", "").find("HttpOnly"), std::string_view::npos);
  EXPECT_EQ(opened.headers.value_or("Referrer-Policy", ""), "no-referrer");
  EXPECT_EQ(opened.headers.value_or("Cache-Control", ""), "no-store");
  const LinkView view = must(bastion_->link_of(with_cookie(token)));
  EXPECT_EQ(view.target_name, "web-1");
  EXPECT_EQ(view.uses_left, kLinkUses);
  const Admission admission = must(go_in(token));
  EXPECT_EQ(admission.target_id, kMachines + "web-1");
  EXPECT_FALSE(admission.may_log_in || admission.may_log_in_as_admin);
  EXPECT_EQ(admission.deadline, clock_.now() + kLinkLife);
  const JsonObject shown = session(admission.session);
  EXPECT_EQ(string_at(shown, "properties.userName"), "a shareable link of ada@merlon.localhost");
  EXPECT_EQ(string_at(shown, "properties.transport"), "link");
  EXPECT_EQ(string_at(shown, "properties.signedInBy"), "link");
  EXPECT_EQ(must(bastion_->link_of(with_cookie(token))).uses_left, kLinkUses - 1);
  const auto entries = world_.entries("Merlon.Bastion/sessions/start/action");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(string_at(entries.front().details, "link"), string_at(link, "id"));
}

TEST_F(LinkTest, AzuresListShowsTheWholeLinkAgainAndTheStoreDoesNot) {
  const std::string token = token_of(make(ada_, vms()));
  ASSERT_EQ(listed(ada_).size(), 1U);
  EXPECT_EQ(token_of(listed(ada_, vms()).front()), token);
  EXPECT_TRUE(listed(ada_, vms("web-2")).empty());
  // Asked for again it is the same, until its maker says otherwise.
  EXPECT_EQ(token_of(make(ada_, vms())), token);
  EXPECT_NE(token_of(make(ada_, vms("web-1", {{"maximumUses", 1}}))), token);
  EXPECT_EQ(open(token), 404);
  EXPECT_EQ(listed(ada_).size(), 1U);
  for (const ledger::Entry& entry : world_.entries("Merlon.Bastion/shareableLinks/write"))
    EXPECT_EQ(to_text(entry.details).find(token), std::string::npos);
  EXPECT_EQ(world_.entries("Merlon.Bastion/shareableLinks/write").size(), 2U);
}

TEST_F(LinkTest, OnlyWhoMayBothMakeLinksAndReachTheMachineMakesThem) {
  const Person bob = person("bob");
  EXPECT_EQ(send(bob, "POST", kHostId + "/createShareableLinks", vms()).status, 403);
  assign(bob.id, kNetworkContributor, kNet + "bastionHosts/bst");  // the links, not the machine
  EXPECT_EQ(send(bob, "POST", kHostId + "/createShareableLinks", vms()).code(), "MachineNotFound");
  make(ada_, vms());
  EXPECT_TRUE(listed(bob).empty());
  EXPECT_EQ(send(ada_, "POST", kHostId + "/createShareableLinks", vms("web-9")).code(), "MachineNotFound");
  EXPECT_EQ(
      send(ada_, "POST", kHostId + "/createShareableLinks", vms("web-1", {{"expiresIn", "P91D"}})).status,
      400);
  EXPECT_EQ(
      send(ada_, "POST", kHostId + "/createShareableLinks", vms("web-1", {{"expiresIn", "PT0S"}})).status,
      400);
  EXPECT_EQ(send(ada_, "POST", kHostId + "/createShareableLinks", vms("web-1", {{"maximumUses", 0}})).status,
            400);
  EXPECT_EQ(send(ada_, "POST", kHostId + "/createShareableLinks", {{"vms", JsonArray{}}}).status, 400);
  // Of several, what cannot be had is said beside the others.
  JsonObject both = vms();
  both["vms"].as_array().push_back(JsonObject{{"vm", JsonObject{{"id", kMachines + "web-9"}}}});
  const Answer mixed = send(ada_, "POST", kHostId + "/createShareableLinks", both);
  ASSERT_EQ(mixed.status, 200);
  EXPECT_FALSE(string_at(mixed.body.at("value").as_array().at(1).as_object(), "message")->empty());
}

TEST_F(LinkTest, ItEndsByTimeByUseByDeletionAndWithItsMachine) {
  const std::string once = token_of(make(ada_, vms("web-1", {{"maximumUses", 1}, {"expiresIn", "PT1H"}})));
  EXPECT_TRUE(go_in(once));
  EXPECT_EQ(code(go_in(once)), "LinkNotValid");
  EXPECT_EQ(open(once), 403);
  const std::string timed = token_of(make(ada_, vms("web-1", {{"expiresIn", "PT1H"}})));
  clock_.advance(std::chrono::hours(1));
  EXPECT_EQ(code(go_in(timed)), "LinkNotValid");
  const std::string deleted = token_of(make(ada_, vms()));
  const Admission running = must(go_in(deleted));
  EXPECT_EQ(
      send(ada_, "POST", kHostId + "/deleteShareableLinksByToken", {{"tokens", JsonArray{deleted}}}).status,
      202);
  EXPECT_EQ(code(go_in(deleted)), "LinkNotFound");
  std::string told;
  bastion_->watch(running.session, [&](const Notice& notice) { told += notice.reason; });
  pass(std::chrono::seconds(1));
  EXPECT_EQ(told, "LinkDeleted");
  make(ada_, vms());
  EXPECT_EQ(send(ada_, "POST", kHostId + "/deleteShareableLinks", vms()).status, 202);
  EXPECT_TRUE(listed(ada_).empty());
  make_machine("web-2", "net");
  const std::string gone = token_of(make(ada_, vms("web-2")));
  call(owner_, "DELETE", kMachines + "web-2", {}, 200);
  EXPECT_EQ(open(gone), 404);
}

TEST_F(LinkTest, ItStopsWithItsMakersRightAndWithTheFeature) {
  const std::string token = token_of(make(ada_, vms()));
  const Admission running = must(go_in(token));
  std::string told;
  bastion_->watch(running.session, [&](const Notice& notice) { told += notice.reason; });
  unassign_all(ada_);
  EXPECT_EQ(code(go_in(token)), "LinkMakerLacksRight");
  pass(std::chrono::seconds(3));
  EXPECT_EQ(told, "RightsRemoved");
  assign(ada_.id, kReaderRole, kRg);
  EXPECT_TRUE(go_in(token));
  must(world_.store().write([&](store::Transaction& tx) {
    return identity::revoke_sessions(tx, core().tenant, ada_.id, world_.random);
  }));
  EXPECT_EQ(code(go_in(token)), "LinkMakerLacksRight");
  const std::string owners = token_of(make(owner_, vms()));
  call(owner_, "PUT", kHostId, host_body("Standard", "net", {{"enableShareableLink", false}}), 200);
  EXPECT_EQ(code(go_in(owners)), "BastionFeatureNotEnabled");
  EXPECT_EQ(send(owner_, "POST", kHostId + "/createShareableLinks", vms()).code(), "ShareableLinkNotEnabled");
}

TEST_F(LinkTest, ItMayAskItsHolderToSignIn) {
  const Person bob = person("bob");  // with no right at all
  const std::string token = token_of(make(ada_, vms("web-1", {{"signInRequired", true}})));
  EXPECT_EQ(code(go_in(token)), "LinkNeedsSignIn");
  const Admission admission = must(go_in(token, principal(bob)));
  EXPECT_EQ(string_at(session(admission.session), "properties.linkHolder"), "bob@merlon.localhost");
  identity::Principal past = principal(bob);
  past.session_id = Uuid::generate(world_.random).text();
  EXPECT_EQ(code(go_in(token, past)), "LinkNeedsSignIn");
  const std::string strict = token_of(make(ada_, vms("web-1", {{"mfaRequired", true}})));
  EXPECT_EQ(code(go_in(strict, principal(bob))), "LinkNeedsMfa");
  Person proven = bob;
  proven.amr = {"pwd", "mfa"};
  EXPECT_TRUE(go_in(strict, principal(proven)));
}

TEST_F(LinkTest, ItGivesTheOneLoginThatItsMakerHasAndNoOther) {
  const auto ask = [&](const std::string& login) {
    return send(ada_, "POST", kHostId + "/createShareableLinks", vms("web-1", {{"login", login}}));
  };
  EXPECT_EQ(ask("admin").code(), "LoginNotAllowed");
  EXPECT_EQ(ask("ada").code(), "LoginNotAllowed");
  EXPECT_EQ(ask("a b").status, 400);
  assign(ada_.id, kUserLoginRole, kRg);
  EXPECT_EQ(ask("admin").code(), "LoginNotAllowed");
  EXPECT_EQ(ask("ada").status, 200);
  assign(ada_.id, kAdministratorLogin, kRg);
  const std::string token = token_of(make(ada_, vms("web-1", {{"login", "admin"}})));
  EXPECT_EQ(must(bastion_->link_of(with_cookie(token))).login, "admin");
  EXPECT_EQ(string_at(listed(ada_).front(), "login"), "admin");
  const Admission admission = must(go_in(token));
  EXPECT_TRUE(admission.login_is_by_link);
  EXPECT_EQ(admission.login, "admin");
  EXPECT_FALSE(admission.may_log_in || admission.may_log_in_as_admin);
  WayIn other = must(bastion_->way_by_link(with_cookie(token), {}));
  other.login = "root";
  EXPECT_FALSE(bastion_->admit(other));
  // Without one it gives none.
  const std::string plain = token_of(make(ada_, vms("web-1", {{"maximumUses", 5}})));
  EXPECT_FALSE(must(go_in(plain)).login_is_by_link);
  // A policy that lets people in as themselves lets in nobody by a link.
  set_policy("own", {{"logins", JsonArray{"{user}"}}});
  EXPECT_EQ(ask("ada").code(), "SessionPolicyViolation");
  call(owner_, "DELETE", kHostId + "/providers/Merlon.Bastion/sessionPolicies/own", {}, 200);
  // And it stops with the right to log in, using nothing up.
  const std::string ends = token_of(make(ada_, vms("web-1", {{"login", "admin"}, {"maximumUses", 1}})));
  unassign_all(ada_);
  assign(ada_.id, kReaderRole, kRg);
  EXPECT_EQ(code(go_in(ends)), "LinkMakerLacksRight");
  EXPECT_EQ(must(bastion_->link_of(with_cookie(ends))).uses_left, 1);
}

// A link is a login that outlives its making: it is made with the factor that the login asks for.
TEST_F(LinkTest, ALoginThatAsksForAFreshSecondFactorIsGivenToNobodyWithoutOne) {
  assign(ada_.id, kAdministratorLogin, kRg);
  must(world_.store().write([&](store::Transaction& tx) {
    return resource::StepUps(core()).put(
        tx, kRg, "logins",
        {{"id", resource::step_up_id(kRg, "logins")},
         {"name", "logins"},
         {"properties",
          {{"scope", kRg},
           {"maxAgeMinutes", 5},
           {"actions", JsonArray{"Microsoft.Compute/virtualMachines/loginAsAdmin/action"}},
           {"roleDefinitionIds", JsonArray()}}}});
  }));
  const JsonObject wish = vms("web-1", {{"login", "admin"}});
  const Answer refused = send(ada_, "POST", kHostId + "/createShareableLinks", wish);
  EXPECT_EQ(refused.status, 401) << to_text(refused.body);
  EXPECT_FALSE(refused.headers.value_or("WWW-Authenticate", "").empty());
  Person proven = ada_;
  proven.amr = {"pwd", "mfa"};
  token_of(make(proven, wish));
}

TEST_F(LinkTest, APolicyThatAsksForASecondFactorHoldsForLinksToo) {
  const std::string token = token_of(make(ada_, vms()));
  set_policy("mfa", {{"mfaWithin", "PT10M"}});
  EXPECT_FALSE(go_in(token));
  Person proven = person("bob");
  proven.amr = {"pwd", "mfa"};
  EXPECT_TRUE(go_in(token, principal(proven)));
}

TEST_F(LinkTest, GuessesAreLimitedAndEntered) {
  const std::string token = token_of(make(ada_, vms()));
  for (size_t i = 0; i < GuessLimit::kGuesses; ++i) EXPECT_EQ(open("guess" + std::to_string(i)), 404);
  EXPECT_EQ(open("guess"), 429);
  EXPECT_EQ(open(token), 429);  // from that address nothing is looked at any more
  clock_.advance(GuessLimit::kWithin);
  EXPECT_EQ(open(token), 303);
  must(core().ledger.flush(Timestamp::max()));
  const auto entries = world_.entries("Merlon.Bastion/shareableLinks/use/action");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries.front().count, static_cast<int64_t>(GuessLimit::kGuesses));
}

TEST_F(LinkTest, NobodyIsLetInByALinkThatIsNone) {
  WayIn bare = way(ada_);
  bare.transport = Transport::link;
  bare.target = kMachines + "web-1";
  EXPECT_FALSE(bastion_->admit(bare));
  make_machine("web-2", "net");
  WayIn elsewhere = must(bastion_->way_by_link(with_cookie(token_of(make(ada_, vms()))), {}));
  elsewhere.target = kMachines + "web-2";
  EXPECT_FALSE(bastion_->admit(elsewhere));
  EXPECT_EQ(must(bastion_->link_of(with_cookie(token_of(make(ada_, vms()))))).uses_left, kLinkUses);
  EXPECT_TRUE(active().empty());
}

}  // namespace
}  // namespace merlon::bastion

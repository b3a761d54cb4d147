// The data plane without sockets: who is given tokens, and what those are good for.
#include "services/bastion/bastion_fixture.h"

namespace merlon::bastion {
namespace {

struct Wish {
  std::string resource = kMachines + "web-1";
  std::string port = "22";
  std::string last{};
  std::string token{};
};

class PlaneTest : public BastionFixture {
 protected:
  PlaneTest() { set_up("Standard"); }
  void set_up(const std::string& sku) {
    make_setting(sku);
    host_ = string_at(call(owner_, "GET", kHostId, {}, 200), "properties.dnsName").value_or("");
  }
  net::Request to_plane(const std::string& method, const std::string& path) const {
    net::Request request = request_to(method, path);
    request.host = host_;
    return request;
  }
  Answer ask(const net::Request& request) {
    EXPECT_TRUE(bastion_->handles(request));
    const net::Response response = bastion_->handle(request);
    Answer answer{response.status, {}, response.headers};
    if (response.body.starts_with("{")) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  Answer tokens(const Person& who, Wish wish = {}) {
    net::Request request = to_plane("POST", "/api/tokens");
    if (wish.token.empty()) wish.token = token_for(who);
    request.body = "resourceId=" + net::percent_encode(wish.resource) +
                   "&protocol=tcptunnel&workloadHostPort=" + wish.port +
                   "&aztoken=" + net::percent_encode(wish.token);
    if (!wish.last.empty()) request.body += "&token=" + net::percent_encode(wish.last);
    return ask(request);
  }
  // "in", or the code of the refusal.
  std::string redeem(const std::string& token, net::TunnelPlan* plan = nullptr) {
    auto answer = bastion_->upgrade(to_plane("GET", "/webtunnelv2/" + token + "?X-Node-Id=x"));
    if (!answer) return string_at(must(parse_json_object(answer.error().body)), "code").value_or("?");
    if (plan != nullptr) *plan = *answer;
    return "in";
  }
  std::string host_;
};

TEST_F(PlaneTest, ATokenLetsItsOwnerThroughOnce) {
  const Answer given = tokens(ada_);
  ASSERT_EQ(given.status, 200) << to_text(given.body);
  EXPECT_GE(given.at("websocketToken").size(), 43U);
  EXPECT_FALSE(given.at("nodeId").empty());
  EXPECT_TRUE(active().empty());
  net::TunnelPlan plan;
  EXPECT_EQ(redeem(given.at("websocketToken"), &plan), "in");
  EXPECT_EQ(plan.address.text(), "10.1.0.4");
  EXPECT_EQ(plan.port, 22);
  EXPECT_EQ(active().size(), 1U);
  EXPECT_EQ(redeem(given.at("websocketToken")), "TokenNotValid");
  EXPECT_EQ(redeem(given.at("authToken")), "TokenNotValid");
  EXPECT_EQ(redeem("made-up"), "TokenNotValid");
  plan.ended(
      {.end = net::TunnelEnd::target_closed, .detail = {}, .bytes_to_target = 1, .bytes_to_client = 2});
  EXPECT_TRUE(active().empty());
}

TEST_F(PlaneTest, ATokenIsGoodForSecondsAndForNothingElse) {
  const std::string late = tokens(ada_).at("websocketToken");
  clock_.advance(std::chrono::seconds(31));
  EXPECT_EQ(redeem(late), "TokenNotValid");
  const std::string auth = tokens(ada_).at("authToken");
  make_machine("web-2", "net");
  EXPECT_EQ(tokens(ada_, {.last = auth}).status, 200);
  EXPECT_EQ(tokens(ada_, {.port = "2222", .last = auth}).status, 403);
  EXPECT_EQ(tokens(ada_, {.resource = kMachines + "web-2", .last = auth}).status, 403);
  EXPECT_EQ(tokens(owner_, {.last = auth}).status, 403);
}

TEST_F(PlaneTest, WhatWasAllowedWhenItWasGivenIsAskedAgain) {
  const std::string token = tokens(ada_).at("websocketToken");
  unassign_all(ada_);
  EXPECT_NE(redeem(token), "in");
  assign(ada_.id, kReaderRole, kRg);
  EXPECT_EQ(redeem(token), "TokenNotValid");  // it was used up by the refusal
}

TEST_F(PlaneTest, RefusalsAreMessages) {
  const auto refused = [&](const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << to_text(answer.body);
    EXPECT_GT(answer.at("message").size(), 10U);
  };
  refused(tokens(ada_, {.token = "nonsense"}), 401);
  refused(tokens(person("eve")), 404);
  refused(tokens(ada_, {.port = "0"}), 400);
  refused(tokens(ada_, {.port = "22x"}), 400);
  refused(tokens(ada_, {.resource = "web-1"}), 400);
  refused(tokens(ada_, {.resource = kMachines + "no"}), 404);
  net::Request twice = to_plane("POST", "/api/tokens");
  twice.body = "aztoken=a&aztoken=b";
  refused(ask(twice), 400);
  refused(ask(to_plane("GET", "/api/tokens")), 404);
  net::Request elsewhere = to_plane("POST", "/api/tokens");
  elsewhere.host = "bst-00000000-0000-4000-8000-000000000000.bastion.merlon.localhost:8443";
  refused(ask(elsewhere), 404);
  call(owner_, "PUT", kHostId, host_body("Standard", "net"), 200);
  const Answer off = tokens(ada_);
  refused(off, 403);
  EXPECT_NE(off.at("message").find("enableTunneling"), std::string::npos);
}

TEST_F(PlaneTest, DeletingTheTokenEndsWhatCameOfIt) {
  const Answer given = tokens(ada_);
  net::TunnelPlan plan;
  ASSERT_EQ(redeem(given.at("websocketToken"), &plan), "in");
  std::string cut;
  plan.started(net::TunnelControl([&](std::string reason) { cut = std::move(reason); }));
  EXPECT_EQ(ask(to_plane("DELETE", "/api/tokens/" + given.at("authToken"))).status, 204);
  EXPECT_EQ(ask(to_plane("DELETE", "/api/tokens/" + given.at("authToken"))).status, 404);
  pass(std::chrono::seconds(1));
  EXPECT_FALSE(cut.empty());
}

TEST_F(PlaneTest, AnotherBastionsTokenIsNoneHere) {
  make_network("far", 2);
  const JsonObject other = make_host("Standard", "far", {{"enableTunneling", true}}, "other");
  const Answer given = tokens(ada_);
  host_ = string_at(other, "properties.dnsName").value_or("");
  EXPECT_EQ(redeem(given.at("websocketToken")), "TokenNotValid");
  EXPECT_EQ(ask(to_plane("DELETE", "/api/tokens/" + given.at("authToken"))).status, 404);
}

TEST_F(PlaneTest, ATunnelIsOpaqueUnlessSomebodyEndsSshInIt) {
  call(owner_, "PUT", kHostId,
       host_body("Premium", "net", {{"enableTunneling", true}, {"enableSessionRecording", true}}), 200);
  const Answer refused = tokens(ada_);
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.at("message").find("recorded"), std::string::npos);
  bastion_->end_ssh_with([](const Admission& admission) -> Result<int> {
    EXPECT_EQ(admission.recording, Recording::require);
    return 77;
  });
  net::TunnelPlan plan;
  EXPECT_EQ(redeem(tokens(ada_).at("websocketToken"), &plan), "in");
  EXPECT_EQ(plan.descriptor, 77);
  EXPECT_EQ(tokens(ada_, {.port = "3389"}).status, 403);  // RDP stays opaque
  bastion_->end_ssh_with([](const Admission& admission) -> Result<int> {
    EXPECT_FALSE(admission.held_because.empty());
    return 78;
  });
  set_policy("four-eyes", {{"moderation", "pause"}});
  EXPECT_EQ(redeem(tokens(ada_).at("websocketToken"), &plan), "in");
  EXPECT_EQ(plan.descriptor, 78) << "whoever ends SSH inside it can hold it";
}

TEST_F(PlaneTest, SshIsEndedInATunnelForWhomAPolicyLimitsInside) {
  EXPECT_EQ(tokens(ada_).at("sshEndsAt"), "machine");
  set_policy("owner-only", {{"appliesTo", JsonObject{{"principalIds", JsonArray{owner_.id.text()}}}},
                            {"channels", JsonObject{{"forwarding", false}}}});
  bastion_->end_ssh_with([](const Admission& admission) -> Result<int> {
    EXPECT_FALSE(admission.channels.forwarding);
    return 79;
  });
  EXPECT_EQ(tokens(ada_).at("sshEndsAt"), "machine");
  const Answer given = tokens(owner_);
  EXPECT_EQ(given.at("sshEndsAt"), "bastion");
  net::TunnelPlan plan;
  EXPECT_EQ(redeem(given.at("websocketToken"), &plan), "in");
  EXPECT_EQ(plan.descriptor, 79);
}

// The value of a line of an .rdp file.
std::string line_of(const std::string& file, const std::string& name) {
  const size_t at = file.find(name + ":");
  if (at == std::string::npos) return "";
  const size_t from = at + name.size() + 3;
  return file.substr(from, file.find('\r', from) - from);
}

class RdpFileTest : public PlaneTest {
 protected:
  net::Response rdp_file(const Person& person, const std::string& machine = "web-1",
                         const std::string& port = "3389") {
    net::Request request =
        to_plane("GET", "/api/rdpfile?resourceId=" + net::percent_encode(kMachines + machine) +
                            "&format=rdp&rdpport=" + port + "&enablerdsaad=false");
    request.headers.set("Authorization", "Bearer " + token_for(person));
    return bastion_->handle(request);
  }
  // "in", or the code of the refusal, of somebody who arrives with a token and names a machine.
  std::string arrive(const std::string& token, const std::string& machine, uint16_t port = 3389) {
    const auto upgraded = bastion_->upgrade(to_plane("GET", "/remoteDesktopGateway/"));
    if (!upgraded) return "no gateway";
    const auto little = [](uint64_t number, size_t bytes) {
      std::string out;
      for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
      return out;
    };
    const auto packet = [&](uint16_t type, const std::string& body) {
      return little(type, 4) + little(8 + body.size(), 4) + body;
    };
    const auto text = [&](const std::string& ascii) {
      std::string units;
      for (const char c : ascii) units += std::string{c, 0};
      return little(units.size(), 2) + units;
    };
    const auto step = upgraded->dialog->take(
        packet(1, little(1, 4) + little(2, 2)) + packet(4, little(0, 4) + little(1, 4) + text(token)) +
        packet(6, little(0, 2) + text("laptop")) +
        packet(8, little(1, 2) + little(port, 2) + little(3, 2) + text(machine)));
    if (!step || !step->asks) return "not asked";
    const auto plan = upgraded->dialog->open();
    if (!plan) return plan.error().code;
    plans_.push_back(*plan);
    return "in";
  }
  std::vector<net::TunnelPlan> plans_;
};

TEST_F(RdpFileTest, AnRdpFileIsForNoSsh) {
  EXPECT_EQ(rdp_file(ada_, "web-1", "22").status, 403);
  EXPECT_EQ(rdp_file(ada_, "web-1", "3389").status, 200);
}

TEST_F(RdpFileTest, LeadsThroughTheGateway) {
  const net::Response answer = rdp_file(ada_);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(line_of(answer.body, "full address"), "web-1:3389");
  EXPECT_EQ(line_of(answer.body, "gatewayhostname"), host_);
  EXPECT_EQ(line_of(answer.body, "gatewaycredentialssource"), "5");
  const std::string token = line_of(answer.body, "gatewayaccesstoken");
  EXPECT_EQ(arrive(token, "WEB-1"), "in");
  ASSERT_EQ(plans_.size(), 1U);
  EXPECT_EQ(plans_.front().port, 3389);
  EXPECT_EQ(arrive(token, plans_.front().address.text()), "in") << "clients connect more than once";
  clock_.advance(std::chrono::minutes(6));
  EXPECT_EQ(arrive(token, "web-1"), "TokenNotValid");
}

TEST_F(RdpFileTest, WhoWasShownOutDoesNotComeBackByTheSameFile) {
  const std::string token = line_of(rdp_file(ada_).body, "gatewayaccesstoken");
  ASSERT_EQ(arrive(token, "web-1"), "in");
  const std::vector<JsonObject> running = active();
  ASSERT_EQ(running.size(), 1U);
  call(owner_, "POST", kHostId + "/disconnectActiveSessions",
       {{"sessionIds", JsonArray{running.front().at("sessionId")}}}, 200);
  EXPECT_EQ(arrive(token, "web-1"), "TokenNotValid") << "also before the session has ended";
  EXPECT_EQ(arrive(line_of(rdp_file(ada_).body, "gatewayaccesstoken"), "web-1"), "in");
}

TEST_F(RdpFileTest, IsForOneMachineAndPortAndDoor) {
  const std::string token = line_of(rdp_file(ada_).body, "gatewayaccesstoken");
  EXPECT_EQ(arrive(token, "web-2"), "TargetNotCovered");
  EXPECT_EQ(arrive(token, "web-1", 22), "TargetNotCovered");
  EXPECT_EQ(arrive("guessed", "web-1"), "TokenNotValid");
  EXPECT_EQ(redeem(token), "TokenNotValid") << "it is no tunnel's";
  EXPECT_EQ(arrive(tokens(ada_, {.port = "3389"}).at("websocketToken"), "web-1"), "TokenNotValid")
      << "and a tunnel's is none of it";
  EXPECT_TRUE(plans_.empty());
}

TEST_F(RdpFileTest, NeedsARightBothTimes) {
  net::Request anonymous = to_plane(
      "GET", "/api/rdpfile?resourceId=" + net::percent_encode(kMachines + "web-1") + "&rdpport=3389");
  EXPECT_EQ(ask(anonymous).status, 401);
  EXPECT_EQ(rdp_file(person("eve")).status, 404);
  const std::string token = line_of(rdp_file(ada_).body, "gatewayaccesstoken");
  call(owner_, "PUT", kHostId,
       host_body("Premium", "net", {{"enableTunneling", true}, {"enableSessionRecording", true}}), 200);
  EXPECT_NE(arrive(token, "web-1"), "in") << "what cannot be recorded";
  EXPECT_EQ(rdp_file(ada_).status, 403);
}

TEST_F(PlaneTest, ADeveloperBastionSaysWhereToGo) {
  EXPECT_EQ(send(owner_, "DELETE", kHostId).status, 202);
  make_host("Developer", "net");
  host_ = string_at(call(owner_, "GET", kHostId, {}, 200), "properties.dnsName").value_or("");
  net::Request request = to_plane("POST", "/api/connection");
  request.headers.set("Content-Type", "application/json");
  request.body = to_text(JsonObject{{"resourceId", kMachines + "web-1"},
                                    {"bastionResourceId", kHostId},
                                    {"vmPort", 22},
                                    {"azToken", token_for(ada_)},
                                    {"connectionType", "nativeclient"}});
  const net::Response response = bastion_->handle(request);
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.body, host_);
  const std::string token = tokens(ada_).at("websocketToken");
  EXPECT_TRUE(bastion_->upgrade(to_plane("GET", "/omni/webtunnel/" + token)));
}

}  // namespace
}  // namespace merlon::bastion

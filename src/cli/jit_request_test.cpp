// Asking, waiting, running a command, and closing: whatever happens, what was opened is closed.
#include "cli/jit_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <memory>

#include "cli/test_world.h"

namespace merlon::cli {
namespace {

using test::json_answer;
using test::list_of;
using test::refusal;
using test::Server;
using test::World;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kGroup = "/subscriptions/sub/resourceGroups/web";
const std::string kVm = kGroup + "/providers/Microsoft.Compute/virtualMachines/web-1";
const std::string kPolicy =
    kGroup + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
const std::string kId = "11111111-1111-4111-8111-111111111111";
const std::string kRequest = "22222222-2222-4222-8222-222222222222";
const std::string kRequestPath = kPolicy + "/providers/Merlon.Jit/requests/" + kRequest;
const std::string kOpening = kPolicy + "/providers/Merlon.Jit/openings/" + kId;

JsonObject opening(const std::string& state) {
  const JsonObject properties = {{"virtualMachineId", kVm},
                                 {"port", 22},
                                 {"protocol", "Tcp"},
                                 {"sources", JsonArray{"192.0.2.7"}},
                                 {"requestor", "ada@m.example"},
                                 {"endTimeUtc", "2026-01-01T01:00:00Z"},
                                 {"requestId", kRequest},
                                 {"remaining", "PT29M10S"},
                                 {"machineState", state}};
  return {{"id", kOpening}, {"name", kId}, {"properties", properties}};
}

// A program begins with one thread, and a signal may find any that does not block it. The test's server has
// threads of its own: they are made with signals blocked, so that only those of the program count.
class SignalsForThisThread {
 public:
  SignalsForThisThread() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM}) sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  void unblock() { ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_{};
};

class JitRequestTest : public testing::Test {
 protected:
  JitRequestTest() {
    signals.unblock();
    const JsonObject policy = {
        {"id", kPolicy}, {"properties", JsonObject{{"virtualMachines", JsonArray{JsonObject{{"id", kVm}}}}}}};
    policies = list_of({policy});
    server.on("GET " + kGroup + "/providers/Microsoft.Security/jitNetworkAccessPolicies", policies);
    const JsonObject port = {
        {"number", 22}, {"allowedSourceAddressPrefix", "192.0.2.7"}, {"endTimeUtc", "2026-01-01T01:00:00Z"}};
    const JsonObject vm = {{"id", kVm}, {"ports", JsonArray{port}}};
    server.on("POST " + kPolicy + "/initiate", [this, vm](const net::Request&) {
      JsonObject answer = {{"virtualMachines", JsonArray{vm}}, {"id", kRequest}};
      if (approval_needed) answer["approval"] = waiting("Pending").at("properties");
      return json_answer(202, answer);
    });
    server.on("POST " + kRequestPath + "/cancel", waiting("Canceled"));
    JsonObject other = opening("open");  // somebody else's: not to be touched
    other["id"] = kPolicy + "/providers/Merlon.Jit/openings/other";
    other["properties"].as_object()["requestId"] = "another";
    server.on("GET " + kGroup + "/providers/Merlon.Jit/openings", list_of({other, opening("pending")}));
    says("open");
    server.on("POST " + kOpening + "/revoke", opening("closed"));
  }
  static JsonObject waiting(const std::string& state) {
    const JsonObject port = {
        {"number", 22}, {"duration", "PT30M"}, {"allowedSourceAddressPrefix", "192.0.2.7"}};
    const JsonObject vm = {{"id", kVm}, {"ports", JsonArray{port}}};
    const JsonObject denial = {{"name", "bob@m.example"}, {"justification", "not today"}};
    const JsonObject properties = {{"state", state},
                                   {"requestor", "ada@m.example"},
                                   {"justification", "ticket 7"},
                                   {"approvalsRequired", 2},
                                   {"approvals", JsonArray{JsonObject{{"name", "cleo"}}}},
                                   {"waitsUntilUtc", "2026-01-01T08:00:00Z"},
                                   {"virtualMachines", JsonArray{vm}},
                                   {"denial", denial}};
    return {{"id", kRequestPath}, {"name", kRequest}, {"properties", properties}};
  }
  // The request is in these states, one look after the other; then in the last.
  void decided(std::vector<std::string> states) {
    approval_needed = true;
    server.on("GET " + kRequestPath,
              [states, at = std::make_shared<std::atomic<size_t>>(0)](const net::Request&) {
                const size_t look = std::min(at->fetch_add(1), states.size() - 1);
                return json_answer(200, waiting(states[look]));
              });
  }
  size_t canceled() const { return server.requests("POST " + kRequestPath + "/cancel").size(); }
  void says(const std::string& state) { server.on("GET " + kOpening, opening(state)); }
  size_t revoked() const { return server.requests("POST " + kOpening + "/revoke").size(); }
  int request(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"jit", "request", "web-1", "--port", "22", "--for", "90s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return world.run(std::move(arguments));
  }
  JsonObject policies;
  std::atomic<bool> approval_needed = false;
  World world;
  SignalsForThisThread signals;
  Server server{world};
};

TEST_F(JitRequestTest, AsksForWhatWasSaid) {
  ASSERT_EQ(request({"--from", "192.0.2.7", "--justification", "ticket 7"}), kDone) << world.err.str();
  const auto asked = server.requests("POST " + kPolicy + "/initiate");
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(
      asked.front().body,
      R"({"virtualMachines":[{"id":")" + kVm +
          R"(","ports":[{"number":22,"duration":"PT1M30S","allowedSourceAddressPrefix":"192.0.2.7"}]}],)"
          R"("justification":"ticket 7"})");
  EXPECT_EQ(revoked(), 0U);
  EXPECT_THAT(world.out.str(), HasSubstr("192.0.2.7"));
}

TEST_F(JitRequestTest, WaitsUntilTheMachineSaysOpen) {
  std::atomic<int> looks = 0;
  server.on("GET " + kOpening,
            [&](const net::Request&) { return json_answer(200, opening(++looks < 3 ? "pending" : "open")); });
  ASSERT_EQ(request({"--wait"}), kDone) << world.err.str();
  EXPECT_EQ(looks, 3);
  EXPECT_EQ(revoked(), 0U);
}

TEST_F(JitRequestTest, WhatNeverOpensIsClosedAgain) {
  server.on("GET " + kOpening, [this](const net::Request&) {
    world.clock.advance(std::chrono::seconds(20));
    return json_answer(200, opening("pending"));
  });
  EXPECT_EQ(request({"--wait"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("30 s"));
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, ABlockerIsNamed) {
  says("blocked by inet filter input (policy drop)");
  EXPECT_EQ(request({"--wait"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("inet filter input"));
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, WhatTheMachineRefusesIsSaidAndClosed) {
  JsonObject refused = opening("refused");
  refused["properties"].as_object()["machineMessage"] = "The machine refuses it: too wide.";
  server.on("GET " + kOpening, refused);
  EXPECT_EQ(request({"--wait"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("The machine refuses it: too wide."));
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, TheMachinesOwnCapIsSaid) {
  JsonObject capped = opening("open");
  capped["properties"].as_object()["machineMessage"] = "The machine's own cap is 2h.";
  server.on("GET " + kOpening, capped);
  EXPECT_EQ(request({"--wait"}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("The machine's own cap is 2h."));
}

TEST_F(JitRequestTest, MeIsTheAddressThatTheServerSees) {
  ASSERT_EQ(request({"--from", "me"}), kDone) << world.err.str();
  const auto asked = server.requests("POST " + kPolicy + "/initiate");
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_THAT(asked.front().body, testing::Not(HasSubstr("allowedSourceAddressPrefix")));
  EXPECT_EQ(request({"--from", "me", "--from", "192.0.2.7"}), kWrongUsage);
}

TEST_F(JitRequestTest, WithoutWaitingItSaysWhoMustAgree) {
  approval_needed = true;
  ASSERT_EQ(request({}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("Nothing is open yet"));
  EXPECT_THAT(world.out.str(), HasSubstr("merlon jit approve " + kRequest));
  EXPECT_EQ(canceled(), 0U);
}

TEST_F(JitRequestTest, WaitsForApprovalAndThenForTheMachine) {
  decided({"Pending", "Approved"});
  const std::string mark = world.directory + "/ran";
  EXPECT_EQ(request({"--", "touch", mark}), kDone) << world.err.str();
  EXPECT_TRUE(std::filesystem::exists(mark));
  EXPECT_THAT(world.err.str(), HasSubstr("merlon jit approve " + kRequest));
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, ANoIsAFailureAndSaysWhose) {
  decided({"Denied"});
  const std::string mark = world.directory + "/ran";
  EXPECT_EQ(request({"--", "touch", mark}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("denied by bob@m.example (not today)"));
  EXPECT_FALSE(std::filesystem::exists(mark));
  for (const char* state : {"Expired", "Canceled"}) {
    decided({state});
    EXPECT_EQ(request({"--wait"}), kFailed) << state;
    EXPECT_THAT(world.err.str(), HasSubstr("nothing was opened")) << state;
  }
}

TEST_F(JitRequestTest, ASignalWhileOthersThinkTakesTheRequestBack) {
  approval_needed = true;
  server.on("GET " + kRequestPath, [](const net::Request&) {
    ::kill(::getpid(), SIGTERM);
    return json_answer(200, waiting("Pending"));
  });
  EXPECT_EQ(request({"--wait"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("taken back"));
  EXPECT_EQ(canceled(), 1U);
}

TEST_F(JitRequestTest, ApprovesDeniesAndCancelsById) {
  server.on("GET /subscriptions/sub/providers/Merlon.Jit/requests", list_of({waiting("Pending")}));
  ASSERT_EQ(world.run({"jit", "pending"}), kDone) << world.err.str();
  for (const char* shown :
       {"ada@m.example", "port 22 of web-1", "for 30m", "ticket 7", "1 of 2", "192.0.2.7"})
    EXPECT_THAT(world.out.str(), HasSubstr(shown));
  server.on("POST " + kRequestPath + "/approve", waiting("Approved"));
  server.on("POST " + kRequestPath + "/deny", waiting("Denied"));
  ASSERT_EQ(world.run({"jit", "approve", kRequest, "--justification", "go"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(),
              HasSubstr("Approved: port 22 of web-1 is open for ada@m.example from 192.0.2.7."));
  EXPECT_EQ(server.requests("POST " + kRequestPath + "/approve").front().body, R"({"justification":"go"})");
  server.on("POST " + kRequestPath + "/approve", waiting("Pending"));
  ASSERT_EQ(world.run({"jit", "approve", kRequest}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("1 of 2 have agreed; nothing is open yet"));
  ASSERT_EQ(world.run({"jit", "deny", kRequest}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("Denied"));
  ASSERT_EQ(world.run({"jit", "cancel", kRequest}), kDone);
  EXPECT_EQ(canceled(), 1U);
  EXPECT_EQ(world.run({"jit", "approve", "no-id"}), kWrongUsage);
  EXPECT_EQ(world.run({"jit", "approve", kId}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("merlon jit pending"));
}

TEST_F(JitRequestTest, ExtendsByMachineAndById) {
  const std::string list = "GET /subscriptions/sub/providers/Merlon.Jit/openings";
  server.on(list, list_of({opening("open")}));
  server.on("POST " + kOpening + "/extend", opening("open"));
  ASSERT_EQ(world.run({"jit", "extend", "web-1", "--for", "1h"}), kDone) << world.err.str();
  EXPECT_EQ(server.requests("POST " + kOpening + "/extend").front().body, R"({"duration":"PT1H"})");
  EXPECT_THAT(world.out.str(), HasSubstr("Open until 2026-01-01T01:00:00Z"));
  JsonObject later = opening("open");
  later["properties"].as_object()["extension"] = waiting("Pending").at("properties");
  server.on("POST " + kOpening + "/extend", later);
  ASSERT_EQ(world.run({"jit", "extend", kId}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("waits for the approval of 2"));
  JsonObject second = opening("open");
  second["name"] = kRequest;
  server.on(list, list_of({opening("open"), second}));
  EXPECT_EQ(world.run({"jit", "extend", "web-1"}), kFailed);
  EXPECT_EQ(world.run({"jit", "extend", "web-2"}), kFailed);
  EXPECT_EQ(world.run({"jit", "extend", "web-1", "--for", "soon"}), kWrongUsage);
}

TEST_F(JitRequestTest, OptionsAreChangedOneByOneAndOthersChangesAreNoticed) {
  const std::string path = kPolicy + "/providers/Merlon.Jit/options/default";
  server.on("GET " + path, [](const net::Request&) {
    net::Response response = json_answer(200, {{"properties", JsonObject{{"cutEstablished", true}}}});
    response.headers.set("ETag", "W/\"one\"");
    return response;
  });
  server.on("PUT " + path, JsonObject{{"properties", JsonObject{{"approval", JsonObject{{"required", 2}}}}}});
  ASSERT_EQ(world.run({"jit", "policy", "options", "--machine", "web-1"}), kDone) << world.err.str();
  EXPECT_THAT(world.out.str(), HasSubstr("established connections are cut"));
  EXPECT_THAT(server.requests("PUT " + path), SizeIs(0)) << "looking changes nothing";
  ASSERT_EQ(world.run({"jit", "policy", "options", "--machine", "web-1", "--approvals", "2",
                       "--approval-waits", "4h", "--own-address", "only", "--widest", "24,64"}),
            kDone)
      << world.err.str();
  const auto sent = server.requests("PUT " + path);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent.front().headers.value_or("If-Match", ""), "W/\"one\"");
  EXPECT_EQ(sent.front().body,
            R"({"properties":{"cutEstablished":true,"approval":{"required":2,"waitsFor":"PT4H"},)"
            R"("source":{"ownAddressOnly":true,"widestIPv4":24,"widestIPv6":64}}})");
  for (const auto& wrong : std::vector<std::vector<std::string>>{{"--approvals", "eleven"},
                                                                 {"--approvals", "11"},
                                                                 {"--widest", "33"},
                                                                 {"--widest", "24,64,1"},
                                                                 {"--approval-waits", "soon"},
                                                                 {"--established", "maybe"},
                                                                 {"--port", "22"}}) {
    std::vector<std::string> arguments = {"jit", "policy", "options", "--machine", "web-1"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    EXPECT_EQ(world.run(arguments), kWrongUsage) << wrong.front() << " " << wrong.back();
  }
  EXPECT_THAT(server.requests("PUT " + path), SizeIs(1));
}

TEST_F(JitRequestTest, RunsTheCommandAndClosesWhenItEnds) {
  EXPECT_EQ(request({"--wait", "--", "sh", "-c", "exit 7"}), 7) << world.err.str();
  EXPECT_EQ(revoked(), 1U);
  EXPECT_EQ(world.out.str(), "");  // standard output is the command's
  EXPECT_EQ(request({"--", "true"}), kDone);
  EXPECT_EQ(revoked(), 2U);
}

TEST_F(JitRequestTest, TheCommandRunsOnlyOnceThePortIsOpen) {
  const std::string mark = world.directory + "/ran";
  says("no agent");
  EXPECT_EQ(request({"--wait", "--", "touch", mark}), kFailed);
  EXPECT_FALSE(std::filesystem::exists(mark));
  says("open");
  EXPECT_EQ(request({"--wait", "--", "touch", mark}), kDone);
  EXPECT_TRUE(std::filesystem::exists(mark));
}

TEST_F(JitRequestTest, NoShellReadsTheArguments) {
  const std::string mark = world.directory + "/ran";
  EXPECT_EQ(request({"--", "true", "; touch " + mark, "$(touch " + mark + ")"}), kDone);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(JitRequestTest, ACommandThatIsNotThereClosesToo) {
  EXPECT_EQ(request({"--", world.directory + "/nothing"}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("could not be started"));
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, SigtermEndsTheCommandAndCloses) {
  // The command itself ends us, as an operator would who looks at it running.
  const std::string us = std::to_string(::getpid());
  EXPECT_EQ(request({"--", "sh", "-c", "kill -TERM " + us + "; exec sleep 60"}), 128 + SIGTERM);
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, SigintFromAnotherProgramEndsTheCommandAndCloses) {
  const std::string us = std::to_string(::getpid());
  EXPECT_EQ(request({"--", "sh", "-c", "kill -INT " + us + "; exec sleep 60"}), 128 + SIGINT);
  EXPECT_EQ(revoked(), 1U);
}

TEST_F(JitRequestTest, ASignalWhileWaitingCloses) {
  const std::string mark = world.directory + "/ran";
  for (const char* state : {"pending", "open"}) {
    server.on("GET " + kOpening, [state](const net::Request&) {
      ::kill(::getpid(), SIGTERM);
      return json_answer(200, opening(state));
    });
    EXPECT_EQ(request({"--wait", "--", "touch", mark}), kFailed);
    EXPECT_THAT(world.err.str(), HasSubstr("Interrupted"));
  }
  EXPECT_EQ(revoked(), 2U);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(JitRequestTest, ASignalBeforeAskingOpensNothing) {
  server.on("GET " + kGroup + "/providers/Microsoft.Security/jitNetworkAccessPolicies",
            [policies = policies](const net::Request&) {
              ::kill(::getpid(), SIGTERM);
              return json_answer(200, policies);
            });
  EXPECT_EQ(request({}), kFailed);
  EXPECT_THAT(server.requests("POST " + kPolicy + "/initiate"), SizeIs(0));
}

TEST_F(JitRequestTest, AnOpeningThatCannotBeClosedIsSaid) {
  server.on("POST " + kOpening + "/revoke",
            [](const net::Request&) { return refusal(503, "Unavailable", "Not now."); });
  EXPECT_EQ(request({"--", "true"}), kDone);
  EXPECT_THAT(world.err.str(), HasSubstr("ends by itself"));
}

TEST_F(JitRequestTest, WrongUsageAsksNothing) {
  EXPECT_EQ(world.run({"jit", "request", "web-1"}), kWrongUsage);
  for (const char* port : {"ssh", "0", "65536", "-1", "22x", ""})
    EXPECT_EQ(world.run({"jit", "request", "web-1", "--port", port}), kWrongUsage) << port;
  for (const char* wrong : {"30", "m", "-5m", "0s", "soon", ""})
    EXPECT_EQ(world.run({"jit", "request", "web-1", "--port", "22", "--for", wrong}), kWrongUsage) << wrong;
  EXPECT_THAT(server.requests("POST " + kPolicy + "/initiate"), SizeIs(0));
}

TEST_F(JitRequestTest, WithoutAPolicyItSaysHowToMakeOne) {
  server.on("GET " + kGroup + "/providers/Microsoft.Security/jitNetworkAccessPolicies", list_of({}));
  EXPECT_EQ(request({}), kFailed);
  EXPECT_THAT(world.err.str(), HasSubstr("merlon jit policy set --machine web-1"));
}

TEST_F(JitRequestTest, RevokesByMachineAndById) {
  server.on("GET /subscriptions/sub/providers/Merlon.Jit/openings", list_of({opening("open")}));
  EXPECT_EQ(world.run({"jit", "revoke", "web-1"}), kDone);
  EXPECT_EQ(world.run({"jit", "revoke", kId}), kDone);
  EXPECT_EQ(revoked(), 2U);
  EXPECT_EQ(world.run({"jit", "revoke", "web-2"}), kFailed);
  EXPECT_EQ(world.run({"jit", "list"}), kDone);
  EXPECT_THAT(world.out.str(), HasSubstr("ada@m.example"));
}

}  // namespace
}  // namespace merlon::cli

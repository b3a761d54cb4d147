// Asking, waiting, running a command, and closing: whatever happens, what was opened is closed.
#include "cli/jit_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>

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
const std::string kOpening = kPolicy + "/providers/Merlon.Jit/openings/" + kId;

JsonObject opening(const std::string& state) {
  const JsonObject properties = {{"virtualMachineId", kVm},
                                 {"port", 22},
                                 {"protocol", "Tcp"},
                                 {"sources", JsonArray{"192.0.2.7"}},
                                 {"requestor", "ada@m.example"},
                                 {"endTimeUtc", "2026-01-01T01:00:00Z"},
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
    server.on("POST " + kPolicy + "/initiate",
              [vm](const net::Request&) { return json_answer(202, {{"virtualMachines", JsonArray{vm}}}); });
    JsonObject other = opening("open");  // somebody else's: not to be touched
    other["id"] = kPolicy + "/providers/Merlon.Jit/openings/other";
    other["properties"].as_object()["sources"] = JsonArray{"198.51.100.1"};
    server.on("GET " + kGroup + "/providers/Merlon.Jit/openings", list_of({other, opening("pending")}));
    says("open");
    server.on("POST " + kOpening + "/revoke", opening("closed"));
  }
  void says(const std::string& state) { server.on("GET " + kOpening, opening(state)); }
  size_t revoked() const { return server.requests("POST " + kOpening + "/revoke").size(); }
  int request(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"jit", "request", "web-1", "--port", "22", "--for", "90s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return world.run(std::move(arguments));
  }
  JsonObject policies;
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

// A server whose disk is full, as its agents see it: what they must do reaches them; what they report waits.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/log.h"
#include "services/jit/api.h"
#include "simulate/setting.h"

namespace merlon::simulate {
namespace {

class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_log_level(static_cast<LogLevel>(static_cast<int>(LogLevel::error) + 1));
    auto made = ScratchDirectory::make();
    ASSERT_TRUE(made);
    scratch_ = *std::move(made);
    auto setting = make_setting(scratch_->path());
    ASSERT_TRUE(setting) << setting.error().message << setting.error().cause;
    setting_ = *std::move(setting);
    server_ =
        std::make_unique<SimServer>(scratch_->path() + "/server", setting_.disk->after_kill(), now_, random_);
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message << started.error().cause;
  }
  void TearDown() override { set_log_level(LogLevel::info); }

  machine::SyncAnswer sync(const machine::SyncRequest& request) {
    const auto response = server_->call({.method = "POST",
                                         .target = "/agent/v1/sync",
                                         .body = to_text(request.to_json()),
                                         .token = {},
                                         .if_match = {},
                                         .peer = setting_.machines[0].addresses.front(),
                                         .plane = net::Plane::agents,
                                         .certificate = setting_.certificates[0]});
    EXPECT_EQ(response.status, 200) << response.body;
    const auto answer = machine::SyncAnswer::from_json(*parse_json_object(response.body));
    EXPECT_TRUE(answer);
    return answer ? *answer : machine::SyncAnswer();
  }
  int ask(const std::string& method, const std::string& path, const JsonObject& body = {}) {
    return server_->call(setting_.owner, method, path, body).status;
  }
  std::string lines() {
    std::string all;
    EXPECT_TRUE(server_->assembly().core().ledger.export_lines([&](const std::string& line) -> Result<void> {
      all += line + "\n";
      return {};
    }));
    return all;
  }

  Timestamp now_ = kBeginning;
  SeededRandom random_{7};
  std::unique_ptr<ScratchDirectory> scratch_;
  Setting setting_;
  std::unique_ptr<SimServer> server_;
};

TEST_F(FullDiskTest, ARevocationReachesAnAgentThatHasSomethingToReport) {
  ASSERT_EQ(
      ask("POST", setting_.policy() + "/initiate" + std::string(kPolicyVersion),
          {{"virtualMachines",
            JsonArray{JsonObject{{"id", setting_.vm("web-1")},
                                 {"ports", JsonArray{JsonObject{{"number", 22}, {"duration", "PT1H"}}}}}}},
           {"justification", "test"}}),
      202);
  machine::SyncRequest request;
  request.nonce = "n";
  request.boot_id = "boot";
  const auto open = sync(request);
  ASSERT_TRUE(open.state);
  ASSERT_EQ(open.state->openings.size(), 1U);
  EXPECT_FALSE(open.unheard);
  const std::string id = open.state->openings.front().id;
  const std::string grant = id.substr(0, id.find('/'));

  server_->fill_disk(true);
  ASSERT_EQ(ask("POST", setting_.policy() + "/providers/Merlon.Jit/openings/" + grant + "/revoke" +
                            std::string(kPolicyVersion)),
            200)
      << "taking away is taken on the reserve";
  request.have = open.state->version;
  request.applied.version = open.state->version;
  request.observations.push_back({"opened", Duration(5), {{"id", id}}});
  const auto revoked = sync(request);
  EXPECT_TRUE(revoked.unheard);
  ASSERT_TRUE(revoked.state);
  EXPECT_TRUE(revoked.state->openings.empty());
  EXPECT_EQ(lines().find("machines/observations/opened"), std::string::npos);

  server_->fill_disk(false);
  request.have = revoked.state->version;
  const auto heard = sync(request);
  EXPECT_FALSE(heard.unheard);
  EXPECT_NE(lines().find("machines/observations/opened"), std::string::npos);
}

TEST_F(FullDiskTest, AdministratorsSignInOnTheReserveABoundedNumberOfTimesAndNobodyElseDoes) {
  server_->fill_disk(true);
  const auto sign_in = [&](const Client& client) {
    return server_
        ->call({.method = "POST",
                .target = "/" + server_->assembly().settings().tenant.text() + "/oauth2/v2.0/token",
                .body = "grant_type=client_credentials&client_id=" + client.client_id +
                        "&client_secret=" + net::percent_encode(client.secret) +
                        "&scope=" + net::percent_encode("https://" + std::string(kHost) + "//.default"),
                .token = {},
                .if_match = {},
                .peer = client.address,
                .certificate = {}})
        .status;
  };
  EXPECT_EQ(sign_in(setting_.op), 503);
  int signed_in = 0;
  for (int i = 0; i < 30; ++i) signed_in += sign_in(setting_.owner) == 200 ? 1 : 0;
  EXPECT_EQ(signed_in, 12);
  now_ += std::chrono::minutes(5);
  EXPECT_EQ(sign_in(setting_.owner), 200);
  EXPECT_EQ(sign_in(setting_.owner), 503);
  server_->fill_disk(false);
  EXPECT_EQ(sign_in(setting_.owner), 200);
  EXPECT_EQ(sign_in(setting_.op), 200);
}

TEST_F(FullDiskTest, ARemovedMachineIsLetGo) {
  machine::SyncRequest request;
  request.nonce = "n";
  request.boot_id = "boot";
  const int status = ask("DELETE", setting_.machine_path("web-1") + std::string(kMerlonVersion));
  ASSERT_EQ(status, 200);
  server_->fill_disk(true);
  request.observations.push_back({"closed", Duration(5), {{"id", "x"}}});
  EXPECT_TRUE(sync(request).released);
}

}  // namespace
}  // namespace merlon::simulate

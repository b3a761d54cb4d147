// The whole server without sockets, on a clock in the test's hand: bootstrap, sign-in, enrolment, policy,
// request, expiry, and the ledger of it all.
#include "server/assembly.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/time_text.h"
#include "crypto/key.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "machine/messages.h"
#include "server/first_start.h"

namespace merlon::server {
namespace {

constexpr std::string_view kGroup = "/resourceGroups/rg1";

class AssemblyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "merlon-assembly-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    start();
    const auto started = first_start(*assembly_, directory_, "8443", KeepBootstrap::yes);
    ASSERT_TRUE(started.has_value()) << started.error().message << started.error().cause;
    bootstrap_ = *parse_json_object(read(directory_ + "/bootstrap.json"));
    token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
    subscription_ = "/subscriptions/" + *string_at(bootstrap_, "subscriptionId");
  }
  void TearDown() override {
    assembly_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    assembly_.reset();
    auto made = Assembly::make({.state_dir = directory_,
                                .domain = "merlon.localhost",
                                .root_key_path = directory_ + "/root.key",
                                .own_audiences = {}},
                               clock_, random_);
    ASSERT_TRUE(made.has_value()) << made.error().message << made.error().cause;
    assembly_ = *std::move(made);
  }

  static std::string read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  net::Response send(std::string method, const std::string& target, const std::string& body = {},
                     const std::string& token = {}, net::Plane plane = net::Plane::control,
                     const std::string& certificate = {}) {
    net::Request request;
    request.method = std::move(method);
    request.target = target;
    const auto parsed = net::parse_target(target);
    EXPECT_TRUE(parsed.has_value()) << target;
    request.path = parsed->path;
    request.segments = parsed->segments;
    request.query = parsed->query;
    request.body = body;
    request.host = "merlon.localhost:8443";
    request.peer = *IpAddress::parse("198.51.100.7");
    request.request_id = Uuid::generate(random_).text();
    request.plane = plane;
    request.client_certificate_pem = certificate;
    const bool is_form = target.ends_with("/token");
    if (!body.empty())
      request.headers.set("Content-Type", is_form ? "application/x-www-form-urlencoded" : "application/json");
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    std::optional<net::Response> answer;
    assembly_->handle(std::move(request),
                      net::Responder([&](net::Response response) { answer = std::move(response); }));
    EXPECT_TRUE(answer.has_value()) << "no answer to " << target;
    return answer.value_or(net::Response{.status = 0, .headers = {}, .body = {}});
  }

  JsonObject call(const std::string& method, const std::string& path, const JsonObject& body, int expected) {
    const std::string version = path.find('?') == std::string::npos ? "?api-version=2024-05-01" : "";
    const auto answer =
        send(method, path + version, method == "GET" || method == "DELETE" ? "" : to_text(body), token_);
    EXPECT_EQ(answer.status, expected) << method << " " << path << "\n" << answer.body;
    auto json = parse_json_object(answer.body.empty() ? "{}" : answer.body);
    return json ? *json : JsonObject();
  }

  std::string sign_in(const std::string& id, const std::string& secret) {
    const auto answer = send(
        "POST", "/" + *string_at(bootstrap_, "tenantId") + "/oauth2/v2.0/token",
        "grant_type=client_credentials&client_id=" + id + "&client_secret=" + net::percent_encode(secret) +
            "&scope=" + net::percent_encode(*string_at(bootstrap_, "audience") + "/.default"));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return string_at(*parse_json_object(answer.body), "access_token").value_or("");
  }

  // Enrols a machine as an agent would, and keeps its certificate.
  void enrol() {
    const JsonObject token =
        call("POST", subscription_ + std::string(kGroup) + "/providers/Merlon.Machines/enrolmentTokens",
             {{"name", "web-1"}, {"enforce", true}}, 201);
    machine::EnrolRequest request;
    request.token = string_at(token, "token").value_or("");
    const auto key = *crypto::PrivateKey::generate(crypto::KeyKind::ec_p256);
    request.certificate_request_pem = *crypto::make_request(key, "web-1");
    request.facts.hostname = "web-1";
    request.facts.boot_id = "boot-1";
    machine::ReportedInterface eth0;
    eth0.name = "eth0";
    eth0.addresses = {{*IpAddress::parse("10.7.0.4"), 24U}, {*IpAddress::parse("fd07::4"), 64U}};
    eth0.default_route = true;
    request.facts.interfaces = {eth0};
    enrolment_body_ = to_text(request.to_json());
    const auto answer = send("POST", "/agent/v1/enrol", enrolment_body_);
    ASSERT_EQ(answer.status, 201) << answer.body;
    const auto enrolled = machine::EnrolAnswer::from_json(*parse_json_object(answer.body));
    ASSERT_TRUE(enrolled.has_value());
    certificate_ = enrolled->certificate_pem;
    vm_ = enrolled->resource_id;
  }

  machine::SyncAnswer sync(const std::string& boot_id = "boot-1") {
    machine::SyncRequest request;
    request.nonce = "n";
    request.boot_id = boot_id;
    const auto answer =
        send("POST", "/agent/v1/sync", to_text(request.to_json()), {}, net::Plane::agents, certificate_);
    EXPECT_EQ(answer.status, 200) << answer.body;
    auto read_answer = machine::SyncAnswer::from_json(*parse_json_object(answer.body));
    EXPECT_TRUE(read_answer.has_value());
    return *read_answer;
  }

  std::string policy_path() const {
    return subscription_ + std::string(kGroup) +
           "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default";
  }
  std::string group_path() const {
    return subscription_ + std::string(kGroup) +
           "/providers/Microsoft.Network/networkSecurityGroups/web-1-nsg";
  }

  void set_policy() {
    const JsonObject port = {{"number", 22},
                             {"protocol", "TCP"},
                             {"allowedSourceAddressPrefix", "*"},
                             {"maxRequestAccessDuration", "PT3H"}};
    call("PUT", policy_path() + "?api-version=2020-01-01",
         {{"kind", "Basic"},
          {"properties",
           JsonObject{{"virtualMachines", JsonArray{JsonObject{{"id", vm_}, {"ports", JsonArray{port}}}}}}}},
         200);
  }

  JsonObject initiate(const JsonObject& port, int expected) {
    JsonObject wanted = port;
    wanted["number"] = 22;
    return call(
        "POST", policy_path() + "/initiate?api-version=2020-01-01",
        {{"virtualMachines", JsonArray{JsonObject{{"id", vm_}, {"ports", JsonArray{std::move(wanted)}}}}},
         {"justification", "look at the log"}},
        expected);
  }

  JsonArray rules() { return *array_at(call("GET", group_path(), {}, 200), "properties.securityRules"); }

  ManualClock clock_;
  crypto::SystemRandom random_;
  std::string directory_, token_, subscription_, certificate_, vm_, enrolment_body_;
  JsonObject bootstrap_;
  std::unique_ptr<Assembly> assembly_;
};

TEST_F(AssemblyTest, AnOpeningOpensAndClosesByItself) {
  enrol();
  const std::string group_before = to_text(call("GET", group_path(), {}, 200));
  set_policy();
  EXPECT_EQ(rules().size(), 2U) << "one deny per address";
  EXPECT_TRUE(sync().state->openings.empty());
  initiate({{"duration", "PT30M"}}, 202);
  const auto open = sync();
  ASSERT_EQ(open.state->openings.size(), 1U) << "an IPv4 caller opens IPv4 alone";
  EXPECT_EQ(open.state->openings[0].source.text(), "198.51.100.7");
  EXPECT_EQ(open.state->openings[0].deadline - open.server_time, std::chrono::minutes(30));
  EXPECT_EQ(rules().size(), 3U);
  clock_.advance(std::chrono::minutes(31));
  token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
  assembly_->tick();
  EXPECT_TRUE(sync().state->openings.empty());
  EXPECT_EQ(rules().size(), 2U);
  const JsonObject policy = call("GET", policy_path() + "?api-version=2020-01-01", {}, 200);
  const std::string text = to_text(policy);
  EXPECT_NE(text.find("\"Revoked\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"Expired\""), std::string::npos) << text;
  call("DELETE", policy_path() + "?api-version=2020-01-01", {}, 200);
  EXPECT_EQ(to_text(call("GET", group_path(), {}, 200)), group_before) << "the group is what it was";
}

TEST_F(AssemblyTest, WhatRanOutWhileTheServerWasDeadIsClosedBeforeItServes) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  start();
  clock_.advance(std::chrono::minutes(11));
  ASSERT_TRUE(assembly_->grants().expire_due().has_value());
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, ASteppedBackClockDoesNotProlongAnOpening) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  clock_.advance(std::chrono::minutes(9));
  assembly_->tick();
  clock_.step_wall(-std::chrono::hours(24));
  assembly_->tick();
  start();
  EXPECT_GE(assembly_->grants().now(), clock_.now() + std::chrono::hours(23))
      << "the mark survives a restart";
}

TEST_F(AssemblyTest, APersonsEditDuringAnOpeningRemainsAndTheirCopyOfTheOpeningIsNotKept) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  JsonObject group = call("GET", group_path(), {}, 200);
  JsonArray& shown = group["properties"].as_object()["securityRules"].as_array();
  shown.push_back(JsonObject{{"name", "web"},
                             {"properties", JsonObject{{"protocol", "Tcp"},
                                                       {"sourcePortRange", "*"},
                                                       {"destinationPortRange", "443"},
                                                       {"sourceAddressPrefix", "*"},
                                                       {"destinationAddressPrefix", "*"},
                                                       {"access", "Allow"},
                                                       {"priority", 500},
                                                       {"direction", "Inbound"}}}});
  call("PUT", group_path(), group, 200);
  EXPECT_EQ(rules().size(), 4U);
  clock_.advance(std::chrono::minutes(11));
  assembly_->tick();
  token_ = sign_in(*string_at(bootstrap_, "clientId"), *string_at(bootstrap_, "clientSecret"));
  EXPECT_EQ(rules().size(), 3U);
  call("PUT", group_path(), group, 200);
  EXPECT_EQ(rules().size(), 3U) << "a stale copy reopens nothing";
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, LeavingTheAllowRuleOutRevokesTheOpening) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  call("PUT", group_path(),
       {{"location", "local"}, {"properties", JsonObject{{"securityRules", JsonArray()}}}}, 200);
  EXPECT_TRUE(sync().state->openings.empty());
  EXPECT_EQ(rules().size(), 2U) << "the doors stay closed";
}

TEST_F(AssemblyTest, RefusedRequestsOpenNothing) {
  enrol();
  set_policy();
  initiate({{"duration", "PT4H"}}, 400);
  initiate({{"endTimeUtc", "2001-01-01T00:00:00Z"}}, 400);
  initiate({{"duration", "PT1H"}, {"allowedSourceAddressPrefix", "not-an-address"}}, 400);
  EXPECT_TRUE(sync().state->openings.empty());
}

TEST_F(AssemblyTest, WhoHasNoRightIsRefusedAndRecorded) {
  enrol();
  set_policy();
  const std::string admin = token_;
  const JsonObject app = call("POST", "/v1.0/applications", {{"displayName", "stranger"}}, 201);
  const std::string app_id = string_at(app, "appId").value_or("");
  call("POST", "/v1.0/servicePrincipals", {{"appId", app_id}}, 201);
  const JsonObject secret =
      call("POST", "/v1.0/applications/" + string_at(app, "id").value_or("") + "/addPassword",
           {{"passwordCredential", JsonObject{{"displayName", "test"}}}}, 200);
  token_ = sign_in(app_id, string_at(secret, "secretText").value_or(""));
  const JsonObject denied = initiate({{"duration", "PT1H"}}, 403);
  EXPECT_EQ(string_at(denied, "error.code"), "AuthorizationFailed");
  token_ = admin;
  EXPECT_TRUE(sync().state->openings.empty());
  const JsonObject entries = call("GET", "/providers/Merlon.Ledger/entries?api-version=2026-11-01", {}, 200);
  EXPECT_NE(to_text(entries).find("denied"), std::string::npos) << to_text(entries);
}

TEST_F(AssemblyTest, AnEnrolmentTokenWorksOnce) {
  enrol();
  const auto again = send("POST", "/agent/v1/enrol", enrolment_body_);
  EXPECT_EQ(again.status, 401) << again.body;
}

TEST_F(AssemblyTest, AKeyOnTwoBootsIsQuarantined) {
  enrol();
  sync("boot-1");
  sync("boot-2");
  machine::SyncRequest request;
  request.nonce = "n";
  request.boot_id = "boot-1";
  const auto answer =
      send("POST", "/agent/v1/sync", to_text(request.to_json()), {}, net::Plane::agents, certificate_);
  EXPECT_EQ(answer.status, 403) << answer.body;
}

TEST_F(AssemblyTest, ARemovedMachineIsToldOnceAndForgotten) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  call("DELETE",
       subscription_ + std::string(kGroup) +
           "/providers/Merlon.Machines/machines/web-1?api-version=2026-11-01",
       {}, 200);
  EXPECT_TRUE(sync().released);
  machine::SyncRequest request;
  request.nonce = "n";
  request.boot_id = "boot-1";
  EXPECT_EQ(
      send("POST", "/agent/v1/sync", to_text(request.to_json()), {}, net::Plane::agents, certificate_).status,
      401);
}

TEST_F(AssemblyTest, TheLedgerOfItVerifies) {
  enrol();
  set_policy();
  initiate({{"duration", "PT10M"}}, 202);
  std::stringstream file;
  ASSERT_TRUE(assembly_->core()
                  .ledger
                  .export_lines([&](const std::string& line) -> Result<void> {
                    file << line << "\n";
                    return {};
                  })
                  .has_value());
  const auto report = ledger::verify_export(file, {});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_GT(report->entries, 5U);
  EXPECT_NE(file.str().find("initiate/action"), std::string::npos);
  EXPECT_NE(file.str().find("look at the log"), std::string::npos) << "the justification is in the ledger";
  EXPECT_EQ(file.str().find(*string_at(bootstrap_, "clientSecret")), std::string::npos);
}

TEST_F(AssemblyTest, EveryRouteHasAPermissionOrSaysWhyItIsPublic) {
  size_t checked = 0;
  for (const resource::Route& route : assembly_->manager().routes()) {
    EXPECT_NE(route.permission.empty(), route.public_because.empty()) << route.method << " " << route.path;
    EXPECT_FALSE(route.summary.empty()) << route.method << " " << route.path;
    ++checked;
  }
  EXPECT_GT(checked, 50U);
}

}  // namespace
}  // namespace merlon::server

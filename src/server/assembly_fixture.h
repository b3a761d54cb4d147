// The whole server without sockets, on a clock in the test's hand: for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "base/time_text.h"
#include "crypto/key.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "machine/messages.h"
#include "server/assembly.h"
#include "server/first_start.h"

namespace merlon::server {

inline constexpr std::string_view kGroup = "/resourceGroups/rg1";

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

  void start() { start_in(directory_); }
  void start_in(const std::string& directory) {
    assembly_.reset();
    auto made = Assembly::make({.state_dir = directory,
                                .domain = "merlon.localhost",
                                .root_key = directory + "/root.key",
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

  std::string ledger_lines() {
    std::stringstream file;
    EXPECT_TRUE(assembly_->core().ledger.export_lines([&](const std::string& line) -> Result<void> {
      file << line << "\n";
      return {};
    }));
    return file.str();
  }
  ledger::SignedHead ledger_head() {
    return *store::read_value<ledger::SignedHead>(
        assembly_->store(), [&](store::Reader& reader) { return assembly_->core().ledger.head(reader); });
  }

  JsonArray rules() { return *array_at(call("GET", group_path(), {}, 200), "properties.securityRules"); }

  ManualClock clock_;
  crypto::SystemRandom random_;
  std::string directory_, token_, subscription_, certificate_, vm_, enrolment_body_;
  JsonObject bootstrap_;
  std::unique_ptr<Assembly> assembly_;
};

}  // namespace merlon::server

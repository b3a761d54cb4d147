// For the tests of what a machine, or whoever has its key, may try.
#pragma once

#include "machine/machines.h"
#include "machine/tokens.h"
#include "server/assembly_fixture.h"

namespace merlon::server {

struct Enrolled {
  std::string name, certificate, vm;
  crypto::PrivateKey key;
};

class HostileAgentsTest : public AssemblyTest {
 protected:
  std::string group() const { return subscription_ + std::string(kGroup); }
  std::string machine_path(const std::string& name) const {
    return group() + "/providers/Merlon.Machines/machines/" + name + "?api-version=2026-11-01";
  }
  std::string token_for(const std::string& name) {
    const JsonObject token = call("POST", group() + "/providers/Merlon.Machines/enrolmentTokens",
                                  {{"name", name}, {"enforce", true}}, 201);
    return string_at(token, "token").value_or("");
  }
  static crypto::PrivateKey new_key() { return *crypto::PrivateKey::generate(crypto::KeyKind::ec_p256); }
  static machine::MachineFacts facts(const std::string& boot_id, const std::string& address) {
    machine::MachineFacts facts;
    facts.hostname = "host";
    facts.boot_id = boot_id;
    machine::ReportedInterface eth0;
    eth0.name = "eth0";
    eth0.addresses = {{*IpAddress::parse(address), 24U}};
    eth0.default_route = true;
    facts.interfaces = {eth0};
    return facts;
  }
  net::Response try_enrol(const std::string& token, const crypto::PrivateKey& key, const std::string& boot_id,
                          const std::string& address) {
    machine::EnrolRequest request;
    request.token = token;
    request.certificate_request_pem = *crypto::make_request(key, "agent");
    request.facts = facts(boot_id, address);
    return send("POST", "/agent/v1/enrol", to_text(request.to_json()));
  }
  Enrolled enrol_as(const std::string& name, const std::string& address) {
    Enrolled machine{.name = name, .certificate = {}, .vm = {}, .key = new_key()};
    const auto answer = try_enrol(token_for(name), machine.key, "boot of " + name, address);
    EXPECT_EQ(answer.status, 201) << answer.body;
    const auto enrolled = machine::EnrolAnswer::from_json(*parse_json_object(answer.body));
    EXPECT_TRUE(enrolled.has_value());
    if (enrolled) {
      machine.certificate = enrolled->certificate_pem;
      machine.vm = enrolled->resource_id;
    }
    return machine;
  }
  static machine::SyncRequest words(const Enrolled& from) {
    machine::SyncRequest request;
    request.nonce = "n";
    request.boot_id = "boot of " + from.name;
    return request;
  }
  net::Response say(const std::string& certificate, const std::string& body) {
    return send("POST", "/agent/v1/sync", body, {}, net::Plane::agents, certificate);
  }
  net::Response say(const Enrolled& from, const machine::SyncRequest& request) {
    return say(from.certificate, to_text(request.to_json()));
  }
  static machine::SyncAnswer read_answer(const net::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    const auto answer = machine::SyncAnswer::from_json(*parse_json_object(response.body));
    EXPECT_TRUE(answer.has_value());
    return answer ? *answer : machine::SyncAnswer();
  }
  net::Response renew(const std::string& certificate, const crypto::PrivateKey& wanted) {
    return send("POST", "/agent/v1/renew",
                to_text(JsonObject{{"request", *crypto::make_request(wanted, "agent")}}), {},
                net::Plane::agents, certificate);
  }
  void remove(const std::string& name) { call("DELETE", machine_path(name), {}, 200); }
  static std::string code_of(const net::Response& response) {
    const auto body = parse_json_object(response.body);
    return body ? string_at(*body, "error.code").value_or("") : "";
  }
  // Everything that the server knows of a machine.
  std::string record(const std::string& vm) {
    const auto machine = store::read_value<std::optional<machine::Machine>>(
        assembly_->store(),
        [&](store::Reader& reader) { return assembly_->machines().by_resource(reader, vm); });
    EXPECT_TRUE(machine.has_value());
    return machine && *machine ? to_text((*machine)->to_json()) : "";
  }
  uint64_t commits() { return assembly_->store().commit_count(); }
  void expect_refused(const net::Response& response, int status, const std::string& code) {
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(code_of(response), code) << response.body;
  }
};

}  // namespace merlon::server

// People with roles, and the whole Resource Manager around SSH identities, without sockets.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grant/foundation_fixture.h"
#include "identity/sessions.h"
#include "identity/test_people.h"
#include "services/ssh/service.h"

namespace merlon::ssh_identity {

using grant::must;

inline const std::string kScope = "/subscriptions/22222222-2222-4222-8222-222222222222";
inline constexpr const char* kOwnerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
inline constexpr const char* kReaderRole = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

class IdentitiesTest : public testing::Test {
 protected:
  struct Person {
    Uuid id;
    std::string name;
  };
  struct Answer {
    int status = 0;
    JsonObject body;
    std::string code() const { return string_at(body, "error.code").value_or(""); }
  };

  IdentitiesTest() : world_(clock_, all_tables()) {
    world_.open();
    grants_ = std::make_unique<grant::Grants>(world_.core(), world_.manager());
    machines_ = must(machine::Machines::open(world_.core(), world_.manager(), *grants_));
    platform_.reset(new Platform{world_.core(), world_.manager(), *grants_, *machines_});
    ssh_ = must(install(*platform_));
    client_ = must(store::write_value<Uuid>(world_.store(), [&](auto& tx) -> Result<Uuid> {
      identity::Application application;
      application.display_name = "test client";
      return TRY(directory().create_application(tx, application)).first.app_id;
    }));
    ada_ = person("ada", kReaderRole);
    bob_ = person("bob", kOwnerRole);
    eve_ = person("eve", nullptr);
  }
  ~IdentitiesTest() override {
    machines_->stop();
    ssh_.reset();
    platform_.reset();
    machines_.reset();
    grants_.reset();
    world_.close();
  }
  static std::vector<store::TableSpec> all_tables() {
    std::vector<store::TableSpec> all = tables();
    all.insert(all.end(), machine::tables().begin(), machine::tables().end());
    return all;
  }
  identity::Directory& directory() { return world_.core().directory; }

  Person person(const std::string& name, const char* role) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    const auto made = must(store::write_value<identity::User>(
        world_.store(), [&](auto& tx) { return directory().create_user(tx, user); }));
    if (role != nullptr) {
      access::RoleAssignment assignment;
      assignment.id = Uuid::generate(world_.random);
      assignment.scope = kScope;
      assignment.role_definition_id = *Uuid::parse(role);
      assignment.principal_id = made.id;
      must(store::write_value<access::RoleAssignment>(
          world_.store(), [&](auto& tx) { return world_.core().access.assign(tx, assignment); }));
    }
    return {made.id, made.user_principal_name};
  }
  Answer send(const Person& who, const std::string& method, const std::string& tail,
              const JsonObject& body = {}) {
    identity::TokenSubject subject;
    subject.principal.object_id = who.id;
    subject.principal.name = who.name;
    subject.principal.app_id = client_;
    subject.principal.amr = {"pwd", "mfa"};
    subject.principal.auth_time = clock_.now();
    subject.audience = std::string(grant::Foundation::kOrigin) + "/";
    subject.scope = "user_impersonation";
    subject.user_principal_name = who.name;
    subject.session_id =
        identity::session_of(world_.store(), grant::Foundation::tenant(), who.id, clock_.now());
    const std::string token =
        must(world_.core().issuer.issue(subject, grant::Foundation::kOrigin, std::chrono::hours(1)));
    net::Request request;
    request.method = method;
    request.path = tail.starts_with("/") ? tail : kScope + "/providers/Merlon.Bastion/" + tail;
    request.target = request.path + "?api-version=2026-11-01";
    const auto parsed = must(net::parse_target(request.target));
    request.segments = parsed.segments;
    request.query = parsed.query;
    request.host = "merlon.localhost:8443";
    request.request_id = "00000000-0000-4000-8000-000000000001";
    request.peer = *IpAddress::parse("198.51.100.7");
    if (method != "GET" && method != "DELETE") {
      request.body = to_text(body);
      request.headers.set("Content-Type", "application/json");
    }
    request.headers.set("Authorization", "Bearer " + token);
    const net::Response response = world_.manager().handle(request, grant::Foundation::kOrigin);
    Answer answer{response.status, {}};
    if (response.body.starts_with("{")) answer.body = must(parse_json_object(response.body));
    return answer;
  }
  static std::string new_key() {
    return ssh::PublicKey::of(must(crypto::PrivateKey::generate(crypto::KeyKind::ed25519)).public_key())
        .line();
  }
  Bytes certificate(const Person& who, JsonObject more = {}) {
    more["publicKey"] = new_key();
    const Answer answer = send(who, "POST", "issueSshCertificate", more);
    EXPECT_EQ(answer.status, 200) << to_text(answer.body);
    const std::string line = string_at(answer.body, "certificate").value_or("");
    const size_t space = line.find(' ');
    return from_base64(line.substr(space + 1, line.find(' ', space + 1) - space - 1)).value_or(Bytes());
  }
  Result<identity::Principal> who(ByteView blob, const char* source = "192.0.2.7") {
    return store::read_value<identity::Principal>(world_.store(), [&](store::Reader& reader) {
      return ssh_->person(reader, blob, *IpAddress::parse(source));
    });
  }

  ManualClock clock_;
  grant::Foundation world_;
  std::unique_ptr<grant::Grants> grants_;
  std::unique_ptr<machine::Machines> machines_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<SshIdentities> ssh_;
  Uuid client_;
  Person ada_, bob_, eve_;
};

}  // namespace merlon::ssh_identity

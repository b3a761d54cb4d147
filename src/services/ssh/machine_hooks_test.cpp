// Host keys that machines report: who may say what is in place of what was known, and what the ledger says.
// Calls that a machine's agent makes.
#include <unistd.h>

#include <atomic>

#include "base/text.h"
#include "crypto/x509.h"
#include "machine/left_call.h"
#include "machine/reach.h"
#include "net/worker_pool.h"
#include "services/ssh/identities_fixture.h"

namespace merlon::ssh_identity {
namespace {

using machine::SyncRequest;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kReport = "Merlon.Bastion/sshHostKeys/report/action";

class MachineHooksTest : public IdentitiesTest {
 protected:
  struct Enrolled {
    std::string vm, certificate;
  };
  net::Response ask(net::Request request) { return ask(std::move(request), *machines_); }
  static net::Response ask(net::Request request, machine::Machines& server) {
    request.method = "POST";
    request.target = request.path;
    std::optional<net::Response> answer;
    server.handle(std::move(request),
                  net::Responder([&](net::Response response) { answer = std::move(response); }));
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(net::Response());
  }
  Enrolled enrol(const std::vector<std::string>& keys, const std::string& name = "web-1") {
    const std::string group = kScope + "/resourceGroups/rg";
    const Answer token = send(bob_, "POST", group + "/providers/Merlon.Machines/enrolmentTokens",
                              {{"name", name}, {"enforce", false}});
    EXPECT_EQ(token.status, 201) << to_text(token.body);
    machine::EnrolRequest wanted;
    wanted.token = string_at(token.body, "token").value_or("");
    const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
    wanted.certificate_request_pem = must(crypto::make_request(key, "web-1"));
    wanted.facts = facts(keys);
    net::Request request;
    request.path = "/agent/v1/enrol";
    request.peer = *IpAddress::parse("198.51.100.8");
    request.body = to_text(wanted.to_json());
    const net::Response response = ask(std::move(request));
    EXPECT_EQ(response.status, 201) << response.body;
    const auto answer = must(machine::EnrolAnswer::from_json(must(parse_json_object(response.body))));
    return {answer.resource_id, answer.certificate_pem};
  }
  static machine::MachineFacts facts(const std::vector<std::string>& keys) {
    machine::MachineFacts made;
    made.hostname = "web-1";
    made.boot_id = "boot-1";
    made.ssh = machine::SshFacts{keys, std::string(machine::kTrustOff), {}};
    return made;
  }
  machine::SyncAnswer sync(const Enrolled& agent, const std::optional<machine::MachineFacts>& told) {
    SyncRequest said;
    said.nonce = "n";
    said.boot_id = told ? told->boot_id : "boot-1";
    said.facts = told;
    net::Request request;
    request.path = "/agent/v1/sync";
    request.plane = net::Plane::agents;
    request.client_certificate_pem = agent.certificate;
    request.body = to_text(said.to_json());
    const net::Response response = ask(std::move(request));
    EXPECT_EQ(response.status, 200) << response.body;
    return must(machine::SyncAnswer::from_json(must(parse_json_object(response.body))));
  }
  std::vector<std::string> known(const Enrolled& agent) {
    return must(store::read_value<std::vector<std::string>>(
        world_.store(), [&](store::Reader& reader) { return ssh_->host_keys(reader, agent.vm); }));
  }
  // As a person's PUT leaves it.
  void give(const std::string& vm, const std::string& line) {
    must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
      KnownHost host =
          TRY(store::get<KnownHost>(tx, grant::Foundation::tenant(), ascii_lower(vm))).value_or(KnownHost());
      host.machine_id = ascii_lower(vm);
      host.given = {line};
      return store::put(tx, grant::Foundation::tenant(), host);
    }));
  }
};

TEST_F(MachineHooksTest, AnEnrolledMachinesKeysAreKnownFromItsEnrolment) {
  const std::string key = new_key();
  const Enrolled web = enrol({key, "ssh-dss AAAAB3NzaC1kc3MAAACBAP"});
  EXPECT_THAT(known(web), ElementsAre(key));
  const auto entries = world_.entries(kReport);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].actor.kind, "Machine");
  EXPECT_EQ(string_at(entries[0].details, "vouchedForBy"), "enrolment token");
}

TEST_F(MachineHooksTest, AChangeUnderTheAgentsCertificateIsTakenAndEntered) {
  const std::string first = new_key(), second = new_key();
  const Enrolled web = enrol({first});
  sync(web, facts({first}));
  EXPECT_EQ(world_.entries(kReport).size(), 1U) << "nothing has changed";
  sync(web, facts({second}));
  EXPECT_THAT(known(web), ElementsAre(second));
  const auto entries = world_.entries(kReport);
  ASSERT_EQ(entries.size(), 2U);
  const auto print = [](const std::string& line) {
    return must(ssh::PublicKey::from_line(line)).fingerprint();
  };
  EXPECT_EQ(to_text(Json(entries[1].details.at("before"))), to_text(Json(JsonArray{print(first)})));
  EXPECT_EQ(to_text(Json(entries[1].details.at("fingerprints"))), to_text(Json(JsonArray{print(second)})));
  EXPECT_EQ(string_at(entries[1].details, "vouchedForBy"), "agent's certificate");
}

TEST_F(MachineHooksTest, WhatAPersonHasGivenStays) {
  const std::string given = new_key(), reported = new_key();
  const Enrolled web = enrol({new_key()});
  give(web.vm, given);
  sync(web, facts({reported}));
  EXPECT_THAT(known(web), ElementsAre(given));
  const auto entries = world_.entries(kReport);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(bool_at(entries[1].details, "trusted"), false) << "entered all the same";
}

TEST_F(MachineHooksTest, ATokenAloneReplacesNothingThatIsKnown) {
  const std::string vm = kScope + "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web-1";
  const std::string given = new_key(), reported = new_key();
  give(vm, given);
  const Enrolled web = enrol({reported});
  EXPECT_THAT(known(web), ElementsAre(given));
  EXPECT_THAT(world_.entries(kReport), IsEmpty());
  sync(web, facts({reported}));
  EXPECT_EQ(world_.entries(kReport).size(), 1U) << "its certificate may say it";
}

TEST_F(MachineHooksTest, ACopyOfAKeySaysNothingAndARemovedMachineIsForgotten) {
  const std::string first = new_key();
  const Enrolled web = enrol({first});
  machine::MachineFacts other = facts({first});
  other.boot_id = "boot-2";
  sync(web, other);
  const std::string path = kScope + "/resourceGroups/rg/providers/Merlon.Machines/machines/web-1";
  EXPECT_EQ(send(bob_, "DELETE", path).status, 200);
  EXPECT_THAT(known(web), IsEmpty());
  const std::string second = new_key();
  const Enrolled again = enrol({second});
  EXPECT_THAT(known(again), ElementsAre(second)) << "a machine of the same name is another one";
  other = facts({first});
  other.boot_id = "boot-2";
  sync(again, other);
  net::Request request;
  request.path = "/agent/v1/sync";
  request.plane = net::Plane::agents;
  request.client_certificate_pem = again.certificate;
  SyncRequest copy;
  copy.nonce = "n";
  copy.boot_id = "boot-1";  // one that has been: two copies of the key
  copy.facts = facts({second});
  request.body = to_text(copy.to_json());
  EXPECT_EQ(ask(std::move(request)).status, 403);
  EXPECT_THAT(known(again), ElementsAre(first)) << "neither copy is believed";
}

TEST_F(MachineHooksTest, EveryMachineIsToldWhomToTrust) {
  const Enrolled web = enrol({new_key()});
  const auto answer = sync(web, std::nullopt);
  ASSERT_TRUE(answer.state.has_value());
  EXPECT_EQ(answer.state->ssh.authority, ssh_->machines_authority().line());
}

// A connection that somebody waits for, and the agents that come for it.
class MachineCallTest : public MachineHooksTest {
 protected:
  machine::Reach& reach() { return machine::reach_of(*machines_); }
  machine::Machine record(const Enrolled& agent) {
    return *must(store::read_value<std::optional<machine::Machine>>(
        world_.store(), [&](store::Reader& reader) { return machines_->by_resource(reader, agent.vm); }));
  }
  void wait_for(const Enrolled& agent) {
    waiter_.submit([this, machine = record(agent)] {
      reached_ = reach().reach(machine, *IpAddress::parse("10.7.0.4"), 22);
      done_ = true;
    });
  }
  std::vector<machine::AgentCall> calls(const Enrolled& agent) { return calls(agent, *machines_); }
  std::vector<machine::AgentCall> calls(const Enrolled& agent, machine::Machines& server) {
    SyncRequest said;
    said.nonce = "n";
    said.boot_id = "boot-1";
    net::Request request;
    request.path = "/agent/v1/sync";
    request.plane = net::Plane::agents;
    request.peer = *IpAddress::parse("203.0.113.9");
    request.client_certificate_pem = agent.certificate;
    request.body = to_text(said.to_json());
    return must(machine::read_calls(must(parse_json_object(ask(std::move(request), server).body))));
  }
  // As soon as the agent is told of it.
  machine::AgentCall told(const Enrolled& agent) {
    for (int i = 0; i < 500; ++i) {
      if (const auto found = calls(agent); !found.empty()) return found.front();
      std::ignore = ::usleep(10'000);
    }
    ADD_FAILURE() << "no call was told";
    return {};
  }
  std::expected<net::TunnelPlan, net::Response> call(const std::string& certificate, const std::string& id) {
    return call(certificate, id, *machines_);
  }
  static std::expected<net::TunnelPlan, net::Response> call(const std::string& certificate,
                                                            const std::string& id,
                                                            machine::Machines& server) {
    net::Request request;
    request.method = "GET";
    request.path = "/agent/v1/call/" + id;
    request.plane = net::Plane::agents;
    request.client_certificate_pem = certificate;
    return machine::reach_of(server).upgrade(request);
  }
  void settle() {
    waiter_.stop();
    EXPECT_TRUE(done_);
  }

  net::WorkerPool waiter_{"waiter", 1, 1};
  Result<int> reached_ = -1;
  std::atomic<bool> done_ = false;
};

TEST_F(MachineCallTest, TheMachinesOwnAgentIsJoinedOnceWithWhoWaits) {
  const Enrolled web = enrol({new_key()});
  const Enrolled other = enrol({new_key()}, "web-2");
  wait_for(web);
  const machine::AgentCall wanted = told(web);
  EXPECT_EQ(wanted.port, 22);
  EXPECT_EQ(wanted.address.text(), "10.7.0.4");
  EXPECT_THAT(calls(web), IsEmpty()) << "told once";
  EXPECT_THAT(calls(other), IsEmpty());
  EXPECT_EQ(call(other.certificate, wanted.id).error().status, 404) << "another machine's agent";
  EXPECT_EQ(call(web.certificate, "guessed").error().status, 404);
  const auto plan = call(web.certificate, wanted.id);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(call(web.certificate, wanted.id).error().status, 404) << "a second time";
  settle();
  ASSERT_TRUE(reached_) << reached_.error().message;
  EXPECT_EQ(::write(plan->descriptor, "hello", 5), 5);
  char heard[6] = {};
  EXPECT_EQ(::read(*reached_, heard, 5), 5);
  EXPECT_STREQ(heard, "hello");
  ::close(plan->descriptor);
  ::close(*reached_);
}

TEST_F(MachineCallTest, WhatTheAgentDoesNotDoIsSaidAtOnce) {
  const Enrolled web = enrol({new_key()});
  wait_for(web);
  net::Request request;
  request.path = "/agent/v1/call";
  request.plane = net::Plane::agents;
  request.client_certificate_pem = web.certificate;
  request.body = to_text(machine::CallRefusal{told(web).id, "its owner says no."}.to_json());
  EXPECT_EQ(ask(std::move(request)).status, 200);
  settle();
  ASSERT_FALSE(reached_);
  EXPECT_THAT(reached_.error().message, testing::HasSubstr("its owner says no."));
}

TEST_F(MachineCallTest, ARemovedMachinesAgentCarriesNothingAndAStoppingServerWaitsForNobody) {
  const Enrolled web = enrol({new_key()});
  wait_for(web);
  const machine::AgentCall wanted = told(web);
  const std::string path = kScope + "/resourceGroups/rg/providers/Merlon.Machines/machines/web-1";
  EXPECT_EQ(send(bob_, "DELETE", path).status, 200);
  EXPECT_EQ(call(web.certificate, wanted.id).error().status, 401);
  machines_->stop();
  settle();
  EXPECT_FALSE(reached_);
}

TEST_F(MachineCallTest, AMachineIsBehindTranslationWhenItsAgentIsSeenWhereItIsNot) {
  const Enrolled web = enrol({new_key()});
  machine::Machine known = record(web);
  machine::ReportedInterface eth0;
  eth0.addresses = {{*IpAddress::parse("10.7.0.4"), 24U}};
  known.facts.interfaces = {eth0};
  EXPECT_FALSE(reach().is_behind_translation(known)) << "not seen yet";
  calls(web);
  EXPECT_TRUE(reach().is_behind_translation(known));
  known.facts.interfaces.front().addresses.emplace_back(*IpAddress::parse("203.0.113.9"), 24U);
  EXPECT_FALSE(reach().is_behind_translation(known));
}

// A second server on the same records, which the agents ask for news; whoever wants to go in is at the first.
class OtherServersCallTest : public MachineCallTest {
 protected:
  OtherServersCallTest() {
    reach().advertise(kHere);
    manager_ = resource::Manager::make(world_.core());
    other_grants_ = std::make_unique<grant::Grants>(world_.core(), *manager_);
    other_ = must(machine::Machines::open(world_.core(), *manager_, *other_grants_));
  }
  ~OtherServersCallTest() override { other_->stop(); }
  void hear_of_others(machine::Machines& server) {
    clock_.advance(std::chrono::milliseconds(200));
    server.others_wrote();
    server.tick();
  }
  machine::AgentCall told_by_other(const Enrolled& agent) {
    for (int i = 0; i < 500; ++i) {
      hear_of_others(*other_);
      if (const auto found = calls(agent, *other_); !found.empty()) return found.front();
      std::ignore = ::usleep(10'000);
    }
    ADD_FAILURE() << "no call was told";
    return {};
  }
  int refuse(const std::string& certificate, const std::string& id, machine::Machines& server) {
    net::Request request;
    request.path = "/agent/v1/call";
    request.plane = net::Plane::agents;
    request.client_certificate_pem = certificate;
    request.body = to_text(machine::CallRefusal{id, "its owner says no."}.to_json());
    return ask(std::move(request), server).status;
  }
  std::vector<machine::LeftCall> left() {
    return must(store::read_value<std::vector<machine::LeftCall>>(world_.store(), [&](store::Reader& reader) {
      return store::scan_all<machine::LeftCall>(reader, grant::Foundation::tenant());
    }));
  }
  void leave(const Enrolled& agent, const std::string& id, const machine::ServerAddress& server) {
    const machine::LeftCall call{
        .machine = record(agent).id,
        .call = {.id = id, .address = *IpAddress::parse("10.7.0.4"), .port = 22, .server = server},
        .refusal = {}};
    must(world_.store().write(
        [&](store::Transaction& tx) { return store::put(tx, grant::Foundation::tenant(), call); }));
  }

  const machine::ServerAddress kHere{.address = *IpAddress::parse("192.0.2.1"), .port = 8443};
  const machine::ServerAddress kDead{.address = *IpAddress::parse("192.0.2.3"), .port = 8443};
  std::unique_ptr<resource::Manager> manager_;
  std::unique_ptr<grant::Grants> other_grants_;
  std::unique_ptr<machine::Machines> other_;
};

TEST_F(OtherServersCallTest, AnAgentThatAsksAnotherServerIsToldThereAndCallsTheOneThatWaits) {
  const Enrolled web = enrol({new_key()});
  const Enrolled second = enrol({new_key()}, "web-2");
  wait_for(web);
  const machine::AgentCall wanted = told_by_other(web);
  EXPECT_EQ(wanted.server, kHere);
  EXPECT_THAT(calls(web, *other_), IsEmpty()) << "told once";
  EXPECT_THAT(calls(second, *other_), IsEmpty());
  EXPECT_EQ(call(web.certificate, wanted.id, *other_).error().status, 404) << "nobody waits there";
  EXPECT_EQ(call(second.certificate, wanted.id).error().status, 404) << "another machine's agent";
  const auto plan = call(web.certificate, wanted.id);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(call(web.certificate, wanted.id).error().status, 404) << "a second time";
  settle();
  ASSERT_TRUE(reached_) << reached_.error().message;
  machines_->tick();
  EXPECT_THAT(left(), IsEmpty()) << "what is over does not stay";
  ::close(plan->descriptor);
  ::close(*reached_);
}

TEST_F(OtherServersCallTest, WhatTheAgentRefusesAtAnotherServerIsSaidWhereSomebodyWaits) {
  const Enrolled web = enrol({new_key()});
  const Enrolled second = enrol({new_key()}, "web-2");
  wait_for(web);
  const machine::AgentCall wanted = told_by_other(web);
  EXPECT_EQ(refuse(second.certificate, wanted.id, *other_), 404) << "another machine's agent";
  EXPECT_EQ(refuse(web.certificate, "guessed", *other_), 404);
  EXPECT_EQ(refuse(web.certificate, wanted.id, *other_), 200);
  hear_of_others(*machines_);
  settle();
  ASSERT_FALSE(reached_);
  EXPECT_THAT(reached_.error().message, testing::HasSubstr("its owner says no."));
}

TEST_F(OtherServersCallTest, AnAgentThatAsksHereIsToldHereAndNothingIsLeft) {
  const Enrolled web = enrol({new_key()});
  calls(web);
  wait_for(web);
  const machine::AgentCall wanted = told(web);
  EXPECT_FALSE(wanted.server);
  EXPECT_THAT(left(), IsEmpty());
  const auto plan = call(web.certificate, wanted.id);
  ASSERT_TRUE(plan.has_value());
  settle();
  ::close(plan->descriptor);
  ::close(reached_.value_or(-1));
}

TEST_F(OtherServersCallTest, CallsOfServersThatDiedAreToldOnceAndTakenBack) {
  const Enrolled web = enrol({new_key()});
  leave(web, "of-the-dead", kDead);
  leave(web, "of-before-the-start", kHere);
  hear_of_others(*machines_);
  const auto found = calls(web);
  ASSERT_EQ(found.size(), 1U) << "for a call of its own nobody waits here any more";
  EXPECT_EQ(found.front().id, "of-the-dead");
  EXPECT_THAT(calls(web), IsEmpty());
  clock_.advance(std::chrono::seconds(59));
  machines_->tick();
  EXPECT_EQ(left().size(), 2U);
  clock_.advance(std::chrono::seconds(2));
  machines_->tick();
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(OtherServersCallTest, AnAnswerHasNoMoreCallsThanAnAgentTakes) {
  const Enrolled web = enrol({new_key()});
  for (int i = 0; i < 20; ++i) leave(web, "call-" + std::to_string(i), kDead);
  hear_of_others(*machines_);
  EXPECT_EQ(calls(web).size(), machine::kCallsMax);
  EXPECT_EQ(calls(web).size(), 4U);
}

TEST_F(OtherServersCallTest, WhereAnAgentIsSeenAnotherServerKnowsToo) {
  const Enrolled web = enrol({new_key()});
  calls(web, *other_);
  machine::Machine known = record(web);
  machine::ReportedInterface eth0;
  eth0.addresses = {{*IpAddress::parse("10.7.0.4"), 24U}};
  known.facts.interfaces = {eth0};
  EXPECT_TRUE(reach().is_behind_translation(known));
  known.facts.interfaces.front().addresses.emplace_back(*IpAddress::parse("203.0.113.9"), 24U);
  EXPECT_FALSE(reach().is_behind_translation(known));
}

}  // namespace
}  // namespace merlon::ssh_identity

// For the tests of the whole agent: a control plane in miniature behind real TLS, and a machine to enrol.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "agent/agent.h"
#include "agent/test_packets.h"
#include "base/log.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "net/server.h"

namespace merlon::agent::testing {

using machine::DesiredState;
using machine::Mode;
using machine::SyncAnswer;
using machine::SyncRequest;
using std::chrono::hours;
using std::chrono::seconds;

// A control plane in miniature: enrols whoever has the token, and answers syncs with one state.
class ControlPlane {
 public:
  explicit ControlPlane(const std::string& directory) {
    const auto make = [&](std::string name, crypto::PrivateKey& key) {
      crypto::AuthorityParameters parameters;
      parameters.common_name = std::move(name);
      parameters.not_before = clock_.now() - hours(1);
      parameters.not_after = clock_.now() + hours(100);
      return crypto::make_authority(parameters, key, random_).value();
    };
    authority_ = make("Merlon", authority_key_);
    agents_ = make("Merlon agents", agents_key_);
    const auto key = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
    net::ServerParameters parameters;
    parameters.listen = {"127.0.0.1:8443"};
    parameters.names = {"merlon.test"};
    parameters.agents_name = "agents.merlon.test";
    parameters.agents_authority_pem = agents_;
    parameters.identity = {leaf(key.public_key()), key.pem()};
    parameters.limits.workers = 2;
    parameters.handler = [this](net::Request request, const net::Responder& respond) {
      respond(answer(request));
    };
    server_ = net::Server::start(std::move(parameters)).value();
    std::ofstream(directory + "/ca.pem") << authority_;
  }

  ~ControlPlane() {
    remove();  // ends the waits
    server_.reset();
  }
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  void show(DesiredState state) {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
    changed_.notify_all();
  }
  void remove() {
    const std::lock_guard lock(mutex_);
    removed_ = true;
    changed_.notify_all();
  }
  // What was said before does not count.
  void forget() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
  }
  // Waits until a sync says what `wanted` looks for.
  bool hears(const std::function<bool(const SyncRequest&)>& wanted, Duration within = seconds(15)) {
    std::unique_lock lock(mutex_);
    size_t looked = 0;
    return heard_.wait_for(lock, within, [&] {
      for (; looked < requests_.size(); ++looked)
        if (wanted(requests_[looked])) return true;
      return false;
    });
  }
  bool hears_of(const std::string& kind, JsonObject* facts = nullptr) {
    return hears([&](const SyncRequest& request) {
      for (const auto& observation : request.observations)
        if (observation.kind == kind) {
          if (facts != nullptr) *facts = observation.facts;
          return true;
        }
      return false;
    });
  }

 private:
  std::string leaf(const crypto::PublicKey& key) {
    crypto::LeafParameters parameters;
    parameters.common_name = "merlon.test";
    parameters.dns_names = {"merlon.test", "agents.merlon.test"};
    parameters.addresses = {IpAddress::parse("127.0.0.1").value()};
    parameters.not_before = clock_.now() - hours(1);
    parameters.not_after = clock_.now() + hours(1);
    return crypto::issue_leaf(parameters, key, authority_, authority_key_, random_).value();
  }
  net::Response answer(const net::Request& request) {
    net::Response response;
    const auto body = parse_json_object(request.body).value();
    if (request.path == "/agent/v1/enrol") {
      const auto wanted = machine::EnrolRequest::from_json(body).value();
      if (wanted.token != "good-token") {
        response.status = 403;
        response.body =
            R"({"error":{"code":"TokenInvalid","message":"The token is used up. Ask for another."}})";
        return response;
      }
      crypto::LeafParameters parameters;
      parameters.common_name = "machine";
      parameters.use = crypto::LeafUse::tls_client;
      parameters.not_before = clock_.now() - hours(1);
      parameters.not_after = clock_.now() + hours(48);
      machine::EnrolAnswer enrolled;
      enrolled.machine_id = "11111111-2222-3333-4444-555555555555";
      enrolled.resource_id = "/subscriptions/s/virtualMachines/web-1";
      enrolled.certificate_pem =
          crypto::issue_leaf(parameters, crypto::verify_request(wanted.certificate_request_pem).value(),
                             agents_, agents_key_, random_)
              .value();
      enrolled.agents_name = "agents.merlon.test";
      response.body = to_text(enrolled.to_json());
      return response;
    }
    EXPECT_EQ(request.plane, net::Plane::agents);
    response.body = to_text(sync(SyncRequest::from_json(body).value()).to_json());
    return response;
  }
  SyncAnswer sync(const SyncRequest& request) {
    std::unique_lock lock(mutex_);
    requests_.push_back(request);
    heard_.notify_all();
    changed_.wait_for(lock, Duration(request.wait_ms),
                      [&] { return removed_ || state_.version != request.have; });
    SyncAnswer answer;
    answer.nonce = request.nonce;
    answer.server_time = clock_.now();
    answer.released = removed_;
    if (state_.version != request.have) answer.state = state_;
    return answer;
  }

  SystemClock clock_;
  crypto::SystemRandom random_;
  crypto::PrivateKey authority_key_ = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
  crypto::PrivateKey agents_key_ = crypto::PrivateKey::generate(crypto::KeyKind::ec_p256).value();
  std::string authority_, agents_;
  std::mutex mutex_;
  std::condition_variable heard_, changed_;
  std::vector<SyncRequest> requests_;
  DesiredState state_;
  bool removed_ = false;
  std::unique_ptr<net::Server> server_;
};

inline IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
inline IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

// Everything in and out is denied: only what the platform needs and what is opened passes.
inline DesiredState sealed_machine(int64_t number) {
  DesiredState state;
  state.version = {1, number};
  state.mode = Mode::enforce;
  machine::InterfacePolicy policy;
  policy.primary = true;
  policy.inbound_layers.push_back({"group", {}, {}});
  policy.outbound_layers.push_back({"group", {}, {}});
  state.interfaces.push_back(std::move(policy));
  return state;
}

inline machine::Opening opening(Duration left, std::string id = "grant") {
  machine::Opening made;
  made.id = std::move(id);
  made.source = prefix("192.0.2.7");
  made.destination = address("10.1.0.4");
  made.port = 22;
  made.deadline = SystemClock().now() + left;
  return made;
}

class Room {
 public:
  Room() : plane(make_directory()), cable(peer) {}
  ~Room() { std::filesystem::remove_all(directory); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  std::string state_dir() const { return directory + "/state"; }
  Result<machine::EnrolAnswer> enrol(std::string token = "good-token") const {
    return agent::enrol({"https://127.0.0.1:8443", directory + "/ca.pem", std::move(token), state_dir()});
  }
  // run() in a process of its own, as a service would.
  pid_t start() {
    plane.forget();
    std::fflush(nullptr);
    const pid_t agent = ::fork();
    if (agent == 0) {
      const auto ended = agent::run({state_dir()});
      if (!ended) log_error("agent", ended.error());
      ::_exit(ended ? 0 : 1);
    }
    return agent;
  }
  static int ended(pid_t agent) {
    int status = -1;
    EXPECT_EQ(::waitpid(agent, &status, 0), agent);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool ssh_passes(std::string_view from = "192.0.2.7") {
    const Flow ssh{
        true, Protocol::tcp, address(from), address("10.1.0.4"), static_cast<uint16_t>(40000 + ++count_), 22};
    cable.send(ssh, kFirstMark + count_);
    const Flow last{true, Protocol::udp, address("10.1.0.254"), address("10.1.0.4"), 67, 68};
    cable.send(last, kFirstMark + 0x10000 + count_);
    return cable.arrived({kFirstMark + 0x10000 + count_}).inbound.contains(kFirstMark + count_);
  }
  bool becomes(bool passing, Duration within = seconds(10)) {
    const SystemClock clock;
    const Duration until = clock.boottime() + within;
    while (clock.boottime() < until) {
      if (ssh_passes() == passing) return true;
      ::usleep(20'000);
    }
    return false;
  }

  std::string directory;
  Peer peer;
  ControlPlane plane;
  Cable cable;

 private:
  const std::string& make_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "merlon-agent-XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    return directory;
  }
  uint32_t count_ = 0;
};

}  // namespace merlon::agent::testing

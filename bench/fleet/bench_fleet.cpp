// Many agents of one server, in one process: each enrols by the product's own messages and then runs the
// product's own session over its own mutual TLS connection, on a thread of its own. What is played is the
// half of an agent that keeps a firewall: it says that it has done what it was told. usage: bench_fleet
// CONFIG COUNT [FIRST]
//
// Prints "enrolled SECONDS" and "connected SECONDS", each on a line, and then keeps polling until its
// standard input ends. CONFIG is a JSON file that bench/fleet/measure writes.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <vector>

#include "agent/http_exchange.h"
#include "agent/session.h"
#include "base/json.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "net/client.h"
#include "net/worker_pool.h"

namespace merlon::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr unsigned kEnrolTogether = 32;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench_fleet: " << why << std::endl;
  ::_exit(1);
}
template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().message + " " + result.error().cause);
  return *std::move(result);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) give_up("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

double seconds_since(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

struct Config {
  std::string address, port, domain, authority_pem, token, group;
  static Config read(const std::string& path) {
    const JsonObject json = must(parse_json_object(read_file(path)));
    const auto text = [&](std::string_view name) { return must(require_string(json, name)); };
    return {.address = text("address"),
            .port = text("port"),
            .domain = text("domain"),
            .authority_pem = read_file(text("caFile")),
            .token = text("token"),
            .group = text("group")};
  }
};

// A machine of ordinary size with an address of its own, on a link with 250 others.
machine::MachineFacts facts_of(size_t i) {
  machine::MachineFacts facts;
  facts.hostname = "fleet-" + std::to_string(i);
  facts.os_name = "debian";
  facts.os_version = "12";
  facts.kernel = "6.1.0-28-amd64";
  facts.architecture = "x86_64";
  facts.boot_id = "boot-" + std::to_string(i);
  facts.cpus = 4;
  facts.memory_bytes = int64_t{8} << 30;
  machine::ReportedInterface interface;
  interface.name = "eth0";
  interface.mac = "02:00:00:00:00:01";
  const auto link = static_cast<uint32_t>(i / 250), host = static_cast<uint32_t>(i % 250);
  interface.addresses = {{IpAddress::from_v4(0x0a800000U + (link << 8U) + host + 1), 24U}};
  interface.default_route = true;
  facts.interfaces = {interface};
  return facts;
}

JsonObject post(net::Client& client, const std::string& target, const JsonObject& body,
                const std::string& token = {}) {
  net::ClientRequest request;
  request.method = "POST";
  request.target = target;
  request.headers.set("Content-Type", "application/json");
  if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
  request.body = to_text(body);
  return must(agent::body_of(must(client.send(request))));
}

agent::Identity enrol(const Config& config, net::Client& client, size_t i) {
  const JsonObject invitation =
      post(client, config.group + "/providers/Merlon.Machines/enrolmentTokens?api-version=2020-01-01",
           {{"name", "fleet-" + std::to_string(i)}, {"enforce", true}}, config.token);
  const auto key = must(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  machine::EnrolRequest request;
  request.token = must(require_string(invitation, "token"));
  request.facts = facts_of(i);
  request.certificate_request_pem = must(crypto::make_request(key, "merlon-agent"));
  const auto answer =
      must(machine::EnrolAnswer::from_json(post(client, "/agent/v1/enrol", request.to_json())));
  agent::Identity identity;
  identity.enrolment.host = config.address;
  identity.enrolment.port = config.port;
  identity.enrolment.machine_id = answer.machine_id;
  identity.enrolment.authority_pem = config.authority_pem;
  identity.enrolment.agents_name = answer.agents_name;
  identity.key_pem = key.pem();
  identity.certificate_pem = answer.certificate_pem;
  return identity;
}

std::vector<agent::Identity> enrol_all(const Config& config, size_t count, size_t first) {
  std::vector<agent::Identity> identities(count);
  std::atomic<size_t> next = 0;
  net::WorkerPool pool("enrol", kEnrolTogether, kEnrolTogether);
  for (unsigned thread = 0; thread < kEnrolTogether; ++thread)
    pool.submit([&] {
      net::ClientParameters parameters;
      parameters.host = config.address;
      parameters.port = config.port;
      parameters.server_name = config.domain;
      parameters.authorities_pem = config.authority_pem;
      const auto client = net::Client::make(std::move(parameters));
      for (size_t i = 0; (i = next++) < count;) identities[i] = enrol(config, *client, first + i);
    });
  pool.stop();
  return identities;
}

class PlayedWarden final : public agent::WardenPort {
 public:
  Result<JsonObject> ask(std::string_view name, JsonObject body) override {
    if (name == "apply") {
      const auto state = TRY(machine::DesiredState::from_json(body.at("state").as_object()));
      version_ = state.version;
      mode_ = state.mode;
    }
    if (name != "status") return JsonObject();
    return JsonObject{{"version", JsonObject{{"epoch", version_.epoch}, {"number", version_.number}}},
                      {"mode", machine::mode_text(mode_)},
                      {"confirmed", true},
                      {"error", ""},
                      {"released", false},
                      {"open", JsonArray()},
                      {"blockers", JsonArray()},
                      {"events", JsonArray()}};
  }

 private:
  machine::Version version_;
  machine::Mode mode_ = machine::Mode::audit;
};

void run_agent(agent::Identity identity, size_t i, std::atomic<size_t>& connected) {
  const SystemClock clock;
  crypto::SystemRandom random;
  PlayedWarden warden;
  const auto exchange =
      must(agent::HttpExchange::make(std::move(identity), [](const std::vector<IpAddress>&) {}, -1));
  agent::Session session(clock, random, *exchange, warden, [i] { return facts_of(i); }, {});
  bool is_counted = false;
  while (true) {
    const auto asked = must(session.ask());
    // From here on it has its rules, has said so, and waits.
    if (asked.request.wait_ms > 0 && !std::exchange(is_counted, true)) ++connected;
    const auto step = must(session.hear(asked, exchange->sync(asked.request)));
    if (step.pause > Duration(0)) ::usleep(static_cast<useconds_t>(step.pause.count() * 1000));
  }
}

int run(const Config& config, size_t count, size_t first) {
  auto begin = SteadyClock::now();
  std::vector<agent::Identity> identities = enrol_all(config, count, first);
  std::cout << "enrolled " << seconds_since(begin) << std::endl;
  begin = SteadyClock::now();
  std::atomic<size_t> connected = 0;
  net::WorkerPool pool("agent", static_cast<unsigned>(count), count);
  for (size_t i = 0; i < count; ++i)
    pool.submit([&, i] { run_agent(std::move(identities[i]), first + i, connected); });
  while (connected < count) ::usleep(10'000);
  std::cout << "connected " << seconds_since(begin) << std::endl;
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  ::poll(&input, 1, -1);
  ::_exit(0);  // the agents never end by themselves
}

}  // namespace
}  // namespace merlon::bench

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: bench_fleet CONFIG COUNT [FIRST]\n";
    return 64;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const size_t first = argc == 4 ? std::stoul(argv[3]) : 0;
  return merlon::bench::run(merlon::bench::Config::read(argv[1]), std::stoul(argv[2]), first);
}

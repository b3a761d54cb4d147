// How soon an opening opens, and how exactly it closes when nobody is left to close it.
// usage: bench_opening listen FIRST-PORT COUNT      a machine's services: accepts and hangs up
//        bench_opening hold CONFIG COUNT            asks for COUNT openings of an hour, for others
//        bench_opening latency CONFIG COUNT         from "initiate" to the first connection, COUNT times
//        bench_opening closing CONFIG COUNT PID...  kills the processes, then watches COUNT openings close
//
// CONFIG is a JSON file that bench/opening/measure writes. Prints one JSON object.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/time_text.h"
#include "net/client.h"
#include "net/worker_pool.h"

namespace merlon::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Moment = SteadyClock::time_point;
using std::chrono::milliseconds;

constexpr auto kSynEvery = std::chrono::microseconds(500);
constexpr auto kSynForgotten = milliseconds(50);  // a dropped SYN is not waited for any longer
constexpr auto kGiveUp = std::chrono::seconds(10);
// As many as a busy machine has open at once, and no more: some twenty, one of which ends while another
// begins.
constexpr auto kOpenFor = std::chrono::seconds(10);
constexpr auto kAskEvery = milliseconds(400);
constexpr auto kRefusedFor = milliseconds(20);  // before it is asked for, a pair must be closed

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench_opening: " << why << "\n";
  ::exit(1);
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

double milliseconds_between(Moment begin, Moment end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

sockaddr_in socket_address(const std::string& address, uint16_t port) {
  const auto parsed = IpAddress::parse(address);
  if (!parsed || !parsed->is_v4()) give_up(address + " is no IPv4 address");
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  std::copy_n(parsed->bytes().data(), 4, reinterpret_cast<uint8_t*>(&out.sin_addr));
  return out;
}

class Config {
 public:
  explicit Config(const std::string& path) : json_(must(parse_json_object(read_file(path)))) {}
  std::string text(std::string_view name) const {
    const auto value = string_at(json_, name);
    if (!value) give_up("the configuration lacks " + std::string(name));
    return *value;
  }
  uint16_t port(size_t i) const {
    return static_cast<uint16_t>(*int_at(json_, "firstPort") +
                                 static_cast<int64_t>(i % static_cast<size_t>(*int_at(json_, "ports"))));
  }
  // Another pair of source and port for each number.
  std::string source(size_t i) const {
    const auto& sources = json_.at("sources").as_array();
    const auto ports = static_cast<size_t>(*int_at(json_, "ports"));
    return std::string(sources.at(i / ports % sources.size()).as_string());
  }

 private:
  JsonObject json_;
};

// SYNs from one source to one port, one after the other, none waiting for the one before.
class Knock {
 public:
  Knock(const std::string& source, const std::string& target, uint16_t port)
      : from_(socket_address(source, 0)), to_(socket_address(target, port)) {}
  ~Knock() {
    for (const Syn& syn : under_way_) ::close(syn.fd);
  }
  Knock(const Knock&) = delete;
  Knock& operator=(const Knock&) = delete;

  void send() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) give_up("no socket");
    // Closing sends a reset: no port of ours stays in TIME_WAIT.
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&from_), sizeof from_) != 0) give_up("cannot bind");
    const Moment sent = SteadyClock::now();
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0 && errno != EINPROGRESS)
      give_up("cannot connect");
    under_way_.push_back({fd, sent});
  }
  struct Through {
    Moment sent, answered;
  };
  // The latest SYN that has been answered since the last look; waits at most `wait`.
  std::optional<Through> look(std::chrono::nanoseconds wait) {
    std::vector<pollfd> polled;
    for (const Syn& syn : under_way_) polled.push_back({.fd = syn.fd, .events = POLLOUT, .revents = 0});
    const timespec pause{.tv_sec = 0, .tv_nsec = wait.count()};
    ::ppoll(polled.data(), polled.size(), &pause, nullptr);
    const Moment now = SteadyClock::now();
    std::optional<Through> through;
    std::deque<Syn> left;
    for (size_t i = 0; i < under_way_.size(); ++i) {
      const Syn& syn = under_way_[i];
      if ((polled[i].revents & POLLOUT) != 0 && (polled[i].revents & POLLERR) == 0)
        through = Through{syn.sent, now};
      else if (polled[i].revents == 0 && now - syn.sent < kSynForgotten) {
        left.push_back(syn);
        continue;
      }
      ::close(syn.fd);
    }
    under_way_ = std::move(left);
    return through;
  }

 private:
  struct Syn {
    int fd;
    Moment sent;
  };
  sockaddr_in from_, to_;
  std::deque<Syn> under_way_;
};

// The policy's "initiate", over one kept connection.
class Requester {
 public:
  explicit Requester(const Config& config)
      : config_(config), token_(config.text("token")), client_(net::Client::make([&] {
          net::ClientParameters parameters;
          parameters.host = config.text("address");
          parameters.port = config.text("port");
          parameters.server_name = config.text("domain");
          parameters.authorities_pem = read_file(config.text("caFile"));
          return parameters;
        }())) {}

  void initiate(const std::string& source, uint16_t port, Timestamp until) {
    net::ClientRequest request;
    request.method = "POST";
    request.target = config_.text("policy") + "/initiate?api-version=2020-01-01";
    request.headers.set("Authorization", "Bearer " + token_);
    request.headers.set("Content-Type", "application/json");
    const JsonObject wanted{
        {"number", port}, {"endTimeUtc", to_rfc3339(until)}, {"allowedSourceAddressPrefix", source}};
    const JsonObject machine{{"id", config_.text("machine")}, {"ports", JsonArray{wanted}}};
    request.body = to_text(JsonObject{{"virtualMachines", JsonArray{machine}}, {"justification", "bench"}});
    const auto answer = must(client_->send(request));
    if (answer.status != 202)
      give_up("initiate answered " + std::to_string(answer.status) + ": " + answer.body);
  }
  // Connects, so that no handshake is measured.
  void warm_up() {
    net::ClientRequest request;
    request.target = "/healthz";
    must(client_->send(request));
  }

 private:
  const Config& config_;
  const std::string token_;
  std::unique_ptr<net::Client> client_;
};

JsonObject distribution(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double part) {
    return values[static_cast<size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"max", values.back()}};
}

void require_closed(Knock& knock) {
  knock.send();
  if (knock.look(kRefusedFor)) give_up("a port is open before it was asked for");
}

int measure_latency(const Config& config, size_t count) {
  const SystemClock clock;
  Requester requester(config);
  requester.warm_up();
  net::WorkerPool asker("initiate", 1, 1);
  std::vector<double> opened, answered;
  for (size_t i = 0; i < count; ++i) {
    Knock knock(config.source(i), config.text("target"), config.port(i));
    require_closed(knock);
    std::atomic<bool> done = false;
    const Moment begin = SteadyClock::now();
    asker.submit([&] {
      requester.initiate(config.source(i), config.port(i), clock.now() + kOpenFor);
      answered.push_back(milliseconds_between(begin, SteadyClock::now()));
      done = true;
      done.notify_one();
    });
    std::optional<Knock::Through> through;
    while (!through) {
      if (SteadyClock::now() - begin > kGiveUp) give_up("it has not opened within ten seconds");
      knock.send();
      through = knock.look(kSynEvery);
    }
    opened.push_back(milliseconds_between(begin, through->answered));
    done.wait(false);
    ::usleep(static_cast<useconds_t>(std::chrono::microseconds(kAskEvery).count()));
  }
  std::cout << to_text(JsonObject{{"count", static_cast<int64_t>(count)},
                                  {"opened", distribution(opened)},
                                  {"answered", distribution(answered)}})
            << "\n";
  return 0;
}

// Of sources that nobody knocks from: what the machine has open besides.
int hold_open(const Config& config, size_t count) {
  const SystemClock clock;
  Requester requester(config);
  const auto begin = SteadyClock::now();
  constexpr size_t kPortsOfAHost = 10;
  for (size_t i = 0; i < count; ++i)
    requester.initiate("198.51.100." + std::to_string(i / kPortsOfAHost), config.port(i),
                       clock.now() + std::chrono::minutes(55));
  std::cout << to_text(JsonObject{{"count", static_cast<int64_t>(count)},
                                  {"milliseconds", milliseconds_between(begin, SteadyClock::now())}})
            << "\n";
  return 0;
}

bool has_ended(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(status, line)) return true;
  const size_t name_end = line.rfind(')');
  return line.compare(name_end, 3, ") Z") == 0;
}

void kill_all(const std::vector<pid_t>& processes) {
  for (const pid_t process : processes)
    if (process <= 1 || ::kill(process, SIGKILL) != 0) give_up("cannot kill " + std::to_string(process));
  const Moment begin = SteadyClock::now();
  while (!std::ranges::all_of(processes, has_ended)) {
    if (SteadyClock::now() - begin > kGiveUp) give_up("a killed process goes on");
    ::usleep(1000);
  }
}

int measure_closing(const Config& config, size_t count, const std::vector<pid_t>& processes) {
  const SystemClock clock;
  Requester requester(config);
  struct Watched {
    std::unique_ptr<Knock> knock;
    Timestamp deadline;
    std::optional<Moment> last;  // SYN that got through
  };
  std::vector<Watched> watched;
  const Timestamp first_deadline = clock.now() + std::chrono::seconds(8);
  for (size_t i = 0; i < count; ++i) {
    Watched one{std::make_unique<Knock>(config.source(i), config.text("target"), config.port(i)),
                first_deadline + milliseconds(370 * static_cast<int64_t>(i)),
                {}};
    requester.initiate(config.source(i), config.port(i), one.deadline);
    watched.push_back(std::move(one));
  }
  const auto look_at_all = [&] {
    for (Watched& one : watched) {
      one.knock->send();
      if (const auto through = one.knock->look(kSynEvery)) one.last = through->sent;
    }
  };
  const auto all_open = [&] {
    return std::ranges::all_of(watched, [](const Watched& one) { return one.last.has_value(); });
  };
  while (!all_open()) {
    if (clock.now() > first_deadline - std::chrono::seconds(1)) give_up("not all openings opened");
    look_at_all();
  }
  kill_all(processes);
  const Timestamp killed = clock.now();
  if (killed >= first_deadline) give_up("the processes took too long to end");
  const Moment steady = SteadyClock::now();
  const Timestamp wall = clock.now();
  while (clock.now() < watched.back().deadline + std::chrono::seconds(2)) look_at_all();
  std::vector<double> late, error;
  for (const Watched& one : watched) {
    const double last =
        milliseconds_between(steady, *one.last) - static_cast<double>((one.deadline - wall).count());
    if (last < -static_cast<double>((first_deadline - wall).count()))
      give_up("an opening ended with the processes");
    late.push_back(last);
    error.push_back(std::abs(last));
  }
  std::cout << to_text(JsonObject{{"count", static_cast<int64_t>(count)},
                                  {"processesKilled", static_cast<int64_t>(processes.size())},
                                  {"lastSynMinusDeadline", distribution(late)},
                                  {"error", distribution(error)}})
            << "\n";
  return 0;
}

int serve_ports(uint16_t first, uint16_t count) {
  std::vector<pollfd> listening;
  for (uint16_t i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const sockaddr_in here = socket_address("0.0.0.0", static_cast<uint16_t>(first + i));
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 || ::listen(fd, 512) != 0)
      give_up("cannot listen");
    listening.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  }
  while (::poll(listening.data(), listening.size(), -1) >= 0)
    for (const pollfd& one : listening)
      if (one.revents != 0)
        for (int fd = 0; (fd = ::accept(one.fd, nullptr, nullptr)) >= 0;) ::close(fd);
  return 1;
}

}  // namespace
}  // namespace merlon::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string what = words.empty() ? "" : words[0];
  ::signal(SIGPIPE, SIG_IGN);
  if (what == "listen" && words.size() == 3)
    return merlon::bench::serve_ports(static_cast<uint16_t>(std::stoul(words[1])),
                                      static_cast<uint16_t>(std::stoul(words[2])));
  if (what == "hold" && words.size() == 3)
    return merlon::bench::hold_open(merlon::bench::Config(words[1]), std::stoul(words[2]));
  if (what == "latency" && words.size() == 3)
    return merlon::bench::measure_latency(merlon::bench::Config(words[1]), std::stoul(words[2]));
  if (what == "closing" && words.size() > 3) {
    std::vector<pid_t> processes;
    for (size_t i = 3; i < words.size(); ++i) processes.push_back(std::stoi(words[i]));
    return merlon::bench::measure_closing(merlon::bench::Config(words[1]), std::stoul(words[2]), processes);
  }
  std::cerr << "usage: bench_opening listen FIRST-PORT COUNT | hold CONFIG COUNT | latency CONFIG COUNT | "
               "closing CONFIG COUNT "
               "PID...\n";
  return 64;
}

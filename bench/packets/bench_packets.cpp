// What one packet costs in the agent's own firewall with one live opening and with many.
// usage: bench_packets OPENINGS ROUNDS
//
// In network namespaces of its own: a machine whose rules agent::Firewall has put into the kernel, and a peer
// at the other end of a cable that sends TCP SYNs from sources of its choice. A veth pair hands a packet over
// within the sender's own system call, so that what sending takes includes what receiving takes. Each kind of
// packet is sent with one opening and with many by turns, so that a noisy moment hits both. Prints one JSON
// object.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <vector>

#include "agent/firewall.h"
#include "agent/test_packets.h"
#include "base/json.h"

namespace merlon::bench {
namespace {

using agent::Firewall;
using agent::LiveOpening;
using agent::testing::Peer;
using machine::Flow;
using machine::Protocol;
using SteadyClock = std::chrono::steady_clock;

constexpr uint16_t kPort = 22;
constexpr size_t kPackets = 20'000;  // of one kind, in one round: fewer than connection tracking holds
constexpr size_t kBatch = 64;
constexpr char kMachine[] = "10.1.0.4";

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench_packets: " << why << "\n";
  ::exit(1);
}
void must(const Result<void>& done) {
  if (!done) give_up(done.error().message + " " + done.error().cause);
}
template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().message + " " + result.error().cause);
  return *std::move(result);
}

IpAddress source(size_t i) { return IpAddress::from_v4(0x0a400000U + static_cast<uint32_t>(i)); }
// Never among the sources of openings.
IpAddress stranger(size_t i) { return IpAddress::from_v4(0xac100000U + static_cast<uint32_t>(i)); }

std::vector<LiveOpening> openings(size_t count, Duration now) {
  std::vector<LiveOpening> all;
  all.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    LiveOpening one;
    one.id = "bench-" + std::to_string(i);
    one.source = IpPrefix(source(i));
    one.destination = *IpAddress::parse(kMachine);
    one.port = kPort;
    one.deadline = now + std::chrono::hours(1);
    all.push_back(std::move(one));
  }
  return all;
}

// A security group that lets nobody in: what no opening lets in, its last rule drops.
machine::DesiredState closed_machine() {
  machine::DesiredState state;
  state.version = {1, 1};
  state.mode = machine::Mode::enforce;
  machine::InterfacePolicy policy;
  policy.primary = true;
  policy.addresses = {*IpAddress::parse(kMachine)};
  policy.inbound_layers.push_back({"group", {}, {}});
  state.interfaces.push_back(policy);
  return state;
}

class Wire {
 public:
  explicit Wire(const Peer& peer) {
    peer.there([this] {
      fd_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
      const int one = 1;
      ::setsockopt(fd_, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
      sockaddr_ll address{};
      address.sll_family = AF_PACKET;
      address.sll_protocol = 0;  // sends alone
      address.sll_ifindex = static_cast<int>(::if_nametoindex("p0"));
      if (fd_ < 0 || ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        give_up("no packet socket");
    });
  }
  ~Wire() { ::close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Nanoseconds for each.
  double send(std::vector<Bytes>& frames) const {
    const auto begin = SteadyClock::now();
    for (size_t at = 0; at < frames.size(); at += kBatch) {
      mmsghdr messages[kBatch] = {};
      iovec parts[kBatch] = {};
      const size_t count = std::min(kBatch, frames.size() - at);
      for (size_t i = 0; i < count; ++i) {
        parts[i] = {frames[at + i].data(), frames[at + i].size()};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
      }
      for (size_t sent = 0; sent < count;) {
        const int done = ::sendmmsg(fd_, messages + sent, static_cast<unsigned>(count - sent), 0);
        if (done < 0 && errno != ENOBUFS && errno != EAGAIN) give_up("sendmmsg failed");
        sent += static_cast<size_t>(std::max(done, 0));
      }
    }
    return std::chrono::duration<double, std::nano>(SteadyClock::now() - begin).count() /
           static_cast<double>(frames.size());
  }

 private:
  int fd_ = -1;
};

Bytes frame(const IpAddress& from, uint16_t from_port, uint16_t to_port) {
  const Flow flow{true, Protocol::tcp, from, *IpAddress::parse(kMachine), from_port, to_port};
  Bytes out = {2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0xfe, 0x08, 0x00};
  const Bytes packet = agent::testing::ip_packet(flow, agent::testing::transport(flow, 1));
  out.insert(out.end(), packet.begin(), packet.end());
  return out;
}

class Machine {
 public:
  Machine() : firewall_(must(Firewall::open(clock_))), nft_(must(agent::Nft::open())), wire_(peer_) {
    // What is let in ends here. Nobody has confirmed its connection yet, so that the same packet begins one
    // again the next time: one that goes on is known to connection tracking and never gets as far as the
    // openings.
    must(
        nft_.run("add table ip bench\n"
                 "add chain ip bench in { type filter hook input priority -300; }\n"
                 "add counter ip bench arrived\n"
                 "add rule ip bench in iifname m0 counter name arrived drop\n"));
    must(firewall_.begin(closed_machine(), {}, {}));
  }
  // Seconds that writing them takes.
  double open(size_t count) {
    const auto begin = SteadyClock::now();
    must(firewall_.set_openings(openings(count, clock_.boottime())));
    return std::chrono::duration<double>(SteadyClock::now() - begin).count();
  }
  double send(std::vector<Bytes>& frames, bool is_let_in) {
    const int64_t before = arrived();
    const double time = wire_.send(frames);
    const auto wanted = is_let_in ? static_cast<int64_t>(frames.size()) : 0;
    int64_t got = arrived() - before;
    for (int i = 0; i < 1000 && got < wanted; ++i) {
      ::usleep(1000);
      got = arrived() - before;
    }
    if (got != wanted)
      give_up("of " + std::to_string(frames.size()) + " packets " + std::to_string(got) +
              " got through instead of " + std::to_string(wanted));
    return time;
  }

 private:
  int64_t arrived() {
    for (const JsonObject* counter :
         agent::objects_of(must(nft_.list("list counter ip bench arrived")), "counter"))
      return *int_at(*counter, "packets");
    give_up("the counter is gone");
  }
  const SystemClock clock_;
  const Peer peer_;
  Firewall firewall_;
  agent::Nft nft_;
  const Wire wire_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Kind {
  const char* name;
  bool is_let_in;
  std::vector<Bytes> with_one, with_many;
};

std::vector<Kind> kinds(size_t count) {
  Kind one_source{"letInFromOneSource", true, {}, {}};
  Kind all_sources{"letInFromAllSources", true, {}, {}};
  Kind strangers{"refused", false, {}, {}};
  for (size_t i = 0; i < kPackets; ++i) {
    const auto port = static_cast<uint16_t>(1024 + i);
    one_source.with_one.push_back(frame(source(0), port, kPort));
    all_sources.with_one.push_back(frame(source(0), port, kPort));
    all_sources.with_many.push_back(frame(source(i * 7919 % count), port, kPort));
    strangers.with_one.push_back(frame(stranger(i), port, kPort));
  }
  one_source.with_many = one_source.with_one;
  strangers.with_many = strangers.with_one;
  return {std::move(one_source), std::move(all_sources), std::move(strangers)};
}

void measure(size_t count, size_t rounds) {
  Machine machine;
  std::vector<Kind> all = kinds(count);
  std::vector<std::vector<double>> with_one(all.size()), with_many(all.size());
  std::vector<double> written;
  for (size_t round = 0; round <= rounds; ++round) {
    for (const bool many : {false, true}) {
      const double seconds = machine.open(many ? count : 1);
      if (many) written.push_back(seconds);
      for (size_t i = 0; i < all.size(); ++i) {
        const double time = machine.send(many ? all[i].with_many : all[i].with_one, all[i].is_let_in);
        if (round > 0) (many ? with_many : with_one)[i].push_back(time);  // the first warms up
      }
    }
  }
  JsonObject out{{"openings", static_cast<int64_t>(count)},
                 {"packets", static_cast<int64_t>(kPackets)},
                 {"rounds", static_cast<int64_t>(rounds)},
                 {"writtenInSeconds", median(written)}};
  for (size_t i = 0; i < all.size(); ++i)
    out[all[i].name] = JsonObject{{"nanosecondsWithOne", median(with_one[i])},
                                  {"nanosecondsWithMany", median(with_many[i])}};
  std::cout << to_text(out) << std::endl;
}

}  // namespace
}  // namespace merlon::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: bench_packets OPENINGS ROUNDS\n";
    return 64;
  }
  merlon::agent::testing::in_fresh_namespace(
      [&] { merlon::bench::measure(std::stoul(argv[1]), std::stoul(argv[2])); });
  return testing::Test::HasFailure() ? 1 : 0;
}

// Openings that cut: real connections end with them in a real kernel, with agent and server dead, and stay
// dead under the next opening from the same address (kernel.md, "Established connections").
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/firewall_connections.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

using machine::Access;
using machine::DesiredState;
using machine::FilterRule;
using machine::InterfacePolicy;
using machine::Mode;
using machine::PortRange;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t kMask = 0xff00ff00;
constexpr uint32_t kFirst = 0x00000100;
constexpr uint32_t kSecond = 0x00000200;

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }
IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }

// Nothing comes in by itself; everything may go out, as in Azure.
DesiredState closed_inbound(Mode mode = Mode::enforce) {
  DesiredState state;
  state.version = {1, 1};
  state.mode = mode;
  InterfacePolicy policy;
  policy.primary = true;
  policy.inbound_layers.push_back({"group", {}, {}});
  state.interfaces.push_back(policy);
  return state;
}

Platform platform() {
  Platform made;
  made.mark_mask = kMask;
  made.internal_interfaces = {"docker*"};
  return made;
}

LiveOpening opening(std::string_view to, Duration deadline, uint32_t mark, uint16_t port = 22,
                    Protocol protocol = Protocol::tcp) {
  const bool v4 = address(to).is_v4();
  return {"opening", protocol, prefix(v4 ? "10.1.0.254" : "fd00:1::fe"), address(to), port, deadline, mark};
}

void must(const Result<void>& done) {
  ASSERT_TRUE(done) << done.error().message << " " << done.error().cause;
}

// An agent that opens and dies: what is in the kernel afterwards needs no process.
void dead_agent(const std::vector<LiveOpening>& openings) {
  std::fflush(nullptr);
  const pid_t agent = ::fork();
  if (agent == 0) {
    SystemClock clock;
    auto firewall = Firewall::open(clock).value();
    ::_exit(firewall.begin(closed_inbound(), platform(), openings).has_value() ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(agent, &status, 0), agent);
  ASSERT_EQ(status, 0);
}

void sleep_until(Duration moment) {
  const SystemClock clock;
  while (clock.boottime() < moment) ::usleep(1000);
}

void sessions_end(const std::string& to) {
  SCOPED_TRACE(to);
  const SystemClock clock;
  const Peer peer;
  const Socket listener = bound(SOCK_STREAM, address(to), 22);
  const Duration end = clock.boottime() + milliseconds(1500);
  dead_agent({opening(to, end, kFirst)});
  Talk busy = talk(peer, listener, address(to), 22);
  Talk silent = talk(peer, listener, address(to), 22);
  Talk answering = talk(peer, listener, address(to), 22);
  Talk forgotten = talk(peer, listener, address(to), 22);
  ASSERT_TRUE(busy && silent && answering && forgotten);
  EXPECT_TRUE(busy.flows() && silent.flows() && answering.flows() && forgotten.flows());
  sleep_until(end);
  EXPECT_FALSE(busy.client.reaches(busy.server));
  EXPECT_TRUE(busy.client.was_reset()) << "its owner hears of it";
  EXPECT_FALSE(answering.server.reaches(answering.client)) << "answers are looked at too";
  EXPECT_TRUE(answering.server.was_reset());
  EXPECT_FALSE(talk(peer, listener, address(to), 22)) << "nothing new either";
  // The next opening from the same address, perhaps of another person behind it.
  dead_agent({opening(to, clock.boottime() + seconds(60), kSecond)});
  EXPECT_FALSE(silent.client.reaches(silent.server)) << "a session of the last opening came back";
  EXPECT_FALSE(silent.server.reaches(silent.client));
  // Without its entry in the kernel's table it is a flow that begins in the middle, from either side.
  ASSERT_EQ(run_command("conntrack -F", true), 0);
  EXPECT_FALSE(forgotten.server.reaches(forgotten.client));
  EXPECT_FALSE(forgotten.client.reaches(forgotten.server));
  Talk next = talk(peer, listener, address(to), 22);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next.flows());
}

TEST(FirewallCut, SessionsEndWithTheirOpeningAndStayDeadUnderTheNext) {
  in_fresh_namespace([] { sessions_end("10.1.0.4"); });
  in_fresh_namespace([] { sessions_end("fd00:1::4"); });
}

TEST(FirewallCut, WithoutTheFlagASessionGoesOn) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Socket ssh = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    const Socket web = bound(SOCK_STREAM, address("10.1.0.4"), 80);
    const Duration end = clock.boottime() + milliseconds(1500);
    dead_agent({opening("10.1.0.4", end, 0), opening("10.1.0.4", end, kFirst, 80)});
    const Talk kept = talk(peer, ssh, address("10.1.0.4"), 22);
    const Talk cut = talk(peer, web, address("10.1.0.4"), 80);
    ASSERT_TRUE(kept && cut);
    sleep_until(end);
    EXPECT_TRUE(kept.flows());
    EXPECT_FALSE(cut.client.reaches(cut.server));
    EXPECT_FALSE(talk(peer, ssh, address("10.1.0.4"), 22));
  });
}

TEST(FirewallCut, ExtendingRestartingAndRepairingKeepASessionAndRevokingCutsIt) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Socket listener = bound(SOCK_STREAM, address("fd00:1::4"), 22);
    const Duration start = clock.boottime();
    dead_agent({opening("fd00:1::4", start + milliseconds(1500), kFirst)});
    const Talk session = talk(peer, listener, address("fd00:1::4"), 22);
    ASSERT_TRUE(session);
    Firewall firewall = Firewall::open(clock).value();
    const std::vector<LiveOpening> longer = {opening("fd00:1::4", start + seconds(60), kFirst)};
    must(firewall.begin(closed_inbound(), platform(), longer));
    sleep_until(start + milliseconds(1600));
    EXPECT_TRUE(session.flows()) << "the agent started anew and the opening was lengthened";
    must(firewall.set_openings(longer));
    must(firewall.reassert_openings());
    EXPECT_TRUE(session.flows());
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    EXPECT_TRUE(firewall.watch(true).value().table_lost);
    EXPECT_TRUE(session.flows()) << "somebody flushed the ruleset";
    must(firewall.apply(closed_inbound(), platform()));
    EXPECT_TRUE(session.flows()) << "a change of rules";
    // Of two openings on one key, a new session belongs to the one that ends last.
    must(firewall.set_openings({opening("fd00:1::4", start + seconds(60), kFirst),
                                opening("fd00:1::4", start + seconds(90), kSecond)}));
    const Talk later = talk(peer, listener, address("fd00:1::4"), 22);
    ASSERT_TRUE(later);
    must(firewall.set_openings({opening("fd00:1::4", start + seconds(90), kSecond)}));
    EXPECT_FALSE(session.client.reaches(session.server)) << "revoked";
    EXPECT_TRUE(later.flows());
    must(firewall.set_openings({}));
    EXPECT_FALSE(later.server.reaches(later.client));
  });
}

TEST(FirewallCut, DatagramsAreJudgedAnewUnderTheNextOpening) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    for (const char* to : {"10.1.0.4", "fd00:1::4"}) {
      SCOPED_TRACE(to);
      const Socket server = bound(SOCK_DGRAM, address(to), 51820);
      Socket client;
      peer.there([&] { client = connected(SOCK_DGRAM, address(to), 51820, 51820); });
      sockaddr_storage back{};
      const socklen_t size =
          to_sockaddr(address(to).is_v4() ? address("10.1.0.254") : address("fd00:1::fe"), 51820, back);
      const Duration end = clock.boottime() + milliseconds(1500);
      dead_agent({opening(to, end, kFirst, 51820, Protocol::udp)});
      EXPECT_TRUE(client.reaches(server));
      ASSERT_EQ(::connect(server.fd(), reinterpret_cast<const sockaddr*>(&back), size), 0);
      EXPECT_TRUE(server.reaches(client));
      sleep_until(end);
      EXPECT_FALSE(client.reaches(server));
      EXPECT_FALSE(server.reaches(client)) << "the server's side of a known flow";
      const Duration second = clock.boottime() + milliseconds(1500);
      dead_agent({opening(to, second, kSecond, 51820, Protocol::udp)});
      EXPECT_TRUE(client.reaches(server)) << "the same ports on both sides, as WireGuard has them";
      EXPECT_TRUE(server.reaches(client));
      sleep_until(second);
      EXPECT_FALSE(client.reaches(server));
      EXPECT_FALSE(server.reaches(client));
      // And a plain opening keeps, as ever, what it let in.
      const Duration third = clock.boottime() + milliseconds(1500);
      dead_agent({opening(to, third, 0, 51820, Protocol::udp)});
      EXPECT_TRUE(client.reaches(server));
      sleep_until(third);
      EXPECT_TRUE(client.reaches(server));
      EXPECT_TRUE(server.reaches(client));
    }
  });
}

TEST(FirewallCut, AContainersPublishedPortIsCutInBothDirections) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Container container;
    must_run("nft add table ip nat");
    must_run("nft add chain ip nat PREROUTING { type nat hook prerouting priority -100 ; }");
    must_run("nft add rule ip nat PREROUTING tcp dport 8022 dnat to 172.17.0.2:22");
    must_run("nft add table ip6 nat");
    must_run("nft add chain ip6 nat PREROUTING { type nat hook prerouting priority -100 ; }");
    must_run("nft add rule ip6 nat PREROUTING tcp dport 8022 dnat to [fd00:17::2]:22");
    for (const auto& [to, inner] :
         {std::pair("10.1.0.4", "172.17.0.2"), std::pair("fd00:1::4", "fd00:17::2")}) {
      SCOPED_TRACE(to);
      const Socket listener = container.listener(inner, 22);
      const Duration end = clock.boottime() + milliseconds(1500);
      dead_agent({opening(to, end, kFirst, 8022)});
      const Talk asking = talk(peer, listener, address(to), 8022);
      const Talk answering = talk(peer, listener, address(to), 8022);
      const Talk silent = talk(peer, listener, address(to), 8022);
      ASSERT_TRUE(asking && answering && silent);
      EXPECT_TRUE(asking.flows() && answering.flows() && silent.flows());
      sleep_until(end);
      EXPECT_FALSE(asking.client.reaches(asking.server));
      EXPECT_TRUE(asking.client.was_reset());
      EXPECT_FALSE(answering.server.reaches(answering.client));
      EXPECT_TRUE(answering.server.was_reset());
      dead_agent({opening(to, clock.boottime() + seconds(60), kSecond, 8022)});
      EXPECT_FALSE(silent.client.reaches(silent.server));
      EXPECT_FALSE(silent.server.reaches(silent.client));
      EXPECT_TRUE(talk(peer, listener, address(to), 8022).flows());
    }
  });
}

TEST(FirewallCut, AMarkThatIsGivenAgainBringsNothingBack) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Socket listener = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    dead_agent({opening("10.1.0.4", clock.boottime() + milliseconds(1800), kFirst)});
    const Talk old = talk(peer, listener, address("10.1.0.4"), 22);
    ASSERT_TRUE(old);
    dead_agent({opening("10.1.0.4", clock.boottime() + seconds(60), kSecond)});
    const Talk other = talk(peer, listener, address("10.1.0.4"), 22);
    ASSERT_TRUE(other);
    must(forget_connections(kFirst, kMask));
    EXPECT_TRUE(other.flows()) << "connections of other marks are not forgotten";
    dead_agent({opening("10.1.0.4", clock.boottime() + seconds(60), kFirst),
                opening("10.1.0.4", clock.boottime() + seconds(50), kSecond)});
    EXPECT_TRUE(other.flows());
    EXPECT_FALSE(old.client.reaches(old.server));
    EXPECT_FALSE(old.server.reaches(old.client));
    EXPECT_FALSE(forget_connections(0, kMask)) << "that would forget them all";
  });
}

TEST(FirewallCut, AuditCutsNothing) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const Socket listener = bound(SOCK_STREAM, address("10.1.0.4"), 22);
    Firewall firewall = Firewall::open(clock).value();
    const Duration end = clock.boottime() + milliseconds(1800);
    must(firewall.begin(closed_inbound(Mode::audit), platform(), {opening("10.1.0.4", end, kFirst)}));
    const Talk session = talk(peer, listener, address("10.1.0.4"), 22);
    ASSERT_TRUE(session);
    sleep_until(end);
    EXPECT_TRUE(session.flows());
    EXPECT_GT(firewall.would_drop().value().inbound, 0);
    must(firewall.apply(closed_inbound(), platform()));
    EXPECT_FALSE(session.client.reaches(session.server)) << "its opening has ended";
  });
}

}  // namespace
}  // namespace merlon::agent::testing

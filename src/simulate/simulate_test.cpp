// Many short histories; that a seed replays exactly; that the simulator can fail; and that the real nftables
// does what its model does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <vector>

#include "agent/test_packets.h"
#include "base/log.h"
#include "base/time_text.h"
#include "simulate/history.h"

namespace merlon::simulate {
namespace {

using SteadyClock = std::chrono::steady_clock;

class SimulateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    set_log_level(static_cast<LogLevel>(static_cast<int>(LogLevel::error) + 1));
    auto made = ScratchDirectory::make();
    ASSERT_TRUE(made) << made.error().message;
    scratch = *std::move(made);
    auto made_setting = make_setting(scratch->path() + "/setting");
    ASSERT_TRUE(made_setting) << made_setting.error().message << made_setting.error().cause;
    setting = std::make_unique<Setting>(*std::move(made_setting));
  }
  static void TearDownTestSuite() {
    setting.reset();
    scratch.reset();
    set_log_level(LogLevel::info);
  }
  static constexpr unsigned kSteps = 40;
  // Where to begin; another number looks at other histories: MERLON_SEED=5000 build/debug/simulate_test.
  static uint64_t first_seed() {
    const char* given = std::getenv("MERLON_SEED");
    return given == nullptr ? 1000 : std::strtoull(given, nullptr, 10);
  }
  static bool is_long() { return std::getenv("MERLON_LONG") != nullptr; }

  // The first history from `seed` in which an invariant breaks, of at most `most`. The tests begin shortly
  // before the one that showed it when they were written: another change of the world may move it.
  std::optional<Outcome> first_failure(const Bugs& bugs, uint64_t seed, unsigned most,
                                       unsigned agents_die = 0, unsigned power_fails = 0,
                                       size_t servers = 0) {
    for (uint64_t i = seed; i < seed + most; ++i) {
      Outcome outcome = player.play(
          {.seed = i, .servers = servers, .agents_die = agents_die, .power_fails = power_fails, .bugs = bugs},
          50);
      if (!outcome.violation) continue;
      std::cout << "noticed in history " << i << ": " << outcome.violation->invariant << "\n";
      return outcome;
    }
    return std::nullopt;
  }

  static std::unique_ptr<ScratchDirectory> scratch;
  static std::unique_ptr<Setting> setting;
  Player player{*setting, scratch->path() + "/play"};
};

std::unique_ptr<ScratchDirectory> SimulateTest::scratch;
std::unique_ptr<Setting> SimulateTest::setting;

TEST_F(SimulateTest, EveryInvariantHoldsInEveryHistory) {
  const unsigned most = is_long() ? 20'000 : 300;
  const auto end = SteadyClock::now() + std::chrono::seconds(is_long() ? 240 : 6);
  unsigned played = 0;
  for (; played < most && SteadyClock::now() < end; ++played) {
    const uint64_t seed = first_seed() + played;
    const Outcome outcome = player.play({.seed = seed}, kSteps);
    ASSERT_FALSE(outcome.violation) << text_of(outcome, kSteps);
  }
  RecordProperty("histories", static_cast<int>(played));
  std::cout << played << " histories\n";
  EXPECT_GE(played, 1U);
}

TEST_F(SimulateTest, EveryInvariantHoldsWithSeveralServersOnOneDatabase) {
  const auto end = SteadyClock::now() + std::chrono::seconds(is_long() ? 120 : 3);
  unsigned played = 0;
  for (; SteadyClock::now() < end; ++played) {
    const WorldOptions options{.seed = first_seed() + played, .servers = 2 + played % 2};
    const Outcome outcome = player.play(options, kSteps);
    ASSERT_FALSE(outcome.violation) << options.servers << " servers\n" << text_of(outcome, kSteps);
  }
  EXPECT_GE(played, 1U);
}

// Another process makes another setting: other keys, the same history.
uint64_t hash_elsewhere(uint64_t seed, unsigned steps) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    uint64_t hash = 0;
    {
      const auto scratch = ScratchDirectory::make();
      const auto setting = scratch ? make_setting((*scratch)->path() + "/setting")
                                   : Result<Setting>(std::unexpected(scratch.error()));
      if (setting) hash = Player(*setting, (*scratch)->path() + "/play").play({.seed = seed}, steps).hash;
    }
    [[maybe_unused]] const ssize_t told = ::write(ends[1], &hash, sizeof hash);
    ::_exit(0);
  }
  ::close(ends[1]);
  uint64_t hash = 0;
  EXPECT_EQ(::read(ends[0], &hash, sizeof hash), static_cast<ssize_t>(sizeof hash));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return hash;
}

TEST_F(SimulateTest, ASeedReplaysExactlyHereAndInAnotherProcess) {
  const uint64_t once = player.play({.seed = 3}, 12).hash;
  EXPECT_EQ(player.play({.seed = 3}, 12).hash, once);
  EXPECT_EQ(hash_elsewhere(3, 12), once);
  EXPECT_NE(player.play({.seed = 4}, 1).hash, player.play({.seed = 5}, 1).hash);
}

class NoServer final : public agent::Exchange {
 public:
  Result<machine::SyncAnswer> sync(const machine::SyncRequest&) override { return away(); }
  Result<std::string> renew() override { return away(); }
  Timestamp renew_after() const override { return Timestamp::max(); }

 private:
  static std::unexpected<Error> away() {
    return fail(ErrorKind::unavailable, "ConnectionFailed", "There is no server.");
  }
};

// Whoever was removed has no rules, also when its agent died before it could say so; it starts with them
// again.
TEST_F(SimulateTest, AnAgentThatDiesWhileItTakesItsRulesOutRightlyHasNone) {
  const Timestamp truth = kBeginning;
  SeededRandom random(1);
  RuleCache rules;
  NoServer no_server;
  int tries = 0;
  for (bool killed = true; killed; ++tries) {
    SimMachine::Place place = setting->machines[0];
    place.directory = scratch->path() + "/leaves-" + std::to_string(tries);
    std::filesystem::copy(setting->directory + "/" + place.name, place.directory);
    std::filesystem::permissions(place.directory, std::filesystem::perms::owner_all);
    SimMachine m(place, truth, random, rules);
    m.enrolled = true;
    ASSERT_TRUE(m.start_agent(no_server));
    ASSERT_TRUE(m.kernel().has_table() && !m.table_may_be_gone());
    const auto asked = m.ask();
    ASSERT_TRUE(asked) << asked.error().message;
    machine::SyncAnswer answer;
    answer.nonce = asked->request.nonce;
    answer.server_time = truth;
    answer.released = true;
    m.kill_in(tries + 1);
    try {
      const auto step = m.hear(*asked, answer, truth);
      killed = false;
      EXPECT_TRUE(step && step->removed && !m.kernel().has_table());
    } catch (const AgentKilled&) {
      m.kill_agent();
    }
    EXPECT_TRUE(m.kernel().has_table() || m.table_may_be_gone()) << "killed at change " << tries + 1;
    if (!killed) continue;
    ASSERT_TRUE(m.start_agent(no_server));
    EXPECT_TRUE(m.kernel().has_table() && !m.table_may_be_gone());
  }
  EXPECT_GE(tries, 3) << "killed before the table went, and after it";
}

// Its agents may ask it before it has heard of the other's time. Seed 583450937100279 with two servers showed
// it.
TEST_F(SimulateTest, AServerThatIsBehindTellsOfOpeningsByTheTimeOfTheOneThatGrantedThem) {
  const Timestamp truth = kBeginning + std::chrono::hours(1);
  SeededRandom random(1);
  RuleCache rules;
  NoServer no_server;
  SimDatabase database(setting->disk->after_kill(), [](size_t) {});
  ASSERT_TRUE(database.start());
  for (const auto& [from, to] :
       {std::pair("/server", "/behind"), std::pair("/server", "/ahead"), std::pair("/web-1", "/asks")})
    std::filesystem::copy(setting->directory + from, scratch->path() + to,
                          std::filesystem::copy_options::recursive);
  SimServer behind(scratch->path() + "/behind", database, 0, truth, random);
  SimServer ahead(scratch->path() + "/ahead", database, 1, truth, random);
  ahead.clock().step_wall(std::chrono::minutes(10));
  ASSERT_TRUE(behind.start());
  ASSERT_TRUE(ahead.start());
  const net::Response opened = ahead.call(
      setting->owner, "POST", setting->policy() + "/initiate" + std::string(kPolicyVersion),
      {{"virtualMachines",
        JsonArray{JsonObject{{"id", setting->vm("web-1")},
                             {"ports", JsonArray{JsonObject{{"number", 22}, {"duration", "PT5M"}}}}}}}});
  ASSERT_EQ(opened.status, 202) << opened.body;

  SimMachine::Place place = setting->machines[0];
  place.directory = scratch->path() + "/asks";
  std::filesystem::permissions(place.directory, std::filesystem::perms::owner_all);
  SimMachine m(place, truth, random, rules);
  ASSERT_TRUE(m.start_agent(no_server));
  const auto asked = m.ask();
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_LT(behind.time(), ahead.time() - std::chrono::minutes(5)) << "it has not heard yet";
  const net::Response answered = behind.call({.method = "POST",
                                              .target = "/agent/v1/sync",
                                              .body = to_text(asked->request.to_json()),
                                              .token = {},
                                              .if_match = {},
                                              .peer = place.addresses.front(),
                                              .plane = net::Plane::agents,
                                              .certificate = setting->certificates[0]});
  const auto told = agent::read_sync_answer(answered.body);
  ASSERT_TRUE(told && told->state) << answered.body;
  ASSERT_EQ(told->state->openings.size(), 1U);
  EXPECT_LE(told->state->openings[0].deadline - told->server_time, std::chrono::minutes(5));
  EXPECT_GE(behind.time(), told->server_time) << "what it has told, it holds to";
}

// By its own answers alone a machine knows a server's time, and each server is told from the others, and from
// what it was before it started anew.
TEST_F(SimulateTest, AnAnswerNamesTheServersProcess) {
  const Timestamp truth = kBeginning;
  SeededRandom random(1);
  RuleCache rules;
  NoServer no_server;
  std::filesystem::copy(setting->directory + "/server", scratch->path() + "/named",
                        std::filesystem::copy_options::recursive);
  std::filesystem::copy(setting->directory + "/web-1", scratch->path() + "/hears",
                        std::filesystem::copy_options::recursive);
  SimServer server(scratch->path() + "/named", setting->disk->after_kill(), truth, random);
  SimMachine::Place place = setting->machines[0];
  place.directory = scratch->path() + "/hears";
  std::filesystem::permissions(place.directory, std::filesystem::perms::owner_all);
  SimMachine m(place, truth, random, rules);
  ASSERT_TRUE(m.start_agent(no_server));
  const auto name = [&] {
    auto asked = m.ask().value();
    asked.request.wait_ms = 0;
    const net::Response answered = server.call({.method = "POST",
                                                .target = "/agent/v1/sync",
                                                .body = to_text(asked.request.to_json()),
                                                .token = {},
                                                .if_match = {},
                                                .peer = place.addresses.front(),
                                                .plane = net::Plane::agents,
                                                .certificate = setting->certificates[0]});
    const auto told = agent::read_sync_answer(answered.body);
    return told ? told->server : answered.body;
  };
  ASSERT_TRUE(server.start());
  const std::string first = name();
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(name(), first);
  server.die(Death::killed);
  ASSERT_TRUE(server.start());
  EXPECT_EQ(name().size(), 16U);
  EXPECT_NE(name(), first);
}

// A machine slept while the answer of one server was on its way, and counted by the time of the other.
TEST_F(SimulateTest, AnOpeningEndsOnTimeBetweenServersWhoseClocksAreApart) {
  const Outcome outcome = player.play({.seed = 591010910700788, .servers = 2}, 50);
  EXPECT_FALSE(outcome.violation) << text_of(outcome, 50, 2);
}

TEST_F(SimulateTest, AKernelThatKeepsWhatIsTakenOutIsNoticed) {
  Bugs bugs;
  bugs.kernel = KernelBug::keeps_elements;
  const auto failure = first_failure(bugs, 1, 60);
  ASSERT_TRUE(failure);
  // Open for too long; or not for as long as it was prolonged to, where the old element stands in the way.
  EXPECT_TRUE(failure->violation->invariant.starts_with("1:") ||
              failure->violation->invariant == "7: an opening runs to its deadline")
      << text_of(*failure, 50);
}

TEST_F(SimulateTest, AStoreThatLosesAcknowledgedWritesIsNoticed) {
  Bugs bugs;
  bugs.store_loses_writes = true;
  ASSERT_TRUE(first_failure(bugs, 1, 10));
}

TEST_F(SimulateTest, ADiskThatForgetsWhatItSaidIsThereIsNoticed) {
  Bugs bugs;
  bugs.disk_lies = true;
  const auto failure = first_failure(bugs, 1, 40, 0, 100);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->violation->invariant.starts_with("4:") ||
              failure->violation->invariant.starts_with("5:"))
      << text_of(*failure, 50);
}

// While an agent lives it takes out itself what is over; so they die often here.
TEST_F(SimulateTest, AKernelThatForgetsTimeoutsIsNoticed) {
  Bugs bugs;
  bugs.kernel = KernelBug::forgets_timeouts;
  const auto failure = first_failure(bugs, 35, 100, 300);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->violation->invariant, "1: nothing new gets in that no live grant covers")
      << text_of(*failure, 50);
}

// Likewise: an agent that lives hears when they end.
TEST_F(SimulateTest, AnAgentThatLengthensOpeningsIsNoticed) {
  Bugs bugs;
  bugs.agent_lengthens = std::chrono::hours(2);
  const auto failure = first_failure(bugs, 23, 100, 300);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->violation->invariant.starts_with("1:")) << text_of(*failure, 50);
}

// A role that was taken away at one counts at the other, which knows it from before.
TEST_F(SimulateTest, AServerThatTakesWhatItKnowsForWhatIsThereIsNoticed) {
  Bugs bugs;
  bugs.store_hides_changes = true;
  ASSERT_TRUE(first_failure(bugs, 31, 30, 0, 0, 2));
}

TEST_F(SimulateTest, AServerThatForgetsDeadlinesIsNoticed) {
  Bugs bugs;
  bugs.server_forgets_deadlines = true;
  ASSERT_TRUE(first_failure(bugs, 1, 30));
  ASSERT_TRUE(first_failure(bugs, 17, 30, 0, 0, 2));
}

TEST_F(SimulateTest, AServerThatWritesDownALaterDeadlineIsNoticed) {
  Bugs bugs;
  bugs.store_alters = [](const store::TableSpec& table, store::Row& row) {
    if (table.name != "grants") return;
    JsonObject grant = *parse_json_object(row.body);
    const Timestamp deadline = *from_rfc3339(*string_at(grant, "deadline"));
    grant["deadline"] = to_rfc3339(deadline + Duration(1000));
    row.body = to_text(grant);
  };
  const auto failure = first_failure(bugs, 1, 30);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->violation->invariant.starts_with("4:")) << text_of(*failure, 50);
}

// What just-in-time access adds to a security group becomes a person's rule.
TEST_F(SimulateTest, AnOverlayThatLeaksIntoTheBaseIsNoticed) {
  Bugs bugs;
  bugs.store_alters = [](const store::TableSpec& table, store::Row& row) {
    if (table.name != "security_groups") return;
    JsonObject group = *parse_json_object(row.body);
    for (const auto& [owner, rules] : group["overlay"].as_object())
      for (const Json& rule : rules.as_array())
        group["base"].as_array().push_back(
            JsonObject{{"name", *string_at(rule.as_object(), "name")},
                       {"properties", JsonObject{{"protocol", "Tcp"},
                                                 {"sourcePortRange", "*"},
                                                 {"destinationPortRange", "22"},
                                                 {"sourceAddressPrefix", "*"},
                                                 {"destinationAddressPrefix", "*"},
                                                 {"access", "Deny"},
                                                 {"priority", 4000},
                                                 {"direction", "Inbound"}}}});
    row.body = to_text(group);
  };
  ASSERT_TRUE(first_failure(bugs, 1, 30));
}

// ---- The same history on the real nftables, in real time, with real packets.

class NamespaceKernel final : public RealKernel {
 public:
  NamespaceKernel() : nft_(agent::Nft::open().value()), cable_(peer_), began_(SteadyClock::now()) {}

  Result<void> run(const std::string& commands) override { return nft_.run(commands); }

  bool passes(const Packet& packet) override {
    machine::Flow flow;
    flow.protocol = packet.protocol == 6 ? machine::Protocol::tcp : machine::Protocol::udp;
    flow.source = packet.source;
    flow.destination = packet.destination;
    flow.source_port = static_cast<uint16_t>(20'000 + sent_ % 40'000);  // a new flow each time
    flow.destination_port = packet.destination_port;
    // Sent behind it, and never dropped: once it is there, the other one is or never will be.
    machine::Flow dhcp;
    dhcp.protocol = machine::Protocol::udp;
    dhcp.source = IpAddress::parse("10.1.0.254").value();
    dhcp.destination = IpAddress::parse("10.1.0.4").value();
    dhcp.source_port = 67;
    dhcp.destination_port = 68;
    const uint32_t mark = agent::testing::kFirstMark + static_cast<uint32_t>(++sent_);
    const uint32_t last = agent::testing::kFirstMark + static_cast<uint32_t>(++sent_);
    cable_.send(flow, mark);
    cable_.send(dhcp, last);
    const auto arrived = cable_.arrived({last}, 5000);
    EXPECT_TRUE(arrived.inbound.contains(last));
    return arrived.inbound.contains(mark);
  }

  Duration wait_until(Duration since_beginning) override {
    const auto passed = [&] { return std::chrono::duration_cast<Duration>(SteadyClock::now() - began_); };
    while (passed() < since_beginning) ::usleep(1000);
    return passed() - since_beginning;
  }

 private:
  agent::testing::Peer peer_;
  agent::Nft nft_;
  agent::testing::Cable cable_;
  SteadyClock::time_point began_;
  size_t sent_ = 0;
};

// Most of such a history is waiting, so that several take the time of one: each in a process of its own.
void at_once(unsigned count, const std::function<void(unsigned)>& play) {
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (unsigned i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      play(i);
      std::fflush(nullptr);
      ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "see the failure above; status " << status;
  }
}

TEST_F(SimulateTest, TheRealNftablesDoesWhatItsModelDoes) {
  constexpr unsigned kTogether = 6;
  const unsigned rounds = is_long() ? 20 : 1;
  // Half of them are seeds that nobody has played.
  const auto fresh = static_cast<uint64_t>(SteadyClock::now().time_since_epoch().count()) / 1000 * 1000;
  for (unsigned round = 0; round < rounds; ++round)
    at_once(kTogether, [&](unsigned i) {
      const uint64_t seed = (i % 2 == 0 ? 500 : fresh) + round * kTogether + i;
      agent::testing::in_fresh_namespace([&] {
        Player own{*setting, scratch->path() + "/real-" + std::to_string(i)};
        NamespaceKernel real;
        const Outcome outcome = own.play({.seed = seed, .machines = 1, .gentle = true}, 50, &real);
        EXPECT_FALSE(outcome.violation) << text_of(outcome, 50);
        EXPECT_GT(outcome.packets, 100U) << seed;
      });
    });
}

}  // namespace
}  // namespace merlon::simulate

// The agent as it runs: two processes, a real TLS server with the real channel's messages, a real kernel, in
// a network namespace of its own.
#include <sys/stat.h>

#include "agent/test_control_plane.h"

namespace merlon::agent::testing {
namespace {

// The process of the agent that speaks to the server: the child of the one that was started.
pid_t speaker_of(pid_t agent) {
  std::ifstream file("/proc/" + std::to_string(agent) + "/task/" + std::to_string(agent) + "/children");
  pid_t child = -1;
  file >> child;
  return child;
}

std::string status_line(pid_t process, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return std::string(trim(line.substr(name.size() + 1)));
  return {};
}

TEST(Agent, EnrolmentKeepsItsKeyToRootAndHappensOnce) {
  in_fresh_namespace([] {
    Room room;
    const auto refused = room.enrol("bad-token");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "The token is used up. Ask for another.");
    EXPECT_FALSE(agent::run({room.state_dir()}));
    const auto enrolled = room.enrol();
    ASSERT_TRUE(enrolled) << enrolled.error().message;
    struct stat status{};
    ASSERT_EQ(::stat((room.state_dir() + "/agent.key").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat(room.state_dir().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
    EXPECT_EQ(room.enrol().error().code, "AlreadyEnrolled");
    ASSERT_EQ(::chmod(room.state_dir().c_str(), 0777), 0);
    EXPECT_EQ(agent::run({room.state_dir()}).error().code, "AgentState");
  });
}

TEST(Agent, OpensAndClosesAndSurvivesKilling) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(room.enrol());
    room.plane.show(sealed_machine(1));
    pid_t agent = room.start();
    ASSERT_TRUE(room.plane.hears([](const SyncRequest& said) {
      return said.applied.version.number == 1 && said.applied.confirmed && said.applied.mode == Mode::enforce;
    }));
    EXPECT_FALSE(room.ssh_passes());

    // What each half keeps of root.
    const pid_t speaker = speaker_of(agent);
    ASSERT_GT(speaker, 0);
    EXPECT_EQ(status_line(speaker, "CapEff"), "0000000000000000");
    EXPECT_EQ(status_line(speaker, "CapPrm"), "0000000000000000");
    EXPECT_EQ(status_line(speaker, "NoNewPrivs"), "1");
    EXPECT_EQ(status_line(speaker, "Uid").find("0\t"), std::string::npos);
    EXPECT_EQ(status_line(agent, "CapEff"), "0000000000001000") << "CAP_NET_ADMIN is bit 12";
    EXPECT_EQ(status_line(agent, "CapPrm"), "0000000000001000");

    DesiredState open = sealed_machine(2);
    open.openings = {opening(seconds(4))};
    const Duration end = SystemClock().boottime() + seconds(4);
    room.plane.show(open);
    EXPECT_TRUE(room.becomes(true));
    EXPECT_FALSE(room.ssh_passes("192.0.2.8"));
    EXPECT_TRUE(room.plane.hears_of("opened"));
    end_process(agent, SIGKILL);
    EXPECT_EQ(Room::ended(agent), 128 + SIGKILL);
    EXPECT_TRUE(room.ssh_passes()) << "no process is needed";
    agent = room.start();
    EXPECT_TRUE(room.becomes(false, end - SystemClock().boottime() + Duration(100)));
    JsonObject closed;
    EXPECT_TRUE(room.plane.hears_of("closed", &closed));
    EXPECT_EQ(bool_at(closed, "late"), false) << to_text(closed);
    EXPECT_FALSE(room.ssh_passes()) << "and nothing opens it again";

    // One half without the other is none.
    end_process(speaker_of(agent), SIGKILL);
    EXPECT_EQ(Room::ended(agent), 1);
    agent = room.start();
    ASSERT_TRUE(room.plane.hears([](const SyncRequest& said) { return said.applied.version.number == 2; }));
    end_process(agent, SIGTERM);
    EXPECT_EQ(Room::ended(agent), 0);
    EXPECT_FALSE(room.ssh_passes()) << "the rules stay when the agent stops";
  });
}

TEST(Agent, RepairsItsTableReleasesRestoresAndTakesItselfDown) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(room.enrol());
    room.plane.show(sealed_machine(1));
    const pid_t agent = room.start();
    ASSERT_TRUE(room.becomes(false));
    ASSERT_TRUE(room.plane.hears(
        [](const SyncRequest& said) { return said.applied.confirmed && said.applied.version.number == 1; }));
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    EXPECT_TRUE(room.becomes(false, seconds(2)));
    EXPECT_TRUE(room.plane.hears(
        [](const SyncRequest& said) {
          return std::ranges::any_of(said.observations,
                                     [](const auto& seen) { return seen.kind == "table-lost"; });
        },
        seconds(8)))
        << "told at once, although the agent waits for the server for 25 s";

    ASSERT_TRUE(agent::release(room.state_dir()));
    EXPECT_TRUE(room.ssh_passes());
    ::usleep(1'500'000);
    EXPECT_TRUE(room.ssh_passes()) << "a released machine is not repaired";
    room.plane.show(sealed_machine(2));  // nor does the server close it
    EXPECT_TRUE(room.plane.hears_of("released"));
    EXPECT_TRUE(room.plane.hears_of("table-lost"));
    EXPECT_TRUE(room.ssh_passes());
    ASSERT_TRUE(agent::restore(room.state_dir()));
    EXPECT_TRUE(room.becomes(false));
    EXPECT_TRUE(room.plane.hears(
        [](const SyncRequest& said) { return said.applied.version.number == 2 && said.applied.confirmed; }));

    room.plane.remove();
    EXPECT_EQ(Room::ended(agent), 0);
    EXPECT_TRUE(room.ssh_passes()) << "removed from Merlon: as it was before";
    EXPECT_FALSE(std::filesystem::exists(room.state_dir() + "/agent.key"));
    EXPECT_TRUE(agent::restore(room.state_dir())) << "nothing to restore is no error";
    EXPECT_TRUE(room.ssh_passes());
  });
}

TEST(Agent, BootRestoresTheLastRulesWithoutAnyOpening) {
  in_fresh_namespace([] {
    Room room;
    ASSERT_TRUE(room.enrol());
    ASSERT_TRUE(agent::restore(room.state_dir()));
    EXPECT_TRUE(room.ssh_passes()) << "enrolled and never in contact: as it was before";
    DesiredState open = sealed_machine(1);
    open.openings = {opening(hours(1))};
    room.plane.show(open);
    const pid_t agent = room.start();
    ASSERT_TRUE(room.plane.hears(
        [](const SyncRequest& said) { return said.applied.confirmed && !said.applied.open.empty(); }));
    EXPECT_TRUE(room.ssh_passes());
    end_process(agent, SIGTERM);
    ASSERT_EQ(Room::ended(agent), 0);
    ASSERT_EQ(run_command("nft flush ruleset"), 0);  // as a boot does
    ASSERT_TRUE(agent::restore(room.state_dir()));
    EXPECT_FALSE(room.ssh_passes());
    // Rules that cannot be read: closed, not open.
    ASSERT_EQ(run_command("nft flush ruleset"), 0);
    std::ofstream(room.state_dir() + "/rules.json") << "{\"state\":";
    ASSERT_TRUE(agent::restore(room.state_dir()));
    EXPECT_FALSE(room.ssh_passes());
  });
}

}  // namespace
}  // namespace merlon::agent::testing

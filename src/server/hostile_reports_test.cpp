// How much a machine, or whoever has its key, may say: within its budget, and what it must do it is told all
// the same.
#include "server/hostile_agents_fixture.h"

namespace merlon::server {
namespace {

using std::chrono::minutes;

class HostileReportsTest : public HostileAgentsTest {};

TEST_F(HostileReportsTest, AFloodOfReportsIsHeardWithinItsBudgetAndWhatTheMachineMustDoIsToldAllTheSame) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  const Enrolled other = enrol_as("web-2", "10.7.0.5");
  const auto entered = [&] {
    std::stringstream lines(ledger_lines());
    size_t count = 0;
    for (std::string line; std::getline(lines, line);)
      count += line.find("machines/observations/flood") != std::string::npos ? 1 : 0;
    return count;
  };
  machine::SyncRequest flood = words(web);
  for (int i = 0; i < 100; ++i)
    flood.observations.push_back({"flood", Duration(0), {{"x", std::string(4000, 'x')}}});
  size_t heard = 0;
  for (int i = 0; i < 6; ++i) {
    const auto answer = read_answer(say(web, flood));
    EXPECT_TRUE(answer.state.has_value());
    heard += answer.unheard ? 0 : 1;
  }
  EXPECT_EQ(heard, 2U) << "of 450 KB each";
  EXPECT_EQ(entered(), 200U);
  machine::SyncRequest alarm = words(other);
  alarm.observations.push_back({"table-lost", Duration(0), {}});
  EXPECT_FALSE(read_answer(say(other, alarm)).unheard) << "what one machine spends no other misses";
  clock_.advance(minutes(6));
  EXPECT_FALSE(read_answer(say(web, flood)).unheard) << "it is said again, and heard in time";
  EXPECT_TRUE(read_answer(say(web, flood)).unheard);
  EXPECT_EQ(entered(), 300U);
  ASSERT_TRUE(assembly_->core().ledger.flush(Timestamp::max()));
  EXPECT_NE(ledger_lines().find("MachineThrottled"), std::string::npos) << "and somebody can see it";
  // Whoever speaks is known however much they have said: a copy of the key shows itself.
  machine::SyncRequest copy = flood;
  copy.boot_id = "the clone's";
  EXPECT_TRUE(read_answer(say(web, copy)).unheard);
  expect_refused(say(web, flood), 403, "MachineQuarantined");
}

TEST_F(HostileReportsTest, AnHonestMachineAfterADayWithoutItsServerIsHeardAtOnce) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  machine::SyncRequest request = words(web);
  for (int i = 0; i < 512; ++i)
    request.observations.push_back(
        {"opened", Duration(1000), {{"id", std::string(40, 'i')}, {"source", std::string(200, 's')}}});
  request.observations.push_back({"traffic", Duration(1000), {{"x", std::string(1'000'000, 'x')}}});
  EXPECT_FALSE(read_answer(say(web, request)).unheard);
  // And goes on: an event each second, a flow log's report every five.
  for (int second = 0; second < 60; ++second) {
    clock_.advance(std::chrono::seconds(1));
    machine::SyncRequest next = words(web);
    next.observations.push_back({"opened", Duration(0), {{"id", std::string(40, 'i')}}});
    if (second % 5 == 0)
      next.observations.push_back({"flows", Duration(0), {{"x", std::string(250'000, 'x')}}});
    ASSERT_FALSE(read_answer(say(web, next)).unheard) << second;
  }
}

TEST_F(HostileReportsTest, AQuarantinedMachinesReportsAreNobodys) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  machine::SyncRequest copy = words(web);
  copy.boot_id = "the clone's";
  EXPECT_EQ(say(web, copy).status, 200);
  machine::SyncRequest report = words(web);
  report.observations.push_back({"refused", Duration(0), {{"id", "x"}}});
  expect_refused(say(web, report), 403, "MachineQuarantined");
  expect_refused(say(web, report), 403, "MachineQuarantined");
  EXPECT_EQ(ledger_lines().find("machines/observations/refused"), std::string::npos);
}

TEST_F(HostileReportsTest, ACertificateIsNotRenewedOverAndOver) {
  const Enrolled web = enrol_as("web-1", "10.7.0.4");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(renew(web.certificate, web.key).status, 200);
  const uint64_t commits_before = commits();
  expect_refused(renew(web.certificate, web.key), 429, "MachineThrottled");
  EXPECT_EQ(commits(), commits_before);
  clock_.advance(minutes(1));
  EXPECT_EQ(renew(web.certificate, web.key).status, 200);
}

}  // namespace
}  // namespace merlon::server

// As much as one request may ask for: a hundred ports of each of many machines. It opens, is shown and ends,
// and each machine, group and policy is written a few times for that, and not once for each port.
#include <gtest/gtest.h>

#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using std::chrono::minutes;

class ManyOpeningsTest : public JitFixture {
 protected:
  static constexpr int kMachines = 4;
  static constexpr int kPorts = 100;
  static constexpr size_t kAll = size_t{kMachines} * kPorts;

  ManyOpeningsTest() {
    JsonArray guarded, wanted;
    for (int i = 0; i < kMachines; ++i) {
      machines_of_it_.push_back(enrol("many-" + std::to_string(i), "10.7.1." + std::to_string(i + 1), ""));
      JsonArray ports, asked;
      for (int number = 1; number <= kPorts; ++number) {
        ports.push_back(port_policy(number));
        asked.push_back(JsonObject{{"number", number}, {"duration", "PT30M"}});
      }
      guarded.push_back(JsonObject{{"id", machines_of_it_.back().vm}, {"ports", std::move(ports)}});
      wanted.push_back(JsonObject{{"id", machines_of_it_.back().vm}, {"ports", std::move(asked)}});
    }
    call(owner_, "PUT", kDefaultPolicy,
         {{"kind", "Basic"}, {"properties", JsonObject{{"virtualMachines", std::move(guarded)}}}}, 200);
    request_ = {{"virtualMachines", std::move(wanted)}};
  }
  int64_t version_of(const Enrolled& machine) { return sync(machine).state->version.number; }
  std::vector<int64_t> versions() {
    std::vector<int64_t> all;
    for (const Enrolled& machine : machines_of_it_) all.push_back(version_of(machine));
    return all;
  }
  void expect_few_versions_since(const std::vector<int64_t>& before, int64_t most) {
    for (size_t i = 0; i < machines_of_it_.size(); ++i)
      EXPECT_LE(version_of(machines_of_it_[i]) - before[i], most) << i;
  }
  void expect_each(size_t count) {
    for (size_t i = 0; i < machines_of_it_.size(); ++i) {
      EXPECT_EQ(told(machines_of_it_[i]).size(), count) << i;
      EXPECT_EQ(allows("many-" + std::to_string(i) + "-nsg"), count) << i;
    }
  }
  size_t shown_as(const std::string& status) {
    size_t count = 0;
    for (const std::string& each : history())
      if (each == status) ++count;
    return count;
  }

  std::vector<Enrolled> machines_of_it_;
  JsonObject request_;
};

TEST_F(ManyOpeningsTest, OpenAreShownAndRunOutTogether) {
  const auto before = versions();
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", request_).status, 202);
  expect_each(kPorts);
  expect_few_versions_since(before, 2);
  EXPECT_EQ(openings().size(), kAll);
  EXPECT_EQ(shown_as("Initiated UserRequested"), kAll);

  const auto open = versions();
  const uint64_t commits = world_.store().commit_count();
  clock_.advance(minutes(30));
  EXPECT_EQ(tick(), kAll);
  EXPECT_LE(world_.store().commit_count() - commits, kAll / 200 + 1) << "hundreds share a commit";
  expect_few_versions_since(open, 4);
  expect_each(0);
  EXPECT_TRUE(openings().empty());
  EXPECT_EQ(shown_as("Revoked Expired"), kAll);
  EXPECT_EQ(world_.entries("Merlon.Jit/openings/close/action").size(), kAll);
}

TEST_F(ManyOpeningsTest, ThePolicysEndEndsThemTogether) {
  ASSERT_EQ(send(ada_, "POST", kDefaultPolicy + "/initiate", request_).status, 202);
  const auto open = versions();
  call(owner_, "DELETE", kDefaultPolicy, {}, 200);
  expect_few_versions_since(open, 3);
  for (const Enrolled& machine : machines_of_it_) EXPECT_TRUE(told(machine).empty());
  EXPECT_EQ(world_.entries("Merlon.Jit/openings/close/action").size(), kAll);
}

}  // namespace
}  // namespace merlon::jit

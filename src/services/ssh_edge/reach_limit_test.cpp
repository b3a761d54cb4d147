// Nobody keeps everybody waiting.
#include "services/ssh_edge/reach_limit.h"

#include <gtest/gtest.h>

#include <vector>

namespace merlon::ssh_edge {
namespace {

TEST(ReachLimit, APersonAMachineAndAllTogetherAreBounded) {
  ReachLimit limit;
  std::vector<ReachLimit::Place> held;
  const auto take = [&](const std::string& person, const std::string& machine) {
    auto place = limit.take(person, machine);
    if (!place) return place.error().code;
    held.push_back(*std::move(place));
    return std::string("in");
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(take("ada", "m" + std::to_string(i)), "in");
  EXPECT_EQ(take("ada", "m9"), "TooManyWaiting");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(take("p" + std::to_string(i), "dead"), "in");
  EXPECT_EQ(take("bob", "dead"), "TooManyWaiting");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(take("q" + std::to_string(i), "n" + std::to_string(i)), "in");
  EXPECT_EQ(take("eve", "m5"), "TooManyWaiting") << "a quarter of the workers looks at keys";
  held.clear();
  EXPECT_EQ(take("ada", "dead"), "in") << "nobody waits any more";
}

}  // namespace
}  // namespace merlon::ssh_edge

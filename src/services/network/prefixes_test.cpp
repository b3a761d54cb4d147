// Prefixes in order against the obvious way.
#include "services/network/prefixes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace merlon::network {
namespace {

bool obviously_overlap(const std::vector<IpPrefix>& left, const std::vector<IpPrefix>& right) {
  for (const IpPrefix& a : left)
    for (const IpPrefix& b : right)
      if (a.contains(b) || b.contains(a)) return true;
  return false;
}

TEST(Prefixes, OverlapAndContainAsWhenEachIsComparedWithEach) {
  std::mt19937 numbers(7);
  const auto some = [&](size_t count) {
    std::vector<IpPrefix> all;
    for (size_t i = 0; i < count; ++i) {
      const bool v6 = numbers() % 8 == 0;
      const auto address = v6 ? *IpAddress::parse("fd00::" + std::to_string(numbers() % 10))
                              : IpAddress::from_v4(0x0a000000U + (numbers() % 256U));
      all.push_back(*IpPrefix::make(address, v6 ? 120 + numbers() % 9 : 24 + numbers() % 9));
    }
    return all;
  };
  size_t overlapping = 0;
  for (int round = 0; round < 5000; ++round) {
    const auto left = some(1 + numbers() % 6), right = some(1 + numbers() % 6);
    ASSERT_EQ(overlap(left, right), obviously_overlap(left, right)) << round;
    overlapping += overlap(left, right) ? 1 : 0;
    const auto space = widest(left);
    for (const IpPrefix& prefix : right)
      ASSERT_EQ(is_within(space, prefix),
                std::ranges::any_of(left, [&](const IpPrefix& each) { return each.contains(prefix); }))
          << round << " " << prefix.text();
  }
  EXPECT_GT(overlapping, 500U);
  EXPECT_LT(overlapping, 4500U);
}

}  // namespace
}  // namespace merlon::network

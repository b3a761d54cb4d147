// A set of patterns against the list that it was made of, looked at one by one.
#include "access/pattern_set.h"

#include <gtest/gtest.h>

#include <random>

#include "base/clock.h"
#include "base/text.h"

namespace merlon::access {
namespace {

const std::string* first_in_list(const std::vector<std::string>& texts, const std::string& action) {
  for (const std::string& text : texts)
    if (Pattern(text).matches(action)) return &text;
  return nullptr;
}

TEST(PatternSet, TheFirstOfTheListIsTheAnswer) {
  const PatternSet set({"Microsoft.Compute/*/read", "*", "Microsoft.Compute/virtualMachines/read"});
  EXPECT_EQ(set.first_match("microsoft.compute/virtualmachines/read")->text(), "Microsoft.Compute/*/read");
  EXPECT_EQ(set.first_match("microsoft.compute/virtualmachines/write")->text(), "*");
  EXPECT_EQ(PatternSet().first_match("a"), nullptr);
  EXPECT_EQ(PatternSet({"a/b", "a/bc*", "b"}).first_match("a/bb"), nullptr);
}

TEST(PatternSet, AgreesWithTheListWhateverIsInIt) {
  std::mt19937 engine(7);
  const auto below = [&](size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine); };
  const auto word = [&] {
    std::string out;
    for (size_t i = below(7); i > 0; --i) out += "ab*/"[below(4)];
    return out;
  };
  size_t matched = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> texts;
    for (size_t i = below(12); i > 0; --i) texts.push_back(word());
    const PatternSet set(texts);
    for (int i = 0; i < 5; ++i) {
      std::string action = word();
      std::erase(action, '*');
      const std::string* expected = first_in_list(texts, action);
      const Pattern* found = set.first_match(action);
      ASSERT_EQ(found != nullptr, expected != nullptr) << action << " in " << join(texts, " ");
      if (found != nullptr) {
        ASSERT_EQ(found->text(), *expected);
        ++matched;
      }
    }
  }
  EXPECT_GT(matched, 1000U);
}

// A role of the largest size, of the patterns that backtracking fears most.
TEST(PatternSet, BombsOfStarsCostNoMoreThanTheirLength) {
  std::string stars;
  std::string almost;
  for (int i = 0; i < 100; ++i) stars += "*a/";
  for (int i = 0; i < 100; ++i) almost += "*aa*";
  const std::string action(512, 'a');
  std::vector<std::string> texts(4096, stars + "b");
  texts.resize(4200, almost + "b");
  const PatternSet set(texts);
  const SystemClock clock;
  const Duration begin = clock.boottime();
  EXPECT_EQ(set.first_match(action), nullptr);
  EXPECT_LT(clock.boottime() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace merlon::access

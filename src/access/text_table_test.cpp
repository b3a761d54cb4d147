// The table against the standard's, over random changes: what is put in is found, what is taken out is not,
// also where many texts want the same place.
#include "access/text_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace merlon::access {
namespace {

TEST(TextTable, IsAsTheStandardsOverRandomChanges) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 draw(seed);
    TextTable<int> table;
    std::map<std::string, int> model;
    for (int step = 0; step < 4'000; ++step) {
      // Few texts: each comes and goes many times, and the runs of taken slots grow and break.
      const std::string text = "/scope/" + std::to_string(draw() % 300);
      if (draw() % 5 < 3) {
        const auto [value, made] = table.try_emplace(text);
        EXPECT_EQ(made, !model.contains(text));
        value = step;
        model[text] = step;
      } else {
        table.erase(text);
        model.erase(text);
      }
      ASSERT_EQ(table.size(), model.size());
    }
    for (int i = 0; i < 300; ++i) {
      const std::string text = "/scope/" + std::to_string(i);
      const int* found = table.find(text);
      const auto expected = model.find(text);
      ASSERT_EQ(found != nullptr, expected != model.end()) << text << " seed " << seed;
      if (found != nullptr) ASSERT_EQ(*found, expected->second);
    }
    size_t seen = 0;
    table.for_each([&](int&) { ++seen; });
    EXPECT_EQ(seen, model.size());
  }
}

TEST(TextTable, AValueStaysWhereItIs) {
  TextTable<int> table;
  int* const first = &table.try_emplace("first").first;
  for (int i = 0; i < 10'000; ++i) table.try_emplace(std::to_string(i));
  for (int i = 0; i < 9'000; ++i) table.erase(std::to_string(i));
  EXPECT_EQ(table.find("first"), first);
  table.clear();
  EXPECT_EQ(table.find("first"), nullptr);
  EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace merlon::access

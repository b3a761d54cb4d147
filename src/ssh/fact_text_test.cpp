// Any bytes as a fact.
#include "ssh/fact_text.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "ssh/frames.h"

namespace merlon::ssh {
namespace {

TEST(FactText, WhatIsNoTextIsReplacedAndToldAllTheSame) {
  EXPECT_EQ(fact_text("transfer", {{"path", "\xe4.txt"}, {"bytes", 5}}),
            "{\"path\":\"\xEF\xBF\xBD.txt\",\"bytes\":5,\"kind\":\"transfer\"}");
}

TEST(FactText, AlwaysFitsAndCanBeRead) {
  for (const std::string_view filling : {"a", "\x01", "\xff", "\xc3\xa9", "\""}) {
    std::string path;
    while (path.size() < 100'000) path += filling;
    const std::string text = fact_text("transfer", {{"path", path}, {"to", path}});
    EXPECT_LE(text.size(), kFactBytesMax);
    EXPECT_LT(kFactBytesMax, kFramePayloadMax);
    const auto read = parse_json_object(text, {.bytes_max = kFactBytesMax, .depth_max = 4});
    ASSERT_TRUE(read) << text.substr(0, 100);
    EXPECT_GT(string_at(*read, "path")->size(), kFactTextMax - 4);
  }
}

TEST(FactText, PartsAreTheWholeAndEndWithCharacters) {
  EXPECT_EQ(fact_parts(""), std::vector<std::string>{""});
  EXPECT_EQ(fact_parts("uptime"), std::vector<std::string>{"uptime"});
  std::string command = "x";
  for (int i = 0; i < 10'000; ++i) command += "\xc3\xa9";
  std::string whole;
  for (const std::string& part : fact_parts(command)) {
    EXPECT_LE(part.size(), kFactTextMax);
    EXPECT_TRUE(is_utf8(part));
    whole += part;
  }
  EXPECT_EQ(whole, command);
}

}  // namespace
}  // namespace merlon::ssh

// What a session can make of the disk: bounded in a second's bytes, in what a byte becomes, and in the disk.
#include "base/text.h"
#include "recording/asciicast.h"
#include "recording/recording_fixture.h"
#include "recording/search.h"

namespace merlon::recording {
namespace {

using testing::HasSubstr;

using BoundsTest = RecordingTest;

// Every byte, in an order of its own: control characters, and what is no UTF-8.
std::string any_bytes(size_t size) {
  std::string bytes;
  uint32_t state = 7;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1'664'525 + 1'013'904'223;
    bytes += static_cast<char>(state >> 24U);
  }
  return bytes;
}

// As a player has it: the exact bytes where they are told, else the text.
std::string played(std::string_view cast, char code) {
  std::string bytes;
  std::optional<std::string> exact;
  for (const std::string_view line : split(cast, '\n')) {
    if (line.empty() || line.front() == '{') continue;
    const auto event = parse_event(line);
    if (!event || !*event) return "not understood: " + std::string(line);
    if ((*event)->code == 'b') {
      exact = std::string(as_text(*from_base64((*event)->data)));
    } else if ((*event)->code == code) {
      bytes += exact.value_or((*event)->data);
      exact.reset();
    } else if ((*event)->code != 'x') {
      return std::string("an event of the kind ") + (*event)->code;
    }
  }
  return bytes;
}

TEST_F(BoundsTest, WhateverComesTakesAThirdMoreThanItIsAndIsPlayedExactly) {
  for (const std::string& bytes :
       {std::string(300'000, '\x01'), std::string(300'000, '\xff'), any_bytes(300'000)}) {
    auto recorder = start();
    for (size_t at = 0; at < bytes.size(); at += 7777) ASSERT_TRUE(recorder->output(bytes.substr(at, 7777)));
    ASSERT_TRUE(recorder->close("end"));
    EXPECT_LE(record(recorder->id()).bytes, bytes.size() * 137 / 100);
    EXPECT_EQ(played(text(recorder->id()), 'o'), bytes);
    EXPECT_EQ(problem(recorder->id()), "");
  }
  auto recorder = start();
  const std::string typed = any_bytes(100'000);
  ASSERT_TRUE(recorder->input(typed));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_LE(record(recorder->id()).bytes, typed.size() * 137 / 100);
  EXPECT_EQ(played(text(recorder->id()), 'i'), typed);
}

TEST_F(BoundsTest, TimesAndTextOfWhatIsKeptShortAreGivenOut) {
  auto recorder = start();
  clock_.advance(std::chrono::milliseconds(1500));
  const std::string controls = std::string(200, '\x02') + "seen";
  ASSERT_TRUE(recorder->output(controls));
  clock_.advance(std::chrono::milliseconds(250));
  ASSERT_TRUE(recorder->output("plain"));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("\n[1.500, \"o\", \"\\u0002\\u0002"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("\\u0002seen\"]\n[0.250, \"o\", \"plain\"]\n"));
}

TEST_F(BoundsTest, WhatIsKeptShortIsFound) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output(std::string(500, '\x02') + "hidden between controls\r\n"));
  ASSERT_TRUE(recorder->close("end"));
  Query query;
  query.text = "hidden between";
  query.may_see = [](const Record&) { return Result<bool>(true); };
  const auto found = search(*all_, query);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->hits.size(), 1U);
}

TEST_F(BoundsTest, WhoSaysTooMuchIsToWait) {
  kill();
  limits_.burst_each = 0;
  boot();
  auto recorder = start();
  ASSERT_TRUE(recorder->output("a prompt"));
  EXPECT_EQ(recorder->wait(), Duration(0));
  const std::string much(1 << 20U, 'x');
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(recorder->output(much)) << "nothing of it is lost";
  EXPECT_NEAR(static_cast<double>(recorder->wait().count()), 1000, 50)
      << "eight megabytes at four in a second";
  clock_.advance(std::chrono::milliseconds(500));
  EXPECT_NEAR(static_cast<double>(recorder->wait().count()), 500, 50);
  clock_.advance(std::chrono::milliseconds(600));
  EXPECT_EQ(recorder->wait(), Duration(0));
  ASSERT_TRUE(recorder->output(much + much + much + much));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_EQ(recorder->wait(), Duration(0));
  EXPECT_EQ(played(text(recorder->id()), 'o').size(), 8 + 12 * much.size());
}

TEST_F(BoundsTest, ADiskThatFillsTakesNothingNewAndThenEndsWhatRuns) {
  auto recorder = start();
  Opening administrators = opening();
  administrators.may_use_reserve = true;
  disk_->used = 96;
  const auto refused = all_->start(opening());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "StorageFull");
  EXPECT_THAT(refused.error().message, HasSubstr("96 % full, and beyond 95 % nothing new is recorded"));
  auto urgent = all_->start(administrators);
  ASSERT_TRUE(urgent) << "somebody has to make room";
  pass();
  ASSERT_TRUE(recorder->output("goes on")) << "until the disk is fuller";
  disk_->used = 98;
  pass();
  const auto failed = recorder->output("no more");
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("98 % full, and beyond 97 % no recording goes on"));
  EXPECT_TRUE((*urgent)->output("makes room"));
  ASSERT_TRUE(recorder->close("RecordingFailed"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("goes on")) << "what was taken is kept";
  EXPECT_THAT(record(recorder->id()).reason, HasSubstr("98 % full"));
  EXPECT_EQ(problem(recorder->id()), "");
  disk_->used = 90;
  EXPECT_TRUE(all_->start(opening()));
}

}  // namespace
}  // namespace merlon::recording

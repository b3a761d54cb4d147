// Everything that was to be seen is found, and by those alone who may see it.
#include "recording/search.h"

#include <fmt/format.h>

#include "recording/recording_fixture.h"
#include "recording/segment_index.h"

namespace merlon::recording {
namespace {

class SearchTest : public RecordingTest {
 protected:
  SearchAnswer find(const std::string& words) {
    Query query;
    query.text = words;
    query.may_see = [this](const Record& record) -> Result<bool> { return hidden_ != record.id; };
    SearchAnswer whole;
    do {
      auto answer = search(*all_, query);
      EXPECT_TRUE(answer) << answer.error().message;
      if (!answer) return whole;
      whole.hits.insert(whole.hits.end(), answer->hits.begin(), answer->hits.end());
      whole.opened += answer->opened;
      whole.segments += answer->segments;
      query.after = answer->next;
    } while (!query.after.empty());
    return whole;
  }
  Uuid hidden_;
};

TEST_F(SearchTest, TextIsFoundWhenItRunsAndAfterItHasEnded) {
  auto recorder = start();
  clock_.advance(std::chrono::seconds(7));
  for (const char c : std::string("sudo systemctl"))
    ASSERT_TRUE(recorder->output({&c, 1}));  // as it is typed
  ASSERT_TRUE(recorder->output("x\b \b restart nginx\r\n\x1b[1;32mdone\x1b[0m\r\n"));
  pass(std::chrono::seconds(2));
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(find("Systemctl Restart").hits.size(), 1U);
    EXPECT_EQ(find("systemctl restart").hits[0].line, "sudo systemctl restart nginx");
    EXPECT_EQ(find("systemctl").hits[0].at_ms, 7000);
    EXPECT_EQ(find("systemctl").hits[0].record.sealed_key, "");
    EXPECT_TRUE(find("systemctlx").hits.empty());
    EXPECT_TRUE(find("1;32m").hits.empty()) << "no part of an escape sequence";
    ASSERT_TRUE(recorder->close("end"));
  }
}

// Words that stand everywhere, in one long recording: no filter helps, and still no answer takes longer than
// it may.
TEST_F(SearchTest, ALongRecordingIsSearchedInPartsAndNothingIsFoundTwiceOrMissed) {
  auto recorder = start();
  auto other = start();
  ASSERT_TRUE(other->output("the one of every other\r\n"));
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(recorder->output(fmt::format("the one of part {}\r\nthe on", i)));
    ASSERT_TRUE(recorder->flush());
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(recorder->output("e over the end\r\n"));
    ASSERT_TRUE(recorder->fact("command", {{"command", fmt::format("the one {}", i)}}));
  }
  pass();
  for (int i = 0; i < 2; ++i) {
    Query query;
    query.text = "the one";
    query.time_max = Duration(0);
    query.may_see = [](const Record&) { return Result<bool>(true); };
    std::map<std::string, int> lines;
    size_t answers = 0, recordings = 0;
    do {
      const auto answer = search(*all_, query);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_LE(answer->hits.size(), 6U);
      for (const Hit& hit : answer->hits) ++lines[fmt::format("{} {}", hit.at_ms, hit.line)];
      recordings += answer->recordings;
      query.after = answer->next;
      ++answers;
      ASSERT_LE(answers, 100U);
    } while (!query.after.empty());
    EXPECT_GE(answers, 12U);
    EXPECT_EQ(recordings, 2U);
    EXPECT_EQ(lines.size(), 3 * 12 + 1U);
    for (const auto& [line, times] : lines) EXPECT_EQ(times, 1) << line;
    ASSERT_TRUE(recorder->close("end"));
    ASSERT_TRUE(other->close("end"));
  }
}

// What is piped into a command, beside what it says, and with bytes that would hide it on a terminal.
TEST_F(SearchTest, WhatIsSentWithoutAnEchoIsFound) {
  auto recorder = start();
  ASSERT_TRUE(recorder->input("\x1b]\x08 rm -rf xylo"));
  ASSERT_TRUE(recorder->output("said\r\n"));
  ASSERT_TRUE(recorder->input("phone \xff\xfe\ntromb"));
  ASSERT_TRUE(recorder->input("one"));
  pass(std::chrono::seconds(2));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(find("xylophone").hits.size(), 1U);
    EXPECT_EQ(find("trombone").hits.size(), 1U);
    EXPECT_EQ(find("said").hits[0].line, "said");
    ASSERT_TRUE(recorder->close("end"));
  }
}

TEST_F(SearchTest, CommandsAndMarkersAreFoundAsWell) {
  auto recorder = start();
  ASSERT_TRUE(recorder->fact("transfer", {{"path", "/etc/shadow"}, {"direction", "download"}}));
  ASSERT_TRUE(recorder->marker("the incident"));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_EQ(find("/etc/shadow").hits.size(), 1U);
  EXPECT_EQ(find("incident").hits.size(), 1U);
}

TEST_F(SearchTest, TheIndexKeepsMostOfItClosed) {
  for (int i = 0; i < 20; ++i) {
    auto recorder = start();
    for (int line = 0; line < 50; ++line)
      ASSERT_TRUE(
          recorder->output("session " + std::to_string(i) + " line " + std::to_string(line) + "\r\n"));
    if (i == 13) ASSERT_TRUE(recorder->output("the needle\r\n"));
    ASSERT_TRUE(recorder->close("end"));
  }
  const auto answer = find("needle");
  EXPECT_EQ(answer.hits.size(), 1U);
  EXPECT_EQ(answer.segments, 20U);
  EXPECT_LE(answer.opened, 3U);
}

TEST_F(SearchTest, LongRecordingsAreFoundInAtEveryPlace) {
  auto recorder = start();
  // Words across every kind of border: chunks of 64 KiB, stretches of 128 KiB.
  std::string filler(997, '.');
  for (int i = 0; i < 700; ++i) {
    ASSERT_TRUE(recorder->output("word" + std::to_string(i) + "end" + filler));
    if (i % 50 == 49) pass(std::chrono::seconds(2));
    if (i % 7 == 0) ASSERT_TRUE(recorder->output("\r\n"));
  }
  ASSERT_TRUE(recorder->close("end"));
  for (int i = 0; i < 700; i += 41) EXPECT_EQ(find("word" + std::to_string(i) + "end").hits.size(), 1U) << i;
}

// Words of a stretch's own in each of some forty stretches.
TEST_F(SearchTest, OfALongRecordingMostOfTheIndexStaysClosedToo) {
  auto recorder = start();
  const std::string filler = "what many terminals show again and again, in lines of some length\r\n";
  for (int stretch = 0; stretch < 40; ++stretch) {
    std::string text;
    while (text.size() < 130 * 1024) text += filler;
    ASSERT_TRUE(recorder->output(text + "needle" + std::to_string(1000 + stretch) + "zq\r\n"));
    ASSERT_TRUE(recorder->flush());
  }
  const size_t open = find("needle1007zq").segments;
  ASSERT_TRUE(recorder->close("end"));
  const auto groups = directory_ / "blobs/recording-groups" / recorder->id().text();
  ASSERT_TRUE(std::filesystem::exists(groups));
  for (int stretch = 0; stretch < 40; stretch += 3)
    EXPECT_EQ(find("needle" + std::to_string(1000 + stretch) + "zq").hits.size(), 1U) << stretch;
  const auto absent = find("absent xyzzy");
  EXPECT_TRUE(absent.hits.empty());
  EXPECT_LT(absent.segments * 4, open) << "three groups in place of forty stretches";
  // Whatever has become of groups and index, everything is found.
  std::filesystem::resize_file(groups, std::filesystem::file_size(groups) - 1);
  EXPECT_EQ(find("needle1039zq").hits.size(), 1U) << "without the last group";
  EXPECT_EQ(find("needle1007zq").hits.size(), 1U);
  const auto index = directory_ / "blobs/recording-indexes" / recorder->id().text();
  std::filesystem::resize_file(index, std::filesystem::file_size(index) / 4);
  for (const int stretch : {0, 7, 20, 39})
    EXPECT_EQ(find("needle" + std::to_string(1000 + stretch) + "zq").hits.size(), 1U) << stretch;
  std::filesystem::remove(groups);
  EXPECT_EQ(find("needle1020zq").hits.size(), 1U) << "without groups";
}

TEST_F(SearchTest, WithoutItsIndexARecordingIsSearchedItself) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("find me anyway\r\n"));
  ASSERT_TRUE(recorder->close("end"));
  const auto index = directory_ / "blobs/recording-indexes" / recorder->id().text();
  EXPECT_GT(std::filesystem::file_size(index), 100U);
  std::ofstream(index, std::ios::trunc) << "garbage";
  EXPECT_EQ(find("anyway").hits.size(), 1U);
  std::filesystem::remove(index);
  EXPECT_EQ(find("anyway").hits.size(), 1U);
}

TEST_F(SearchTest, AfterACrashTheIndexIsMadeAgain) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("before the crash\r\n"));
  pass();
  const Uuid id = recorder->id();
  crash(recorder);
  reboot();
  EXPECT_EQ(find("before the").hits.size(), 1U);
  EXPECT_GT(std::filesystem::file_size(directory_ / "blobs/recording-indexes" / id.text()), 100U);
}

TEST_F(SearchTest, WhatOneMayNotSeeIsNotFound) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("confidential\r\n"));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_EQ(find("confidential").hits.size(), 1U);
  hidden_ = recorder->id();
  EXPECT_TRUE(find("confidential").hits.empty());
}

TEST_F(SearchTest, DeletedRecordingsAreNotFound) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("short-lived\r\n"));
  ASSERT_TRUE(recorder->close("end"));
  ASSERT_TRUE(store_->write(
      [&](store::Transaction& tx) { return all_->remove(tx, record(recorder->id()), {}, "", ""); }));
  EXPECT_TRUE(find("short-lived").hits.empty());
}

TEST_F(SearchTest, BadTextIsRefused) {
  for (const std::string& words : std::vector<std::string>{"", "ab", "\xff\xff\xff", std::string(201, 'a')}) {
    Query query;
    query.text = words;
    EXPECT_EQ(search(*all_, query).error().code, "InvalidSearchText");
  }
  Query query;
  query.text = "abc";
  query.after = "nonsense";
  EXPECT_EQ(search(*all_, query).error().code, "InvalidQueryParameterValue");
}

TEST(VisibleText, IsWhatAPersonSees) {
  // However it comes: by the byte, in pieces, all at once.
  const auto seen = [](std::string_view bytes) {
    std::string first;
    for (const size_t piece : {size_t{1}, size_t{3}, size_t{7}, bytes.size()}) {
      std::string all;
      VisibleText text;
      const auto line = [&](std::string_view each) { all += std::string(each) + "|"; };
      for (size_t i = 0; i < bytes.size(); i += piece) text.feed(bytes.substr(i, piece), line);
      text.end_line(line);
      if (piece == 1) first = all;
      EXPECT_EQ(all, first) << piece;
    }
    return first;
  };
  EXPECT_EQ(seen("a\r\nb\rc\n"), "a|b|c|");
  EXPECT_EQ(seen("lx\b \bs"), "ls|");
  EXPECT_EQ(seen("\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b]8;;u\x1b\\x\x1b(B"), "red textx|");
  EXPECT_EQ(seen("one\x1b[5;3Htwo\x1b[Cx"), "one|two x|");
  EXPECT_EQ(seen("\x1bP+q544e\x1b\\z\x1b_G\x1b\\\x1b^p\x1b\\"), "z|");
  EXPECT_EQ(seen("one \x1b]\x1b[mtwo\x1bPq\x1b\x1b\\three"), "one twothree|")
      << "a string ends at ESC, for everybody";
  EXPECT_EQ(seen("\b\b\x7f\x1b[3\x1b[4mok"), "ok|");
  EXPECT_EQ(seen(std::string(5000, 'a')), std::string(4096, 'a') + "|" + std::string(904, 'a') + "|");
}

TEST(TrigramFilter, SaysNoForCertain) {
  TrigramFilter filter;
  for (int i = 0; i < 2000; ++i) filter.add("entry number " + std::to_string(i * 7919) + " of the list");
  const Bytes folded = filter.folded();
  EXPECT_LE(folded.size(), 16U * 1024);
  for (int i = 0; i < 2000; ++i) {
    const auto words = trigrams_of("NUMBER " + std::to_string(i * 7919));
    EXPECT_TRUE(filter.may_hold(words));
    EXPECT_TRUE(folded_may_hold(folded, words));
  }
  int wrong = 0;
  for (int i = 0; i < 1000; ++i)
    wrong += folded_may_hold(folded, trigrams_of("zq" + std::to_string(i) + "xk!")) ? 1 : 0;
  EXPECT_LE(wrong, 20);
  EXPECT_FALSE(folded_may_hold(Bytes(3), trigrams_of("abc")));
  EXPECT_FALSE(folded_may_hold({}, trigrams_of("abc")));
}

// Nothing is passed over because something like it was there a moment ago.
TEST(TrigramFilter, EveryTrigramIsThere) {
  const std::vector<std::string> texts{std::string(8, '\0'),
                                       "\x01" + std::string(40, '\0'),
                                       "ABCDEFGH",
                                       "abcdefghi",
                                       "abcdefgh\xff\xfe\xfd\xfc\xfb\xfa\xf9",
                                       "abc",
                                       "abcd",
                                       "xabcdefgh",
                                       "zzzzzzzzzzzz"};
  for (const auto& text : texts) {
    TrigramFilter filter;
    for (const auto& other : texts)
      if (other != text) filter.add(other);
    filter.add(text);
    filter.add(text);
    TrigramFilter alone;
    alone.add(text);
    EXPECT_TRUE(filter.may_hold(trigrams_of(text))) << testing::PrintToString(text);
    EXPECT_TRUE(alone.may_hold(trigrams_of(text))) << testing::PrintToString(text);
    EXPECT_FALSE(alone.may_hold(trigrams_of("qwertyuiop")));
  }
}

}  // namespace
}  // namespace merlon::recording

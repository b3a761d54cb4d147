// What is recorded is there, whatever happens; what was tampered with is found.
#include "recording/recordings.h"

#include "recording/live.h"
#include "recording/recording_fixture.h"

namespace merlon::recording {
namespace {

using testing::HasSubstr;

TEST_F(RecordingTest, ASessionIsKeptAsAsciicast) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("login: \x1b[1mż"));
  clock_.advance(std::chrono::milliseconds(1500));
  ASSERT_TRUE(recorder->resize(100, 30));
  ASSERT_TRUE(recorder->input("ls\n"));
  ASSERT_TRUE(recorder->marker("breakpoint"));
  ASSERT_TRUE(recorder->fact("command", {{"command", "ls -l"}}));
  ASSERT_TRUE(recorder->close("the shell ended", 3));
  EXPECT_EQ(text(recorder->id()), R"({"version":3,"term":{"cols":80,"rows":24},"timestamp":1766016000})"
                                  "\n"
                                  R"([0.000, "o", "login: \u001b[1mż"])"
                                  "\n"
                                  R"([1.500, "r", "100x30"])"
                                  "\n"
                                  R"([0.000, "i", "ls\n"])"
                                  "\n"
                                  R"([0.000, "m", "breakpoint"])"
                                  "\n"
                                  R"([0.000, "e", "{\"command\":\"ls -l\",\"kind\":\"command\"}"])"
                                  "\n"
                                  R"([0.000, "x", "3"])"
                                  "\n");
  const Record kept = record(recorder->id());
  EXPECT_EQ(kept.state, RecordState::closed);
  EXPECT_EQ(kept.reason, "the shell ended");
  EXPECT_EQ(kept.duration_ms, 1500);
  EXPECT_EQ(report(kept.id).state, "closed");
  EXPECT_TRUE(report(kept.id).sound());
  EXPECT_EQ(recorder->output("more").error().code, "RecordingEnded");
  EXPECT_TRUE(recorder->close("again")) << "a second end is none";
}

TEST_F(RecordingTest, BytesThatAreNoTextAreKeptExactly) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("a\xff\xfe b"));
  ASSERT_TRUE(recorder->output("\xc5"));  // half of a character
  ASSERT_TRUE(recorder->output("\xbc!"));
  ASSERT_TRUE(recorder->output("\xe2\x82"));  // never finished
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_THAT(text(recorder->id()),
              HasSubstr("\"b\", \"Yf/+IGI=\"]\n[0.000, \"o\", \"a\xEF\xBF\xBD\xEF\xBF\xBD b\"]"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("\"o\", \"\xc5\xbc!\"]"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("\"b\", \"4oI=\"]"));
}

TEST_F(RecordingTest, NothingOfItLiesInClear) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("the secret word is xylophone\r\n"));
  ASSERT_TRUE(recorder->close("end"));
  for (const auto& each : std::filesystem::recursive_directory_iterator(directory_ / "blobs")) {
    if (!each.is_regular_file() || each.path().filename() == "reserve") continue;
    std::ifstream in(each.path(), std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(all.find("xylophone"), std::string::npos) << each.path();
  }
}

TEST_F(RecordingTest, AnEndThatTheDatabaseDidNotTakeIsWrittenLaterAsOfWhenItWas) {
  auto recorder = start();
  const Uuid id = recorder->id();
  ASSERT_TRUE(recorder->output("the last words"));
  clock_.advance(std::chrono::seconds(5));
  const Timestamp ended = clock_.now();
  database_->is_full = true;
  EXPECT_EQ(recorder->close("the shell ended", 3).error().code, "StorageFull");
  pass();
  EXPECT_EQ(record(id).state, RecordState::open);
  EXPECT_TRUE(all_->read(record(id), "", 1 << 20)->ended) << "whoever watches it need not wait";
  database_->is_full = false;
  pass(std::chrono::seconds(2));
  const Record kept = record(id);
  EXPECT_EQ(kept.state, RecordState::closed);
  EXPECT_EQ(kept.reason, "the shell ended");
  EXPECT_EQ(kept.ended, ended);
  EXPECT_FALSE(all_->is_live(id));
  EXPECT_EQ(report(id).state, "closed");
  EXPECT_EQ(problem(id), "");
  recorder.reset();
  EXPECT_EQ(record(id).reason, "the shell ended");
}

TEST_F(RecordingTest, AServerThatStopsTriesOnceMoreToWriteAnEnd) {
  auto recorder = start();
  database_->is_full = true;
  EXPECT_FALSE(recorder->close("the shell ended"));
  database_->is_full = false;
  all_->close_all("its server stops");
  EXPECT_EQ(record(recorder->id()).reason, "the shell ended");
  EXPECT_EQ(all_->open_count(), 0U);
}

TEST_F(RecordingTest, WhatIsFlushedSurvivesAKillAndTheRestIsAtMostOneSecond) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("first"));
  pass(std::chrono::milliseconds(1001));
  ASSERT_TRUE(recorder->output("second"));
  pass(std::chrono::milliseconds(500));
  const Uuid id = recorder->id();
  crash(recorder);
  reboot();
  EXPECT_THAT(text(id), HasSubstr("first"));
  EXPECT_EQ(text(id).find("second"), std::string::npos);
  const Record kept = record(id);
  EXPECT_EQ(kept.state, RecordState::interrupted);
  EXPECT_EQ(kept.reason, "its server ended; the recording ends at its last full chunk");
  EXPECT_EQ(problem(id), "");
  EXPECT_EQ(report(id).state, "interrupted");
}

TEST_F(RecordingTest, AHalfWrittenChunkIsAnHonestCrash) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("first"));
  pass();
  const Uuid id = recorder->id();
  crash(recorder);
  kill();
  const std::string whole = bytes(id);
  put_bytes(id, whole + std::string("\x60\0\0\0half", 8));
  boot();
  all_->tick();
  EXPECT_EQ(bytes(id), whole);
  EXPECT_EQ(problem(id), "");
  EXPECT_THAT(text(id), HasSubstr("first"));
}

TEST_F(RecordingTest, ATailCutWhileTheServerIsDownIsNoCrash) {
  auto recorder = start();
  pass();  // the ledger knows the first chunk
  ASSERT_TRUE(recorder->output("evidence"));
  pass(std::chrono::seconds(2));  // on the disk, not yet in the ledger
  const Uuid id = recorder->id();
  crash(recorder);
  kill();
  const std::string whole = bytes(id);
  const auto offsets = chunk_offsets(whole);
  ASSERT_EQ(offsets.size(), 3U);
  put_bytes(id, whole.substr(0, offsets[1]));
  boot();
  EXPECT_EQ(problem(id), "Cut") << "before the server has looked";
  all_->tick();
  EXPECT_THAT(record(id).reason, HasSubstr("DAMAGED"));
  EXPECT_EQ(problem(id), "Cut");
}

// A recording of five chunks, and another one like it.
TEST_F(RecordingTest, WhatRunsIsNotDeleted) {
  auto recorder = start();
  const auto done = store_->write(
      [&](store::Transaction& tx) { return all_->remove(tx, record(recorder->id()), {}, "", ""); });
  EXPECT_EQ(done.error().code, "RecordingInUse");
}

TEST_F(RecordingTest, RetentionEndsByItself) {
  Opening kept = opening();
  kept.keep = std::chrono::hours(24);
  auto recorder = *all_->start(kept);
  clock_.advance(std::chrono::hours(30));
  all_->tick();
  ASSERT_TRUE(recorder->close("end")) << "a session longer than its retention is kept";
  pass(std::chrono::hours(23));
  EXPECT_EQ(record(recorder->id()).state, RecordState::closed);
  pass(std::chrono::hours(2));
  EXPECT_EQ(record(recorder->id()).state, RecordState::deleted);
}

TEST_F(RecordingTest, AnAbandonedRecorderEndsItsRecording) {
  Uuid id;
  {
    auto recorder = start();
    id = recorder->id();
  }
  EXPECT_EQ(record(id).reason, "abandoned");
  EXPECT_EQ(problem(id), "");
}

TEST_F(RecordingTest, ARunningOneIsReadAndVerifiedAsFarAsItIs) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("watch me"));
  const auto before = all_->read(record(recorder->id()), "", 1 << 20);
  ASSERT_TRUE(before);
  EXPECT_TRUE(before->at_end);
  EXPECT_FALSE(before->ended);
  pass(std::chrono::milliseconds(200));  // sooner than a second, since somebody looks on
  const auto page = all_->read(record(recorder->id()), before->next, 1 << 20);
  ASSERT_TRUE(page);
  EXPECT_THAT(page->text, HasSubstr("watch me"));
  EXPECT_EQ(problem(recorder->id()), "");
  EXPECT_EQ(report(recorder->id()).state, "open");
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_TRUE(all_->read(record(recorder->id()), page->next, 1 << 20)->ended);
}

TEST_F(RecordingTest, PlacesThatWereMadeUpAreRefused) {
  auto recorder = start();
  ASSERT_TRUE(recorder->close("end"));
  for (const char* from : {"x", "1", "1-", "-9", "0-0", "1-999999999999999999", "18446744073709551616-9"})
    EXPECT_EQ(all_->read(record(recorder->id()), from, 100).error().code, "InvalidQueryParameterValue")
        << from;
  EXPECT_FALSE(all_->read(record(recorder->id()), "0-9", 100)) << "within a chunk";
  EXPECT_FALSE(all_->read(record(recorder->id()), "5-8", 100)) << "another number";
}

TEST_F(RecordingTest, ClockStepsDoNotBendTheTime) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("a"));
  clock_.step_wall(-std::chrono::hours(50));
  clock_.advance(std::chrono::seconds(2));
  ASSERT_TRUE(recorder->output("b"));
  clock_.step_wall(std::chrono::hours(100));
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_THAT(text(recorder->id()), HasSubstr("[2.000, \"o\", \"b\"]"));
  EXPECT_EQ(problem(recorder->id()), "");
}

TEST_F(RecordingTest, ManyAtOnceShareTheWaiting) {
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (int i = 0; i < 12; ++i) recorders.push_back(start());
  pass();
  for (auto& recorder : recorders) ASSERT_TRUE(recorder->output("typed"));
  const uint64_t commits = store_->commit_count();
  pass();
  EXPECT_LE(store_->commit_count() - commits, 3U);
  for (auto& recorder : recorders) EXPECT_EQ(report(recorder->id()).ledgered, 2U);
}

}  // namespace
}  // namespace merlon::recording

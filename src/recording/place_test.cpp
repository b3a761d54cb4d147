// A copy of a directory of blobs does not pass for the original, and what starts again there does.
#include "recording/place.h"

#include "recording/recording_fixture.h"

namespace merlon::recording {
namespace {

using Whose = PlaceClaim::Whose;

class PlaceTest : public RecordingTest {
 protected:
  Whose look(PlaceClaim& claim) {
    const auto whose = claim.look();
    EXPECT_TRUE(whose);
    return whose.value_or(Whose::unknown);
  }
  PlaceClaim original_claim() { return {*store_, clock_, "place-1", "kernel-1/1/1"}; }
};

TEST_F(PlaceTest, WhoStartsAgainAtTheSamePlaceHasItAtOnce) {
  PlaceClaim first = original_claim(), again = original_claim();
  EXPECT_EQ(look(first), Whose::ours);
  EXPECT_EQ(look(again), Whose::ours) << "after kill -9";
}

TEST_F(PlaceTest, ACopyOfWhatRunsIsFoundOut) {
  PlaceClaim original = original_claim();
  ASSERT_EQ(look(original), Whose::ours);
  PlaceClaim copy(*store_, clock_, "place-1", "kernel-2/1/1");
  EXPECT_EQ(look(copy), Whose::unknown);
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(original.renew()) << "not due yet";
  EXPECT_EQ(look(copy), Whose::unknown);
  clock_.advance(std::chrono::seconds(2));
  ASSERT_TRUE(original.renew());
  EXPECT_EQ(look(copy), Whose::anothers);
}

TEST_F(PlaceTest, WhatNobodyHasAnyMoreIsTakenOver) {
  PlaceClaim original = original_claim();
  ASSERT_EQ(look(original), Whose::ours);
  PlaceClaim moved(*store_, clock_, "place-1", "kernel-2/1/1");
  EXPECT_EQ(look(moved), Whose::unknown);
  clock_.advance(std::chrono::seconds(11));
  EXPECT_EQ(look(moved), Whose::ours) << "a machine that was started again, or another that got its files";
  EXPECT_EQ(original.renew().error().code, "PlaceTaken");
  ASSERT_TRUE(original.release());
  ASSERT_TRUE(moved.release());
  PlaceClaim third(*store_, clock_, "place-1", "kernel-3/1/1");
  EXPECT_EQ(look(third), Whose::ours) << "nobody need wait after an orderly end";
}

TEST_F(PlaceTest, ACopyLeavesTheOriginalsRunningRecordingsAlone) {
  const auto claimed = original_claim().look();
  ASSERT_TRUE(claimed);
  const auto directory = directory_ / "blobs", copied = directory_ / "copied-blobs";
  auto recorder = start();
  std::filesystem::copy(directory, copied, std::filesystem::copy_options::recursive);
  ASSERT_TRUE(recorder->output("after it was copied"));
  pass();
  ASSERT_TRUE(store::rename_blob_directory(copied.string(), "place-2"));
  auto blobs = store::open_blob_directory(copied.string(), "place-3");
  ASSERT_TRUE(blobs);
  ASSERT_EQ((*blobs)->id(), "place-2");
  Recordings copy(*store_, *seal_, *ledger_, *std::move(blobs), clock_, random_, tenant_);
  copy.tick();
  EXPECT_EQ(record(recorder->id()).state, RecordState::open);
  EXPECT_EQ(verify(copy, record(recorder->id())).error().code, "RecordingElsewhere");
  EXPECT_EQ(copy.read(record(recorder->id()), "", 1000).error().code, "RecordingElsewhere");
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_EQ(problem(recorder->id()), "");
}

TEST_F(PlaceTest, WhereaboutsAreOfTheDirectoryItself) {
  const auto one = whereabouts(directory_.string());
  const auto other = whereabouts((directory_ / "blobs").string());
  ASSERT_TRUE(one && other);
  EXPECT_EQ(*one, *whereabouts(directory_.string() + "/blobs/.."));
  EXPECT_NE(*one, *other);
  EXPECT_FALSE(whereabouts((directory_ / "none").string()));
}

}  // namespace
}  // namespace merlon::recording

// The contract of BlobStore, and the directory that keeps it.
#include <filesystem>
#include <fstream>

#include "store/blob_contract.h"
#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

class DirectoryBackend final : public BlobBackend {
 public:
  Result<std::unique_ptr<BlobStore>> open() override {
    return open_blob_directory(directory_.file("blobs"), "place-" + std::to_string(++opened_));
  }

 private:
  TestDirectory directory_;
  int opened_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Directory, BlobContract,
                         testing::Values([] { return std::make_unique<DirectoryBackend>(); }));

constexpr const char* kAbc = "sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST_P(BlobContract, ContentIsNamedByItsDigestAndKeptOnce) {
  for (int i = 0; i < 2; ++i) {
    auto writer = blobs_->create(BlobSpace::ordinary);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->write(as_bytes("a")));
    ASSERT_TRUE((*writer)->write(as_bytes("bc")));
    const auto stored = (*writer)->finish();
    ASSERT_TRUE(stored) << stored.error().cause;
    EXPECT_EQ(stored->name, kAbc);  // FIPS 180-4's example
    EXPECT_EQ(stored->size, 3U);
  }
  reopen();
  EXPECT_EQ(read(kAbc), "abc");
  EXPECT_EQ(read(kAbc, 1, 1), "b");
  EXPECT_EQ(read(kAbc, 2, 100), "c");
  EXPECT_EQ(read(kAbc, 3), "");
  EXPECT_EQ(read(kAbc, 1000), "");
  ASSERT_TRUE(blobs_->remove(kAbc));
  ASSERT_TRUE(blobs_->remove(kAbc)) << "gone already is as good";
  EXPECT_EQ(read(kAbc), "error BlobNotFound");
}

TEST_P(BlobContract, UnfinishedContentIsNowhere) {
  {
    auto writer = blobs_->create(BlobSpace::ordinary);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->write(as_bytes("abc")));
  }
  EXPECT_EQ(read(kAbc), "error BlobNotFound");
}

TEST_P(BlobContract, WhatIsAppendedIsThereAndGoesOnWhereItEnded) {
  const std::string name = "recordings/one";
  {
    auto appender = blobs_->append_to(name, BlobSpace::ordinary);
    ASSERT_TRUE(appender) << appender.error().message;
    EXPECT_EQ((*appender)->size(), 0U);
    ASSERT_TRUE((*appender)->append(as_bytes("first")));
    EXPECT_EQ(read(name), "first") << "before it is durable";
    BlobAppender* all[] = {appender->get()};
    ASSERT_TRUE(blobs_->sync(all));
  }
  reopen();
  auto appender = blobs_->append_to(name, BlobSpace::ordinary);
  ASSERT_TRUE(appender);
  EXPECT_EQ((*appender)->size(), 5U);
  ASSERT_TRUE((*appender)->append(as_bytes(" second")));
  EXPECT_EQ(read(name), "first second");
  EXPECT_EQ(*blobs_->size(name), 12U);
  ASSERT_TRUE(blobs_->cut(name, 3));
  EXPECT_EQ(read(name), "fir");
  EXPECT_EQ(blobs_->cut("recordings/none", 0).error().code, "BlobNotFound");
  EXPECT_EQ(*blobs_->size("recordings/none"), std::nullopt);
}

TEST_P(BlobContract, ManyAreMadeDurableAtOnce) {
  std::vector<std::unique_ptr<BlobAppender>> kept;
  std::vector<BlobAppender*> all;
  for (int i = 0; i < 20; ++i) {
    auto appender = blobs_->append_to("many/" + std::to_string(i), BlobSpace::ordinary);
    ASSERT_TRUE(appender);
    ASSERT_TRUE((*appender)->append(as_bytes(std::to_string(i))));
    all.push_back(appender->get());
    kept.push_back(*std::move(appender));
  }
  ASSERT_TRUE(blobs_->sync(all));
  reopen();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(read("many/" + std::to_string(i)), std::to_string(i));
}

TEST_P(BlobContract, ListsAFolderInPages) {
  for (const char* name : {"folder/b", "folder/a", "folder/c", "other/d"})
    ASSERT_TRUE(blobs_->append_to(name, BlobSpace::ordinary));
  EXPECT_EQ(*blobs_->list("folder", "", 2), (std::vector<std::string>{"folder/a", "folder/b"}));
  EXPECT_EQ(*blobs_->list("folder", "folder/b", 2), (std::vector<std::string>{"folder/c"}));
  EXPECT_TRUE(blobs_->list("nothing", "", 2)->empty());
}

TEST_P(BlobContract, NamesLeadNowhereElse) {
  const std::string longest(250, 'a');
  for (const std::string name :
       {"", "/", "../x", "a/../b", "a//b", "/etc/passwd", ".hidden/a", "id", "reserve", "incoming/a", "a/.b",
        "x/A", "x/a b", "a\\b", "a/b/c/d/e", "sha256/..", "sha256/zz", longest.c_str()}) {
    EXPECT_FALSE(is_blob_name(name) && !name.starts_with("sha256/")) << name;
    EXPECT_FALSE(blobs_->append_to(name, BlobSpace::ordinary)) << name;
    EXPECT_FALSE(blobs_->read(name, 0, 1)) << name;
    EXPECT_FALSE(blobs_->remove(name)) << name;
  }
}

TEST_P(BlobContract, ThePlaceKeepsItsId) {
  const std::string id = blobs_->id();
  reopen();
  EXPECT_EQ(blobs_->id(), id);
}

}  // namespace
}  // namespace merlon::store

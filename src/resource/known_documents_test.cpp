// What is kept of a document is never another state's: not for a snapshot, not inside a transaction, not
// after a write that failed.
#include "resource/known_documents.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "store/observed_reader.h"

namespace merlon::resource {
namespace {

class KnownDocumentsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "merlon-known-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    auto store = store::open_sqlite(name, {.tables = {things_, others_}, .migrations = {}});
    ASSERT_TRUE(store) << store.error().message;
    store_ = *std::move(store);
    // Marks are there once the writer has begun.
    put(others_, "a", "{}");
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  void put(const store::TableSpec& table, const std::string& key, const std::string& body) {
    EXPECT_TRUE(
        store_->write([&](store::Transaction& tx) { return tx.put(table, tenant_, {key, body, {}}); }));
  }
  // The text, with a star in front when the database was asked.
  Result<std::string> look(store::Reader& reader, const TenantId& tenant, const std::string& key) {
    store::ObservedReader observed(reader);
    const auto text = TRY(known_.text(observed, tenant, key));
    return (observed.tables().empty() ? "" : "*") + (text ? *text : "none");
  }
  std::string look(const std::string& key) {
    return store::read_value<std::string>(*store_,
                                          [&](store::Reader& reader) { return look(reader, tenant_, key); })
        .value_or("error");
  }

  const store::TableSpec things_{"things", {}};
  const store::TableSpec others_{"others", {}};
  const TenantId tenant_{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  KnownDocuments known_{things_};
};

TEST_F(KnownDocumentsTest, IsAskedForOnceUntilItsTableChanges) {
  put(things_, "a", "1");
  EXPECT_EQ(look("a"), "*1");
  EXPECT_EQ(look("a"), "1");
  put(others_, "b", "{}");
  EXPECT_EQ(look("a"), "1") << "another table";
  put(things_, "a", "2");
  EXPECT_EQ(look("a"), "*2");
  EXPECT_EQ(look("a"), "2");
  EXPECT_TRUE(store_->write([&](store::Transaction& tx) { return tx.erase(things_, tenant_, "a"); }));
  EXPECT_EQ(look("a"), "*none");
  EXPECT_EQ(look("a"), "*none") << "what is not there is not kept";
}

TEST_F(KnownDocumentsTest, ASnapshotSeesItsOwnState) {
  put(things_, "a", "1");
  EXPECT_TRUE(store_->read([&](store::Reader& older) -> Result<void> {
    EXPECT_EQ(TRY(look(older, tenant_, "a")), "*1");
    put(things_, "a", "2");
    EXPECT_EQ(look("a"), "*2");
    EXPECT_EQ(TRY(look(older, tenant_, "a")), "*1");
    EXPECT_EQ(look("a"), "2");
    return {};
  }));
}

TEST_F(KnownDocumentsTest, ATransactionSeesItsOwnChangesAndLeavesNoneWhenItFails) {
  put(things_, "a", "1");
  EXPECT_EQ(look("a"), "*1");
  EXPECT_FALSE(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(tx.put(things_, tenant_, {"a", "2", {}}));
    EXPECT_EQ(TRY(look(tx, tenant_, "a")), "*2");
    return fail(ErrorKind::conflict, "Unwanted", "no");
  }));
  EXPECT_EQ(look("a").back(), '1');
}

TEST_F(KnownDocumentsTest, AnothersTenantIsAnother) {
  put(things_, "a", "1");
  EXPECT_EQ(look("a"), "*1");
  const TenantId other{*Uuid::parse("22222222-2222-4222-8222-222222222222")};
  EXPECT_EQ(
      store::read_value<std::string>(*store_, [&](store::Reader& reader) { return look(reader, other, "a"); })
          .value_or("error"),
      "*none");
}

TEST_F(KnownDocumentsTest, KeepsNoMoreThanItsShare) {
  for (int i = 0; i < 200; ++i) put(things_, std::to_string(i), std::string(60'000, 'x'));
  put(things_, "large", std::string(100'000, 'x'));
  EXPECT_EQ(look("large").front(), '*');
  EXPECT_EQ(look("large").front(), '*') << "too large to be kept";
  int kept = 0;
  for (int i = 0; i < 200; ++i) look(std::to_string(i));
  for (int i = 199; i >= 0; --i) kept += look(std::to_string(i)).front() == '*' ? 0 : 1;
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 150) << "12 MB are more than it keeps";
}

}  // namespace
}  // namespace merlon::resource

// What is kept of a table is never another state's: not for a snapshot, not inside a transaction, not after a
// write that failed.
#include "resource/known_rows.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace merlon::resource {
namespace {

// Counts what is really read.
class CountingReader final : public store::Reader {
 public:
  explicit CountingReader(store::Reader& reader) : reader_(reader) {}
  Result<std::optional<store::Row>> get(const store::TableSpec& table, const TenantId& tenant,
                                        std::string_view key) override {
    ++reads;
    return reader_.get(table, tenant, key);
  }
  Result<std::vector<store::Row>> scan(const store::TableSpec& table, const TenantId& tenant,
                                       const store::Range& range) override {
    ++reads;
    return reader_.scan(table, tenant, range);
  }
  Result<std::vector<store::IndexedRow>> scan_index(const store::TableSpec& table, const TenantId& tenant,
                                                    std::string_view index,
                                                    const store::Range& range) override {
    return reader_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<store::Row>> find(const store::TableSpec& table, const TenantId& tenant,
                                       std::string_view index, std::string_view value) override {
    return reader_.find(table, tenant, index, value);
  }
  std::optional<uint64_t> state_mark(std::span<const std::string> tables) const override {
    return reader_.state_mark(tables);
  }
  int reads = 0;

 private:
  store::Reader& reader_;
};

class KnownRowsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "merlon-known-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    auto store = store::open_sqlite(name, {.tables = {things_, others_}, .migrations = {}});
    ASSERT_TRUE(store) << store.error().message;
    store_ = *std::move(store);
    // Marks are there once the writer has begun.
    ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return put(tx, others_); }));
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  struct Seen {
    bool has, empty;
    int reads;
    bool operator==(const Seen&) const = default;
  };
  Result<Seen> look(store::Reader& reader, const TenantId& tenant) {
    CountingReader counting(reader);
    Seen seen{};
    seen.has = TRY(known_.has(counting, things_, tenant, "a"));
    seen.empty = TRY(known_.is_empty(counting, things_, tenant));
    seen.reads = counting.reads;
    return seen;
  }
  Seen look() {
    auto seen =
        store::read_value<Seen>(*store_, [&](store::Reader& reader) { return look(reader, tenant_); });
    EXPECT_TRUE(seen);
    return seen.value_or(Seen{});
  }
  Result<void> put(store::Transaction& tx, const store::TableSpec& table) {
    return tx.put(table, tenant_, {"a", "{}", {}});
  }

  const store::TableSpec things_{"things", {}};
  const store::TableSpec others_{"others", {}};
  const TenantId tenant_{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  std::filesystem::path directory_;
  std::unique_ptr<store::Store> store_;
  KnownRows known_;
};

TEST_F(KnownRowsTest, AreReadOnceForEachStateOfTheTable) {
  EXPECT_EQ(look(), (Seen{false, true, 2}));
  EXPECT_EQ(look(), (Seen{false, true, 0}));
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return put(tx, others_); }));
  EXPECT_EQ(look(), (Seen{false, true, 0})) << "another table changed";
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return put(tx, things_); }));
  EXPECT_EQ(look(), (Seen{true, false, 2}));
  EXPECT_EQ(look(), (Seen{true, false, 0}));
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return tx.erase(things_, tenant_, "a"); }));
  EXPECT_EQ(look(), (Seen{false, true, 2}));
}

TEST_F(KnownRowsTest, ATransactionSeesItsOwnChangesAndLeavesNothingOfThem) {
  EXPECT_FALSE(look().has);
  EXPECT_FALSE(store_->write([&](store::Transaction& tx) -> Result<void> {
    EXPECT_EQ(*look(tx, tenant_), (Seen{false, true, 0})) << "what snapshots know holds here too";
    TRY(put(tx, things_));
    EXPECT_EQ(*look(tx, tenant_), (Seen{true, false, 2}));
    EXPECT_EQ(*look(tx, tenant_), (Seen{true, false, 2})) << "nothing of an open change is kept";
    return fail(ErrorKind::conflict, "Conflict", "no");
  }));
  EXPECT_FALSE(look().has);
  EXPECT_TRUE(look().empty);
}

TEST_F(KnownRowsTest, AnotherTenantsRowsAreItsOwn) {
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) { return put(tx, things_); }));
  EXPECT_TRUE(look().has);
  const TenantId other{*Uuid::parse("22222222-2222-4222-8222-222222222222")};
  const auto theirs =
      store::read_value<Seen>(*store_, [&](store::Reader& reader) { return look(reader, other); });
  EXPECT_EQ(*theirs, (Seen{false, true, 2}));
  EXPECT_TRUE(look().has);
}

TEST_F(KnownRowsTest, AnOlderSnapshotIsAnsweredFromItself) {
  ASSERT_TRUE(store_->read([&](store::Reader& old) -> Result<void> {
    EXPECT_FALSE(TRY(look(old, tenant_)).has);
    TRY(store_->write([&](store::Transaction& tx) { return put(tx, things_); }));
    EXPECT_TRUE(look().has);
    EXPECT_FALSE(TRY(look(old, tenant_)).has);
    EXPECT_TRUE(look().has);
    return {};
  }));
}

}  // namespace
}  // namespace merlon::resource

// What is kept of a table is never another state's: not for a snapshot, not inside a transaction, not after a
// write that failed, not for another tenant.
#include "store/known_records.h"

#include <gtest/gtest.h>

#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

int decoded = 0;

struct Thing {
  std::string name, value;
  static const TableSpec& table() {
    static const TableSpec spec{"things", {{"value"}}};
    return spec;
  }
  std::string key() const { return name; }
  std::vector<std::optional<std::string>> index_values() const { return {value.substr(0, 8)}; }
  JsonObject to_json() const { return {{"name", name}, {"value", value}}; }
  static Result<Thing> from_json(const JsonObject& json) {
    ++decoded;
    return Thing{TRY(require_string(json, "name")), TRY(require_string(json, "value"))};
  }
};

class KnownRecordsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = open_sqlite(directory_.path(), {.tables = {Thing::table(), others_}, .migrations = {}});
    ASSERT_TRUE(store) << store.error().message;
    store_ = *std::move(store);
    // Marks are there once the writer has begun.
    ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.put(others_, tenant_, {"a", "{}", {}}); }));
    decoded = 0;
  }
  // What is found, and "+" when a row was decoded for it.
  Result<std::string> look(Reader& reader, const TenantId& tenant) {
    const int before = decoded;
    const auto found = TRY(known_.get(reader, tenant, "a"));
    return (found ? found->value : "nothing") + (decoded == before ? "" : "+");
  }
  std::string look() {
    auto seen = read_value<std::string>(*store_, [&](Reader& reader) { return look(reader, tenant_); });
    EXPECT_TRUE(seen);
    return seen.value_or("");
  }
  Result<void> set(Transaction& tx, const std::string& value) { return put(tx, tenant_, Thing{"a", value}); }
  void set(const std::string& value) {
    ASSERT_TRUE(store_->write([&](Transaction& tx) { return set(tx, value); }));
  }

  TestDirectory directory_;
  const TableSpec others_{"others", {}};
  const TenantId tenant_{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  std::unique_ptr<Store> store_;
  KnownRecords<Thing> known_;
};

TEST_F(KnownRecordsTest, AreDecodedOnceForEachStateOfTheTable) {
  EXPECT_EQ(look(), "nothing");
  set("one");
  EXPECT_EQ(look(), "one+");
  EXPECT_EQ(look(), "one");
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.put(others_, tenant_, {"b", "{}", {}}); }));
  EXPECT_EQ(look(), "one") << "another table changed";
  set("two");
  EXPECT_EQ(look(), "two+");
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(Thing::table(), tenant_, "a"); }));
  EXPECT_EQ(look(), "nothing");
}

TEST_F(KnownRecordsTest, ATransactionSeesItsOwnChangesAndLeavesNothingOfThem) {
  set("one");
  EXPECT_EQ(look(), "one+");
  EXPECT_FALSE(store_->write([&](Transaction& tx) -> Result<void> {
    EXPECT_EQ(*look(tx, tenant_), "one") << "what snapshots know holds here too";
    TRY(set(tx, "two"));
    EXPECT_EQ(*look(tx, tenant_), "two+");
    EXPECT_EQ(*look(tx, tenant_), "two+") << "nothing of an open change is kept";
    return fail(ErrorKind::conflict, "Conflict", "no");
  }));
  EXPECT_EQ(look().substr(0, 3), "one");
}

TEST_F(KnownRecordsTest, AnotherRowsChangeDecodesNothingAnew) {
  set("one");
  EXPECT_EQ(look(), "one+");
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return put(tx, tenant_, Thing{"b", "two"}); }));
  EXPECT_EQ(look(), "one");
  EXPECT_FALSE(store_->write([&](Transaction& tx) -> Result<void> {
    TRY(put(tx, tenant_, Thing{"b", "three"}));
    EXPECT_EQ(*look(tx, tenant_), "one") << "nor inside the change";
    return fail(ErrorKind::conflict, "Conflict", "no");
  }));
  set("one, changed");
  EXPECT_EQ(look(), "one, changed+");
}

TEST_F(KnownRecordsTest, ByAnIndexTheyAreKnownToo) {
  const auto find = [&](const std::string& value) {
    return *read_value<std::string>(*store_, [&](Reader& reader) -> Result<std::string> {
      const int before = decoded;
      const auto found = TRY(known_.find_first(reader, tenant_, "value", value));
      return (found ? found->name : "nothing") + (decoded == before ? "" : "+");
    });
  };
  set("one");
  EXPECT_EQ(find("one"), "a+");
  EXPECT_EQ(find("one"), "a");
  EXPECT_EQ(find("two"), "nothing");
  EXPECT_EQ(look(), "one+") << "its key is another name for it";
  set("two");
  EXPECT_EQ(find("one"), "nothing");
  EXPECT_EQ(find("two"), "a+");
}

TEST_F(KnownRecordsTest, AnotherTenantsRecordsAreItsOwn) {
  set("one");
  EXPECT_EQ(look(), "one+");
  const TenantId other{*Uuid::parse("22222222-2222-4222-8222-222222222222")};
  const auto theirs = read_value<std::string>(*store_, [&](Reader& reader) { return look(reader, other); });
  EXPECT_EQ(*theirs, "nothing");
  EXPECT_EQ(look(), "one+");
}

TEST_F(KnownRecordsTest, AnOlderSnapshotIsAnsweredFromItself) {
  set("one");
  ASSERT_TRUE(store_->read([&](Reader& old) -> Result<void> {
    EXPECT_EQ(TRY(look(old, tenant_)), "one+");
    set("two");
    EXPECT_EQ(TRY(look(old, tenant_)), "one") << "it has no mark any more, and its row is as it was";
    return {};
  }));
  EXPECT_EQ(look(), "two+");
}

TEST_F(KnownRecordsTest, WhatIsTooMuchIsForgotten) {
  const std::string large(3 * 1024 * 1024, 'x');
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    TRY(set(tx, "one"));
    return put(tx, tenant_, Thing{"b", large});
  }));
  const auto other = [&](const char* key) {
    return read_value<bool>(*store_, [&](Reader& reader) -> Result<bool> {
      const int before = decoded;
      TRY(known_.get(reader, tenant_, key));
      return decoded != before;
    });
  };
  EXPECT_TRUE(*other("b"));
  EXPECT_FALSE(*other("b"));
  EXPECT_EQ(look(), "one+");
  EXPECT_EQ(look(), "one");
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return put(tx, tenant_, Thing{"c", large}); }));
  EXPECT_FALSE(*other("b")) << "it is as it was";
  EXPECT_TRUE(*other("c")) << "both do not fit";
  EXPECT_TRUE(*other("b"));
}

}  // namespace
}  // namespace merlon::store

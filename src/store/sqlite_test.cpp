// The embedded store: the contract, and what opening a file means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "store/later_writes.h"
#include "store/sqlite_rows.h"
#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, testing::Values(StoreBackendFactory([] {
                           return std::make_unique<SqliteBackend>();
                         })));

class SqliteOpen : public testing::Test {
 protected:
  Result<std::unique_ptr<Store>> open(const Schema& schema = contract_schema()) {
    return open_sqlite(directory_.path(), schema);
  }
  // With SQLite itself, while no store is open.
  std::string sql(const std::string& text) {
    sqlite3* raw = nullptr;
    EXPECT_EQ(sqlite3_open(directory_.file("merlon.db").c_str(), &raw), SQLITE_OK);
    const std::unique_ptr<sqlite3, decltype(&sqlite3_close)> db(raw, sqlite3_close);
    std::string output;
    const auto collect = [](void* out, int count, char** values, char**) {
      for (int i = 0; i < count; ++i)
        *static_cast<std::string*>(out) += std::string(values[i] ? values[i] : "NULL") + ";";
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db.get(), text.c_str(), collect, &output, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db.get());
    return output;
  }
  static Migration add_note(int number) {
    return {number, "add note " + std::to_string(number), [number](Transaction& tx) -> Result<void> {
              const auto count = TRY(tx.scan(contract_notes(), contract_tenant(1), {}));
              return tx.put(contract_notes(), contract_tenant(1),
                            {"m" + std::to_string(number) + "-" + std::to_string(count.size()), "{}", {}});
            }};
  }
  std::string notes() { return sql("SELECT group_concat(key, ',') FROM t_notes"); }

  TestDirectory directory_;
};

TEST_F(SqliteOpen, FilesAreTheOwnersAlone) {
  auto store = open();
  ASSERT_TRUE(store) << store.error().message;
  ASSERT_TRUE(write_note(**store, "a", "1"));
  for (const char* name : {"merlon.db", "merlon.db-wal", "merlon.db-shm", "lock", "reserve"}) {
    struct stat status{};
    ASSERT_EQ(::stat(directory_.file(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << name;
  }
}

TEST_F(SqliteOpen, TheFileHasThePromisedForm) {
  ASSERT_TRUE(open());
  EXPECT_EQ(sql("PRAGMA application_id"), "1297239118;");
  EXPECT_EQ(sql("PRAGMA journal_mode"), "wal;");
  EXPECT_EQ(sql("SELECT value FROM merlon_meta ORDER BY name"), "1;0;0.1.0;");
  EXPECT_EQ(sql("SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name"),
            "u.users.upn;x.users.team;");
  EXPECT_THAT(sql("EXPLAIN QUERY PLAN SELECT key FROM t_users WHERE tenant = '1' AND i_team IS NOT NULL AND "
                  "i_team >= 'a' "
                  "AND i_team < 'b' AND (i_team, key) > ('a', 'b') ORDER BY i_team, key"),
              HasSubstr("COVERING INDEX x.users.team (tenant=? AND i_team>? AND i_team<?)"));
}

TEST_F(SqliteOpen, ASecondServerIsRefusedAndTheFirstOneNamed) {
  auto first = open();
  ASSERT_TRUE(first);
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "StateDirectoryInUse");
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
  first->reset();
  EXPECT_TRUE(open());
}

TEST_F(SqliteOpen, DirectoriesThatCannotBeTrustedAreRefused) {
  EXPECT_THAT(open_sqlite(directory_.file("absent"), contract_schema()).error().message, HasSubstr("0700"));
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
  EXPECT_THAT(open().error().message, HasSubstr("chmod 0700"));
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0700), 0);
  const std::string elsewhere = directory_.file("elsewhere");
  std::ofstream(elsewhere) << "precious";
  ASSERT_EQ(::symlink(elsewhere.c_str(), directory_.file("merlon.db").c_str()), 0);
  EXPECT_FALSE(open()) << "a link could lead anywhere";
}

TEST_F(SqliteOpen, ForeignFilesAreLeftAsTheyAre) {
  std::ofstream(directory_.file("merlon.db"))
      << "This is no database, but somebody's only copy of something else.";
  EXPECT_EQ(open().error().code, "NotMerlonDatabase");
  EXPECT_EQ(std::filesystem::file_size(directory_.file("merlon.db")), 64U);
  std::filesystem::remove(directory_.file("merlon.db"));
  sql("CREATE TABLE other(a)");
  EXPECT_EQ(open().error().code, "NotMerlonDatabase");
  EXPECT_EQ(sql("PRAGMA journal_mode"), "delete;");
}

TEST_F(SqliteOpen, ADatabaseWhoseCreationWasCutOffIsCreatedAgain) {
  sql("PRAGMA journal_mode=WAL");  // all that happens before the opening transaction
  auto store = open();
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE(write_note(**store, "a", "1"));
}

TEST_F(SqliteOpen, MigrationsRunOnceInOrder) {
  Schema schema = contract_schema();
  schema.migrations = {add_note(1)};
  ASSERT_TRUE(open(schema));
  ASSERT_TRUE(open(schema));
  EXPECT_EQ(notes(), "m1-0;");
  schema.migrations = {add_note(1), add_note(2), add_note(3)};
  schema.product_version = "0.2.0";
  ASSERT_TRUE(open(schema));
  EXPECT_EQ(notes(), "m1-0,m2-1,m3-2;");
  EXPECT_EQ(sql("SELECT value FROM merlon_meta WHERE name = 'migration'"), "3;");
}

TEST_F(SqliteOpen, AFailedMigrationLeavesTheOldFile) {
  ASSERT_TRUE(open());
  Schema schema = contract_schema();
  schema.tables.push_back({"fresh", {}});
  schema.migrations = {add_note(1),
                       {2, "cannot", [](Transaction&) { return Result<void>(internal_error("no")); }}};
  const auto failed = open(schema);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("Migration 2 (cannot)"));
  EXPECT_EQ(notes(), "NULL;");
  EXPECT_EQ(sql("SELECT count(*) FROM sqlite_schema WHERE name = 't_fresh'"), "0;");
  EXPECT_TRUE(open());
}

TEST_F(SqliteOpen, ANewerFileIsRefusedUntouched) {
  Schema newer = contract_schema();
  newer.migrations = {add_note(1), add_note(2)};
  newer.product_version = "7.8.9";
  ASSERT_TRUE(open(newer));
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "NewerDatabase");
  EXPECT_THAT(refused.error().message, HasSubstr("merlon 7.8.9"));
  EXPECT_THAT(refused.error().message, HasSubstr("Upgrade merlon"));
  EXPECT_EQ(notes(), "m1-0,m2-1;");
  sql("UPDATE merlon_meta SET value = '99' WHERE name = 'format'");
  EXPECT_EQ(open(newer).error().code, "NewerDatabase");
}

TEST_F(SqliteOpen, IndexesOfATableWithRowsChangeOnlyWithAMigration) {
  {
    auto store = open();
    ASSERT_TRUE(store);
    ASSERT_TRUE(write_note(**store, "a", "red"));
  }
  const TableSpec indexed{"notes", {{"colour", Unique::yes}}};
  Schema schema{.tables = {contract_users(), indexed}, .migrations = {}};
  EXPECT_EQ(open(schema).error().code, "SchemaMismatch");
  schema.migrations = {{1, "index notes by colour", [&](Transaction& tx) -> Result<void> {
                          for (Row row : TRY(tx.scan(indexed, contract_tenant(1), {}))) {
                            row.index_values = {row.body};
                            TRY(tx.put(indexed, contract_tenant(1), row));
                          }
                          return {};
                        }}};
  {
    auto store = open(schema);
    ASSERT_TRUE(store) << store.error().message;
    auto found = read_value<std::vector<Row>>(
        **store, [&](Reader& reader) { return reader.find(indexed, contract_tenant(1), "colour", "red"); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), 1U);
  }
  EXPECT_EQ(open().error().code, "NewerDatabase");
}

TEST_F(SqliteOpen, AnIndexOfAnEmptyTableMayComeAndGo) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(open({.tables = {{"notes", {{"colour", Unique::yes}}}}, .migrations = {}}));
  EXPECT_EQ(sql("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 't_notes'"),
            "u.notes.colour;");
  ASSERT_TRUE(open());
  EXPECT_EQ(sql("SELECT count(*) FROM pragma_table_info('t_notes')"), "3;");
}

using SqliteDeathTest = SqliteOpen;

TEST_F(SqliteDeathTest, AWriteInsideAWriteOrAnEffectIsABug) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto nested = [&](bool in_effect) {
    auto store = open();
    if (!store) return;
    (void)(*store)->write([&](Transaction& tx) -> Result<void> {
      if (!in_effect) return write_note(**store, "nested", "1");
      tx.after_commit([&] { (void)write_note(**store, "nested", "1"); });
      return {};
    });
  };
  EXPECT_DEATH(nested(false), "broken invariant");
  EXPECT_DEATH(nested(true), "broken invariant");
}

TEST_F(SqliteDeathTest, NamesAndNumbersOfTheSchemaAreChecked) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH((void)open({.tables = {{"a\"; DROP TABLE x", {}}}, .migrations = {}}), "broken invariant");
  EXPECT_DEATH((void)open({.tables = {}, .migrations = {add_note(2)}}), "broken invariant");
}

TEST(PrefixEnd, IsTheFirstTextBeyondThePrefix) {
  EXPECT_EQ(prefix_end(""), std::nullopt);
  EXPECT_EQ(prefix_end("\xff\xff"), std::nullopt);
  EXPECT_EQ(prefix_end("a/"), "a0");
  EXPECT_EQ(prefix_end("a\xff"), "b");
  EXPECT_EQ(prefix_end("\x7f"), "\x80");
}

// later_writes.h: nobody waits, and everybody is told what became of it, on the thread that committed.
TEST(LaterWrites, AreToldWhenTheyAreDurable) {
  TestDirectory directory;
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  auto& later = dynamic_cast<LaterWrites&>(**store);
  const auto there = [&](const std::string& key) { return read_note(**store, key).has_value(); };
  const auto put = [](const std::string& key) {
    return [key](Transaction& tx) { return tx.put(contract_notes(), contract_tenant(1), {key, "{}", {}}); };
  };
  std::promise<std::thread::id> told_at;
  std::promise<std::string> refused;
  std::promise<bool> second;
  later.write_later(put("a"), [&](const Result<void>& written) {
    EXPECT_TRUE(written);
    EXPECT_TRUE(there("a"));
    // From here one more may be asked for.
    later.write_later(put("b"), [&](const Result<void>& again) { second.set_value(again.has_value()); });
    told_at.set_value(std::this_thread::get_id());
  });
  later.write_later(
      [&](Transaction& tx) -> Result<void> {
        TRY(put("c")(tx));
        return fail(ErrorKind::conflict, "Unwanted", "no");
      },
      [&](const Result<void>& written) { refused.set_value(written ? "written" : written.error().code); });
  EXPECT_NE(told_at.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(refused.get_future().get(), "Unwanted");
  EXPECT_TRUE(second.get_future().get());
  EXPECT_TRUE(there("b"));
  EXPECT_FALSE(there("c"));
}

// Whoever is expected is waited for, for a moment: who never comes keeps nobody.
TEST(LaterWrites, ThoseWhoAreExpectedAreWaitedForAMomentOnly) {
  TestDirectory directory;
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  auto& later = dynamic_cast<LaterWrites&>(**store);
  const auto put = [](const std::string& key) {
    return [key](Transaction& tx) { return tx.put(contract_notes(), contract_tenant(1), {key, "{}", {}}); };
  };
  const auto never_comes = later.expect_write();
  EXPECT_TRUE((*store)->write(put("a")));
  std::promise<bool> told;
  {
    const auto comes = later.expect_write();
    later.write_later(put("b"), [&](const Result<void>& written) { told.set_value(written.has_value()); });
  }
  EXPECT_TRUE(told.get_future().get());
  EXPECT_TRUE(read_note(**store, "b"));
}

// A write that changes nothing of its own takes no savepoint; whatever one changes goes with its failure,
// also when it has read or handed something over before, and what others of its group have done stays.
TEST(LaterWrites, AFailedWriteLeavesNothingBesideOthersOfItsGroup) {
  TestDirectory directory;
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  std::vector<int> seen;
  (*store)->before_commit([&](Transaction&, std::span<const std::any> handed_over) -> Result<void> {
    for (const std::any& what : handed_over) seen.push_back(*std::any_cast<int>(&what));
    return {};
  });
  auto& later = dynamic_cast<LaterWrites&>(**store);
  std::atomic<int> written = 0;
  std::vector<std::future<void>> all;
  for (int i = 0; i < 40; ++i) {
    const auto told = std::make_shared<std::promise<void>>();
    all.push_back(told->get_future());
    later.write_later(
        [i](Transaction& tx) -> Result<void> {
          TRY(tx.get(contract_notes(), contract_tenant(1), "none"));
          tx.hand_over(i);
          if (i % 4 == 0) return {};
          TRY(tx.put(contract_notes(), contract_tenant(1), {std::to_string(i), "{}", {}}));
          if (i % 4 == 3) TRY(tx.erase(contract_notes(), contract_tenant(1), std::to_string(i - 1)));
          return i % 2 == 0 ? Result<void>() : fail(ErrorKind::conflict, "Unwanted", "no");
        },
        [told, &written](const Result<void>& done) {
          written += done ? 1 : 0;
          told->set_value();
        });
  }
  for (auto& one : all) one.wait();
  EXPECT_EQ(written, 20);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(read_note(**store, std::to_string(i)).has_value(), i % 4 == 2) << i;
  std::vector<int> even;
  for (int i = 0; i < 40; i += 2) even.push_back(i);
  EXPECT_EQ(seen, even);
}

TEST(LaterWrites, AreCommittedBeforeTheStoreCloses) {
  TestDirectory directory;
  std::atomic<int> told = 0;
  {
    auto store = open_sqlite(directory.path(), contract_schema());
    ASSERT_TRUE(store);
    auto& later = dynamic_cast<LaterWrites&>(**store);
    for (int i = 0; i < 1000; ++i)
      later.write_later(
          [i](Transaction& tx) {
            return tx.put(contract_notes(), contract_tenant(1), {std::to_string(i), "{}", {}});
          },
          [&told](const Result<void>& written) { told += written ? 1 : 0; });
  }
  EXPECT_EQ(told, 1000);
  auto store = open_sqlite(directory.path(), contract_schema());
  ASSERT_TRUE(store);
  for (const char* key : {"0", "500", "999"}) EXPECT_TRUE(read_note(**store, key)) << key;
}

}  // namespace
}  // namespace merlon::store

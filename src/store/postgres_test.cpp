// PostgreSQL as the store: the contract, and what opening a database means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/postgres_connection.h"
#include "store/postgres_test_server.h"
#include "store/server_store.h"

namespace merlon::store {
namespace {

using testing::HasSubstr;
using testing::Not;

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, testing::Values(StoreBackendFactory([] {
                           return std::make_unique<PostgresBackend>();
                         })));

class PostgresOpen : public testing::Test {
 protected:
  Result<std::unique_ptr<ServerStore>> open(const Schema& schema = contract_schema()) {
    auto store = open_postgres(address_, schema);
    if (store) (*store)->start_finished();
    return store;
  }
  std::string sql(const std::string& text) { return PostgresTestServer::sql(address_, text); }
  static Migration add_note(int number) {
    return {number, "add note " + std::to_string(number), [number](Transaction& tx) -> Result<void> {
              const auto count = TRY(tx.scan(contract_notes(), contract_tenant(1), {}));
              return tx.put(contract_notes(), contract_tenant(1),
                            {"m" + std::to_string(number) + "-" + std::to_string(count.size()), "{}", {}});
            }};
  }
  std::string notes() {
    return sql("SELECT string_agg(convert_from(key, 'UTF8'), ',' ORDER BY key) FROM merlon.t_notes");
  }
  static Result<void> write_note(Store& store, const std::string& key, const std::string& body) {
    return store.write([&](Transaction& tx) -> Result<void> {
      return tx.put(contract_notes(), contract_tenant(1), {key, body, {}});
    });
  }

  std::string address_ = PostgresTestServer::instance().make_database();
};

TEST_F(PostgresOpen, TheDatabaseHasThePromisedForm) {
  ASSERT_TRUE(open());
  EXPECT_EQ(sql("SELECT value FROM merlon.merlon_meta ORDER BY name"), "1;0;0.1.0;");
  EXPECT_EQ(sql("SELECT indexname FROM pg_indexes WHERE tablename = 't_users' ORDER BY indexname"),
            "p.users;u.users.upn;x.users.team;");
  EXPECT_THAT(
      sql("SET enable_seqscan = off; EXPLAIN SELECT key FROM merlon.t_users WHERE tenant = '1' AND i_team "
          "IS NOT NULL AND i_team >= 'a' AND i_team < 'b' AND (i_team, key) > ('a', 'b') ORDER BY i_team, "
          "key LIMIT 10"),
      HasSubstr("using \"x.users.team\""));
}

TEST_F(PostgresOpen, SettingsOfTheDatabaseDoNotWeakenIt) {
  for (const char* setting : {"synchronous_commit = off", "default_transaction_read_only = on",
                              "default_transaction_isolation = 'serializable'", "search_path = public",
                              "statement_timeout = '10s'"})
    PostgresTestServer::sql(PostgresTestServer::instance().address("postgres"),
                            std::string("ALTER DATABASE test SET ") + setting);
  auto connection = PostgresConnection::open(*PostgresAddress::parse(address_));
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ((*connection)->execute("SHOW synchronous_commit")->text(0, 0), "on");
  EXPECT_EQ((*connection)->execute("SHOW statement_timeout")->text(0, 0), "0");
  auto store = open();
  ASSERT_TRUE(store) << store.error().message << store.error().cause;
  EXPECT_TRUE(write_note(**store, "a", "1"));
}

TEST_F(PostgresOpen, AForeignSchemaIsLeftAsItIs) {
  sql("CREATE SCHEMA merlon");
  sql("CREATE TABLE merlon.falcons(name text)");
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "NotMerlonDatabase");
  EXPECT_EQ(sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'merlon'"), "1;");
}

TEST_F(PostgresOpen, MigrationsRunOnceInOrder) {
  Schema schema = contract_schema();
  schema.migrations = {add_note(1)};
  ASSERT_TRUE(open(schema));
  ASSERT_TRUE(open(schema));
  EXPECT_EQ(notes(), "m1-0;");
  schema.migrations = {add_note(1), add_note(2), add_note(3)};
  schema.product_version = "0.2.0";
  ASSERT_TRUE(open(schema));
  EXPECT_EQ(notes(), "m1-0,m2-1,m3-2;");
  EXPECT_EQ(sql("SELECT value FROM merlon.merlon_meta WHERE name = 'migration'"), "3;");
}

TEST_F(PostgresOpen, AFailedMigrationLeavesTheOldDatabase) {
  ASSERT_TRUE(open());
  Schema schema = contract_schema();
  schema.tables.push_back({"fresh", {}});
  schema.migrations = {add_note(1),
                       {2, "cannot", [](Transaction&) { return Result<void>(internal_error("no")); }}};
  const auto failed = open(schema);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("Migration 2 (cannot)"));
  EXPECT_EQ(notes(), "NULL;");
  EXPECT_EQ(sql("SELECT count(*) FROM pg_tables WHERE tablename = 't_fresh'"), "0;");
  EXPECT_TRUE(open());
}

TEST_F(PostgresOpen, ANewerDatabaseIsRefusedUntouched) {
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
  EXPECT_EQ(open_postgres_snapshot(address_, contract_schema()).error().code, "NewerDatabase");
}

TEST_F(PostgresOpen, AServerThatRunsWritesNothingOnceANewerOneHasUpgraded) {
  auto old = open();
  ASSERT_TRUE(old);
  ASSERT_TRUE(write_note(**old, "before", "1"));
  Schema newer = contract_schema();
  newer.migrations = {add_note(1)};
  auto fresh = open(newer);
  ASSERT_TRUE(fresh) << fresh.error().message;
  const auto refused = write_note(**old, "after", "1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "DatabaseUpgraded");
  EXPECT_TRUE(write_note(**fresh, "fresh", "1"));
  EXPECT_EQ(notes(), "before,fresh,m1-1;");
}

TEST_F(PostgresOpen, IndexesOfATableWithRowsChangeOnlyWithAMigration) {
  ASSERT_TRUE(write_note(**open(), "a", "red"));
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
  auto store = open(schema);
  ASSERT_TRUE(store) << store.error().message << store.error().cause;
  auto found = read_value<std::vector<Row>>(
      **store, [&](Reader& reader) { return reader.find(indexed, contract_tenant(1), "colour", "red"); });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 1U);
}

TEST_F(PostgresOpen, ASnapshotReadsBesideTheServerAndRefusesToWrite) {
  EXPECT_EQ(open_postgres_snapshot(address_, contract_schema()).error().code, "NotMerlonDatabase");
  auto store = open();
  ASSERT_TRUE(store);
  ASSERT_TRUE(write_note(**store, "a", "1"));
  auto snapshot = open_postgres_snapshot(address_, contract_schema());
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ASSERT_TRUE((*snapshot)->read_whole([&](WholeReader& reader) -> Result<void> {
    EXPECT_EQ(TRY(reader.tenants(contract_notes())), std::vector<TenantId>{contract_tenant(1)});
    EXPECT_TRUE(TRY(reader.get(contract_notes(), contract_tenant(1), "a")));
    return {};
  }));
  EXPECT_FALSE(write_note(**snapshot, "b", "1"));
}

TEST_F(PostgresOpen, ALongKeyIsRefusedAloneAndSaysSo) {
  auto store = open();
  ASSERT_TRUE(store);
  std::string noise;  // does not compress
  for (unsigned i = 0, state = 1; i < 9000; ++i)
    noise += static_cast<char>((state = state * 1103515245 + 12345) >> 16);
  const auto refused = write_note(**store, noise, "1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "RecordTooLarge") << refused.error().cause;
  const auto hidden = (*store)->write([&](Transaction& tx) -> Result<void> {
    (void)tx.put(contract_notes(), contract_tenant(1), {noise, "1", {}});
    (void)tx.put(contract_notes(), contract_tenant(1), {"beside", "1", {}});
    return {};
  });
  ASSERT_FALSE(hidden) << "a write that hides a failed statement must not be acknowledged";
  EXPECT_EQ(hidden.error().code, "RecordTooLarge");
  EXPECT_TRUE(write_note(**store, "fine", "1"));
  EXPECT_EQ(notes(), "fine;");
}

TEST_F(PostgresOpen, TheServerOutlivesConnectionsThatAreCutOff) {
  auto store = open();
  ASSERT_TRUE(store);
  ASSERT_TRUE(write_note(**store, "before", "1"));
  const std::string cut =
      "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = "
      "current_database() AND pid <> pg_backend_pid()";
  sql(cut);
  EXPECT_TRUE(write_note(**store, "idle connection", "1")) << "nothing had begun: it is opened anew";
  const auto lost = (*store)->write([&](Transaction& tx) -> Result<void> {
    TRY(tx.put(contract_notes(), contract_tenant(1), {"lost", "1", {}}));
    sql(cut);
    return tx.put(contract_notes(), contract_tenant(1), {"lost too", "1", {}});
  });
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(write_note(**store, "after", "1"));
  EXPECT_EQ(notes(), "after,before,idle connection;");
}

TEST(PostgresAddress, NothingOfItIsToldAndNetworksAreVerified) {
  for (const char* wrong :
       {"postgres://user:s3cret@[::1", "postgres://u:s3cret@h?nonsense=1", "mysql://s3cret"}) {
    const auto refused = PostgresAddress::parse(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, Not(HasSubstr("s3cret")));
    EXPECT_THAT(refused.error().cause, Not(HasSubstr("s3cret")));
  }
  const auto mode = [](const std::string& url) {
    const auto address = PostgresAddress::parse(url);
    EXPECT_TRUE(address) << url;
    EXPECT_THAT(address->shown(), Not(HasSubstr("s3cret")));
    for (const auto& [name, value] : address->options())
      if (name == "sslmode") return value + (address->weak_tls().empty() ? "" : "!");
    return std::string();
  };
  EXPECT_EQ(mode("postgres://m:s3cret@db.example.org/merlon"), "verify-full");
  EXPECT_EQ(mode("postgres://m:s3cret@db.example.org/merlon?sslmode=require"), "require!");
  EXPECT_EQ(mode("postgres://m:s3cret@/merlon?host=/run/postgresql"), "");
  EXPECT_EQ(mode("postgres://m:s3cret@localhost,10.0.0.1/merlon"), "verify-full");
}

TEST(PostgresAddress, ADatabaseThatIsNotThereIsNamedWithoutThePassword) {
  const auto refused = open_postgres("postgres://m:s3cret@127.0.0.1:1/merlon", contract_schema());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "DatabaseUnreachable");
  EXPECT_THAT(refused.error().message, HasSubstr("'merlon' at 127.0.0.1, port 1"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace merlon::store

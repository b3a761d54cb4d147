// What happens at COMMIT: triggers that wait until then make PostgreSQL refuse it, or die in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/postgres_test_server.h"
#include "store/server_store.h"
#include "store/sqlite_test_directory.h"

namespace merlon::store {
namespace {

constexpr int kExitIoError = 74;

class PostgresCommit : public testing::Test {
 protected:
  std::unique_ptr<ServerStore> open() {
    auto store = open_postgres(address_, contract_schema());
    EXPECT_TRUE(store) << store.error().message << store.error().cause;
    (*store)->start_finished();
    return std::move(*store);
  }
  // Runs `body` when a row of notes is committed.
  void at_commit(const std::string& body) {
    PostgresTestServer::sql(address_,
                            "CREATE FUNCTION merlon.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ "
                            "BEGIN " +
                                body + "; RETURN NULL; END $$");
    PostgresTestServer::sql(address_,
                            "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON merlon.t_notes DEFERRABLE "
                            "INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon.at_commit()");
  }
  void as_before() { PostgresTestServer::sql(address_, "DROP TRIGGER at_commit ON merlon.t_notes"); }

  std::string address_ = PostgresTestServer::instance().make_database();
};

TEST_F(PostgresCommit, AConnectionThatIsLostInItEndsTheProcessAndIsNotAcknowledged) {
  ASSERT_TRUE(write_note(*open(), "before", "1"));
  at_commit("PERFORM pg_terminate_backend(pg_backend_pid())");
  const pid_t child = start_child([&] {
    const auto store = open();
    (void)write_note(*store, "during", "1");
    return 2;  // an answer of any kind would be a promise
  });
  EXPECT_EQ(wait_for_child(child), kExitIoError);
  as_before();
  const auto store = open();
  EXPECT_EQ(read_note(*store, "before"), "1");
  EXPECT_EQ(read_note(*store, "during"), std::nullopt);
  EXPECT_TRUE(write_note(*store, "after", "1"));
}

TEST_F(PostgresCommit, ThatPostgresRefusesFailsTheGroupAndTheServerGoesOn) {
  const auto store = open();
  for (const auto& [state, code] : {std::pair("40001", "StorageBusy"), std::pair("53100", "StorageFull")}) {
    at_commit("RAISE EXCEPTION 'refused by a test' USING ERRCODE = '" + std::string(state) + "'");
    int runs = 0;
    bool effect = false;
    const auto refused = store->write([&](Transaction& tx) -> Result<void> {
      ++runs;
      tx.after_commit([&] { effect = true; });
      return tx.put(contract_notes(), contract_tenant(1), {"during", "1", {}});
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(refused.error().code, code);
    EXPECT_EQ(runs, 1) << "work runs once";
    EXPECT_FALSE(effect);
    EXPECT_EQ(read_note(*store, "during"), std::nullopt);
    as_before();
    PostgresTestServer::sql(address_, "DROP FUNCTION merlon.at_commit");
  }
  EXPECT_TRUE(write_note(*store, "after", "1"));
}

}  // namespace
}  // namespace merlon::store

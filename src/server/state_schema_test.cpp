// A state that an earlier merlon left is taken over with what the tables have gained since.
#include "server/state_schema.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/time_text.h"
#include "grant/grant.h"
#include "server/settings.h"

namespace merlon::server {
namespace {

TEST(StateSchema, GrantsOfBeforeTheyHadGroupsAreFoundByThem) {
  std::string directory = (std::filesystem::temp_directory_path() / "merlon-schema-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const TenantId tenant{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  store::Schema old = state_schema();
  old.migrations.clear();
  for (store::TableSpec& table : old.tables)
    if (table.name == "grants") table.indexes.resize(2);
  grant::Grant grant;
  grant.id = *Uuid::parse("22222222-2222-4222-8222-222222222222");
  grant.kind = "jit";
  grant.subject = "/vm";
  grant.data = {{"policyId", "/Policy"}};
  grant.start = Timestamp(std::chrono::hours(1));
  grant.deadline = Timestamp(std::chrono::hours(2));
  {
    auto store = store::open_sqlite(directory, old);
    ASSERT_TRUE(store) << store.error().message;
    const auto written = (*store)->write([&](store::Transaction& tx) -> Result<void> {
      TRY(tx.put(tables().front(), TenantId(),
                 {"settings", to_text(JsonObject{{"tenantId", tenant.text()}}), {}}));
      JsonObject json = grant.to_json();
      json.erase("group");
      auto indexes = grant.index_values();
      indexes.resize(2);
      for (const store::TableSpec& table : old.tables)
        if (table.name == "grants") return tx.put(table, tenant, {grant.key(), to_text(json), indexes});
      return internal_error("there is no table of grants");
    });
    ASSERT_TRUE(written) << written.error().message;
  }
  {
    const auto store = store::open_sqlite(directory, state_schema());
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    for (const auto& [index, of] :
         {std::pair("active_subject", "/vm"), std::pair("active_group", "/policy")}) {
      const auto found = store::read_value<std::vector<grant::Grant>>(**store, [&](store::Reader& reader) {
        return store::find<grant::Grant>(reader, tenant, index, grant::active_key("jit", of));
      });
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_EQ(found->size(), 1U) << index;
    }
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace merlon::server

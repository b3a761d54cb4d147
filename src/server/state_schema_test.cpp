// A state that an earlier merlon left is taken over with what the tables have gained since.
#include "server/state_schema.h"

#include <gtest/gtest.h>

#include <algorithm>
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

// Rows as migration 1 left them: each view with the names of all its rules, and no table of places.
TEST(StateSchema, SecurityGroupsOfBeforeTheirViewsSharedRulesAreFoundByTheirOverlays) {
  std::string directory = (std::filesystem::temp_directory_path() / "merlon-schema-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const TenantId tenant{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  store::Schema old = state_schema();
  old.migrations.resize(1);
  std::erase_if(old.tables, [](const store::TableSpec& table) { return table.name == "overlay_places"; });
  const store::Schema now = state_schema();
  const auto table = [&](std::string_view name) {
    return *std::ranges::find(now.tables, name, &store::TableSpec::name);
  };
  const std::string before =
      R"({"id":"/nsg","base":[],"overlay":{"jit:/p":[{"id":"g/10.0.0.4","access":"Allow","name":"n",)"
      R"("description":"d","protocol":"Tcp","sources":["*"],"destination":"10.0.0.4","port":22}]},)"
      R"("views":[{"etag":"e","allows":{"n":"g/10.0.0.4"},"denies":{},"shifted":{}}]})";
  {
    auto store = store::open_sqlite(directory, old);
    ASSERT_TRUE(store) << store.error().message;
    const auto written = (*store)->write([&](store::Transaction& tx) -> Result<void> {
      TRY(tx.put(tables().front(), TenantId(),
                 {"settings", to_text(JsonObject{{"tenantId", tenant.text()}}), {}}));
      return tx.put(table("security_groups"), tenant, {"/nsg", before, {}});
    });
    ASSERT_TRUE(written) << written.error().message;
  }
  {
    const auto store = store::open_sqlite(directory, now);
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    const auto read = (*store)->read([&](store::Reader& reader) -> Result<void> {
      const auto places = TRY(reader.scan(table("overlay_places"), tenant, {}));
      EXPECT_EQ(places.size(), 1U);
      if (!places.empty()) EXPECT_EQ(places.front().key, "jit:/p\n/nsg");
      const auto group = TRY(reader.get(table("security_groups"), tenant, "/nsg"));
      EXPECT_TRUE(group && group->body.contains(R"("shown":[{"name":"n","id":"g/10.0.0.4")"));
      EXPECT_FALSE(group && group->body.contains(R"("allows")"));
      return {};
    });
    ASSERT_TRUE(read) << read.error().message;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace merlon::server

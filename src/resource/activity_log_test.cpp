// The activity log where it is long.
#include "base/time_text.h"
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

class ActivityLogTest : public ResourceFixture {
 protected:
  void append_entries(size_t count, Duration age = {}) {
    must(store_->write([&](store::Transaction& tx) -> Result<void> {
      ledger::Entry entry;
      entry.time = clock_.now() - age;
      entry.actor.name = "a machine";
      entry.action = "Merlon.Machines/machines/observations/x";
      entry.resource = kGroup;
      for (size_t i = 0; i < count; ++i) TRY(core_->ledger.append(tx, entry));
      return {};
    }));
  }
  const std::string events_ = kSubscription + "/providers/Microsoft.Insights/eventtypes/management/values";
};

// Whoever may read it asks for what is not there: that must not go through all of it in one request, whether
// the ledger or the activity log has the filter.
TEST_F(ActivityLogTest, AFilterThatLittleFitsGoesOnPageByPage) {
  make_group();
  append_entries(5'600);
  const std::string log = events_ + "?api-version=2015-04-01&$filter=";
  const std::string entries = "/providers/Merlon.Ledger/entries?api-version=2026-11-01&$filter=";
  for (const std::string& target :
       {log + net::percent_encode("caller eq 'nobody'"),
        log + net::percent_encode("resourceId eq '" + kSubscription + "/resourceGroups/none'"),
        log + net::percent_encode("eventTimestamp le '2001-01-01T00:00:00Z'"),
        entries + net::percent_encode("startswith(resource,'zzz')"),
        entries + net::percent_encode("startswith(action,'zzz')") + "&$orderby=index%20asc"}) {
    const Answer first = send("GET", target);
    ASSERT_EQ(first.status, 200) << first.text;
    EXPECT_EQ(array_at(first.body, "value")->size(), 0U) << target;
    const std::string next = first.at("nextLink");
    ASSERT_NE(next, "") << target;
    const Answer last = send("GET", next.substr(std::string(kOrigin).size()));
    EXPECT_EQ(last.status, 200) << last.text;
    EXPECT_EQ(last.at("nextLink"), "") << target;
  }
}

TEST_F(ActivityLogTest, WhatIsOlderThanAskedForIsNotLookedAt) {
  append_entries(5'600, std::chrono::hours(3));
  const std::string since = net::percent_encode("eventTimestamp ge '" + to_rfc3339(clock_.now()) + "'");
  make_group("later");
  const Answer seen = send("GET", events_ + "?api-version=2015-04-01&$filter=" + since);
  ASSERT_EQ(seen.status, 200) << seen.text;
  EXPECT_EQ(array_at(seen.body, "value")->size(), 1U) << seen.text;
  EXPECT_EQ(seen.at("nextLink"), "") << "it ends where everything is older";
}

}  // namespace
}  // namespace merlon::resource

// The activity log where it is long.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

class ActivityLogTest : public ResourceFixture {
 protected:
  const std::string events_ = kSubscription + "/providers/Microsoft.Insights/eventtypes/management/values";
};

// Whoever may read it asks for what is not there: that must not go through all of it in one request.
TEST_F(ActivityLogTest, AFilterThatLittleFitsGoesOnPageByPage) {
  make_group();
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    ledger::Entry entry;
    entry.time = clock_.now();
    entry.actor.name = "a machine";
    entry.action = "Merlon.Machines/machines/observations/x";
    entry.resource = kGroup;
    for (int i = 0; i < 20'100; ++i) TRY(core_->ledger.append(tx, entry));
    return {};
  }));
  const std::string filter = "?api-version=2015-04-01&$filter=" + net::percent_encode("caller eq 'nobody'");
  const Answer first = send("GET", events_ + filter);
  ASSERT_EQ(first.status, 200) << first.text;
  EXPECT_EQ(array_at(first.body, "value")->size(), 0U);
  const std::string next = first.at("nextLink");
  ASSERT_NE(next, "");
  const Answer last = send("GET", next.substr(next.find("/subscriptions")));
  EXPECT_EQ(last.status, 200) << last.text;
  EXPECT_EQ(last.at("nextLink"), "");
}

}  // namespace
}  // namespace merlon::resource

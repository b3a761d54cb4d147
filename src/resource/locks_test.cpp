// Locks, and every way around them that somebody with all rights might try.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class LocksTest : public ResourceFixture {
 protected:
  void SetUp() override { make_group(); }
  static std::string lock_of(const std::string& scope, const std::string& name = "l") {
    return scope + "/providers/Microsoft.Authorization/locks/" + name;
  }
  Answer lock(const std::string& scope, const std::string& level, const std::string& name = "l") {
    return send("PUT", lock_of(scope, name), R"({"properties":{"level":")" + level + R"(","notes":"n"}})");
  }
  void expect_locked(const Answer& answer, const std::string& scope, const std::string& verb,
                     const std::string& locked) {
    EXPECT_EQ(answer.status, 409) << answer.text;
    EXPECT_EQ(answer.code(), "ScopeLocked");
    EXPECT_EQ(answer.message(), "The scope '" + scope + "' cannot perform " + verb +
                                    " operation because following scope(s) are locked: '" + locked +
                                    "'. Please remove the lock and try again.");
  }
};

TEST_F(LocksTest, LifeOfALock) {
  const Answer made = send("PUT", lock_of(kGroup, "Keep"),
                           R"({"properties":{"level":"cannotdelete","notes":"why",)"
                           R"("owners":[{"applicationId":"app"}]}})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("properties.level"), "CanNotDelete");
  EXPECT_EQ(made.at("id"), lock_of(kGroup, "Keep"));
  EXPECT_EQ(made.at("type"), "Microsoft.Authorization/locks");
  EXPECT_EQ(made.at("systemData.createdBy"), owner_.name);
  EXPECT_EQ(send("GET", lock_of(kGroup, "KEEP")).text, made.text);
  const Answer changed = lock(kGroup, "ReadOnly", "keep");
  EXPECT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.at("name"), "Keep");
  EXPECT_EQ(
      send("PUT", lock_of(kGroup, "keep"), R"({"properties":{"level":"ReadOnly"}})", {{"If-None-Match", "*"}})
          .status,
      412);
  EXPECT_EQ(send("GET", lock_of(kGroup, "none")).code(), "LockNotFound");
  EXPECT_EQ(send("DELETE", lock_of(kGroup, "keep")).status, 200);
  EXPECT_EQ(send("DELETE", lock_of(kGroup, "keep")).status, 204);
  const auto entered = entries("Microsoft.Authorization/locks/write");
  EXPECT_THAT(entered, SizeIs(3));
  EXPECT_THAT(entries("Microsoft.Authorization/locks/delete"), SizeIs(2));
}

TEST_F(LocksTest, RefusesWhatIsNoLock) {
  EXPECT_EQ(lock(kGroup, "NotSpecified").status, 400);
  EXPECT_EQ(send("PUT", lock_of(kGroup), "{}").status, 400);
  EXPECT_EQ(send("PUT", lock_of(kGroup),
                 R"({"properties":{"level":"ReadOnly","notes":")" + std::string(513, 'n') + "\"}}")
                .status,
            400);
  EXPECT_EQ(lock("", "ReadOnly").code(), "LockScopeNotSupported");
  EXPECT_EQ(lock(kSubscription + "/resourceGroups/none", "ReadOnly").code(), "ResourceGroupNotFound");
  EXPECT_EQ(lock(kBoxes + "/none", "ReadOnly").code(), "ResourceNotFound");
  EXPECT_EQ(send("GET", kGroup + "/providers/Microsoft.Authorization/locks?api-version=2016-09-01&$filter=x")
                .code(),
            "InvalidFilterInQueryString");
}

TEST_F(LocksTest, CanNotDeleteLetsChangesThrough) {
  make_box("a");
  ASSERT_EQ(lock(kBoxes + "/a", "CanNotDelete").status, 201);
  EXPECT_EQ(make_box("a", R"({"color":"blue"})").status, 200);
  expect_locked(send("DELETE", kBoxes + "/A"), kBoxes + "/A", "delete", kBoxes + "/a");
  EXPECT_EQ(send("DELETE", lock_of(kBoxes + "/a")).status, 200);
  EXPECT_EQ(send("DELETE", kBoxes + "/a").status, 200);
}

TEST_F(LocksTest, ReadOnlyStopsEveryWriteAtAndBelow) {
  make_box("a", R"({"items":[{"name":"pen"}]})");
  for (const std::string& scope : {kSubscription, kGroup, kBoxes + "/a"}) {
    ASSERT_EQ(lock(scope, "ReadOnly").status, 201);
    expect_locked(make_box("a", R"({"color":"blue"})"), kBoxes + "/a", "write", scope);
    expect_locked(send("PATCH", kBoxes + "/a", R"({"tags":{}})"), kBoxes + "/a", "write", scope);
    expect_locked(send("DELETE", kBoxes + "/a"), kBoxes + "/a", "delete", scope);
    expect_locked(send("PUT", kBoxes + "/a/items/pen", "{}"), kBoxes + "/a/items/pen", "write", scope);
    expect_locked(send("PUT", kBoxes + "/a/notes/n", "{}"), kBoxes + "/a/notes/n", "write", scope);
    const std::string tags = kBoxes + "/a/providers/Microsoft.Resources/tags/default";
    EXPECT_EQ(send("PUT", tags, R"({"properties":{"tags":{}}})").code(), "ScopeLocked");
    const std::string role =
        kBoxes + "/a/providers/Microsoft.Authorization/roleAssignments/" + Uuid::generate(random_).text();
    EXPECT_EQ(send("PUT", role,
                   R"({"properties":{"principalId":")" + owner_.id.text() +
                       R"(","roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/)" +
                       kReader + "\"}}")
                  .code(),
              "ScopeLocked");
    EXPECT_EQ(send("GET", kBoxes + "/a").status, 200);
    EXPECT_EQ(send("POST", kBoxes + "/a/providers/Merlon.Authorization/checkAccess",
                   R"({"action":"Toy.Things/boxes/read"})")
                  .status,
              200);                                                    // it only asks
    EXPECT_EQ(lock(kBoxes + "/a", "ReadOnly", "second").status, 201);  // locks are set all the same
    EXPECT_EQ(send("DELETE", lock_of(kBoxes + "/a", "second")).status, 200);
    ASSERT_EQ(send("DELETE", lock_of(scope)).status, 200);
  }
  const auto refused = entries("Toy.Things/boxes/write");
  EXPECT_EQ(std::ranges::count(refused, ledger::Decision::failed, &ledger::Entry::decision), 6);
  EXPECT_EQ(make_box("a", R"({"color":"blue"})").status, 200);
}

TEST_F(LocksTest, AGroupGoesOnlyWithoutALockInIt) {
  make_box("a");
  send("PUT", kBoxes + "/a/notes/n", "{}");
  make_lid("lid");
  for (const std::string& scope : {kBoxes + "/a/notes/n", kLids + "/lid", kGroup, kSubscription}) {
    ASSERT_EQ(lock(scope, "CanNotDelete").status, 201) << scope;
    expect_locked(send("DELETE", kGroup), kGroup, "delete", scope);
    ASSERT_EQ(send("DELETE", lock_of(scope)).status, 200);
  }
  ASSERT_EQ(lock(kBoxes + "/a/notes/n", "CanNotDelete").status, 201);
  expect_locked(send("DELETE", kBoxes + "/a"), kBoxes + "/a", "delete", kBoxes + "/a/notes/n");
  ASSERT_EQ(send("DELETE", lock_of(kBoxes + "/a/notes/n")).status, 200);
  EXPECT_EQ(send("DELETE", kGroup).status, 202);
}

TEST_F(LocksTest, ALockReachesItsScopeAndNoNamesake) {
  make_box("a");
  make_box("ab");
  ASSERT_EQ(lock(kBoxes + "/a", "ReadOnly").status, 201);
  EXPECT_EQ(make_box("ab", R"({"color":"blue"})").status, 200);
  make_group("rg10");
  ASSERT_EQ(send("DELETE", lock_of(kBoxes + "/a")).status, 200);
  ASSERT_EQ(lock(kGroup, "ReadOnly").status, 201);
  EXPECT_EQ(send("DELETE", kSubscription + "/resourceGroups/rg10").status, 202);
}

TEST_F(LocksTest, WhatHasNoIdIsDeletedBesideALock) {
  make_box("a");
  const std::string name = kSubscription + "/tagNames/cost";
  ASSERT_EQ(send("PUT", name).status, 201);
  ASSERT_EQ(lock(kBoxes + "/a", "CanNotDelete").status, 201);
  EXPECT_EQ(send("DELETE", name).status, 200);
  ASSERT_EQ(send("PUT", name).status, 201);
  ASSERT_EQ(lock(kSubscription, "CanNotDelete").status, 201);
  expect_locked(send("DELETE", name), kSubscription, "delete", kSubscription);
}

TEST_F(LocksTest, AParentsWriteDoesNotGetAroundAChildsLock) {
  make_box("a", R"({"items":[{"name":"pen","properties":{"weight":1}},{"name":"ink"}]})");
  const std::string pen = kBoxes + "/a/items/pen";
  ASSERT_EQ(lock(pen, "CanNotDelete").status, 201);
  expect_locked(make_box("a", R"({"items":[{"name":"ink"}]})"), pen, "delete", pen);
  EXPECT_EQ(make_box("a", R"({"items":[{"name":"pen","properties":{"weight":2}}]})").status, 200);
  ASSERT_EQ(lock(pen, "ReadOnly").status, 200);
  expect_locked(make_box("a", R"({"items":[{"name":"pen","properties":{"weight":3}}]})"), pen, "write", pen);
  EXPECT_EQ(make_box("a", R"({"color":"blue","items":[{"name":"pen","properties":{"weight":2}}]})").status,
            200);
  expect_locked(send("DELETE", pen), pen, "delete", pen);
}

TEST_F(LocksTest, OnlyTheRightForLocksSetsThem) {
  make_box("a");
  const Person ada = make_person("ada");
  assign(ada, kContributor, kSubscription);
  const std::string body = R"({"properties":{"level":"ReadOnly"}})";
  const Answer refused = send_as(ada.token, "PUT", lock_of(kBoxes + "/a"), body);
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.message(), HasSubstr("'Microsoft.Authorization/locks/write'"));
  ASSERT_EQ(lock(kBoxes + "/a", "CanNotDelete").status, 201);
  EXPECT_EQ(send_as(ada.token, "DELETE", lock_of(kBoxes + "/a")).status, 403);
  EXPECT_EQ(send_as(ada.token, "GET", lock_of(kBoxes + "/a")).status, 200);
  // Who may not delete is told that, not what is locked.
  const Person eve = make_person("eve");
  assign(eve, kReader, kSubscription);
  EXPECT_EQ(send_as(eve.token, "DELETE", kBoxes + "/a").status, 403);
}

TEST_F(LocksTest, ListsWhatCountsAndWhatIsBelow) {
  make_box("a");
  lock(kSubscription, "CanNotDelete", "sub");
  lock(kGroup, "CanNotDelete", "group");
  lock(kBoxes + "/a", "ReadOnly", "box");
  const auto list = [&](const std::string& scope, const std::string& filter = {}) {
    return send("GET", scope + "/providers/Microsoft.Authorization/locks?api-version=2016-09-01" + filter)
        .names();
  };
  EXPECT_THAT(list(kSubscription), UnorderedElementsAre("sub", "group", "box"));
  EXPECT_THAT(list(kGroup), UnorderedElementsAre("sub", "group", "box"));
  EXPECT_THAT(list(kGroup, "&$filter=atScope()"), UnorderedElementsAre("sub", "group"));
  EXPECT_THAT(list(kBoxes + "/a", "&$filter=atScope()"), ElementsAre("box", "group", "sub"));
}

TEST_F(LocksTest, MerlonsOwnWorkPassesAndTakesTheLocksAlong) {
  make_box("a");
  ASSERT_EQ(lock(kBoxes + "/a", "ReadOnly").status, 201);
  const ResourceId box = must(ResourceId::parse(kBoxes + "/a"));
  must(store_->write([&](store::Transaction& tx) {
    return manager_->as_system(tx, "a deadline has passed", [&](WriteContext& context) -> Result<void> {
      EXPECT_TRUE(context.require_unlocked(box.text()).has_value());
      EXPECT_FALSE(manager_->require_unlocked(tx, box.text(), Change::write).has_value());
      return manager_->erase(tx, box);
    });
  }));
  EXPECT_THAT(send("GET", kGroup + "/providers/Microsoft.Authorization/locks?api-version=2016-09-01").names(),
              IsEmpty());
  EXPECT_EQ(make_box("a").status, 201);
}

}  // namespace
}  // namespace merlon::resource

// Access over a real store and directory.
#include "access/access.h"

#include <gmock/gmock.h>

#include "access/access_fixture.h"

namespace merlon::access {
namespace {

using testing::SizeIs;

class AccessTest : public AccessFixture {
 protected:
  std::string error_of(const RoleAssignment& assignment) {
    const auto made = try_assign(assignment);
    return made ? "" : made.error().code;
  }
  RoleDefinition role_named(const std::string& name, std::vector<std::string> actions) {
    RoleDefinition role;
    role.id = Uuid::generate(random_);
    role.name = name;
    role.permissions.resize(1);
    role.permissions[0].actions = std::move(actions);
    role.assignable_scopes = {kSubscription};
    return role;
  }
  Result<RoleDefinition> try_put(const RoleDefinition& role) {
    return store::write_value<RoleDefinition>(*store_, [&](auto& tx) { return access_.put_role(tx, role); });
  }
  std::string role_error(const RoleDefinition& role) {
    const auto made = try_put(role);
    return made ? "" : made.error().code;
  }
};

TEST_F(AccessTest, GroupsInGroupsInherit) {
  const Uuid ada = new_user("ada");
  const Uuid inner = new_group("inner");
  const Uuid outer = new_group("outer");
  join(inner, ada);
  join(outer, inner);
  assign(outer, kReader, kSubscription);
  const Decision decision = ask(ada, {.action = "Microsoft.Compute/virtualMachines/read", .scope = kVm});
  EXPECT_TRUE(decision.allowed) << decision.reason;
  EXPECT_EQ(decision.through_group, outer.text());
  EXPECT_EQ(decision.role_name, "Reader");
  EXPECT_FALSE(may(ada, "Microsoft.Compute/virtualMachines/write"));
  EXPECT_FALSE(may(new_user("bob"), "Microsoft.Compute/virtualMachines/read"));
}

TEST_F(AccessTest, RemovalTakesEffectAtOnce) {
  const Uuid ada = new_user("ada");
  const RoleAssignment made = assign(ada, kOwner, "/subscriptions/5F1C0000-0000-0000-0000-000000000001/");
  EXPECT_TRUE(may(ada, "a/b/delete"));
  EXPECT_FALSE(may(ada, "a/b/delete", "/subscriptions/5f1c0000-0000-0000-0000-000000000002"));
  const auto gone = wrote<std::optional<RoleAssignment>>(
      [&](auto& tx) { return access_.unassign(tx, kSubscription, made.id); });
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->principal_id, ada);
  EXPECT_FALSE(may(ada, "a/b/delete"));
  EXPECT_FALSE(wrote<std::optional<RoleAssignment>>(
      [&](auto& tx) { return access_.unassign(tx, kSubscription, made.id); }));
}

TEST_F(AccessTest, RulesOfAssignment) {
  const Uuid ada = new_user("ada");
  const RoleAssignment first = assign(ada, kReader, kGroup);
  EXPECT_EQ(first.principal_type, "User");
  EXPECT_EQ(first.created, clock_.now());
  EXPECT_EQ(error_of(new_assignment(
                ada, kReader, "/SUBSCRIPTIONS/5f1c0000-0000-0000-0000-000000000001/resourcegroups/PROD")),
            "RoleAssignmentExists");
  EXPECT_EQ(error_of(new_assignment(ada, uuid("12345678-0000-0000-0000-000000000000"), kGroup)),
            "RoleDefinitionDoesNotExist");
  EXPECT_EQ(error_of(new_assignment(Uuid(), kReader, kGroup)), "InvalidPrincipalId");
  EXPECT_EQ(error_of(new_assignment(ada, kReader, "/nonsense")), "InvalidScope");
  const Uuid nobody = Uuid::generate(random_);
  EXPECT_EQ(error_of(new_assignment(nobody, kReader, kGroup)), "PrincipalNotFound");
  RoleAssignment vouched = new_assignment(nobody, kReader, kGroup);
  vouched.principal_type = "ServicePrincipal";
  EXPECT_EQ(error_of(vouched), "");
  RoleAssignment lied = new_assignment(ada, kOwner, kGroup);
  lied.principal_type = "ServicePrincipal";
  EXPECT_EQ(error_of(lied), "UnmatchedPrincipalType");
  lied.principal_type = "ForeignGroup";
  EXPECT_EQ(error_of(lied), "PrincipalTypeNotSupported");
  RoleAssignment nameless = new_assignment(ada, kOwner, kGroup);
  nameless.id = Uuid();
  EXPECT_EQ(error_of(nameless), "InvalidRoleAssignmentId");
}

TEST_F(AccessTest, OnlyDescriptionAndConditionChange) {
  const Uuid ada = new_user("ada");
  const RoleAssignment first = assign(ada, kReader, kGroup);
  clock_.advance(std::chrono::hours(1));
  const auto replay = try_assign(first);
  ASSERT_TRUE(replay);
  EXPECT_EQ(replay->updated, first.updated);
  RoleAssignment changed = first;
  changed.description = "why";
  changed.condition = "@Resource[x] StringEquals 'y'";
  const auto updated = try_assign(changed);
  ASSERT_TRUE(updated) << updated.error().message;
  EXPECT_EQ(updated->condition_version, "2.0");
  EXPECT_EQ(updated->created, first.created);
  EXPECT_EQ(updated->updated, clock_.now());
  EXPECT_FALSE(may(ada, "a/b/read"));
  Question question{.action = "a/b/read", .scope = kVm};
  question.attributes.set("@Resource[x]", "y");
  EXPECT_TRUE(ask(ada, question).allowed);

  for (auto change : std::vector<std::function<void(RoleAssignment&)>>{
           [](RoleAssignment& a) { a.role_definition_id = kOwner; },
           [](RoleAssignment& a) { a.scope = kSubscription; },
           [&](RoleAssignment& a) {
             a.principal_id = new_user("eve" + Uuid::generate(random_).text().substr(0, 8));
           }}) {
    RoleAssignment other = first;
    change(other);
    EXPECT_EQ(error_of(other), "RoleAssignmentUpdateNotPermitted");
  }
  changed.condition = "nonsense";
  EXPECT_EQ(error_of(changed), "InvalidConditionFormat");
  changed.condition = first.condition + "Exists @Resource[x]";
  changed.condition_version = "1.0";
  EXPECT_EQ(error_of(changed), "InvalidConditionVersion");
}

TEST_F(AccessTest, TimeConditionsFollowTheClock) {
  const Uuid ada = new_user("ada");
  RoleAssignment timed = new_assignment(ada, kReader, kGroup);
  timed.condition = "@Environment[UtcNow] DateTimeLessThan '2030-01-01T00:00:00Z'";
  ASSERT_EQ(error_of(timed), "");
  EXPECT_TRUE(may(ada, "a/b/read"));
  clock_.advance(std::chrono::hours(24 * 365 * 10));
  EXPECT_FALSE(may(ada, "a/b/read"));
}

TEST_F(AccessTest, DenyAssignments) {
  const Uuid ada = new_user("ada");
  assign(ada, kOwner, "/");
  DenyAssignment denial;
  denial.id = Uuid::generate(random_);
  denial.name = "managed by Merlon";
  denial.scope = kGroup;
  denial.permissions.resize(1);
  denial.permissions[0].actions = {"*/write"};
  denial.principals = {{Uuid(), "SystemDefined"}};
  wrote<DenyAssignment>([&](auto& tx) { return access_.deny(tx, denial); });
  EXPECT_FALSE(may(ada, "a/b/write"));
  EXPECT_TRUE(may(ada, "a/b/read"));
  EXPECT_TRUE(may(ada, "a/b/write", kSubscription));
  using Found = std::vector<DenyAssignment>;
  EXPECT_THAT(read<Found>([&](auto& reader) {
                return access_.deny_assignments(reader, kVm, Access::Reach::at_and_above);
              }),
              SizeIs(1));
  EXPECT_TRUE(wrote<bool>([&](auto& tx) { return access_.undeny(tx, kGroup, denial.id); }));
  EXPECT_FALSE(wrote<bool>([&](auto& tx) { return access_.undeny(tx, kGroup, denial.id); }));
  EXPECT_TRUE(may(ada, "a/b/write"));
}

TEST_F(AccessTest, CustomRoles) {
  const Uuid ada = new_user("ada");
  RoleDefinition role = role_named("Starter", {"Microsoft.Compute/virtualMachines/start/action"});
  ASSERT_EQ(role_error(role), "");
  EXPECT_EQ(error_of(new_assignment(ada, role.id, "/subscriptions/5f1c0000-0000-0000-0000-000000000002")),
            "RoleDefinitionNotAssignableAtScope");
  const RoleAssignment made = assign(ada, role.id, kGroup);
  EXPECT_TRUE(may(ada, "Microsoft.Compute/virtualMachines/start/action"));
  // A changed role counts from the next question on, whatever was kept of the old one.
  role.permissions[0].actions = {"Microsoft.Compute/virtualMachines/read"};
  ASSERT_EQ(role_error(role), "");
  EXPECT_FALSE(may(ada, "Microsoft.Compute/virtualMachines/start/action"));
  EXPECT_TRUE(may(ada, "Microsoft.Compute/virtualMachines/read"));

  EXPECT_EQ(role_error(role_named("STARTER", {"*"})), "RoleDefinitionWithSameNameExists");
  EXPECT_EQ(role_error(role_named("owner", {"*"})), "RoleDefinitionWithSameNameExists");
  const auto remove = [&](const Uuid& id) {
    return store::write_value<std::optional<RoleDefinition>>(
        *store_, [&](auto& tx) { return access_.delete_role(tx, id); });
  };
  EXPECT_EQ(remove(role.id).error().code, "RoleDefinitionHasAssignments");
  EXPECT_EQ(remove(kOwner).error().code, "RoleDefinitionDeleteNotPermitted");
  wrote<std::optional<RoleAssignment>>([&](auto& tx) { return access_.unassign(tx, kGroup, made.id); });
  EXPECT_TRUE(remove(role.id)->has_value());
  EXPECT_FALSE(remove(role.id)->has_value());
}

// Whoever may make one role must not make every list of roles, and every later role, dear.
TEST_F(AccessTest, ACustomRoleWeighsLittle) {
  RoleDefinition role = role_named("Role", {"a/b"});
  role.permissions.resize(2);
  EXPECT_EQ(role_error(role), "InvalidRoleDefinition") << "a permission without any pattern";
  role.permissions.assign(65, role.permissions[0]);
  EXPECT_EQ(role_error(role), "InvalidRoleDefinition");
  role.permissions.resize(64);
  EXPECT_EQ(role_error(role), "");
  const std::string long_pattern = "a/" + std::string(498, 'b');
  role.permissions.resize(1);
  role.permissions[0].actions.assign(600, long_pattern);
  EXPECT_EQ(role_error(role), "InvalidRoleDefinition") << "300 kB";
  role.permissions[0].actions.resize(500);
  EXPECT_EQ(role_error(role), "");
}

TEST_F(AccessTest, CustomRolesThatAreRefused) {
  RoleDefinition role = role_named("Role", {"a/b"});
  role.id = kOwner;
  EXPECT_EQ(role_error(role), "RoleDefinitionUpdateNotPermitted");
  EXPECT_EQ(role_error(role_named("  ", {"a/b"})), "InvalidRoleDefinitionName");
  EXPECT_EQ(role_error(role_named("Role", {})), "InvalidRoleDefinition");
  for (const char* bad : {"", "read", "a//b", "a/b*c*d", "a/b\n", "a/'b'", "/a/b"})
    EXPECT_EQ(role_error(role_named("Role", {bad})), "InvalidActionOrNotAction") << bad;
  role = role_named("Role", {"*/read"});
  role.assignable_scopes = {};
  EXPECT_EQ(role_error(role), "MissingAssignableScopes");
  role.assignable_scopes = {"/"};
  EXPECT_EQ(role_error(role), "InvalidAssignableScope");
  role.assignable_scopes = {"/providers/Microsoft.Management/managementGroups/a",
                            "/providers/Microsoft.Management/managementGroups/b"};
  EXPECT_EQ(role_error(role), "InvalidAssignableScope");
  role.assignable_scopes = {"/subscriptions"};
  EXPECT_EQ(role_error(role), "InvalidScope");
  role.assignable_scopes = {kSubscription};
  role.permissions[0].condition = "(";
  EXPECT_EQ(role_error(role), "InvalidConditionFormat");
}

TEST_F(AccessTest, RolesByNameAndId) {
  using Maybe = std::optional<RoleDefinition>;
  EXPECT_EQ(read<Maybe>([&](auto& reader) { return access_.role_by_name(reader, "READER"); })->id, kReader);
  EXPECT_EQ(read<Maybe>([&](auto& reader) { return access_.role(reader, kOwner); })->name, "Owner");
  EXPECT_FALSE(read<Maybe>([&](auto& reader) { return access_.role(reader, Uuid()); }));
  ASSERT_TRUE(try_put(role_named("Mine", {"a/b"})));
  EXPECT_EQ(read<Maybe>([&](auto& reader) { return access_.role_by_name(reader, "mINE"); })->name, "Mine");
  EXPECT_THAT(read<std::vector<RoleDefinition>>([&](auto& reader) { return access_.roles(reader); }),
              SizeIs(929));
}

TEST_F(AccessTest, ReachAndForgetting) {
  const Uuid ada = new_user("ada");
  assign(ada, kReader, "/");
  assign(ada, kReader, kSubscription);
  assign(ada, kReader, kGroup);
  assign(ada, kReader, kVm);
  assign(ada, kReader, kGroup + "2");
  using Found = std::vector<RoleAssignment>;
  const auto count = [&](const std::string& scope, Access::Reach reach) {
    return read<Found>([&](auto& reader) { return access_.assignments(reader, scope, reach); }).size();
  };
  EXPECT_EQ(count(kGroup, Access::Reach::at_scope), 1U);
  EXPECT_EQ(count(kGroup, Access::Reach::at_and_above), 3U);
  EXPECT_EQ(count(kGroup, Access::Reach::at_and_below), 2U);
  EXPECT_EQ(count("/", Access::Reach::at_and_below), 5U);
  EXPECT_EQ(count(kGroup, Access::Reach::all), 5U);
  EXPECT_TRUE(store_->write([&](store::Transaction& tx) { return access_.forget_scope(tx, kGroup); }));
  EXPECT_EQ(count("/", Access::Reach::all), 3U);
  EXPECT_FALSE(store_->write([&](store::Transaction& tx) { return access_.forget_scope(tx, "/"); }));
  EXPECT_EQ(count("/", Access::Reach::all), 3U);
}

TEST_F(AccessTest, PermissionsOfTheCaller) {
  identity::Principal ada;
  ada.object_id = new_user("ada");
  assign(ada.object_id, kContributor, kSubscription);
  assign(ada.object_id, kContributor, kGroup);
  assign(ada.object_id, kReader, kSubscription + "/resourceGroups/other");
  const auto permissions =
      read<std::vector<Permission>>([&](auto& reader) { return access_.permissions(reader, ada, kVm); });
  ASSERT_THAT(permissions, SizeIs(1));
  EXPECT_THAT(permissions[0].actions, testing::ElementsAre("*"));
  EXPECT_THAT(permissions[0].not_actions, testing::Contains("Microsoft.Authorization/*/Write"));
}

// 4000 in a subscription (rbac.md, "Limits and rules"); the rows are put there directly, since only the last
// ones matter.
TEST_F(AccessTest, ASubscriptionHoldsFourThousandAssignments) {
  const Uuid ada = new_user("ada");
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) -> Result<void> {
    for (int i = 0; i < 3999; ++i)
      TRY(store::put(tx, directory_.tenant(),
                     new_assignment(ada, kOwner, kSubscription + "/resourceGroups/g" + std::to_string(i))));
    return {};
  }));
  EXPECT_FALSE(may(ada, "a/b/read"));
  EXPECT_TRUE(may(ada, "a/b/read", kSubscription + "/resourceGroups/g3998"));
  EXPECT_EQ(error_of(new_assignment(ada, kReader, kGroup)), "");
  EXPECT_EQ(error_of(new_assignment(ada, kOwner, kGroup)), "RoleAssignmentLimitExceeded");
  EXPECT_EQ(error_of(new_assignment(ada, kOwner, kSubscription + "1")), "");
}

}  // namespace
}  // namespace merlon::access

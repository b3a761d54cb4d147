// Facts about the embedded roles that people rely on.
#include "access/builtin_roles.h"
#include "access/decide.h"

#include <gtest/gtest.h>

#include "access/builtin_roles_data.h"

namespace merlon::access {
namespace {

class BuiltinRolesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto parsed = BuiltinRoles::parse(builtin_roles_json());
    ASSERT_TRUE(parsed) << parsed.error().cause;
    roles_ = std::make_unique<BuiltinRoles>(*std::move(parsed));
  }
  static void TearDownTestSuite() { roles_.reset(); }

  static bool allows(const std::string& role, const std::string& action,
                     ActionKind kind = ActionKind::control) {
    const auto found = roles_->by_name(role);
    EXPECT_TRUE(found) << role;
    if (!found) return false;
    const Uuid principal = *Uuid::parse("11111111-1111-1111-1111-111111111111");
    RoleAssignment assignment;
    assignment.scope = "/";
    assignment.principal_id = principal;
    const auto grant = compile(assignment, found);
    const std::string question_scope = "/subscriptions/s";
    const Question question{.action = action, .scope = question_scope, .kind = kind};
    return decide(question, {.object_id = principal,
                             .groups = {},
                             .scopes = scope_and_ancestors(question_scope),
                             .denials = {},
                             .grants = {&*grant, 1},
                             .now = {}})
        .allowed;
  }

  static std::unique_ptr<BuiltinRoles> roles_;
};

std::unique_ptr<BuiltinRoles> BuiltinRolesTest::roles_;

// Whoever has to ask two others, or is watched, does not take that away themselves.
TEST_F(BuiltinRolesTest, AContributorDoesNotLiftWhatBindsThem) {
  for (const char* guard :
       {"Merlon.Jit/options/write", "Merlon.Jit/options/delete", "Merlon.Jit/requests/approve/action",
        "Merlon.Bastion/sessionPolicies/write", "Merlon.Bastion/sessionPolicies/delete",
        "Merlon.Bastion/sessions/moderate/action", "Merlon.Bastion/recordings/delete",
        "Merlon.Bastion/recordings/content/action", "Merlon.Bastion/recordings/search/action"}) {
    EXPECT_FALSE(allows("Contributor", guard)) << guard;
    EXPECT_TRUE(allows("Owner", guard)) << guard;
  }
  for (const char* work : {"Merlon.Jit/options/read", "Merlon.Bastion/sessionPolicies/read",
                           "Merlon.Machines/enrolmentTokens/write", "Microsoft.Network/bastionHosts/write"})
    EXPECT_TRUE(allows("Contributor", work)) << work;
}

TEST_F(BuiltinRolesTest, AllAreThereAndEveryConditionParses) {
  EXPECT_EQ(roles_->all().size(), 928U);
  size_t conditional = 0;
  for (const auto& role : roles_->all()) {
    EXPECT_TRUE(role->definition.built_in);
    EXPECT_EQ(roles_->by_id(role->definition.id), role);
    for (const CompiledPermission& permission : role->permissions) {
      if (!permission.condition) continue;
      ++conditional;
      EXPECT_TRUE(permission.condition->parsed) << role->definition.name;
    }
  }
  EXPECT_GT(conditional, 25U);
}

TEST_F(BuiltinRolesTest, OwnerMayEverythingButData) {
  EXPECT_TRUE(allows("Owner", "Microsoft.Authorization/roleAssignments/write"));
  EXPECT_TRUE(allows("owner", "Microsoft.Compute/virtualMachines/delete"));
  EXPECT_FALSE(allows("Owner", "Microsoft.KeyVault/vaults/secrets/getSecret/action", ActionKind::data));
}

TEST_F(BuiltinRolesTest, ContributorMayNotGiveAccess) {
  EXPECT_TRUE(allows("Contributor", "Microsoft.Compute/virtualMachines/write"));
  EXPECT_TRUE(allows("Contributor", "Microsoft.Authorization/roleAssignments/read"));
  EXPECT_FALSE(allows("Contributor", "Microsoft.Authorization/roleAssignments/write"));
  EXPECT_FALSE(allows("Contributor", "Microsoft.Authorization/roleAssignments/delete"));
  EXPECT_FALSE(allows("Contributor", "Microsoft.Authorization/roleDefinitions/write"));
  EXPECT_FALSE(allows("Contributor", "microsoft.authorization/ELEVATEACCESS/action"));
  EXPECT_FALSE(allows("Contributor", "Microsoft.Authorization/locks/delete"));
}

TEST_F(BuiltinRolesTest, ReaderOnlyReads) {
  EXPECT_TRUE(allows("Reader", "Microsoft.Compute/virtualMachines/read"));
  EXPECT_FALSE(allows("Reader", "Microsoft.Compute/virtualMachines/write"));
  EXPECT_FALSE(allows("Reader", "Microsoft.Compute/virtualMachines/start/action"));
  EXPECT_FALSE(allows("Reader", "Microsoft.Storage/storageAccounts/listKeys/action"));
}

TEST_F(BuiltinRolesTest, OthersThatTheProductUses) {
  EXPECT_TRUE(allows("User Access Administrator", "Microsoft.Authorization/roleAssignments/write"));
  EXPECT_FALSE(allows("User Access Administrator", "Microsoft.Compute/virtualMachines/write"));
  EXPECT_TRUE(allows("Virtual Machine Administrator Login",
                     "Microsoft.Compute/virtualMachines/loginAsAdmin/action", ActionKind::data));
  EXPECT_FALSE(allows("Virtual Machine User Login", "Microsoft.Compute/virtualMachines/loginAsAdmin/action",
                      ActionKind::data));
  EXPECT_FALSE(
      allows("Virtual Machine Administrator Login", "Microsoft.Compute/virtualMachines/loginAsAdmin/action"));
  EXPECT_TRUE(allows("Network Contributor", "Microsoft.Network/networkSecurityGroups/write"));
  EXPECT_TRUE(allows("Key Vault Secrets User", "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                     ActionKind::data));
  EXPECT_FALSE(allows("Key Vault Contributor", "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                      ActionKind::data));
  // Its condition asks which role is being assigned; nobody said.
  EXPECT_FALSE(
      allows("Key Vault Data Access Administrator", "Microsoft.Authorization/roleAssignments/write"));
}

TEST_F(BuiltinRolesTest, ABrokenTableIsAnError) {
  for (
      const char* json :
      {"", "{}", "[1]", R"([{"id":"x","name":"n"}])", R"([{"id":"8e3af657-a8ff-443c-a75c-2fe8c4bcb635"}])",
       R"([{"id":"8e3af657-a8ff-443c-a75c-2fe8c4bcb635","name":"n","actions":[1]}])",
       R"([{"id":"8e3af657-a8ff-443c-a75c-2fe8c4bcb635","name":"n","more":[1]}])",
       R"([{"id":"8e3af657-a8ff-443c-a75c-2fe8c4bcb635","name":"n"},{"id":"acdd72a7-3385-48ef-bd42-f606fba81ae7","name":"N"}])"})
    EXPECT_FALSE(BuiltinRoles::parse(json)) << json;
}

}  // namespace
}  // namespace merlon::access

// The decision: named cases of Azure's documents, then random facts against an evaluator that is slow and
// obvious.
#include "access/decide.h"

#include <gtest/gtest.h>

#include <random>

#include "base/text.h"

namespace merlon::access {
namespace {

const Uuid kAda = *Uuid::parse("aaaaaaaa-0000-0000-0000-000000000001");
const Uuid kBob = *Uuid::parse("aaaaaaaa-0000-0000-0000-000000000002");
const Uuid kTeam = *Uuid::parse("bbbbbbbb-0000-0000-0000-000000000001");
const char* const kVm = "/subscriptions/S/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/vm";

Permission control(std::vector<std::string> actions, std::vector<std::string> not_actions = {},
                   std::string condition = {}) {
  Permission permission;
  permission.actions = std::move(actions);
  permission.not_actions = std::move(not_actions);
  permission.condition = std::move(condition);
  return permission;
}

struct Grant {
  RoleAssignment assignment;
  std::shared_ptr<const CompiledRole> role;
};

Grant grant(const std::string& name, std::vector<Permission> permissions, const std::string& scope,
            const Uuid& principal = kAda) {
  RoleDefinition definition;
  definition.name = name;
  definition.permissions = std::move(permissions);
  Grant result{.assignment = {},
               .role = std::make_shared<const CompiledRole>(compile(std::move(definition)))};
  result.assignment.scope = scope;
  result.assignment.principal_id = principal;
  return result;
}

DenyAssignment denial(std::vector<Permission> permissions, const std::string& scope,
                      std::vector<DenyPrincipal> principals) {
  DenyAssignment result;
  result.name = "protect";
  result.scope = scope;
  result.permissions = std::move(permissions);
  result.principals = std::move(principals);
  return result;
}

struct World {
  std::vector<Uuid> groups;
  std::vector<DenyAssignment> denials;
  std::vector<Grant> grants;
  Decision ask(const Question& question, const Uuid& who = kAda) const {
    std::vector<CompiledGrant> compiled_grants;
    for (const Grant& grant : grants)
      if (auto compiled = compile(grant.assignment, grant.role)) compiled_grants.push_back(*compiled);
    std::vector<CompiledDenial> compiled_denials;
    for (const DenyAssignment& denial : denials)
      if (auto compiled = compile(denial)) compiled_denials.push_back(*compiled);
    return decide(question, {.object_id = who,
                             .groups = groups,
                             .scopes = scope_and_ancestors(question.scope),
                             .denials = compiled_denials,
                             .grants = compiled_grants,
                             .now = {}});
  }
  bool may(const std::string& action, const std::string& scope = kVm,
           ActionKind kind = ActionKind::control) const {
    return ask({.action = action, .scope = scope, .kind = kind}).allowed;
  }
};

TEST(Decide, NothingThatAllowsMeansNo) {
  const World world;
  const Decision decision = world.ask({.action = "Microsoft.Compute/virtualMachines/read", .scope = kVm});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.reason,
            std::string("No role is assigned to this principal or its groups at ") + kVm + " or above.");
}

TEST(Decide, InheritsDownwardOnly) {
  World world;
  world.grants = {grant("Reader", {control({"*/read"})}, "/subscriptions/s/resourcegroups/RG")};
  EXPECT_TRUE(world.may("Microsoft.Compute/virtualMachines/read"));
  EXPECT_TRUE(world.may("Microsoft.Resources/subscriptions/resourceGroups/read",
                        "/SUBSCRIPTIONS/S/RESOURCEGROUPS/rg"));
  EXPECT_FALSE(world.may("Microsoft.Resources/subscriptions/read", "/subscriptions/s"));
  EXPECT_FALSE(world.may("Microsoft.Compute/virtualMachines/read", "/subscriptions/s/resourceGroups/rg2"));
  EXPECT_FALSE(world.may("a/b/read", "/"));
}

TEST(Decide, NotActionsOfOneRoleDoNotTouchAnother) {
  World world;
  world.grants = {grant("Most", {control({"*"}, {"Microsoft.Authorization/*/Write"})}, "/")};
  EXPECT_FALSE(world.may("Microsoft.Authorization/roleAssignments/write"));
  world.grants.push_back(
      grant("Rest", {control({"Microsoft.Authorization/roleAssignments/*"})}, "/subscriptions/s"));
  EXPECT_TRUE(world.may("Microsoft.Authorization/roleAssignments/write"));
  // Nor do those of one permission of a role touch its other permissions.
  world.grants = {grant("Both", {control({"*"}, {"a/b/write"}), control({"a/b/write"})}, "/")};
  EXPECT_TRUE(world.may("a/b/write"));
}

TEST(Decide, AStarIsNoKeyToData) {
  World world;
  world.grants = {grant("Owner", {control({"*"})}, "/")};
  EXPECT_FALSE(world.may("Microsoft.KeyVault/vaults/secrets/getSecret/action", kVm, ActionKind::data));
  Permission data;
  data.data_actions = {"*"};
  data.not_data_actions = {"*/delete"};
  world.grants = {grant("Data", {data}, "/")};
  EXPECT_TRUE(world.may("a/b/read", kVm, ActionKind::data));
  EXPECT_FALSE(world.may("a/b/delete", kVm, ActionKind::data));
  EXPECT_FALSE(world.may("a/b/read", kVm, ActionKind::control));
}

TEST(Decide, GroupsGrantAndAreNamed) {
  World world;
  world.grants = {grant("Reader", {control({"*/read"})}, "/subscriptions/s", kTeam)};
  EXPECT_FALSE(world.may("a/b/read"));
  world.groups = {kTeam};
  const Decision decision = world.ask({.action = "a/b/read", .scope = kVm});
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.through_group, kTeam.text());
  EXPECT_EQ(decision.matched_action, "*/read");
  EXPECT_EQ(decision.reason, "The role 'Reader' assigned at /subscriptions/s to the group " + kTeam.text() +
                                 " allows the action a/b/read ('*/read').");
}

TEST(Decide, DenialsComeFirst) {
  World world;
  world.grants = {grant("Owner", {control({"*"})}, "/")};
  world.denials = {
      denial({control({"*/delete"})}, "/subscriptions/s/resourceGroups/rg", {{Uuid(), "SystemDefined"}})};
  EXPECT_FALSE(world.may("Microsoft.Compute/virtualMachines/delete"));
  EXPECT_TRUE(world.may("Microsoft.Compute/virtualMachines/read"));
  EXPECT_TRUE(world.may("a/b/delete", "/subscriptions/s/resourceGroups/other"));
  const Decision decision = world.ask({.action = "a/b/delete", .scope = kVm});
  EXPECT_NE(decision.assignment_id.find("denyAssignments"), std::string::npos);
  EXPECT_NE(decision.reason.find("protect"), std::string::npos);

  world.denials[0].do_not_apply_to_child_scopes = true;
  EXPECT_TRUE(world.may("Microsoft.Compute/virtualMachines/delete"));
  EXPECT_FALSE(world.may("x/y/delete", "/subscriptions/s/resourceGroups/RG"));
}

TEST(Decide, DenialsNameAndExcludePrincipals) {
  World world;
  world.grants = {grant("Owner", {control({"*"})}, "/")};
  world.denials = {denial({control({"*"}, {"*/read"})}, "/", {{kBob, "User"}})};
  EXPECT_TRUE(world.may("a/b/write"));
  world.denials[0].principals = {{kTeam, "Group"}};
  world.groups = {kTeam};
  EXPECT_FALSE(world.may("a/b/write"));
  EXPECT_TRUE(world.may("a/b/read"));  // its notActions
  world.denials[0].exclude_principals = {{kAda, "User"}};
  EXPECT_TRUE(world.may("a/b/write"));
  world.denials[0].exclude_principals = {{Uuid(), "SystemDefined"}};
  EXPECT_FALSE(world.may("a/b/write"));
}

TEST(Decide, DoubtIsNeverInTheCallersFavour) {
  World world;
  for (const char* condition :
       {"@Resource[x] StringEquals 'a'", "!(@Resource[x] StringEquals 'a')", "this is no condition"}) {
    world.grants = {grant("Role", {control({"*"}, {}, condition)}, "/")};
    EXPECT_FALSE(world.may("a/b/read")) << condition;
    world.grants = {grant("Role", {control({"*"})}, "/")};
    world.grants[0].assignment.condition = condition;
    EXPECT_FALSE(world.may("a/b/read")) << condition;
    world.grants[0].assignment.condition.clear();
    world.denials = {denial({control({"*"})}, "/", {{kAda, "User"}})};
    world.denials[0].condition = condition;
    EXPECT_FALSE(world.may("a/b/read")) << condition;
    world.denials[0].condition.clear();
    world.denials[0].permissions[0].condition = condition;
    EXPECT_FALSE(world.may("a/b/read")) << condition;
    world.denials.clear();
    EXPECT_TRUE(world.may("a/b/read"));
  }
}

TEST(Decide, AConditionBindsOnlyTheActionsItTargets) {
  World world;
  world.grants = {grant("Delegate", {control({"*"})}, "/")};
  world.grants[0].assignment.condition =
      "!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'}) OR @Request[p] StringEquals 'User'";
  EXPECT_TRUE(world.may("a/b/read"));
  Question question{.action = "Microsoft.Authorization/roleAssignments/write", .scope = kVm};
  EXPECT_NE(world.ask(question).reason.find("cannot prove"), std::string::npos);
  question.attributes.set("@Request[P]", "Group");
  EXPECT_NE(world.ask(question).reason.find("does not meet"), std::string::npos);
  question.attributes.set("@Request[P]", "User");
  EXPECT_TRUE(world.ask(question).allowed);
}

TEST(Decide, HostileQuestionsAreRefused) {
  World world;
  world.grants = {grant("Owner", {control({"*"})}, "/"), grant("Nobody", {control({"*"})}, "/", Uuid())};
  for (const char* scope :
       {"", "subscriptions/s", "/subscriptions/s/../t", "/subscriptions//x", "/a%2f", "/a\nb/c"})
    EXPECT_FALSE(world.may("a/b/read", scope)) << scope;
  EXPECT_FALSE(world.may(""));
  EXPECT_FALSE(world.ask({.action = "a/b/read", .scope = kVm}, Uuid()).allowed);
  world.groups = {Uuid()};
  EXPECT_FALSE(world.ask({.action = "a/b/read", .scope = kVm}, kBob).allowed);
}

// The slow and obvious evaluator.
bool obvious_match(const std::string& pattern, const std::string& text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= text.size(); ++i)
      if (obvious_match(pattern.substr(1), text.substr(i))) return true;
    return false;
  }
  return !text.empty() && ascii_lower(pattern[0]) == ascii_lower(text[0]) &&
         obvious_match(pattern.substr(1), text.substr(1));
}

bool obvious_permission(const Permission& p, const Question& q) {
  const auto& yes = q.kind == ActionKind::data ? p.data_actions : p.actions;
  const auto& no = q.kind == ActionKind::data ? p.not_data_actions : p.not_actions;
  bool granted = false;
  for (const std::string& pattern : yes) granted = granted || obvious_match(pattern, q.action);
  for (const std::string& pattern : no) granted = granted && !obvious_match(pattern, q.action);
  return granted;
}

bool obvious_above(const std::string& scope, const std::string& question) {
  const std::string a = ascii_lower(scope);
  const std::string b = ascii_lower(question);
  return a == "/" || a == b || b.starts_with(a + "/");
}

bool obvious(const World& world, const Question& q) {
  const auto is_ada = [&](const Uuid& id) {
    return id == kAda || std::find(world.groups.begin(), world.groups.end(), id) != world.groups.end();
  };
  for (const DenyAssignment& d : world.denials) {
    bool named = false;
    bool excluded = false;
    for (const DenyPrincipal& p : d.principals) named = named || p.id.is_nil() || is_ada(p.id);
    for (const DenyPrincipal& p : d.exclude_principals) excluded = excluded || is_ada(p.id);
    const bool in_scope =
        d.do_not_apply_to_child_scopes ? ascii_iequal(d.scope, q.scope) : obvious_above(d.scope, q.scope);
    for (const Permission& p : d.permissions)
      if (named && !excluded && in_scope && obvious_permission(p, q)) return false;
  }
  for (const Grant& g : world.grants)
    for (const Permission& p : g.role->definition.permissions)
      if (is_ada(g.assignment.principal_id) && obvious_above(g.assignment.scope, q.scope) &&
          obvious_permission(p, q))
        return true;
  return false;
}

class RandomWorld {
 public:
  explicit RandomWorld(unsigned seed) : engine_(seed) {}

  World world() {
    World w;
    if (chance(2)) w.groups.push_back(kTeam);
    for (size_t i = below(4); i > 0; --i) w.grants.push_back(grant("r", permissions(), scope(), principal()));
    for (size_t i = below(2); i > 0; --i) {
      DenyAssignment d = denial(permissions(), scope(), {{chance(3) ? Uuid() : principal(), "x"}});
      d.do_not_apply_to_child_scopes = chance(3);
      if (chance(3)) d.exclude_principals = {{principal(), "x"}};
      w.denials.push_back(std::move(d));
    }
    return w;
  }
  Question question() {
    return {.action = word() + "/" + word() + "/" + word(),
            .scope = scope(),
            .kind = chance(2) ? ActionKind::data : ActionKind::control};
  }

 private:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine_); }
  bool chance(size_t one_in) { return below(one_in) == 0; }
  Uuid principal() { return std::vector{kAda, kBob, kTeam}[below(3)]; }
  std::string word() { return std::vector<std::string>{"a", "A", "b", "read"}[below(4)]; }
  std::string scope() {
    std::string out;
    for (size_t i = below(4); i > 0; --i) out += "/t/" + word();
    return out.empty() ? "/" : out;
  }
  std::string pattern() {
    std::string out;
    for (size_t i = 0; i < 3; ++i) out += (i > 0 ? "/" : "") + (chance(2) ? std::string("*") : word());
    return chance(3) ? out.substr(below(out.size())) : out;
  }
  std::vector<std::string> patterns() {
    std::vector<std::string> out;
    for (size_t i = below(3); i > 0; --i) out.push_back(pattern());
    return out;
  }
  std::vector<Permission> permissions() {
    std::vector<Permission> out(1 + below(2));
    for (Permission& p : out) p = {patterns(), patterns(), patterns(), patterns(), {}};
    return out;
  }
  std::mt19937 engine_;
};

TEST(Decide, AgreesWithTheObviousEvaluator) {
  size_t allowed = 0;
  constexpr unsigned kWorlds = 2000;
  for (unsigned seed = 0; seed < kWorlds; ++seed) {
    RandomWorld random(seed);
    const World world = random.world();
    for (int i = 0; i < 5; ++i) {
      const Question question = random.question();
      const Decision decision = world.ask(question);
      ASSERT_EQ(decision.allowed, obvious(world, question))
          << "seed " << seed << ": " << question.action << " at " << question.scope << ": "
          << decision.reason;
      ASSERT_FALSE(decision.reason.empty());
      ASSERT_EQ(decision.reason.back(), '.');
      allowed += decision.allowed ? 1 : 0;
    }
  }
  // Both answers must be common, or the comparison proves little.
  EXPECT_GT(allowed, kWorlds / 8);
  EXPECT_LT(allowed, kWorlds * 4);
}

}  // namespace
}  // namespace merlon::access

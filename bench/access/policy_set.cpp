// The generator. Sizes follow the number of assignments: a user for ten of them, a group for a hundred, each
// user in three groups, a third of the groups in another one.
#include "access/policy_set.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"

namespace merlon::bench {
namespace {

constexpr size_t kActions = 400;
constexpr size_t kGroupsOfUser = 3;
constexpr size_t kSubscriptions = 10;
constexpr size_t kResourceGroups = 100;  // in each
constexpr size_t kResources = 50;        // in each

class Generator {
 public:
  explicit Generator(unsigned seed) : engine_(seed) {}
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine_); }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }
  Uuid uuid() {
    static constexpr const char* kDigits = "0123456789abcdef";
    std::string text = "00000000-0000-4000-8000-000000000000";
    for (const size_t at : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 24U, 25U, 26U, 27U, 28U, 29U, 30U, 31U})
      text[at] = kDigits[below(16)];
    return *Uuid::parse(text);
  }
  std::string subscription() {
    return "/subscriptions/00000000-0000-4000-8000-00000000000" + std::to_string(below(kSubscriptions));
  }
  std::string group() {
    return subscription() + "/resourceGroups/group" + std::to_string(below(kResourceGroups));
  }
  std::string resource() { return resource_in(group()); }
  std::string resource_in(const std::string& group) {
    return group + "/providers/Microsoft.Compute/virtualMachines/machine" + std::to_string(below(kResources));
  }

 private:
  std::mt19937 engine_;
};

std::vector<std::string> concrete_actions(const std::vector<access::RoleDefinition>& roles,
                                          Generator& random) {
  std::set<std::string> found;
  for (const access::RoleDefinition& role : roles)
    for (const access::Permission& permission : role.permissions)
      for (const std::string& action : permission.actions)
        if (action.find('*') == std::string::npos) found.insert(ascii_lower(action));
  const std::vector<std::string> all(found.begin(), found.end());
  std::vector<std::string> chosen;
  while (chosen.size() < kActions) chosen.push_back(random.one_of(all));
  return chosen;
}

bool allows(const access::RoleDefinition& role, const std::string& action) {
  const auto matches = [&](const std::vector<std::string>& patterns) {
    return std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return access::action_matches(pattern, action); });
  };
  return std::ranges::any_of(role.permissions, [&](const access::Permission& permission) {
    return matches(permission.actions) && !matches(permission.not_actions);
  });
}

}  // namespace

PolicySet make_policy_set(std::vector<access::RoleDefinition> roles, size_t assignments, size_t questions,
                          unsigned seed) {
  Generator random(seed);
  PolicySet set;
  set.roles = std::move(roles);
  // No peer evaluates Azure's conditions.
  std::erase_if(set.roles, [](const access::RoleDefinition& role) {
    return std::ranges::any_of(role.permissions, [](const auto& one) { return !one.condition.empty(); });
  });
  set.actions = concrete_actions(set.roles, random);
  std::vector<Uuid> users(std::max<size_t>(assignments / 10, 10));
  std::vector<Uuid> groups(std::max<size_t>(assignments / 100, 10));
  for (Uuid& user : users) user = random.uuid();
  for (Uuid& group : groups) group = random.uuid();
  for (const Uuid& user : users)
    for (size_t i = 0; i < kGroupsOfUser; ++i) set.memberships.push_back({random.one_of(groups), user});
  for (size_t i = 1; i < groups.size(); i += 3)
    set.memberships.push_back({groups[random.below(i)], groups[i]});
  for (size_t i = 0; i < assignments; ++i) {
    access::RoleAssignment assignment;
    assignment.id = random.uuid();
    assignment.role_definition_id = random.one_of(set.roles).id;
    assignment.principal_id = random.below(2) == 0 ? random.one_of(users) : random.one_of(groups);
    const size_t kind = random.below(10);
    assignment.scope = kind == 0 ? random.subscription() : kind < 6 ? random.group() : random.resource();
    set.assignments.push_back(std::move(assignment));
  }
  std::map<Uuid, std::vector<std::string>> allowed;
  for (const access::RoleDefinition& role : set.roles)
    for (const std::string& action : set.actions)
      if (allows(role, action)) allowed[role.id].push_back(action);
  for (size_t i = 0; i < questions; ++i) {
    PolicySet::Asked asked{.principal = random.one_of(users),
                           .question = {.action = random.one_of(set.actions), .scope = random.resource()}};
    if (i % 2 == 0) {
      const access::RoleAssignment& given = random.one_of(set.assignments);
      asked.principal = given.principal_id;
      asked.question.scope = given.scope.find("/virtualMachines/") != std::string::npos ? given.scope
                             : given.scope.find("/resourceGroups/") != std::string::npos
                                 ? random.resource_in(given.scope)
                                 : random.resource_in(given.scope + "/resourceGroups/group1");
      const std::vector<std::string>& fitting = allowed[given.role_definition_id];
      if (!fitting.empty()) asked.question.action = random.one_of(fitting);
    }
    set.questions.push_back(std::move(asked));
  }
  return set;
}

JsonObject to_json(const PolicySet& set, const std::vector<bool>& answers) {
  const std::set<std::string> actions(set.actions.begin(), set.actions.end());
  JsonObject roles;
  for (const access::RoleDefinition& role : set.roles) {
    JsonArray allowed;
    for (const std::string& action : actions)
      if (allows(role, action)) allowed.emplace_back(action);
    roles[role.id.text()] = std::move(allowed);
  }
  JsonArray memberships;
  for (const Membership& one : set.memberships)
    memberships.emplace_back(JsonArray{Json(one.member.text()), Json(one.group.text())});
  JsonArray assignments;
  for (const access::RoleAssignment& one : set.assignments)
    assignments.emplace_back(JsonArray{Json(one.principal_id.text()), Json(one.role_definition_id.text()),
                                       Json(ascii_lower(one.scope))});
  JsonArray questions;
  for (size_t i = 0; i < set.questions.size(); ++i)
    questions.emplace_back(
        JsonArray{Json(set.questions[i].principal.text()), Json(set.questions[i].question.action),
                  Json(ascii_lower(set.questions[i].question.scope)), Json(bool(answers[i]))});
  return {{"roles", std::move(roles)},
          {"memberships", std::move(memberships)},
          {"assignments", std::move(assignments)},
          {"questions", std::move(questions)}};
}

}  // namespace merlon::bench

// Denials first, then the roles; the first assignment that grants is the answer. When none does, the answer
// remembers what came nearest, so that the sentence for people says more than "no".
#include "access/decide.h"

#include <algorithm>
#include <set>
#include <utility>

#include "access/scope.h"
#include "base/text.h"

namespace merlon::access {
namespace {

std::vector<Pattern> patterns(const std::vector<std::string>& texts) {
  std::vector<Pattern> out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

const Pattern* first_match(const std::vector<Pattern>& candidates, std::string_view lower_action) {
  for (const Pattern& pattern : candidates)
    if (pattern.matches(lower_action)) return &pattern;
  return nullptr;
}

struct Asked {
  const Question& question;
  const Facts& facts;
  std::string lower_action;
  std::string scope;  // normal form
  std::set<std::string> at_or_above;
  std::set<std::string> ids;  // the principal's own and its groups', never the nil id
  ConditionContext context;
};

Truth holds(const CompiledPermission& permission, const Asked& asked) {
  if (!permission.conditional) return Truth::yes;
  return permission.condition ? permission.condition->evaluate(asked.context) : Truth::unknown;
}

Truth holds(const std::string& condition, const Asked& asked) {
  if (condition.empty()) return Truth::yes;
  const auto parsed = Condition::parse(condition);
  return parsed ? parsed->evaluate(asked.context) : Truth::unknown;
}

struct Match {
  std::string pattern;     // empty when none
  std::string subtracted;  // the not-pattern that takes it away again
};

// Data operations look at dataActions alone: "*" in actions is no key to data (role-definitions.md,
// "DataActions").
Match match(const CompiledPermission& permission, const Asked& asked) {
  const bool data = asked.question.kind == ActionKind::data;
  Match result;
  const Pattern* granted =
      first_match(data ? permission.data_actions : permission.actions, asked.lower_action);
  if (granted == nullptr) return result;
  result.pattern = granted->text();
  const Pattern* taken =
      first_match(data ? permission.not_data_actions : permission.not_actions, asked.lower_action);
  if (taken != nullptr) result.subtracted = taken->text();
  return result;
}

bool names_principal(const std::vector<DenyPrincipal>& principals, const Asked& asked) {
  return std::any_of(principals.begin(), principals.end(),
                     [&](const DenyPrincipal& principal) { return asked.ids.contains(principal.id.text()); });
}

bool names_everyone(const std::vector<DenyPrincipal>& principals) {
  return std::any_of(principals.begin(), principals.end(),
                     [](const DenyPrincipal& principal) { return principal.id.is_nil(); });
}

// The pattern that denies. A condition that cannot be decided denies too: doubt is never in the caller's
// favour.
std::optional<std::string> denying_pattern(const DenyAssignment& denial, const Asked& asked) {
  const auto scope = normal_scope(denial.scope);
  if (!scope || !asked.at_or_above.contains(*scope)) return std::nullopt;
  if (denial.do_not_apply_to_child_scopes && *scope != asked.scope) return std::nullopt;
  if (!names_everyone(denial.principals) && !names_principal(denial.principals, asked)) return std::nullopt;
  if (names_principal(denial.exclude_principals, asked)) return std::nullopt;
  if (holds(denial.condition, asked) == Truth::no) return std::nullopt;
  for (const CompiledPermission& permission : compile(denial.permissions)) {
    const Match found = match(permission, asked);
    if (found.pattern.empty() || !found.subtracted.empty()) continue;
    if (holds(permission, asked) != Truth::no) return found.pattern;
  }
  return std::nullopt;
}

std::string kind_word(const Question& question) {
  return question.kind == ActionKind::data ? "data action " : "action ";
}

// What came nearest to a grant, for the sentence of a refusal.
struct Nearest {
  int rank = 0;
  std::string reason;
  void offer(int new_rank, std::string text) {
    if (new_rank <= rank) return;
    rank = new_rank;
    reason = std::move(text);
  }
};

Decision granted_by(const Grant& grant, const std::string& pattern, const Asked& asked) {
  const RoleAssignment& assignment = grant.assignment;
  Decision decision;
  decision.allowed = true;
  decision.assignment_id = authorization_id(assignment.scope, "roleAssignments", assignment.id);
  decision.role_definition_id = assignment.role_definition_id.text();
  decision.role_name = grant.role->definition.name;
  decision.matched_action = pattern;
  decision.reason = "The role '" + decision.role_name + "' assigned at " + assignment.scope;
  if (assignment.principal_id != asked.facts.object_id) {
    decision.through_group = assignment.principal_id.text();
    decision.reason += " to the group " + decision.through_group;
  }
  decision.reason +=
      " allows the " + kind_word(asked.question) + asked.question.action + " ('" + pattern + "').";
  return decision;
}

std::optional<Decision> try_grant(const Grant& grant, const Asked& asked, Nearest& nearest) {
  const RoleAssignment& assignment = grant.assignment;
  const auto scope = normal_scope(assignment.scope);
  if (!grant.role || !scope || !asked.at_or_above.contains(*scope)) return std::nullopt;
  if (!asked.ids.contains(assignment.principal_id.text())) return std::nullopt;
  const std::string name = "The role '" + grant.role->definition.name + "' assigned at " + assignment.scope;
  nearest.offer(1, name + " does not allow the " + kind_word(asked.question) + asked.question.action + ".");
  for (const CompiledPermission& permission : grant.role->permissions) {
    const Match found = match(permission, asked);
    if (found.pattern.empty()) continue;
    if (!found.subtracted.empty()) {
      nearest.offer(2, name + " leaves out the " + kind_word(asked.question) + asked.question.action + " ('" +
                           found.subtracted + "').");
      continue;
    }
    const Truth of_role = holds(permission, asked);
    const Truth of_assignment = of_role == Truth::no ? Truth::no : holds(assignment.condition, asked);
    if (of_role == Truth::yes && of_assignment == Truth::yes) return granted_by(grant, found.pattern, asked);
    const bool undecided = of_role == Truth::unknown || of_assignment == Truth::unknown;
    nearest.offer(3, name + " allows the " + kind_word(asked.question) + asked.question.action +
                         (undecided && of_role != Truth::no && of_assignment != Truth::no
                              ? " only under a condition that this request cannot prove."
                              : " only under a condition that this request does not meet."));
  }
  return std::nullopt;
}

Decision refuse(std::string reason) {
  Decision decision;
  decision.reason = std::move(reason);
  return decision;
}

Decision decide_asked(const Asked& asked) {
  for (const DenyAssignment& denial : asked.facts.denials) {
    const auto pattern = denying_pattern(denial, asked);
    if (!pattern) continue;
    Decision decision =
        refuse("The deny assignment '" + denial.name + "' at " + denial.scope + " forbids the " +
               kind_word(asked.question) + asked.question.action + ", whatever roles allow it.");
    decision.assignment_id = authorization_id(denial.scope, "denyAssignments", denial.id);
    decision.matched_action = *pattern;
    return decision;
  }
  Nearest nearest;
  for (const Grant& grant : asked.facts.grants)
    if (auto decision = try_grant(grant, asked, nearest)) return *std::move(decision);
  if (nearest.rank > 0) return refuse(std::move(nearest.reason));
  return refuse("No role is assigned to this principal or its groups at " + asked.question.scope +
                " or above.");
}

}  // namespace

std::vector<CompiledPermission> compile(const std::vector<Permission>& permissions) {
  std::vector<CompiledPermission> out;
  out.reserve(permissions.size());
  for (const Permission& permission : permissions) {
    CompiledPermission& compiled = out.emplace_back();
    compiled.actions = patterns(permission.actions);
    compiled.not_actions = patterns(permission.not_actions);
    compiled.data_actions = patterns(permission.data_actions);
    compiled.not_data_actions = patterns(permission.not_data_actions);
    compiled.conditional = !permission.condition.empty();
    if (!compiled.conditional) continue;
    auto condition = Condition::parse(permission.condition);
    if (condition) compiled.condition = *std::move(condition);
  }
  return out;
}

CompiledRole compile(RoleDefinition definition) {
  CompiledRole role;
  role.permissions = compile(definition.permissions);
  role.definition = std::move(definition);
  return role;
}

Decision decide(const Question& question, const Facts& facts) {
  const auto scope = normal_question_scope(question.scope);
  if (!scope)
    return refuse("The scope '" + question.scope.substr(0, 200) +
                  "' is not a valid scope, so no role reaches it.");
  if (question.action.empty() || facts.object_id.is_nil())
    return refuse("A question without an action or without a principal is never allowed.");
  std::string lower_action = ascii_lower(question.action);
  Asked asked{.question = question,
              .facts = facts,
              .lower_action = lower_action,
              .scope = *scope,
              .at_or_above = {},
              .ids = {},
              .context = {lower_action, question.attributes, facts.now}};
  for (std::string& ancestor : scope_and_ancestors(*scope)) asked.at_or_above.insert(std::move(ancestor));
  asked.ids.insert(facts.object_id.text());
  for (const Uuid& group : facts.groups)
    if (!group.is_nil()) asked.ids.insert(group.text());
  return decide_asked(asked);
}

std::string authorization_id(std::string_view scope, std::string_view type, const Uuid& id) {
  std::string out(scope == "/" ? "" : scope);
  while (out.ends_with('/')) out.pop_back();
  return out + "/providers/Microsoft.Authorization/" + std::string(type) + "/" + id.text();
}

}  // namespace merlon::access

// Denials first, then the roles; the first assignment that grants is the answer. When none does, the verdict
// remembers what came nearest, so that the sentence for people says more than "no".
#include "access/decide.h"

#include <fmt/format.h>

#include <algorithm>

#include "access/scope.h"
#include "base/text.h"

namespace merlon::access {
namespace {

using Outcome = Verdict::Outcome;

Truth holds(const ConditionPtr& condition, const Asked& asked) {
  if (!condition) return Truth::yes;
  if (!condition->parsed) return Truth::unknown;
  return condition->parsed->evaluate({asked.lower_action, asked.question.attributes, asked.now});
}

struct Match {
  const Pattern* listed = nullptr;
  const Pattern* left_out_by = nullptr;  // the not-pattern that takes it away again
};

// Data operations look at dataActions alone: "*" in actions is no key to data (role-definitions.md,
// "DataActions").
Match match(const CompiledPermission& permission, const Asked& asked) {
  const bool data = asked.question.kind == ActionKind::data;
  Match result;
  result.listed = (data ? permission.data_actions : permission.actions).first_match(asked.lower_action);
  if (result.listed != nullptr)
    result.left_out_by =
        (data ? permission.not_data_actions : permission.not_actions).first_match(asked.lower_action);
  return result;
}

bool names_principal(const std::vector<DenyPrincipal>& principals, const Asked& asked) {
  return std::ranges::any_of(principals, [&](const DenyPrincipal& principal) {
    return !principal.id.is_nil() && asked.is_held(principal.id);
  });
}

bool names_everyone(const std::vector<DenyPrincipal>& principals) {
  return std::ranges::any_of(principals,
                             [](const DenyPrincipal& principal) { return principal.id.is_nil(); });
}

// A condition that cannot be decided denies too: doubt is never in the caller's favour.
bool denies(const CompiledDenial& denial, const Asked& asked, Verdict& verdict) {
  if (denial.do_not_apply_to_child_scopes && denial.normal_scope != asked.scope) return false;
  if (!names_everyone(denial.principals) && !names_principal(denial.principals, asked)) return false;
  if (names_principal(denial.exclude_principals, asked)) return false;
  if (holds(denial.condition, asked) == Truth::no) return false;
  for (size_t i = 0; i < denial.permissions.size(); ++i) {
    const CompiledPermission& permission = denial.permissions[i];
    const Match found = match(permission, asked);
    if (found.listed == nullptr || found.left_out_by != nullptr) continue;
    if (holds(permission.condition, asked) == Truth::no) continue;
    verdict = {.outcome = Outcome::denied, .denial = &denial, .permission = i, .pattern = found.listed};
    return true;
  }
  return false;
}

bool grants(const CompiledGrant& grant, const Asked& asked, Verdict& verdict) {
  if (!grant.role) return false;
  const auto offer = [&](Verdict nearer) {
    if (nearer.outcome > verdict.outcome) verdict = nearer;
  };
  offer({.outcome = Outcome::not_listed, .grant = &grant});
  for (size_t i = 0; i < grant.role->permissions.size(); ++i) {
    const CompiledPermission& permission = grant.role->permissions[i];
    const Match found = match(permission, asked);
    if (found.listed == nullptr) continue;
    Verdict seen{.outcome = Outcome::left_out,
                 .grant = &grant,
                 .permission = i,
                 .pattern = found.listed,
                 .left_out_by = found.left_out_by};
    if (found.left_out_by == nullptr) {
      const Truth of_role = holds(permission.condition, asked);
      const Truth of_assignment = of_role == Truth::no ? Truth::no : holds(grant.condition, asked);
      const bool by_role = of_role != Truth::yes || !grant.condition;
      seen.condition = (by_role ? permission.condition : grant.condition).get();
      if (of_role == Truth::yes && of_assignment == Truth::yes) {
        seen.outcome = Outcome::allowed;
        verdict = seen;
        return true;
      }
      const bool no = of_role == Truth::no || of_assignment == Truth::no;
      seen.outcome = no ? Outcome::condition_unmet : Outcome::condition_undecided;
    }
    offer(seen);
  }
  return false;
}

std::string action_words(const Question& question) {
  return (question.kind == ActionKind::data ? "data action " : "action ") + question.action;
}

std::string reason_of(const Asked& asked, const Verdict& verdict) {
  const std::string action = action_words(asked.question);
  if (verdict.outcome == Outcome::denied)
    return "The deny assignment '" + verdict.denial->name + "' at " + verdict.denial->scope +
           " forbids the " + action + ", whatever roles allow it.";
  if (verdict.grant == nullptr)
    return "No role is assigned to this principal or its groups at " + asked.question.scope + " or above.";
  const CompiledGrant& grant = *verdict.grant;
  const bool through_group = grant.principal_id != asked.object_id;
  const std::string text =
      fmt::format("The role '{}' assigned at {}", grant.role->definition.name, grant.scope);
  switch (verdict.outcome) {
    case Outcome::allowed:
      return fmt::format("{}{}{} allows the {} ('{}').", text, through_group ? " to the group " : "",
                         through_group ? grant.principal_id.text() : "", action, verdict.pattern->text());
    case Outcome::left_out:
      return fmt::format("{} leaves out the {} ('{}').", text, action, verdict.left_out_by->text());
    case Outcome::condition_unmet:
      return text + " allows the " + action + " only under a condition that this request does not meet.";
    case Outcome::condition_undecided:
      return text + " allows the " + action + " only under a condition that this request cannot prove.";
    case Outcome::denied:
    case Outcome::no_assignment:
    case Outcome::not_listed:
      break;
  }
  return text + " does not allow the " + action + ".";
}

}  // namespace

Verdict judge(const Asked& asked, const Candidates& candidates) {
  Verdict verdict;
  for (const CompiledDenial* denial : candidates.denials)
    if (denies(*denial, asked, verdict)) return verdict;
  for (const CompiledGrant* grant : candidates.grants)
    if (grants(*grant, asked, verdict)) return verdict;
  return verdict;
}

Decision describe(const Asked& asked, const Verdict& verdict) {
  Decision decision;
  decision.allowed = verdict.allowed();
  decision.reason = reason_of(asked, verdict);
  decision.is_data = asked.question.kind == ActionKind::data;
  if (verdict.pattern != nullptr) {
    decision.matched_action = verdict.pattern->text();
    decision.permission = verdict.permission;
  }
  if (verdict.left_out_by != nullptr) decision.left_out_by = verdict.left_out_by->text();
  if (verdict.condition != nullptr) decision.condition = verdict.condition->text;
  if (verdict.denial != nullptr) {
    decision.assignment_id = authorization_id(verdict.denial->scope, "denyAssignments", verdict.denial->id);
  } else if (verdict.grant != nullptr) {
    const CompiledGrant& grant = *verdict.grant;
    (decision.allowed ? decision.assignment_id : decision.nearest_assignment_id) =
        authorization_id(grant.scope, "roleAssignments", grant.id);
    decision.role_definition_id = grant.role_id.text();
    decision.role_name = grant.role->definition.name;
    if (grant.principal_id != asked.object_id) decision.through_group = grant.principal_id.text();
  }
  return decision;
}

std::string refusal_of(const Question& question, const Uuid& object_id) {
  static const Uuid kNobody;
  if (question.action.empty() || object_id == kNobody)
    return "A question without an action or without a principal is never allowed.";
  return {};
}

Decision refuse(std::string reason) {
  Decision decision;
  decision.reason = std::move(reason);
  return decision;
}

Decision decide(const Question& question, const Facts& facts) {
  const auto scope = ScopePath::parse(question.scope);
  if (!scope)
    return refuse("The scope '" + question.scope.substr(0, 200) +
                  "' is not a valid scope, so no role reaches it.");
  if (std::string refusal = refusal_of(question, facts.object_id); !refusal.empty())
    return refuse(std::move(refusal));
  const std::function<bool(const Uuid&)> is_held = [&](const Uuid& id) {
    return id == facts.object_id || std::ranges::find(facts.groups, id) != facts.groups.end();
  };
  const std::string lower_action = ascii_lower(question.action);
  const Asked asked{.question = question,
                    .lower_action = lower_action,
                    .scope = scope->text(),
                    .object_id = facts.object_id,
                    .is_held = is_held,
                    .now = facts.now};
  Candidates candidates;
  for (const std::string& at : facts.scopes) {
    for (const CompiledDenial& denial : facts.denials)
      if (denial.normal_scope == at) candidates.denials.push_back(&denial);
    const size_t first = candidates.grants.size();
    for (const CompiledGrant& grant : facts.grants)
      if (grant.normal_scope == at && !grant.principal_id.is_nil() && is_held(grant.principal_id))
        candidates.grants.push_back(&grant);
    std::ranges::sort(candidates.grants.begin() + static_cast<std::ptrdiff_t>(first), candidates.grants.end(),
                      {}, [](const CompiledGrant* grant) -> const Uuid& { return grant->id; });
  }
  return describe(asked, judge(asked, candidates));
}

std::string authorization_id(std::string_view scope, std::string_view type, const Uuid& id) {
  while (scope.ends_with('/')) scope.remove_suffix(1);
  return fmt::format("{}/providers/Microsoft.Authorization/{}/{}", scope, type, id.text());
}

}  // namespace merlon::access

// The decision itself, apart from where its facts are kept (rbac.md, "Evaluation algorithm").
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "access/compiled.h"

namespace merlon::access {

// What concerns one question: the deny assignments and the principal's grants at the scope and around it, in
// the order in which they are looked at. Nearest scope first, then by id, so that the answer to a question
// does not depend on how the facts were found.
struct Candidates {
  std::vector<const CompiledDenial*> denials;
  std::vector<const CompiledGrant*> grants;
};

struct Asked {
  const Question& question;
  std::string_view lower_action;
  std::string_view scope;  // normal form
  const Uuid& object_id;
  const std::function<bool(const Uuid&)>& is_held;  // the principal itself, or a group that it is in
  Timestamp now;
};

// What decided, or, of a refusal, what came nearest to a grant. Points into the candidates.
struct Verdict {
  enum class Outcome {
    allowed,
    denied,  // by a deny assignment
    // From here on refused, ordered by how near it was.
    no_assignment,
    not_listed,           // there are roles, none of which lists the action
    left_out,             // a role lists it and takes it away again
    condition_unmet,      // a condition that says no
    condition_undecided,  // a condition that asks for what is not known
  };
  Outcome outcome = Outcome::no_assignment;
  const CompiledGrant* grant = nullptr;
  const CompiledDenial* denial = nullptr;
  size_t permission = 0;  // of the role, or of the deny assignment
  const Pattern* pattern = nullptr;
  const Pattern* left_out_by = nullptr;
  const CompiledCondition* condition = nullptr;  // that held, or did not
  bool allowed() const { return outcome == Outcome::allowed; }
};

Verdict judge(const Asked& asked, const Candidates& candidates);
// The verdict in words, for people, the ledger and the 403 text.
Decision describe(const Asked& asked, const Verdict& verdict);

// All facts that may concern a question. What does not concern it changes nothing.
struct Facts {
  Uuid object_id;
  std::span<const Uuid> groups;         // transitive
  std::span<const std::string> scopes;  // the question's scope and those around it, nearest first
  std::span<const CompiledDenial> denials;
  std::span<const CompiledGrant> grants;
  Timestamp now;
};
Decision decide(const Question& question, const Facts& facts);

// Why a question that is malformed is refused; empty for one that is not.
std::string refusal_of(const Question& question, const Uuid& object_id);
Decision refuse(std::string reason);

// "{scope}/providers/Microsoft.Authorization/{type}/{id}", with nothing before "/providers" for the root.
std::string authorization_id(std::string_view scope, std::string_view type, const Uuid& id);

}  // namespace merlon::access

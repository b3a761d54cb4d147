// Step-up: what a person may do only for some minutes after they have proven themselves with a second factor.
// A policy stands at a scope and counts for it and everything below; it names actions, roles, or both. It
// gives no right: it is asked once the right is there. Programs have no second factor, so it concerns people
// alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "base/clock.h"
#include "identity/principal.h"
#include "identity/step_up_error.h"
#include "resource/core.h"
#include "resource/resource_id.h"

namespace merlon::resource {

struct StepUpPolicy {
  std::string scope;  // as its maker spelled it
  std::string name;
  std::vector<std::string> actions;  // patterns as in roles; none: every action
  std::vector<std::string> roles;    // names of role definitions, in lower case; none: whatever role
  Duration age_max{};
  JsonObject body;   // as GET shows it
  std::string text;  // the same, as stored
};

// What is missing.
struct StepUpNeed {
  std::string policy_id;
  Duration age_max;
};

class StepUps {
 public:
  explicit StepUps(const Core& core) : core_(core) {}
  static const store::TableSpec& table();  // key: lower-case scope, '\n', lower-case name

  // Of all policies that concern the decision, the strictest that the principal does not meet; nothing when
  // all are met. Costs one look-up while there is no policy.
  Result<std::optional<StepUpNeed>> missing(store::Reader& reader, const identity::Principal& principal,
                                            std::string_view action, std::string_view scope,
                                            const access::Decision& decision) const;
  // The same for one policy, whatever it concerns.
  std::optional<StepUpNeed> missing(const identity::Principal& principal, const StepUpPolicy& policy) const;

  Result<std::optional<StepUpPolicy>> get(store::Reader& reader, std::string_view scope,
                                          std::string_view name) const;
  Result<std::vector<StepUpPolicy>> at(store::Reader& reader, std::string_view scope) const;
  Result<std::vector<StepUpPolicy>> at_and_above(store::Reader& reader, std::string_view scope) const;
  Result<std::vector<StepUpPolicy>> at_and_below(store::Reader& reader, std::string_view scope) const;
  // Before policies stop counting, whether they are named or go with what they stand at: who does not meet
  // each of them is told to. A stolen token does not lift what stands in its way.
  Result<void> require_met(const identity::Principal& principal,
                           const std::vector<StepUpPolicy>& policies) const;
  Result<void> put(store::Transaction& tx, std::string_view scope, std::string_view name,
                   const JsonObject& shown) const;
  Result<void> erase(store::Transaction& tx, std::string_view scope, std::string_view name) const;
  // A resource that gets another id keeps its policies; what is gone needs none.
  Result<void> move_scope(store::Transaction& tx, const ResourceId& from, const ResourceId& to) const;
  Result<void> forget_scope(store::Transaction& tx, std::string_view scope) const;

 private:
  const Core& core_;
};

std::string step_up_id(std::string_view scope, std::string_view name);
// The right is there, a fresh sign-in is not.
Error step_up_needed(const StepUpNeed& need, std::string_view action, std::string_view scope);
using identity::is_step_up;
using identity::step_up_challenge;

}  // namespace merlon::resource

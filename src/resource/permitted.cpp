// The same questions in the same order as the pipeline's.
#include "resource/permitted.h"

#include "resource/step_up.h"

namespace merlon::resource {

Result<bool> permitted(const Core& core, store::Reader& reader, const identity::Principal& principal,
                       std::string_view action, std::string_view scope) {
  const access::Question question{.action = std::string(action), .scope = std::string(scope)};
  const access::Decision decision = TRY(core.access.check(reader, principal, question));
  if (!decision.allowed) return false;
  return !TRY(StepUps(core).missing(reader, principal, action, scope, decision)).has_value();
}

Result<bool> may_narrow(const Core& core, store::Reader& reader) {
  if (!TRY(core.known_rows->is_empty(reader, StepUps::table(), core.tenant))) return true;
  return !TRY(core.known_rows->is_empty(reader, access::DenyAssignment::table(), core.tenant));
}

}  // namespace merlon::resource

// Azure's two rights to log in, and a fresh second factor where one is asked for.
#include "services/bastion/logins.h"

#include "resource/step_up.h"
#include "services/bastion/service.h"

namespace merlon::bastion {

Result<void> set_logins(const resource::Core& core, store::Reader& reader, const WayIn& way,
                        Admission& admission) {
  std::optional<Error> missing;
  const auto may = [&](std::string_view action) -> Result<bool> {
    const access::Question question{
        .action = std::string(action), .scope = admission.target_id, .kind = access::ActionKind::data};
    const access::Decision decision = TRY(core.access.check(reader, way.caller, question));
    if (!decision.allowed) return false;
    const auto need =
        TRY(resource::StepUps(core).missing(reader, way.caller, action, admission.target_id, decision));
    if (need) missing = resource::step_up_needed(*need, action, admission.target_id);
    return !need;
  };
  admission.may_log_in = TRY(may(kUserLogin));
  admission.may_log_in_as_admin = TRY(may(kAdminLogin));
  const bool is_judged = way.transport == Transport::plain_ssh || way.transport == Transport::browser;
  if (is_judged && missing && !admission.may_log_in && !admission.may_log_in_as_admin)
    return std::unexpected(*std::move(missing));
  return {};
}

}  // namespace merlon::bastion

// Azure's two rights to log in, and a fresh second factor where one is asked for.
#include "services/bastion/logins.h"

#include "base/text.h"
#include "resource/step_up.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

// Both as they are now; `missing` is what keeps one from being there.
struct Logins {
  bool user = false, admin = false;
  std::optional<Error> missing{};
};

Result<Logins> logins_of(const resource::Core& core, store::Reader& reader, const identity::Principal& caller,
                         const std::string& target) {
  Logins logins;
  const auto may = [&](std::string_view action) -> Result<bool> {
    const access::Question question{
        .action = std::string(action), .scope = target, .kind = access::ActionKind::data};
    const access::Decision decision = TRY(core.access.check(reader, caller, question));
    if (!decision.allowed) return false;
    const auto need = TRY(resource::StepUps(core).missing(reader, caller, action, target, decision));
    if (need) logins.missing = resource::step_up_needed(*need, action, target);
    return !need;
  };
  logins.user = TRY(may(kUserLogin));
  logins.admin = TRY(may(kAdminLogin));
  return logins;
}

}  // namespace

Result<void> set_logins(const resource::Core& core, store::Reader& reader, const WayIn& way,
                        Admission& admission) {
  Logins logins = TRY(logins_of(core, reader, way.caller, admission.target_id));
  admission.may_log_in = logins.user;
  admission.may_log_in_as_admin = logins.admin;
  const bool is_judged = way.transport == Transport::plain_ssh || way.transport == Transport::browser;
  if (is_judged && logins.missing && !logins.user && !logins.admin)
    return std::unexpected(*std::move(logins.missing));
  return {};
}

Result<void> require_fresh_login(const resource::Core& core, store::Reader& reader,
                                 const identity::Principal& caller, const std::string& login,
                                 const std::string& target) {
  Logins logins = TRY(logins_of(core, reader, caller, target));
  const bool is_own = ascii_iequal(caller.name.substr(0, caller.name.find('@')), login);
  if (logins.admin || (is_own && logins.user) || !logins.missing) return {};
  return std::unexpected(*std::move(logins.missing));
}

}  // namespace merlon::bastion

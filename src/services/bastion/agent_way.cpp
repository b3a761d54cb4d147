// Machines that the bastion does not come to by itself: their agents lead there (machine/reach.h).
#include "machine/reach.h"

#include <fmt/format.h>

#include "services/bastion/service.h"

namespace merlon::bastion {

// Where a policy says so, and else where the machine is behind translation: its own address leads nowhere.
Result<bool> Service::goes_by_agent(store::Reader& reader, const Judged& judged) {
  if (!judged.target.is_machine || judged.limits.reach == ReachBy::direct) return false;
  const auto machine = TRY(platform_.machines.by_resource(reader, judged.target.id.text()));
  if (judged.limits.reach == ReachBy::automatic)
    return machine && machine::reach_of(platform_.machines).is_behind_translation(*machine);
  if (machine) return true;
  return fail(
      ErrorKind::forbidden, "SessionPolicyViolation",
      fmt::format("A session policy of the bastion lets nobody reach '{}' but by its agent, and it has "
                  "none. Enrol it: 'merlon machine token'.",
                  judged.target.id.name()));
}

Result<int> Service::reach_by_agent(const Admission& admission) {
  const auto machine = TRY(store::read_value<std::optional<machine::Machine>>(
      platform_.core.store,
      [&](store::Reader& reader) { return platform_.machines.by_resource(reader, admission.target_id); }));
  if (!machine)
    return fail(ErrorKind::unavailable, "MachineNotReached",
                "The machine has just been removed from Merlon, and its agent led there.");
  return machine::reach_of(platform_.machines).reach(*machine, admission.address, admission.port);
}

}  // namespace merlon::bastion

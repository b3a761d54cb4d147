// Whoever is removed or disabled keeps no door: their openings end, as their sessions and tokens do. Who
// loses a role keeps what they were given until its time, as in Azure.
#include <array>
#include <set>

#include "base/log.h"
#include "identity/directory.h"
#include "services/jit/service.h"

namespace merlon::jit {
namespace {

using grant::Grant;

// How soon after the directory has changed; where nothing tells cheaply that it has (store.h, state_mark),
// all openings are gone through, and less often.
constexpr Duration kLookEvery = std::chrono::seconds(1);
constexpr Duration kLookWithoutMark = std::chrono::seconds(15);

}  // namespace

Result<std::vector<Grant>> Service::openings_of_nobody(store::Reader& reader) {
  std::set<std::string> here;
  std::vector<Grant> orphaned;
  for (Grant& grant : TRY(platform_.grants.active(reader, kOpeningKind))) {
    if (here.contains(grant.holder)) continue;
    if (TRY(principal_of(reader, grant.holder, grant.holder_name)))
      here.insert(grant.holder);
    else
      orphaned.push_back(std::move(grant));
  }
  return orphaned;
}

Result<void> Service::tick(const grant::Grants::Guard& guard) {
  const Duration now = platform_.core.clock.boottime();
  if (now < look_again_) return {};
  look_again_ = now + kLookEvery;
  const auto orphaned = TRY(store::read_value<std::vector<Grant>>(
      platform_.core.store, [&](store::Reader& reader) -> Result<std::vector<Grant>> {
        const std::array<std::string, 2> people{identity::User::table().name,
                                                identity::ServicePrincipal::table().name};
        const auto mark = reader.state_mark(people);
        if (mark && mark == people_) return std::vector<Grant>();
        auto found = TRY(openings_of_nobody(reader));
        if (!mark) look_again_ = now + kLookWithoutMark;
        // Looked at again until none is left: what could not be ended now is tried once more.
        people_ = found.empty() ? mark : std::nullopt;
        return found;
      }));
  for (const Grant& grant : orphaned) {
    const auto ended = platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
      if (guard) TRY(guard(tx));
      const auto current = TRY(platform_.grants.get(tx, grant.id));
      if (!current || current->state != grant::State::active) return {};
      if (TRY(principal_of(tx, grant.holder, grant.holder_name))) return {};
      tx.urgent();
      return platform_.resources.as_system(tx, "whoever held the opening is gone or disabled",
                                           [&](resource::WriteContext& context) {
                                             return platform_.grants.end(context, grant.id, "HolderGone");
                                           });
    });
    if (!ended)
      log_error("an opening of somebody who is gone could not be ended; trying again", ended.error(),
                {{"opening", grant.id.text()}});
  }
  return {};
}

}  // namespace merlon::jit

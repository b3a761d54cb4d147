// Counted while they wait.
#include "services/ssh_edge/reach_limit.h"

#include <utility>

namespace merlon::ssh_edge {
namespace {

void take_one(std::map<std::string, size_t>& counts, const std::string& key) {
  const auto at = counts.find(key);
  if (at != counts.end() && --at->second == 0) counts.erase(at);
}

std::unexpected<Error> too_many(std::string what) {
  return fail(ErrorKind::throttled, "TooManyWaiting", what + " Try again in a moment.");
}

}  // namespace

ReachLimit::Place::Place(Place&& other) noexcept
    : limit_(std::exchange(other.limit_, nullptr)),
      person_(std::move(other.person_)),
      machine_(std::move(other.machine_)) {}

ReachLimit::Place::~Place() {
  if (limit_ != nullptr) limit_->give_back(person_, machine_);
}

Result<ReachLimit::Place> ReachLimit::take(const std::string& person, const std::string& machine) {
  const std::lock_guard lock(mutex_);
  if (all_ >= kAllMax) return too_many("The bastion waits for as many machines as it may at once.");
  if (const auto at = people_.find(person); at != people_.end() && at->second >= kOfOneMax)
    return too_many("Your other connections still wait for machines that have not answered.");
  if (const auto at = machines_.find(machine); at != machines_.end() && at->second >= kOfOneMax)
    return too_many("Others wait for this machine to answer.");
  ++all_;
  ++people_[person];
  ++machines_[machine];
  return Place(*this, person, machine);
}

void ReachLimit::give_back(const std::string& person, const std::string& machine) {
  const std::lock_guard lock(mutex_);
  --all_;
  take_one(people_, person);
  take_one(machines_, machine);
}

}  // namespace merlon::ssh_edge

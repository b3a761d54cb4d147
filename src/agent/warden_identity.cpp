// The identity endpoint's callers: from names of users and units to what the kernel knows of them, followed
// as users come and units start anew.
#include <algorithm>

#include "agent/warden.h"
#include "base/log.h"

namespace merlon::agent {

Result<JsonObject> Warden::identity(const JsonObject& request) {
  IdentityDoors wanted = TRY(IdentityDoors::from_json(request));
  if (!settings_.cap.allows("identity"))
    return fail(
        ErrorKind::forbidden, "LocalCap",
        "This machine's local cap (local.json) does not let the server say who may ask for identities.");
  redirects_stale_ |= !doors_;  // those of an earlier run may be there
  doors_ = std::move(wanted);
  TRY(redirect_identities(true));
  return JsonObject{};
}

IdentityRedirects Warden::identity_redirects(bool with_users) const {
  IdentityRedirects made;
  made.link_local = doors_->link_local;
  made.agent_uid = settings_.agent_uid;
  made.agent_cgroup = surroundings_->own_cgroup();
  for (size_t i = 0; i < doors_->doors.size(); ++i) {
    const IdentityDoor& door = doors_->doors[i];
    IdentityRedirect redirect;
    redirect.port = door.port;
    redirect.everybody = std::ranges::find(door.users, "*") != door.users.end();
    redirect.uids = with_users ? surroundings_->uids(door.users) : redirects_.redirects[i].uids;
    redirect.cgroups = surroundings_->cgroups(door.units);
    made.redirects.push_back(std::move(redirect));
  }
  return made;
}

// `with_users`: look users up again, which may take a directory server. Else the number of doors is as it
// was.
Result<void> Warden::redirect_identities(bool with_users) {
  IdentityRedirects wanted =
      identity_redirects(with_users || redirects_.redirects.size() != doors_->doors.size());
  if (wanted == redirects_ && !redirects_stale_) return {};
  const bool anew = redirects_stale_ || redirects_.empty() || wanted.agent_cgroup != redirects_.agent_cgroup;
  redirects_stale_ = true;
  TRY(firewall_.redirect_identities(wanted, anew));
  redirects_ = std::move(wanted);
  redirects_stale_ = false;
  return {};
}

// Somebody has changed something: is the table still there? Without it nobody gets a token, so it may take a
// moment.
void Warden::watch_identities(bool others_changed, bool with_users) {
  if (others_changed && !redirects_.empty()) {
    const auto there = firewall_.redirects_identities();
    redirects_stale_ |= !there || !*there;
  }
  if (!doors_ || (doors_->doors.empty() && redirects_.empty() && !redirects_stale_)) return;
  if (const auto done = redirect_identities(with_users); !done && clock_.boottime() >= redirects_failed_) {
    redirects_failed_ = clock_.boottime() + Duration(60'000);
    log_error("callers of the identity endpoint", done.error());
  }
}

}  // namespace merlon::agent

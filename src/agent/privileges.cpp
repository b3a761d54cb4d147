// Dropping privileges, for good.
#include "agent/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <tuple>

namespace merlon::agent {
namespace {

std::unexpected<Error> failed(const std::string& step) {
  return fail(ErrorKind::internal, "PrivilegesKept",
              "The agent could not give up privileges that it does not need (" + step + ": " +
                  std::strerror(errno) +
                  "). It does not run with them. Start it as root; a systemd unit needs CAP_NET_ADMIN, "
                  "CAP_SETUID and "
                  "CAP_SETGID in its bounding set.");
}

bool holds_only(capng_type_t type, capng_results_t expected) {
  return (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE) == (expected == CAPNG_NONE) &&
         (expected == CAPNG_NONE || capng_have_capability(type, CAP_NET_ADMIN) == 1);
}

}  // namespace

Account unprivileged_account() {
  for (const char* name : {"merlon-agent", "nobody"}) {
    std::array<char, 16 * 1024> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
      return {entry.pw_uid, entry.pw_gid};
  }
  return {};
}

Result<void> give_up_everything(const Account& account, pid_t parent) {
  if (::setgroups(0, nullptr) != 0) return failed("setgroups");
  if (::setresgid(account.gid, account.gid, account.gid) != 0) return failed("setresgid");
  if (::setresuid(account.uid, account.uid, account.uid) != 0) return failed("setresuid");
  capng_clear(CAPNG_SELECT_CAPS);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return failed("capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  // The TLS key is in this process's memory: no core file, no other process of the user may look into it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("dumpable");
  if (::getppid() != parent)
    return fail(ErrorKind::unavailable, "AgentHalfGone", "The agent's parent has ended.");
  if (::setuid(0) == 0) return failed("root is still within reach");
  capng_get_caps_process();
  if (!holds_only(CAPNG_EFFECTIVE, CAPNG_NONE)) return failed("capabilities are left");
  return {};
}

Result<void> keep_only_net_admin() {
  // The bounding set needs CAP_SETPCAP to shrink; under no_new_privs it gives nothing back in any case.
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN) !=
      0)
    return failed("capabilities");
  std::ignore = capng_apply(CAPNG_SELECT_BOUNDS);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return failed("capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("dumpable");
  capng_get_caps_process();
  if (!holds_only(CAPNG_EFFECTIVE, CAPNG_PARTIAL) ||
      capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) != 0 ||
      capng_have_capability(CAPNG_PERMITTED, CAP_DAC_OVERRIDE) != 0)
    return failed("capabilities are left");
  return {};
}

}  // namespace merlon::agent

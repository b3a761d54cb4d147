// Which local callers of the identity endpoint are brought to which of its ports: redirections in a table of
// their own, `inet merlon_identity`, so that nothing about identities can stand in the way of the rules that
// protect the machine. Without the table nobody is brought anywhere, and who comes by itself gets nothing
// (metadata.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace merlon::agent {

// A control group of the unified hierarchy, below its root, and which one it is: a unit that is started anew
// has another of the same name, which the rules must be told of.
struct Cgroup {
  std::string path;  // "system.slice/nginx.service"
  uint64_t inode = 0;
  bool operator==(const Cgroup&) const = default;
};

struct IdentityRedirect {
  uint16_t port = 0;
  bool everybody = false;
  std::vector<uint32_t> uids;
  std::vector<Cgroup> cgroups;
  bool operator==(const IdentityRedirect&) const = default;
};

struct IdentityRedirects {
  std::vector<IdentityRedirect> redirects;  // the first that fits decides
  bool link_local = false;  // 169.254.169.254 as well; whoever fits nothing goes to the common port
  uint32_t agent_uid = 0;   // whose own connections to 169.254.169.254 are left alone
  // The agent's: whoever listens at a door from another one is not reached, so that no other program can
  // take a door whose agent has died and answer in its place.
  std::optional<Cgroup> agent_cgroup;
  bool empty() const { return redirects.empty() && !link_local; }
  bool operator==(const IdentityRedirects&) const = default;
};

// One transaction that makes the table `anew`, or takes it away; or, where ours is there, gives its chains
// other rules. That is the way while callers come: a connection that begins just then meets the old rules or
// the new ones. Between a chain that goes and one that comes it may meet neither, since each is looked at by
// itself.
std::string identity_text(const IdentityRedirects& wanted, bool anew = true);

// The control group of a systemd unit; nothing when it does not run. Looks in slices alone, and only at what
// is root's: nobody else can make a group that has a service's name (systemd's users may, below user.slice
// and in delegated units). `root`: where the unified hierarchy is mounted.
std::vector<Cgroup> cgroups_of(const std::vector<std::string>& units, const std::string& root);

// The control group that a process is in, from its /proc/PID/cgroup; nothing when that is the root of all, or
// not below the `root` that we see (a container's own view).
std::optional<Cgroup> cgroup_in(std::string_view proc_text, const std::string& root);

}  // namespace merlon::agent

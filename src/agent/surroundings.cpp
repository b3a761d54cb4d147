// The machine as Linux shows it.
#include "agent/surroundings.h"

#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "agent/facts.h"

namespace merlon::agent {

namespace {

constexpr const char* kUnifiedHierarchy = "/sys/fs/cgroup";

std::optional<uint32_t> uid_of(const std::string& user) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(user.data(), user.data() + user.size(), number);
  if (error == std::errc() && end == user.data() + user.size()) return number;
  std::array<char, 16 * 1024> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return entry.pw_uid;
  return std::nullopt;
}

}  // namespace

std::vector<uint32_t> Surroundings::uids(const std::vector<std::string>& users) const {
  std::vector<uint32_t> found;
  for (const std::string& user : users)
    if (const auto uid = uid_of(user)) found.push_back(*uid);
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<Cgroup> Surroundings::cgroups(const std::vector<std::string>& units) const {
  return cgroups_of(units, kUnifiedHierarchy);
}

std::optional<Cgroup> Surroundings::own_cgroup() const {
  std::ifstream file("/proc/self/cgroup");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return cgroup_in(text, kUnifiedHierarchy);
}

std::vector<IpAddress> LinuxSurroundings::resolvers() const { return configured_resolvers(); }

std::set<std::string> LinuxSurroundings::uplinks(const std::vector<IpAddress>& addresses) const {
  return agent::uplinks(addresses);
}

Result<Sockets> LinuxSurroundings::sockets() const { return list_sockets(); }

std::pair<int64_t, int64_t> LinuxSurroundings::tracked_connections() const {
  return agent::tracked_connections();
}

Duration LinuxSurroundings::running() const {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace merlon::agent

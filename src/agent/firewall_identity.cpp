// Redirections of identity callers, as nftables says them.
#include "agent/firewall_identity.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "agent/firewall.h"
#include "agent/firewall_connections.h"
#include "agent/metadata.h"
#include "base/text.h"

namespace merlon::agent {
namespace {

constexpr std::string_view kIdentityTable = "inet merlon_identity";
constexpr size_t kDepthMax = 8;
constexpr size_t kLookedAtMax = 4096;  // a tree that grows without bound is not searched without bound

// nftables' quoted strings know no escapes.
bool is_plain(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":_.@-\\/").find(c) != std::string_view::npos;
  });
}

std::string in_cgroup(const Cgroup& cgroup) {
  return fmt::format("socket cgroupv2 level {} \"{}\" ", 1 + std::ranges::count(cgroup.path, '/'),
                     cgroup.path);
}

std::vector<std::string> matches_of(const IdentityRedirect& redirect) {
  if (redirect.everybody) return {""};
  std::vector<std::string> matches;
  if (!redirect.uids.empty())
    matches.push_back(fmt::format("meta skuid {{ {} }} ", fmt::join(redirect.uids, ", ")));
  for (const Cgroup& cgroup : redirect.cgroups)
    if (is_plain(cgroup.path)) matches.push_back(in_cgroup(cgroup));
  return matches;
}

class Search {
 public:
  Search(const std::vector<std::string>& units, std::string root) : units_(units), root_(std::move(root)) {}
  std::vector<Cgroup> find() {
    look_in("", 0);
    return std::move(found_);
  }

 private:
  struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };

  void look_in(const std::string& path, size_t depth) {
    const std::unique_ptr<DIR, CloseDirectory> directory(::opendir((root_ + "/" + path).c_str()));
    if (!directory || depth > kDepthMax) return;
    std::vector<std::string> slices;
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string name = entry->d_name;
      const bool is_slice = name.ends_with(".slice");
      const bool is_wanted = std::ranges::find(units_, name) != units_.end();
      if (!is_slice && !is_wanted) continue;
      if (++looked_at_ > kLookedAtMax) return;
      const std::string place = path.empty() ? name : path + "/" + name;
      struct stat facts{};
      if (::lstat((root_ + "/" + place).c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode) || facts.st_uid != 0)
        continue;
      if (is_wanted) found_.push_back({place, facts.st_ino});
      if (is_slice && place != "user.slice") slices.push_back(place);
    }
    for (const std::string& slice : slices) look_in(slice, depth + 1);
  }

  const std::vector<std::string>& units_;
  const std::string root_;
  std::vector<Cgroup> found_;
  size_t looked_at_ = 0;
};

}  // namespace

namespace {

// Doors are for the agent's own sockets: the kernel looks up who listens (nft_socket), which nobody can fake
// who is not root. A door with nobody behind it answers as a closed port does.
void guard_doors(const IdentityRedirects& wanted, bool anew, std::string& text) {
  if (!wanted.agent_cgroup || !is_plain(wanted.agent_cgroup->path)) return;
  std::vector<uint16_t> doors{kArcPort};
  for (const IdentityRedirect& redirect : wanted.redirects) doors.push_back(redirect.port);
  const std::string target = fmt::format(
      "add rule {} input ip daddr 127.0.0.1 tcp dport {{ {} }} tcp flags & (fin | syn | rst | ack) == syn",
      kIdentityTable, fmt::join(doors, ", "));
  text += fmt::format("add chain {} input {{ type filter hook input priority -105; policy accept; }}\n",
                      kIdentityTable);
  if (!anew) text += fmt::format("flush chain {} input\n", kIdentityTable);
  text += fmt::format("{} {}accept\n", target, in_cgroup(*wanted.agent_cgroup));
  text += fmt::format("{} reject with tcp reset\n", target);
}

}  // namespace

std::string identity_text(const IdentityRedirects& wanted, bool anew) {
  std::string text;
  if (anew || wanted.empty()) text = fmt::format("add table {0}\ndelete table {0}\n", kIdentityTable);
  if (wanted.empty()) return text;
  const auto rule = [&](std::string_view what) {
    text += fmt::format("add rule {} output {}\n", kIdentityTable, what);
  };
  text += fmt::format(
      "add table {0}\nadd chain {0} output {{ type nat hook output priority -105; policy accept; }}\n",
      kIdentityTable);
  if (!anew) text += fmt::format("flush chain {} output\n", kIdentityTable);
  std::vector<std::string> targets = {fmt::format("ip daddr 127.0.0.1 tcp dport {}", kArcPort)};
  const std::string link_local = fmt::format("ip daddr 169.254.169.254 tcp dport {}", kLinkLocalPort);
  if (wanted.link_local) {
    targets.push_back(link_local);
    rule(fmt::format("meta skuid {} {} return", wanted.agent_uid, link_local));
  }
  for (const IdentityRedirect& redirect : wanted.redirects)
    for (const std::string& match : matches_of(redirect))
      for (const std::string& target : targets)
        rule(fmt::format("{}{} redirect to :{}", match, target, redirect.port));
  if (wanted.link_local) rule(fmt::format("{} redirect to :{}", link_local, kArcPort));
  guard_doors(wanted, anew, text);
  return text;
}

std::vector<Cgroup> cgroups_of(const std::vector<std::string>& units, const std::string& root) {
  if (units.empty()) return {};
  auto found = Search(units, root).find();
  std::ranges::sort(found, {}, &Cgroup::path);
  return found;
}

std::optional<Cgroup> cgroup_in(std::string_view proc_text, const std::string& root) {
  constexpr std::string_view kUnified = "0::/";  // cgroups(7), /proc/PID/cgroup
  for (const std::string_view line : split(proc_text, '\n')) {
    if (!line.starts_with(kUnified) || line.size() == kUnified.size()) continue;
    Cgroup cgroup{.path = std::string(line.substr(kUnified.size())), .inode = 0};
    struct stat facts{};
    if (::lstat((root + "/" + cgroup.path).c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode))
      return std::nullopt;
    cgroup.inode = facts.st_ino;
    return cgroup;
  }
  return std::nullopt;
}

Result<void> Firewall::redirect_identities(const IdentityRedirects& wanted, bool anew) {
  TRY(commit(identity_text(wanted, anew)));
  if (!wanted.link_local) return {};
  // Whoever asked before there was a redirection (our own question whether a cloud answers, too) is tracked
  // for two minutes as going there. A program that gets the same port again would be taken for that
  // connection, and lost.
  const auto metadata = IpAddress::from_v4(0xa9fea9fe);
  TRY(forget_connections([&](const FlowKey& original, const FlowKey& reply) {
    return original.destination == metadata && original.destination_port == kLinkLocalPort &&
           reply.source == metadata;
  }));
  return {};
}

Result<bool> Firewall::redirects_identities() {
  return nft_.exists(fmt::format("list table {}", kIdentityTable));
}

}  // namespace merlon::agent

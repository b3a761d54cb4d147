// Redirections of identity callers as text, and the search for units' control groups.
#include "agent/firewall_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

namespace merlon::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(IdentityText, FirstRuleFirstAndTheAgentsOwnProbesAreLeftAlone) {
  IdentityRedirects wanted;
  wanted.link_local = true;
  wanted.agent_uid = 990;
  wanted.redirects = {
      {.port = 5001, .everybody = false, .uids = {33, 1000}, .cgroups = {{"system.slice/a.service", 7}}},
      {.port = 5002, .everybody = true, .uids = {}, .cgroups = {}}};
  EXPECT_EQ(identity_text(wanted),
            R"(add table inet merlon_identity
delete table inet merlon_identity
add table inet merlon_identity
add chain inet merlon_identity output { type nat hook output priority -105; policy accept; }
add rule inet merlon_identity output meta skuid 990 ip daddr 169.254.169.254 tcp dport 80 return
add rule inet merlon_identity output meta skuid { 33, 1000 } ip daddr 127.0.0.1 tcp dport 40342 redirect to :5001
add rule inet merlon_identity output meta skuid { 33, 1000 } ip daddr 169.254.169.254 tcp dport 80 redirect to :5001
add rule inet merlon_identity output socket cgroupv2 level 2 "system.slice/a.service" )"
            R"(ip daddr 127.0.0.1 tcp dport 40342 redirect to :5001
add rule inet merlon_identity output socket cgroupv2 level 2 "system.slice/a.service" )"
            R"(ip daddr 169.254.169.254 tcp dport 80 redirect to :5001
add rule inet merlon_identity output ip daddr 127.0.0.1 tcp dport 40342 redirect to :5002
add rule inet merlon_identity output ip daddr 169.254.169.254 tcp dport 80 redirect to :5002
add rule inet merlon_identity output ip daddr 169.254.169.254 tcp dport 80 redirect to :40342
)");
}

TEST(IdentityText, ADoorIsTheAgentsAlone) {
  IdentityRedirects wanted;
  wanted.redirects = {{.port = 5001, .everybody = false, .uids = {33}, .cgroups = {}}};
  // Where the table is there its chains stay: the kernel looks at each chain by itself.
  const std::string kept = identity_text(wanted, false);
  EXPECT_THAT(kept, Not(HasSubstr("delete")));
  const size_t flushed = kept.find("flush chain inet merlon_identity output\n");
  EXPECT_LT(kept.find("add chain inet merlon_identity output"), flushed);
  EXPECT_LT(flushed, kept.find("add rule"));
  EXPECT_EQ(identity_text({}, false), identity_text({}));
  EXPECT_THAT(identity_text(wanted), Not(HasSubstr("input")));
  wanted.agent_cgroup = Cgroup{"system.slice/merlon-agent.service", 9};
  const std::string text = identity_text(wanted);
  const std::string syn =
      "input ip daddr 127.0.0.1 tcp dport { 40342, 5001 } "
      "tcp flags & (fin | syn | rst | ack) == syn ";
  const size_t ours =
      text.find(syn + R"(socket cgroupv2 level 2 "system.slice/merlon-agent.service" accept)");
  ASSERT_NE(ours, std::string::npos) << text;
  EXPECT_GT(text.find(syn + "reject with tcp reset"), ours);
}

TEST(Cgroups, AProcessIsInOneThatWeSee) {
  std::string root = (std::filesystem::temp_directory_path() / "merlon-cgroup-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  std::filesystem::create_directories(root + "/system.slice/merlon-agent.service");
  const auto found = cgroup_in("1:name=systemd:/x\n0::/system.slice/merlon-agent.service\n", root);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, "system.slice/merlon-agent.service");
  EXPECT_NE(found->inode, 0U);
  for (const std::string_view text : {"0::/\n", "0::/absent.service\n", "1:memory:/system.slice\n", ""})
    EXPECT_FALSE(cgroup_in(text, root)) << text;
  std::filesystem::remove_all(root);
}

TEST(IdentityText, WhoIsNotThereIsBroughtNowhere) {
  IdentityRedirects wanted;
  wanted.redirects = {{.port = 5001, .everybody = false, .uids = {}, .cgroups = {{"a\"; drop", 7}}}};
  EXPECT_THAT(identity_text(wanted), Not(HasSubstr("redirect")));
  EXPECT_EQ(identity_text({}), "add table inet merlon_identity\ndelete table inet merlon_identity\n");
}

TEST(Cgroups, AreLookedForInRootsSlicesAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs directories of several owners";
  std::string root = (std::filesystem::temp_directory_path() / "merlon-cgroups-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  for (const std::string path :
       {"system.slice/nginx.service/nginx.service", "user.slice/user-1000.slice/nginx.service",
        "system.slice/system-app.slice/app@1.service", "system.slice/docker.service/app@1.service",
        "evil.slice/nginx.service", "nginx.service"})
    std::filesystem::create_directories(root + "/" + path);
  ASSERT_EQ(::chown((root + "/evil.slice").c_str(), 1000, 1000), 0);
  ASSERT_EQ(::chown((root + "/nginx.service").c_str(), 1000, 1000), 0);
  const auto paths = [&](const std::vector<std::string>& units) {
    std::vector<std::string> found;
    for (const Cgroup& cgroup : cgroups_of(units, root)) found.push_back(cgroup.path);
    return found;
  };
  EXPECT_THAT(paths({"nginx.service"}), ElementsAre("system.slice/nginx.service"));
  EXPECT_THAT(paths({"app@1.service", "system.slice"}),
              ElementsAre("system.slice", "system.slice/system-app.slice/app@1.service"));
  EXPECT_THAT(paths({"absent.service"}), ::testing::IsEmpty());
  const auto before = cgroups_of({"nginx.service"}, root);
  std::filesystem::rename(root + "/system.slice/nginx.service", root + "/old");
  std::filesystem::create_directory(root + "/system.slice/nginx.service");
  EXPECT_NE(cgroups_of({"nginx.service"}, root), before) << "started anew it is another one";
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace merlon::agent

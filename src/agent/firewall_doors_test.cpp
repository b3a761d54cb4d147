// Redirections of identity callers on the real kernel: who asked before there were any does not stand in the
// way of who asks then.
#include <gtest/gtest.h>

#include "agent/firewall.h"
#include "agent/test_sockets.h"

namespace merlon::agent::testing {
namespace {

TEST(FirewallDoors, APortThatWasUsedBeforeThereWereAnyIsBroughtThere) {
  in_fresh_namespace([] {
    const SystemClock clock;
    const Peer peer;
    const IpAddress metadata = IpAddress::parse("169.254.169.254").value();
    must_run("ip route add 169.254.169.254/32 via 10.1.0.1");
    const Socket door = bound(SOCK_STREAM, IpAddress::parse("127.0.0.1").value(), 5001);
    Firewall firewall = Firewall::open(clock).value();
    IdentityRedirects wanted;
    wanted.agent_uid = 65'534;
    wanted.redirects = {{.port = 5001, .everybody = true, .uids = {}, .cgroups = {}}};
    const auto loopback_alone = firewall.redirect_identities(wanted);  // from here on connections are tracked
    ASSERT_TRUE(loopback_alone) << loopback_alone.error().message << " " << loopback_alone.error().cause;
    constexpr uint16_t kFrom = 45'001;
    EXPECT_FALSE(connected(SOCK_STREAM, metadata, 80, kFrom))
        << "nobody is there, and the rest would prove nothing";
    wanted.link_local = true;
    const auto made = firewall.redirect_identities(wanted);
    ASSERT_TRUE(made) << made.error().message << " " << made.error().cause;
    EXPECT_TRUE(connected(SOCK_STREAM, metadata, 80, kFrom, 2000));
    // While rules change the chains stay, and so does who has come.
    wanted.redirects.front().uids = {0};
    const auto changed = firewall.redirect_identities(wanted, false);
    ASSERT_TRUE(changed) << changed.error().message << " " << changed.error().cause;
    EXPECT_TRUE(connected(SOCK_STREAM, metadata, 80, 0, 2000));
  });
}

}  // namespace
}  // namespace merlon::agent::testing

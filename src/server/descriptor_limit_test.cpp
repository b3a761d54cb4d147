// How many connections a server takes when it may open so many descriptors: the store needs some too.
#include "server/descriptor_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace merlon::server {
namespace {

TEST(DescriptorLimit, ConnectionsLeaveDescriptorsForTheStore) {
  const size_t wanted = net::ServerLimits().connections_max;
  EXPECT_EQ(limits_within(65'536).connections_max, wanted);
  EXPECT_EQ(limits_within(wanted + 256).connections_max, wanted);
  EXPECT_EQ(limits_within(wanted).connections_max, wanted - 256);
  EXPECT_EQ(limits_within(1024).connections_max, 768);
  EXPECT_EQ(limits_within(100).connections_max, 50);
  EXPECT_EQ(limits_within(0).connections_max, 1);
}

TEST(DescriptorLimit, TheSoftLimitIsRaisedToTheHardOne) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 200;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace merlon::server

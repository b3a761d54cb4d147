// Addresses and prefixes: one spelling in memory for everything that reaches a comparison.
#include "base/ip.h"

#include <gtest/gtest.h>

namespace merlon {
namespace {

std::string canonical(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address ? address->text() : "refused";
}

TEST(Ip, WritesRfc5952) {
  EXPECT_EQ(canonical("192.0.2.7"), "192.0.2.7");
  for (const char* text : {"0.0.0.0", "9.10.99.100", "255.249.101.1", "1.20.200.0"})
    EXPECT_EQ(canonical(text), text);
  EXPECT_EQ(canonical("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  EXPECT_EQ(canonical("0:0:0:0:0:0:0:0"), "::");
  EXPECT_EQ(canonical("::1"), "::1");
}

TEST(Ip, UnmapsMappedAddresses) {
  EXPECT_EQ(canonical("::ffff:192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(canonical("::ffff:c000:207"), "192.0.2.7");
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.7"), IpAddress::from_v4(0xc0000207));
  EXPECT_TRUE(IpAddress::parse("::ffff:127.0.0.1")->is_loopback());
}

TEST(Ip, RefusesOtherForms) {
  for (const std::string_view text : {"",
                                      " ",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.04",
                                      "0x7f.0.0.1",
                                      "127.1",
                                      "1.2.3.4 ",
                                      " 1.2.3.4",
                                      "1.2.3.4/32",
                                      "-1.2.3.4",
                                      ":",
                                      ":::",
                                      "1::2::3",
                                      "[::1]",
                                      "fe80::1%eth0",
                                      "12345::",
                                      "::g",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "::1.2.3",
                                      "2001:db8::00001"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
  EXPECT_FALSE(IpAddress::parse(std::string(1000, '1')));
}

TEST(Ip, KnowsSpecialAddresses) {
  EXPECT_TRUE(IpAddress::parse("127.255.0.1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("128.0.0.1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("169.254.169.254")->is_link_local());
  EXPECT_TRUE(IpAddress::parse("febf::1")->is_link_local());
  EXPECT_FALSE(IpAddress::parse("fec0::1")->is_link_local());
  EXPECT_TRUE(IpAddress::parse("224.0.0.1")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("239.255.255.255")->is_multicast());
  EXPECT_FALSE(IpAddress::parse("240.0.0.1")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("ff02::1")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
}

std::string prefix(std::string_view text) {
  const auto parsed = IpPrefix::parse(text);
  return parsed ? parsed->text() : "refused";
}

TEST(Ip, ReadsPrefixesAndClearsHostBits) {
  EXPECT_EQ(prefix("10.1.2.3/8"), "10.0.0.0/8");
  EXPECT_EQ(prefix("10.1.2.3/32"), "10.1.2.3");
  EXPECT_EQ(prefix("10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(prefix("10.1.2.3/0"), "0.0.0.0/0");
  EXPECT_EQ(prefix("10.1.2.255/25"), "10.1.2.128/25");
  EXPECT_EQ(prefix("2001:db8:ffff::1/33"), "2001:db8:8000::/33");
  EXPECT_EQ(prefix("::/0"), "::/0");
  EXPECT_EQ(prefix("::1/128"), "::1");
}

TEST(Ip, RefusesBadPrefixes) {
  for (const std::string_view text : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8",
                                      "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/8 ", "::/129",
                                      "::/1000", "10.0.0.0/255.0.0.0", "10.0.0/8", "::ffff:10.0.0.0/104"})
    EXPECT_EQ(prefix(text), "refused") << text;
}

TEST(Ip, ContainsWithinOneFamily) {
  const auto p = [](std::string_view text) { return *IpPrefix::parse(text); };
  const auto a = [](std::string_view text) { return *IpAddress::parse(text); };
  EXPECT_TRUE(p("10.0.0.0/8").contains(a("10.255.255.255")));
  EXPECT_FALSE(p("10.0.0.0/8").contains(a("11.0.0.0")));
  EXPECT_TRUE(p("10.0.0.0/8").contains(a("::ffff:10.0.0.1")));
  EXPECT_FALSE(p("::/0").contains(a("10.0.0.1")));
  EXPECT_FALSE(p("0.0.0.0/0").contains(a("::1")));
  EXPECT_TRUE(p("0.0.0.0/0").contains(a("255.255.255.255")));
  EXPECT_TRUE(p("10.0.0.0/8").contains(p("10.0.0.0/8")));
  EXPECT_TRUE(p("10.0.0.0/8").contains(p("10.1.0.0/16")));
  EXPECT_FALSE(p("10.1.0.0/16").contains(p("10.0.0.0/8")));
  EXPECT_FALSE(p("10.0.0.0/8").contains(p("fd00::/16")));
  EXPECT_TRUE(IpPrefix(a("::1")).is_host());
}

}  // namespace
}  // namespace merlon

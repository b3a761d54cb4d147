// Heads of packets, whole, cut and made up.
#include "agent/logged_packet.h"

#include <gtest/gtest.h>

namespace merlon::agent {
namespace {

Bytes bytes(std::string_view hex) { return from_hex(hex).value(); }

const std::string kTcp4 =
    "4500003c1234400040060000c00002070a000004"
    "c35001bb"
    "00000000";
const std::string kUdp6 =
    "600000000018"
    "0040"
    "20010db8000000000000000000000001"
    "20010db8000000000000000000000002"
    "1100050200000000"
    "14e90035"
    "00000000";

TEST(LoggedPacket, ReadsBothFamilies) {
  const auto tcp = read_packet_head(bytes(kTcp4));
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->source.text(), "192.0.2.7");
  EXPECT_EQ(tcp->destination.text(), "10.0.0.4");
  EXPECT_EQ(tcp->source_port, 50'000);
  EXPECT_EQ(tcp->destination_port, 443);
  const auto udp = read_packet_head(bytes(kUdp6));
  ASSERT_TRUE(udp);
  EXPECT_EQ(udp->protocol, 17) << "behind the extension";
  EXPECT_EQ(udp->destination_port, 53);
}

TEST(LoggedPacket, NothingIsReadOfWhatIsNotThere) {
  for (const std::string& whole : {kTcp4, kUdp6}) {
    const Bytes packet = bytes(whole);
    for (size_t size = 0; size < packet.size() - 4; ++size)
      EXPECT_FALSE(read_packet_head(ByteView(packet).first(size))) << size;
  }
  Bytes fragment = bytes(kTcp4);
  fragment[7] = 9;
  EXPECT_FALSE(read_packet_head(fragment)) << "a later fragment has no ports";
  Bytes version = bytes(kTcp4);
  version[0] = 0x55;
  EXPECT_FALSE(read_packet_head(version));
}

}  // namespace
}  // namespace merlon::agent

// What a Remote Desktop client and the gateway say to each other, byte by byte, and what is not said: packets
// out of their order, cut, too long, or with lengths that are not theirs.
#include "services/bastion/rdp_gateway.h"

#include <gtest/gtest.h>

namespace merlon::bastion {
namespace {

std::string little(uint64_t number, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
  return out;
}
std::string packet(uint16_t type, const std::string& body) {
  return little(type, 2) + little(0, 2) + little(8 + body.size(), 4) + body;
}
std::string text(const std::string& ascii, bool with_zero = true) {
  std::string units;
  for (const char c : ascii) units += little(static_cast<uint8_t>(c), 2);
  if (with_zero) units += little(0, 2);
  return little(units.size(), 2) + units;
}

// As FreeRDP 2.11 (libfreerdp/core/gateway/rdg.c) sends them.
const std::string kGreeting = packet(1, little(1, 1) + little(0, 1) + little(0, 2) + little(2, 2));
std::string tunnel(const std::string& token, uint32_t capabilities = 0xD) {
  return packet(4, little(capabilities, 4) + little(1, 2) + little(0, 2) + text(token));
}
const std::string kAuthorization = packet(6, little(0, 2) + text("laptop"));
std::string channel(const std::string& target, uint16_t port = 3389, uint16_t protocol = 3) {
  return packet(8, little(1, 1) + little(0, 1) + little(port, 2) + little(protocol, 2) + text(target));
}
std::string data(const std::string& bytes) { return packet(0xA, little(bytes.size(), 2) + bytes); }

class RdpGatewayTest : public testing::Test {
 protected:
  // What comes of bytes that arrive at once; "error" when they are refused.
  std::string said(const std::string& bytes) {
    auto step = dialog_.take(bytes);
    if (!step) return "error";
    asks_ |= step->asks;
    over_ |= step->over;
    to_target_ += step->to_target;
    return step->to_client;
  }
  void go_to_channel() {
    ASSERT_EQ(said(kGreeting),
              packet(2, little(0, 4) + little(1, 1) + little(0, 1) + little(0, 2) + little(2, 2)));
    ASSERT_EQ(said(tunnel("secret")), packet(5, little(0, 2) + little(0, 4) + little(3, 2) + little(0, 2) +
                                                    little(1, 4) + little(8, 4)));
    ASSERT_EQ(said(kAuthorization),
              packet(7, little(0, 4) + little(3, 2) + little(0, 2) + little(0x80000000, 4) + little(0, 4)));
  }
  void open() {
    go_to_channel();
    ASSERT_EQ(said(channel("web-1")), "");
    ASSERT_TRUE(asks_);
    ASSERT_TRUE(dialog_.open());
    ASSERT_EQ(dialog_.opened(nullptr), packet(9, little(0, 4) + little(1, 2) + little(0, 2) + little(1, 4)));
  }

  RdpGatewayWish wish_;
  RdpGatewayDialog dialog_{[this](const RdpGatewayWish& wish) -> Result<net::TunnelPlan> {
    wish_ = wish;
    return net::TunnelPlan{};
  }};
  bool asks_ = false, over_ = false;
  std::string to_target_;
};

TEST_F(RdpGatewayTest, LeadsToTheMachineAndCarriesItsBytes) {
  open();
  EXPECT_EQ(wish_, (RdpGatewayWish{"secret", "web-1", 3389}));
  EXPECT_EQ(said(data("hello") + data("") + packet(0xD, "") + data("world")), "");
  EXPECT_EQ(to_target_, "helloworld");
  EXPECT_EQ(dialog_.frames("answer"), data("answer"));
  const std::string much(40'000, 'x');
  EXPECT_EQ(dialog_.frames(much), data(much.substr(0, 32768)) + data(much.substr(32768)));
  EXPECT_EQ(said(packet(0x10, little(0, 4))), packet(0x11, little(0, 4)));
  EXPECT_TRUE(over_);
}

TEST_F(RdpGatewayTest, BytesMayBeCutAnywhere) {
  const std::string all = kGreeting + tunnel("secret") + kAuthorization + channel("web-1");
  for (const char byte : all) ASSERT_NE(said(std::string(1, byte)), "error");
  ASSERT_TRUE(asks_);
  ASSERT_TRUE(dialog_.open());
  EXPECT_EQ(wish_, (RdpGatewayWish{"secret", "web-1", 3389}));
  EXPECT_NE(dialog_.opened(nullptr), "");
  for (const char byte : data("hello") + data("world")) ASSERT_EQ(said(std::string(1, byte)), "");
  EXPECT_EQ(to_target_, "helloworld");
}

TEST_F(RdpGatewayTest, ARefusalIsANumberAndASentence) {
  go_to_channel();
  said(channel("web-2"));
  const Error denied = fail(ErrorKind::forbidden, "TargetNotCovered", "Not this one – ask.").error();
  EXPECT_EQ(dialog_.opened(&denied), packet(9, little(0x800759DA, 4) + little(0, 4)));
  EXPECT_EQ(dialog_.notice(denied.message), packet(0xB, text("Not this one ? ask.", false)));
  const auto code = [&](ErrorKind kind, std::string_view name) {
    const Error error = fail(kind, name, "").error();
    return dialog_.opened(&error).substr(8, 4);
  };
  EXPECT_EQ(code(ErrorKind::unauthenticated, "TokenNotValid"), little(0x800759F8, 4));
  EXPECT_EQ(code(ErrorKind::unavailable, "ConnectFailed"), little(0x800759DD, 4));
  EXPECT_EQ(code(ErrorKind::unavailable, "StorageFull"), little(0x800759D8, 4));
  EXPECT_EQ(code(ErrorKind::throttled, "TooManySessions"), little(0x800759E6, 4));
  EXPECT_EQ(said(data("x")), "error") << "nothing is carried";
  EXPECT_EQ(to_target_, "");
}

TEST_F(RdpGatewayTest, NoTokenIsTheEnd) {
  said(kGreeting);
  EXPECT_EQ(said(packet(4, little(0xD, 4) + little(0, 2) + little(0, 2))),
            packet(5, little(0, 2) + little(0x800759F8, 4) + little(0, 4)));
  EXPECT_TRUE(over_);
  EXPECT_EQ(dialog_.farewell(), "");
}

TEST_F(RdpGatewayTest, AnotherAuthenticationIsRefused) {
  EXPECT_EQ(said(packet(1, little(1, 1) + little(0, 1) + little(0, 2) + little(4, 2))).substr(8, 4),
            little(0x800759F9, 4));
  EXPECT_TRUE(over_);
}

TEST_F(RdpGatewayTest, NothingComesBeforeItsTurn) {
  const std::vector<std::string> all{kGreeting, tunnel("secret"), kAuthorization, channel("web-1"),
                                     data("x")};
  for (size_t before = 0; before < 4; ++before) {
    for (size_t wrong = 0; wrong < all.size(); ++wrong) {
      if (wrong == before) continue;
      RdpGatewayDialog dialog(
          [](const RdpGatewayWish&) -> Result<net::TunnelPlan> { return net::TunnelPlan{}; });
      for (size_t i = 0; i < before; ++i) ASSERT_TRUE(dialog.take(all[i]));
      EXPECT_FALSE(dialog.take(all[wrong])) << wrong << " after " << before;
    }
  }
  go_to_channel();
  EXPECT_EQ(said(channel("web-1") + data("x")), "error") << "before the answer";
}

TEST_F(RdpGatewayTest, LengthsThatAreNotTheirsAreRefused) {
  const auto refuses = [](const std::string& bytes, size_t packets_before) {
    RdpGatewayDialog dialog(
        [](const RdpGatewayWish&) -> Result<net::TunnelPlan> { return net::TunnelPlan{}; });
    const std::vector<std::string> before{kGreeting, tunnel("secret"), kAuthorization, channel("web-1")};
    for (size_t i = 0; i < packets_before; ++i) EXPECT_TRUE(dialog.take(before[i]));
    if (packets_before == 4) dialog.opened(nullptr);
    return !dialog.take(bytes).has_value();
  };
  EXPECT_TRUE(refuses(little(1, 2) + little(0, 2) + little(7, 4), 0)) << "less than its own head";
  EXPECT_TRUE(refuses(little(1, 2) + little(0, 2) + little(0xFFFFFFFF, 4), 0));
  EXPECT_TRUE(refuses(packet(1, "\1"), 0));
  EXPECT_TRUE(refuses(packet(4, little(0xD, 4) + little(1, 2) + little(0, 2) + little(2000, 2)), 1));
  EXPECT_TRUE(refuses(packet(4, little(0xD, 4) + little(1, 2) + little(0, 2) + little(3, 2) + "abc"), 1));
  EXPECT_TRUE(refuses(tunnel(std::string(3000, 'x')), 1)) << "no token is that long";
  EXPECT_TRUE(refuses(packet(6, ""), 2));
  EXPECT_TRUE(refuses(channel(""), 3));
  EXPECT_TRUE(refuses(channel("web-1", 3389, 4), 3)) << "not Remote Desktop";
  EXPECT_TRUE(refuses(channel("web 1\n"), 3)) << "no name";
  EXPECT_TRUE(refuses(packet(0xA, little(6, 2) + "hello"), 4));
  EXPECT_TRUE(refuses(packet(0xA, little(4, 2) + "hello"), 4));
  EXPECT_TRUE(refuses(packet(0xA, ""), 4));
  EXPECT_FALSE(refuses(data(std::string(0xFFFF, 'x')), 4)) << "the longest that there is";
}

TEST_F(RdpGatewayTest, OnlyAClientThatShowsMessagesIsToldAny) {
  said(kGreeting);
  said(tunnel("secret", 0x5));
  EXPECT_EQ(dialog_.notice("in five minutes"), "");
}

TEST_F(RdpGatewayTest, AnEndIsSaidOnce) {
  open();
  EXPECT_EQ(dialog_.farewell(), packet(0x10, little(0, 4)));
  EXPECT_EQ(dialog_.farewell(), "");
}

}  // namespace
}  // namespace merlon::bastion

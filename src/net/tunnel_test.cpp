// Tunnels between the product's own ends, and hostile frames from a client that sends what it likes.
#include "net/tunnel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "net/test_peer.h"
#include "net/tunnel_client.h"

namespace merlon::net {
namespace {

using test::Certificates;
using test::kDomain;
using test::RawTls;
using testing::HasSubstr;

// Sends back what it gets, on a port of its own.
class Echo {
 public:
  Echo() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~Echo() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;
  uint16_t port() const { return port_; }

 private:
  void serve() {
    for (;;) {
      const int peer = ::accept(listener_, nullptr, nullptr);
      if (peer < 0) return;
      char buffer[65536];
      for (;;) {
        const ssize_t count = ::read(peer, buffer, sizeof buffer);
        if (count <= 0) break;
        for (ssize_t done = 0; done < count;) {
          const ssize_t written = ::write(peer, buffer + done, static_cast<size_t>(count - done));
          if (written <= 0) break;
          done += written;
        }
      }
      ::close(peer);
    }
  }
  const int listener_;
  uint16_t port_ = 0;
  std::jthread thread_;
};

class TunnelTest : public testing::Test {
 protected:
  TunnelTest() {
    auto parameters = test::server_parameters(certificates_, [](Request, Responder respond) {
      Response plain;
      plain.body = "plain";
      respond(std::move(plain));
    });
    parameters.upgrade = [this](Request request) -> std::expected<TunnelPlan, Response> {
      if (request.path == "/throw") throw std::runtime_error("as told");
      if (request.path != "/tunnel") {
        Response refused;
        refused.status = 403;
        refused.body = R"({"message":"not for you"})";
        return std::unexpected(std::move(refused));
      }
      TunnelPlan plan = plan_;
      if (plan.dialog) return plan;
      plan.started = [this](TunnelControl control) { control_.set_value(std::move(control)); };
      plan.ended = [this](const TunnelOutcome& outcome) {
        ++ends_;
        outcome_.set_value(outcome);
      };
      return plan;
    };
    auto server = Server::start(std::move(parameters));
    EXPECT_TRUE(server);
    server_ = *std::move(server);
    plan_.address = *IpAddress::parse("127.0.0.1");
    plan_.port = echo_.port();
  }
  // Nothing was told before its time, and nothing twice.
  TunnelOutcome outcome() {
    auto future = outcome_.get_future();
    EXPECT_EQ(future.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    return future.get();
  }
  std::unique_ptr<RawTls> upgraded(const std::string& path = "/tunnel") {
    auto peer = std::make_unique<RawTls>(test::port_of(*server_), kDomain);
    EXPECT_TRUE(peer->write("GET " + path + " HTTP/1.1\r\nHost: " + kDomain +
                            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
    answer_ = peer->read_some();
    return peer;
  }
  // A frame with a mask of zeros, which changes nothing.
  static std::string frame(uint8_t first, const std::string& data) {
    std::string out;
    out += static_cast<char>(first);
    out += static_cast<char>(0x80 | data.size());
    return out + std::string(4, '\0') + data;
  }
  Result<std::string> carry(const std::string& path, int& local) {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    local = pair[0];
    return carry_tunnel({.host = "127.0.0.1",
                         .port = test::port_of(*server_),
                         .server_name = kDomain,
                         .authorities_pem = certificates_.authority.certificate_pem(),
                         .path = path,
                         .token = {}},
                        ::dup(pair[1]), pair[1]);
  }

  Certificates certificates_;
  Echo echo_;
  TunnelPlan plan_;
  std::promise<TunnelControl> control_;
  std::promise<TunnelOutcome> outcome_;
  std::atomic<int> ends_ = 0;
  std::string answer_;
  std::unique_ptr<Server> server_;
};

TEST_F(TunnelTest, CarriesBytesBothWaysAndCountsThem) {
  int local = -1;
  std::promise<Result<std::string>> done;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  local = pair[0];
  std::jthread carrier([&] {
    done.set_value(carry_tunnel({.host = "127.0.0.1",
                                 .port = test::port_of(*server_),
                                 .server_name = kDomain,
                                 .authorities_pem = certificates_.authority.certificate_pem(),
                                 .path = "/tunnel",
                                 .token = {}},
                                ::dup(pair[1]), pair[1]));
  });
  std::string sent(4'000'000, 'x');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 251);
  std::jthread writer([&] {
    for (size_t at = 0; at < sent.size();) {
      const ssize_t count = ::write(local, sent.data() + at, sent.size() - at);
      if (count <= 0) return;
      at += static_cast<size_t>(count);
    }
  });
  std::string got;
  char buffer[65536];
  while (got.size() < sent.size()) {
    const ssize_t count = ::read(local, buffer, sizeof buffer);
    ASSERT_GT(count, 0);
    got.append(buffer, static_cast<size_t>(count));
  }
  writer.join();
  EXPECT_TRUE(got == sent);
  ::shutdown(local, SHUT_WR);
  const TunnelOutcome how = outcome();
  EXPECT_EQ(how.end, TunnelEnd::client_closed);
  EXPECT_EQ(how.bytes_to_target, sent.size());
  EXPECT_EQ(how.bytes_to_client, sent.size());
  const auto result = done.get_future().get();
  EXPECT_TRUE(result) << result.error().message;
  ::close(local);
}

TEST_F(TunnelTest, IsCutWithAReasonThatTheClientIsTold) {
  const auto peer = upgraded();
  EXPECT_THAT(answer_, HasSubstr("101"));
  EXPECT_THAT(answer_, HasSubstr("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));  // RFC 6455 section 1.3
  EXPECT_THAT(answer_, testing::Not(HasSubstr("deflate")));
  control_.get_future().get().cut("the time is over");
  const std::string close = peer->read_some();
  EXPECT_THAT(close, HasSubstr("the time is over"));
  EXPECT_EQ(static_cast<uint8_t>(close.at(0)), 0x88);
  peer->write(frame(0x88, close.substr(2, 2)));
  EXPECT_EQ(outcome().end, TunnelEnd::cut);
}

TEST_F(TunnelTest, ACutDoesNotWaitForAClientThatSaysNothing) {
  const auto peer = upgraded();
  control_.get_future().get().cut("now");
  EXPECT_EQ(outcome().end, TunnelEnd::cut);  // the test's own limit is longer than the server's patience
}

TEST_F(TunnelTest, RefusesFramesThatAreWrong) {
  const auto peer = upgraded();
  peer->write(std::string("\x82\x01x", 3));  // not masked: RFC 6455 section 5.1
  EXPECT_EQ(outcome().end, TunnelEnd::protocol_error);
  EXPECT_EQ(ends_, 1);
}

TEST_F(TunnelTest, TakesNoText) {
  const auto peer = upgraded();
  peer->write(frame(0x81, "hello"));
  EXPECT_EQ(outcome().end, TunnelEnd::protocol_error);
}

TEST_F(TunnelTest, TakesNoReservedBitsAndNoLongControlFrames) {
  const auto peer = upgraded();
  peer->write(frame(0xc2, "x"));  // compressed, which was not agreed on
  EXPECT_EQ(outcome().end, TunnelEnd::protocol_error);
}

TEST_F(TunnelTest, AnEmptyMessageEndsIt) {
  const auto peer = upgraded();
  peer->write(frame(0x82, "hello"));
  EXPECT_THAT(peer->read_some(), HasSubstr("hello"));
  peer->write(frame(0x82, ""));
  const TunnelOutcome how = outcome();
  EXPECT_EQ(how.end, TunnelEnd::client_closed);
  EXPECT_EQ(how.bytes_to_target, 5U);
}

TEST_F(TunnelTest, EndsWhenNothingIsSent) {
  plan_.idle_max = std::chrono::milliseconds(300);
  const auto peer = upgraded();
  EXPECT_EQ(outcome().end, TunnelEnd::idle);
}

TEST_F(TunnelTest, SaysWhenTheOtherEndIsNotThere) {
  plan_.port = 1;
  const auto peer = upgraded();
  EXPECT_THAT(answer_, HasSubstr("502"));
  EXPECT_THAT(answer_, HasSubstr("could not be reached"));
  EXPECT_EQ(outcome().end, TunnelEnd::connect_failed);
}

TEST_F(TunnelTest, ARefusalIsAnOrdinaryAnswerAndToldByTheClient) {
  const auto peer = upgraded("/other");
  EXPECT_THAT(answer_, HasSubstr("403"));
  EXPECT_THAT(answer_, HasSubstr("not for you"));
  int local = -1;
  const auto refused = carry("/other", local);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "not for you");
  ::close(local);
  EXPECT_THAT(upgraded("/throw")->read_some() + answer_, HasSubstr("500"));
  EXPECT_EQ(ends_, 0);
}

TEST_F(TunnelTest, BytesBeforeTheAnswerAreRefused) {
  RawTls peer(test::port_of(*server_), kDomain);
  const std::string all =
      peer.converse("GET /tunnel HTTP/1.1\r\nHost: " + kDomain +
                    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
                    frame(0x82, "early"));
  EXPECT_THAT(all, HasSubstr("400"));
  EXPECT_NE(outcome().end, TunnelEnd::target_closed);
  EXPECT_EQ(ends_, 1);
}

// Says where to go at the first "go", and puts each piece in brackets.
class Brackets final : public TunnelDialog {
 public:
  Brackets(TunnelPlan plan, bool refuses) : plan_(std::move(plan)), refuses_(refuses) {}
  Result<Step> take(std::string_view bytes) override {
    if (bytes == "bye") return Step{.over = true};
    if (bytes == "wrong") return fail(ErrorKind::invalid, "ProtocolError", "as told");
    if (open_) return Step{.to_client = bytes == "ping" ? "pong" : "", .to_target = std::string(bytes)};
    return Step{.to_client = "hello ", .asks = bytes == "go"};
  }
  Result<TunnelPlan> open() override {
    if (refuses_) return fail(ErrorKind::forbidden, "No", "not for you");
    return plan_;
  }
  std::string opened(const Error* refused) override {
    open_ = refused == nullptr;
    return refused == nullptr ? "there" : "no: " + refused->message;
  }
  std::string frames(std::string_view bytes) override { return "[" + std::string(bytes) + "]"; }
  std::string notice(std::string_view text) override { return "(" + std::string(text) + ")"; }
  std::string farewell() override { return open_ ? "farewell" : ""; }

 private:
  const TunnelPlan plan_;
  const bool refuses_;
  bool open_ = false;
};

class TunnelDialogTest : public TunnelTest {
 protected:
  std::unique_ptr<RawTls> begin(bool refuses = false, const std::string& method = "RDG_OUT_DATA") {
    TunnelPlan inner;
    inner.address = *IpAddress::parse("127.0.0.1");
    inner.port = port_;
    inner.connect_timeout = std::chrono::milliseconds(500);
    inner.started = [this](TunnelControl control) { control_.set_value(std::move(control)); };
    inner.ended = [this](const TunnelOutcome& outcome) {
      ++ends_;
      outcome_.set_value(outcome);
    };
    plan_ = {};
    plan_.dialog = std::make_shared<Brackets>(inner, refuses);
    auto peer = std::make_unique<RawTls>(test::port_of(*server_), kDomain);
    EXPECT_TRUE(peer->write(method + " /tunnel HTTP/1.1\r\nHost: " + kDomain +
                            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Content-Length: 0\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    answer_ = peer->read_some();
    return peer;
  }
  // What has come until `last` is in it.
  static std::string until(RawTls& peer, const std::string& last) {
    std::string all;
    while (all.find(last) == std::string::npos) {
      const std::string more = peer.read_some();
      if (more.empty()) break;
      all += more;
    }
    return all;
  }
  uint16_t port_ = echo_.port();
};

TEST_F(TunnelDialogTest, FindsOutWhereToGoAndFramesWhatComes) {
  const auto peer = begin();
  EXPECT_THAT(answer_, HasSubstr("101"));
  peer->write(frame(0x82, "hm"));
  EXPECT_THAT(until(*peer, "hello"), HasSubstr("hello"));
  peer->write(frame(0x82, "go"));
  EXPECT_THAT(until(*peer, "there"), HasSubstr("there"));
  const TunnelControl control = control_.get_future().get();
  peer->write(frame(0x82, "ping"));
  EXPECT_THAT(until(*peer, "[ping]"), testing::AllOf(HasSubstr("pong"), HasSubstr("[ping]")));
  control.tell("soon");
  EXPECT_THAT(until(*peer, "(soon)"), HasSubstr("(soon)"));
  control.cut("now");
  EXPECT_THAT(until(*peer, "now"), testing::AllOf(HasSubstr("farewell"), HasSubstr("now")));
  const TunnelOutcome how = outcome();
  EXPECT_EQ(how.end, TunnelEnd::cut);
  EXPECT_EQ(how.bytes_to_target, 4U);
  EXPECT_EQ(how.bytes_to_client, 4U);
}

TEST_F(TunnelDialogTest, ARefusalIsToldInsideAndNothingHasBegun) {
  const auto peer = begin(true, "GET");
  peer->write(frame(0x82, "go"));
  EXPECT_THAT(until(*peer, "no: "), testing::AllOf(HasSubstr("(not for you)"), HasSubstr("no: not for you")));
  peer->write(frame(0x82, "go"));
  until(*peer, "for ever");
  EXPECT_EQ(ends_, 0) << "what never began has no end";
}

TEST_F(TunnelDialogTest, SaysWhenTheOtherEndIsNotThere) {
  port_ = 1;
  const auto peer = begin();
  peer->write(frame(0x82, "go"));
  EXPECT_THAT(until(*peer, "no: "), HasSubstr("no: "));
  EXPECT_EQ(outcome().end, TunnelEnd::connect_failed);
}

TEST_F(TunnelDialogTest, EndsWithGoodbyeAndWithWhatIsWrong) {
  {
    const auto peer = begin();
    peer->write(frame(0x82, "wrong"));
    EXPECT_THAT(until(*peer, "as told"), HasSubstr("as told"));
  }
  const auto peer = begin();
  peer->write(frame(0x82, "go"));
  EXPECT_THAT(until(*peer, "there"), HasSubstr("there"));
  peer->write(frame(0x82, "bye"));
  EXPECT_EQ(outcome().end, TunnelEnd::client_closed);
}

TEST_F(TunnelDialogTest, AStoppingServerWaitsForNone) {
  const auto waiting = begin();
  server_->stop();
  EXPECT_EQ(ends_, 0);
}

TEST_F(TunnelTest, AStoppingServerEndsThem) {
  const auto peer = upgraded();
  control_.get_future().get();
  server_->stop();
  EXPECT_EQ(outcome().end, TunnelEnd::server_stopping);
  EXPECT_EQ(ends_, 1);
}

}  // namespace
}  // namespace merlon::net

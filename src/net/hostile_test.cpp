// Raw bytes against a running server: smuggling, malformed heads, floods and slow clients. Each refusal must
// be the edge's own, so the handler counts its calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "net/test_peer.h"

namespace merlon::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::kDomain;
using test::RawTls;
using testing::HasSubstr;

const std::string kHost = "Host: merlon.test\r\n";

class HostileTest : public testing::Test {
 protected:
  void start(const ServerLimits& limits = {}) {
    auto parameters = test::server_parameters(certificates_, [this](Request request, Responder respond) {
      ++handled_;
      Response response;
      response.body = "handled " + request.body + std::string(request.headers.value_or("X-Trailer", ""));
      respond(std::move(response));
    });
    parameters.limits = limits;
    auto server = Server::start(std::move(parameters));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  std::string port() const { return test::port_of(*server_); }

  // The refused request, then a second one behind it: a refusal must end the connection, or the second would
  // be smuggled.
  void expect_refused(const std::string& bytes, int status, const std::string& code) {
    const int before = handled_;
    const std::string answer =
        RawTls(port(), kDomain).converse(bytes + "GET /smuggled HTTP/1.1\r\n" + kHost + "\r\n");
    EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 " + std::to_string(status) + " ")) << bytes;
    EXPECT_THAT(answer, HasSubstr(R"({"error":{"code":")" + code + "\"")) << bytes;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << bytes;
    EXPECT_THAT(answer, HasSubstr("x-ms-request-id: ")) << bytes;
    const std::string once = "\r\nx-ms-request-id: ";
    EXPECT_EQ(answer.find(once), answer.rfind(once)) << "a second answer to: " << bytes;
    EXPECT_EQ(handled_, before) << bytes;
  }
  void expect_handled(const std::string& bytes, const std::string& body) {
    const std::string answer = RawTls(port(), kDomain).converse(bytes);
    EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 OK\r\n")) << bytes;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + body)) << bytes << answer;
  }

  test::Certificates certificates_;
  std::atomic<int> handled_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(HostileTest, HostMustBeThereOnceAndSound) {
  start();
  expect_refused("GET / HTTP/1.1\r\n\r\n", 400, "InvalidHeader");
  expect_refused("GET / HTTP/1.0\r\n\r\n", 400, "InvalidHeader");
  expect_refused("GET / HTTP/1.1\r\n" + kHost + kHost + "\r\n", 400, "InvalidHeader");
  expect_refused("GET / HTTP/1.1\r\n" + kHost + "host: evil.test\r\n\r\n", 400, "InvalidHeader");
  for (const std::string host :
       {"", "a b", "user@merlon.test", "merlon.test:", "merlon.test:0", "merlon.test:99999",
        "merlon.test:1:2", "merlon.test/x", "[::1", "[merlon.test]", "merlon.test, evil.test"}) {
    expect_refused("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", 400, "InvalidHeader");
  }
  expect_handled("GET / HTTP/1.0\r\n" + kHost + "\r\n", "handled ");
}

TEST_F(HostileTest, OnlyOriginFormTargetsAndKnownMethods) {
  start();
  for (const std::string target :
       {"https://merlon.test/", "http://evil.test/", "merlon.test:443", "*", "path", "?x=1"}) {
    expect_refused("GET " + target + " HTTP/1.1\r\n" + kHost + "\r\n", 400, "InvalidRequestUri");
  }
  expect_refused("OPTIONS * HTTP/1.1\r\n" + kHost + "\r\n", 400, "InvalidRequestUri");
  for (const std::string target : {"/a/../b", "/%2e%2e/b", "/a%2f..%2fb", "/%00", "/%zz", "/a\\b", "/%5c",
                                   "/%ff", "/a#b", "/?x=%", "/%0d%0a"}) {
    expect_refused("GET " + target + " HTTP/1.1\r\n" + kHost + "\r\n", 400, "InvalidRequestUri");
  }
  expect_refused("CONNECT merlon.test:443 HTTP/1.1\r\n" + kHost + "\r\n", 405, "MethodNotAllowed");
  expect_refused("TRACE / HTTP/1.1\r\n" + kHost + "\r\n", 405, "MethodNotAllowed");
  expect_refused("get / HTTP/1.1\r\n" + kHost + "\r\n", 400, "InvalidHttpVerb");
}

TEST_F(HostileTest, FramingThatTwoProgramsCouldReadInTwoWays) {
  start();
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  expect_refused(post + "Content-Length: 5\r\n" + chunked + "\r\n0\r\n\r\n", 400, "InvalidHeader");
  expect_refused(post + chunked + "Content-Length: 5\r\n\r\n0\r\n\r\n", 400, "InvalidHeader");
  expect_refused(post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "InvalidHeader");
  expect_refused(post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "InvalidHeader");
  for (const std::string length : {"1, 1", "+1", "-1", "0x1", "1 1", "", "99999999999999999999", "1a"}) {
    expect_refused(post + "Content-Length: " + length + "\r\n\r\nx", 400, "InvalidHeader");
  }
  for (const std::string coding :
       {"gzip", "identity", "chunked, gzip", "gzip, chunked", "xchunked", "chunked;q=1"}) {
    expect_refused(post + "Transfer-Encoding: " + coding + "\r\n\r\n0\r\n\r\n", 501, "NotImplemented");
  }
  expect_refused(post + chunked + chunked + "\r\n0\r\n\r\n", 400, "InvalidHeader");
  expect_refused("POST / HTTP/1.0\r\n" + kHost + chunked + "\r\n0\r\n\r\n", 400, "InvalidHeader");
  expect_refused(post + chunked + "\r\nzz\r\n", 400, "InvalidRequestContent");
}

TEST_F(HostileTest, MalformedHeads) {
  start();
  const std::string get = "GET / HTTP/1.1\r\n" + kHost;
  expect_refused(get + "X-Folded: a\r\n b\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + "X-Folded: a\r\n\tb\r\n\r\n", 400, "InvalidHeader");
  expect_refused("GET / HTTP/1.1\r\n Host: merlon.test\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + std::string("X-Nul: a\0b\r\n\r\n", 14), 400, "InvalidHeader");
  expect_refused(get + "X-Bare: a\rb\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + "X-Bare: a\nX: b\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + "X-Delete: \x7f\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + "Content-Length : 0\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + "No colon\r\n\r\n", 400, "InvalidHeader");
  expect_refused(get + ": no name\r\n\r\n", 400, "InvalidHeader");
  expect_refused("\r\n" + get + "\r\n", 400, "InvalidHeader");
  expect_refused("GET  / HTTP/1.1\r\n" + kHost + "\r\n", 400, "InvalidHeader");
  expect_refused("GET / HTTP/1.1 \r\n" + kHost + "\r\n", 505, "HttpVersionNotSupported");
  expect_refused("GET / HTTP/2.0\r\n" + kHost + "\r\n", 505, "HttpVersionNotSupported");
  expect_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HttpVersionNotSupported");
  expect_refused(get + "Expect: 200-ok\r\n\r\n", 417, "ExpectationFailed");
}

TEST_F(HostileTest, TrailersNeverBecomeHeaders) {
  start();
  expect_handled("POST / HTTP/1.1\r\n" + kHost + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
                     "2\r\nab\r\n0\r\nX-Trailer: smuggled\r\n\r\n",
                 "handled ab");
}

TEST_F(HostileTest, ExpectContinueIsAnsweredBeforeTheBodyUnlessTheHeadIsRefused) {
  ServerLimits limits;
  limits.body_bytes_max = 10;
  start(limits);
  RawTls raw(port(), kDomain);
  raw.write("POST / HTTP/1.1\r\n" + kHost +
            "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(raw.read_some(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(raw.converse("body").ends_with("handled body"));
  RawTls large(port(), kDomain);
  large.write("POST / HTTP/1.1\r\n" + kHost + "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
  EXPECT_THAT(large.read_some(), testing::StartsWith("HTTP/1.1 413 "));
}

TEST_F(HostileTest, OversizedHeadsAndBodies) {
  ServerLimits limits;
  limits.header_bytes_max = 2000;
  limits.body_bytes_max = 1000;
  start(limits);
  const std::string head = "GET / HTTP/1.1\r\n" + kHost + "Connection: close\r\nX: ";
  expect_handled(head + std::string(2000 - head.size() - 4, 'x') + "\r\n\r\n", "handled ");
  expect_refused(head + std::string(2001 - head.size() - 4, 'x') + "\r\n\r\n", 431,
                 "RequestHeaderFieldsTooLarge");
  expect_refused(head + std::string(300'000, 'x'), 431, "RequestHeaderFieldsTooLarge");
  expect_refused("GET /" + std::string(3000, 'x') + " HTTP/1.1\r\n" + kHost, 431,
                 "RequestHeaderFieldsTooLarge");
  const std::string post = "POST / HTTP/1.1\r\n" + kHost + "Connection: close\r\n";
  const std::string most(1000, 'b');
  expect_handled(post + "Content-Length: 1000\r\n\r\n" + most, "handled " + most);
  expect_refused(post + "Content-Length: 1001\r\n\r\n" + most + "b", 413, "RequestEntityTooLarge");
  const std::string chunked =
      post + "Transfer-Encoding: chunked\r\n\r\n1f4\r\n" + std::string(500, 'c') + "\r\n";
  expect_handled(chunked + "1f4\r\n" + std::string(500, 'c') + "\r\n0\r\n\r\n",
                 "handled " + std::string(1000, 'c'));
  expect_refused(chunked + "1f5\r\n" + std::string(501, 'c') + "\r\n0\r\n\r\n", 413, "RequestEntityTooLarge");
}

// The time until the server hangs up on a client that sends `part` over and over.
milliseconds patience(const std::string& port, const std::string& first, const std::string& part) {
  RawTls raw(port, kDomain);
  const auto begin = steady_clock::now();
  raw.write(first);
  while (steady_clock::now() - begin < std::chrono::seconds(10)) {
    pollfd fd{SSL_get_fd(raw.ssl()), POLLIN, 0};
    if (::poll(&fd, 1, 50) == 1 && raw.read_some().empty()) break;
    if (!part.empty() && !raw.write(part)) break;
  }
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
}

TEST_F(HostileTest, SlowClientsAreCutOffHoweverSteadilyTheyDrip) {
  ServerLimits limits;
  limits.request_timeout = milliseconds(400);
  limits.idle_timeout = milliseconds(800);
  start(limits);
  EXPECT_LT(patience(port(), "GET / HTTP/1.1\r\n", "X: y\r\n"), milliseconds(2000)) << "slow head";
  EXPECT_LT(patience(port(), "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 1000\r\n\r\n", "x"),
            milliseconds(2000))
      << "slow body";
  EXPECT_LT(patience(port(), "", ""), milliseconds(3000)) << "silent";
  EXPECT_GE(patience(port(), "", ""), milliseconds(600)) << "idle is not the same limit";
  EXPECT_EQ(handled_, 0);
}

TEST_F(HostileTest, ASilentHandshakeEnds) {
  ServerLimits limits;
  limits.handshake_timeout = milliseconds(300);
  start(limits);
  const int fd = test::connect_to_port(port());
  ASSERT_GE(fd, 0);
  char byte = 0;
  const auto begin = steady_clock::now();
  EXPECT_LE(::recv(fd, &byte, 1, 0), 0);
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(3));
  ::close(fd);
}

TEST_F(HostileTest, AReaderThatDoesNotReadIsCutOff) {
  auto parameters = test::server_parameters(certificates_, [](Request, Responder respond) {
    Response response;
    response.body = std::string(32 * 1024 * 1024, 'x');
    respond(std::move(response));
  });
  parameters.limits.response_timeout = milliseconds(400);
  parameters.limits.connections_max = 1;
  auto server = Server::start(std::move(parameters));
  ASSERT_TRUE(server);
  server_ = *std::move(server);
  RawTls deaf(port(), kDomain);
  ASSERT_TRUE(deaf.connected());
  deaf.write("GET / HTTP/1.1\r\n" + kHost + "\r\n");
  bool freed = false;
  for (int i = 0; i < 50 && !freed; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    freed = RawTls(port(), kDomain).connected();
  }
  EXPECT_TRUE(freed) << "its place was not given up";
}

TEST_F(HostileTest, ConnectionsAreCappedPerPeerAndInAll) {
  for (const bool per_peer : {true, false}) {
    ServerLimits limits;
    (per_peer ? limits.connections_per_peer_max : limits.connections_max) = 3;
    start(limits);
    auto first = std::make_unique<RawTls>(port(), kDomain);
    RawTls second(port(), kDomain);
    RawTls third(port(), kDomain);
    EXPECT_TRUE(first->connected() && second.connected() && third.connected());
    EXPECT_FALSE(RawTls(port(), kDomain).connected());
    first.reset();
    bool again = false;
    for (int i = 0; i < 50 && !again; ++i) {
      std::this_thread::sleep_for(milliseconds(20));
      again = RawTls(port(), kDomain).connected();
    }
    EXPECT_TRUE(again) << "a place was not given back";
  }
}

// A fleet behind one address is many peers; one agent is not.
TEST_F(HostileTest, AgentsAreCappedByTheirCertificateAndNotByTheirAddress) {
  ServerLimits limits;
  limits.connections_per_peer_max = 2;
  limits.connections_per_certificate_max = 1;
  start(limits);
  const std::string request = "GET / HTTP/1.1\r\nHost: " + test::kAgents + "\r\n\r\n";
  const auto serves = [&](RawTls& agent) {
    return agent.write(request) && agent.read_responses(1).find("200 OK") != std::string::npos;
  };
  std::vector<test::Issued> certificates;
  std::vector<std::unique_ptr<RawTls>> agents;
  for (int i = 0; i < 5; ++i) {
    certificates.push_back(certificates_.agents_authority.issue("agent-" + std::to_string(i), ""));
    agents.push_back(std::make_unique<RawTls>(port(), test::kAgents, &certificates.back()));
    EXPECT_TRUE(serves(*agents.back())) << i << " of one address, two of which may be strangers";
  }
  for (int i = 0; i < 3; ++i) {
    RawTls second(port(), test::kAgents, &certificates[0]);
    EXPECT_FALSE(serves(second)) << "a second one of one certificate";
  }
  EXPECT_TRUE(serves(*agents[0])) << "the first one is left alone";
  agents[0].reset();
  bool again = false;
  for (int i = 0; i < 50 && !again; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    RawTls next(port(), test::kAgents, &certificates[0]);
    again = serves(next);
  }
  EXPECT_TRUE(again) << "its place was not given back";
  RawTls stranger(port(), kDomain);
  RawTls another(port(), kDomain);
  EXPECT_TRUE(stranger.connected() && another.connected()) << "the agents took the strangers' places";
  EXPECT_FALSE(RawTls(port(), kDomain).connected());
}

TEST_F(HostileTest, PlainHttpAndOldTlsGetNowhere) {
  start();
  const int fd = test::connect_to_port(port());
  const std::string plain = "GET / HTTP/1.1\r\n" + kHost + "\r\n";
  ASSERT_EQ(::send(fd, plain.data(), plain.size(), MSG_NOSIGNAL), static_cast<ssize_t>(plain.size()));
  char buffer[4096];
  std::string answer;
  for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  EXPECT_EQ(answer.find("handled"), std::string::npos);
  ::close(fd);
  EXPECT_FALSE(RawTls(port(), kDomain, nullptr, nullptr, {}, TLS1_1_VERSION).connected());
  EXPECT_TRUE(RawTls(port(), kDomain, nullptr, nullptr, {}, TLS1_2_VERSION).connected());
  EXPECT_EQ(handled_, 0);
}

}  // namespace
}  // namespace merlon::net

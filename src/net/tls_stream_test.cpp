// The server's TLS over real sockets: records of any size, answers larger than any buffer, connections that
// were quiet, goodbyes.
#include "net/tls_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "net/test_peer.h"

namespace merlon::net {
namespace {

using std::chrono::milliseconds;
using test::Certificates;
using test::kDomain;
using test::RawTls;

// Every place in it tells where it is.
std::string pattern(size_t size) {
  std::string out;
  out.reserve(size + 16);
  for (uint64_t at = 0; out.size() < size; ++at) out += std::to_string(at * 2654435761U) + ",";
  out.resize(size);
  return out;
}

class TlsStreamTest : public testing::Test {
 protected:
  void start(const ServerLimits& limits = {}) {
    auto parameters = test::server_parameters(certificates_, [](Request request, Responder respond) {
      Response response;
      const std::string* size = request.query.find("size");
      response.body = size == nullptr ? "<" + request.path + request.body + ">" : pattern(std::stoul(*size));
      respond(std::move(response));
    });
    parameters.limits = limits;
    auto server = Server::start(std::move(parameters));
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  std::string port() const { return test::port_of(*server_); }
  static std::string get(const std::string& target, const std::string& extra = {}) {
    return "GET " + target + " HTTP/1.1\r\nHost: merlon.test\r\n" + extra + "\r\n";
  }

  Certificates certificates_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsStreamTest, ARequestMayComeInRecordsOfOneByte) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawTls raw(port(), kDomain, nullptr, nullptr, {}, version);
    ASSERT_TRUE(raw.connected());
    for (const char c : "POST /a HTTP/1.1\r\nHost: merlon.test\r\nContent-Length: 3\r\n\r\nxyz" +
                            get("/b", "Connection: close\r\n"))
      ASSERT_TRUE(raw.write({&c, 1}));
    const std::string all = raw.read_to_end();
    EXPECT_NE(all.find("</axyz>"), std::string::npos) << all;
    EXPECT_NE(all.find("</b>"), std::string::npos) << all;
  }
}

// The last sizes are more than the sockets between the two hold.
TEST_F(TlsStreamTest, AnswersOfAnySizeArriveWhole) {
  start();
  for (const size_t size : {0, 1, 15'000, 16'384, 16'385, 300'000, 9'000'000}) {
    RawTls raw(port(), kDomain);
    const std::string all = raw.converse(get("/?size=" + std::to_string(size), "Connection: close\r\n"));
    const size_t end = all.find("\r\n\r\n");
    ASSERT_NE(end, std::string::npos);
    // Not EXPECT_EQ: it would print them.
    EXPECT_TRUE(all.substr(end + 4) == pattern(size)) << size;
  }
}

// The reader does not read while the server writes: the socket takes a part, and the rest has to wait.
TEST_F(TlsStreamTest, WhatTheSocketDoesNotTakeAtOnceFollows) {
  start();
  RawTls raw(port(), kDomain);
  ASSERT_TRUE(raw.write(get("/?size=7000000") + get("/?size=7000000") + get("/a", "Connection: close\r\n")));
  std::this_thread::sleep_for(milliseconds(100));
  const std::string all = raw.read_to_end();
  const std::string wanted = pattern(7'000'000);
  const size_t first = all.find(wanted);
  ASSERT_NE(first, std::string::npos);
  const size_t second = all.find(wanted, first + wanted.size());
  ASSERT_NE(second, std::string::npos);
  EXPECT_NE(all.find("</a>", second + wanted.size()), std::string::npos);
}

TEST_F(TlsStreamTest, AConnectionThatWasQuietGoesOn) {
  ServerLimits limits;
  limits.response_timeout = milliseconds(40);  // connections are looked at every 10 ms
  start(limits);
  RawTls raw(port(), kDomain);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(milliseconds(60));
    ASSERT_TRUE(raw.write(get("/one")));
    EXPECT_NE(raw.read_responses(1).find("</one>"), std::string::npos);
    // In the middle of a request as well.
    const std::string request = get("/two");
    ASSERT_TRUE(raw.write(request.substr(0, 20)));
    std::this_thread::sleep_for(milliseconds(60));
    ASSERT_TRUE(raw.write(request.substr(20)));
    EXPECT_NE(raw.read_responses(1).find("</two>"), std::string::npos);
  }
}

TEST_F(TlsStreamTest, SaysGoodbye) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawTls raw(port(), kDomain, nullptr, nullptr, {}, version);
    EXPECT_NE(raw.converse(get("/a", "Connection: close\r\n")).find("</a>"), std::string::npos);
    // Else nobody could tell an answer that was cut off from one that ended (RFC 8446 section 6.1).
    EXPECT_NE(SSL_get_shutdown(raw.ssl()) & SSL_RECEIVED_SHUTDOWN, 0);
  }
}

// RFC 8446 section 4.6.3: either side may ask for new keys at any time, and is answered.
TEST_F(TlsStreamTest, NewKeysInTheMiddle) {
  start();
  RawTls raw(port(), kDomain);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(raw.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_TRUE(raw.write(get("/a")));
    EXPECT_NE(raw.read_responses(1).find("</a>"), std::string::npos);
  }
}

}  // namespace
}  // namespace merlon::net

// The edge's decisions as values; hostile_test.cpp shows the same over a socket.
#include "net/edge.h"

#include <gtest/gtest.h>

#include "net/head_parser.h"
#include "net/tls.h"

namespace merlon::net {
namespace {

TEST(ParseHost, ReadsNamesAndAddressesAndNothingElse) {
  const auto named = parse_host("Merlon.Test:8443");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->name, "merlon.test");
  EXPECT_EQ(named->port, 8443);
  EXPECT_FALSE(named->address);
  const auto six = parse_host("[2001:DB8::1]");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->name, "2001:db8::1");
  EXPECT_EQ(six->address->text(), "2001:db8::1");
  EXPECT_FALSE(six->port);
  EXPECT_TRUE(parse_host("192.0.2.1:1")->address);
  for (const std::string_view bad :
       {"", ":1", "a:", "a:0", "a:65536", "a:+1", "a:1x", "[::1", "::1", "[a]", "[1.2.3.4]", "[::1]1",
        "[::1]:", "a/b", "a@b", "a b", "a,b", "\xc3\xbc"}) {
    EXPECT_FALSE(parse_host(bad)) << bad;
  }
}

TEST(CheckServed, AddressesCountOnlyWhenTheyAreOurs) {
  ServedNames served;
  served.names = {"merlon.test", "*.vault.merlon.test"};
  served.addresses = {*IpAddress::parse("192.0.2.1")};
  const auto local = *IpAddress::parse("198.51.100.7");
  const auto status = [&](std::string_view host) {
    const auto rejection = check_served(served, *parse_host(host), Plane::control, local);
    return rejection ? rejection->status : 200;
  };
  EXPECT_EQ(status("192.0.2.1"), 200);
  EXPECT_EQ(status("198.51.100.7:8443"), 200)
      << "the connection came in on it: a server that listens on 0.0.0.0";
  EXPECT_EQ(status("198.51.100.8"), 421);
  EXPECT_EQ(status("a.vault.merlon.test"), 200);
  EXPECT_EQ(status("vault.merlon.test"), 421);
  EXPECT_EQ(status("avault.merlon.test"), 421);
}

TEST(ResponseHead, HasFramingOfItsOwnAndNoBodyWhereNoneMayBe) {
  Response response;
  response.headers.set("Content-Length", "999");
  response.headers.set("Transfer-Encoding", "chunked");
  response.headers.set("Cache-Control", "no-store");
  response.body = "abc";
  ResponseContext context;
  context.request_id = "id";
  const std::string head = response_head(response, context);
  EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos);
  EXPECT_EQ(head.find("999"), std::string::npos);
  EXPECT_EQ(head.find("chunked"), std::string::npos);
  EXPECT_NE(head.find("Cache-Control: no-store\r\n"), std::string::npos);
  EXPECT_EQ(head.find("no-cache"), std::string::npos);
  EXPECT_NE(head.find("x-ms-request-id: id\r\n"), std::string::npos);

  Response empty;
  empty.status = 204;
  empty.body = "must not go out";
  EXPECT_EQ(response_head(empty, context).find("Content-Length"), std::string::npos);
  EXPECT_TRUE(empty.body.empty());

  Response known;
  known.headers.set("Content-Length", "12345");
  context.head_only = true;
  EXPECT_NE(response_head(known, context).find("Content-Length: 12345\r\n"), std::string::npos);
}

TEST(ResponseHead, TurnsUnsendableAnswersInto500) {
  for (const std::string& bad : {std::string("a\r\nb"), std::string("a\nb"), std::string("a\0b", 3)}) {
    Response response;
    response.headers.set("X", bad);
    EXPECT_TRUE(response_head(response, {}).starts_with("HTTP/1.1 500 "));
  }
  Response interim;
  interim.status = 101;
  EXPECT_TRUE(response_head(interim, {}).starts_with("HTTP/1.1 500 "));
  Response name;
  name.headers.set("X Y", "z");
  EXPECT_TRUE(response_head(name, {}).starts_with("HTTP/1.1 500 "));
}

// The same request with a header more that makes Beast read it.
std::optional<Head> as_beast_reads(std::string raw) {
  raw.insert(raw.size() - 2, "Expect: 100-continue\r\n");
  std::optional<RequestParser> parser;
  Head head;
  const auto framing = parse_head(raw, {.header_bytes_max = 4096, .body_bytes_max = 100}, parser, head);
  EXPECT_TRUE(parser);
  if (!framing) return std::nullopt;
  EXPECT_FALSE(framing->has_body);
  EXPECT_TRUE(parser->is_done() && parser->keep_alive());
  return head;
}

void expect_plain(const std::string& raw) {
  ASSERT_FALSE(check_raw_head(raw)) << raw;
  const auto plain = plain_head(raw);
  ASSERT_TRUE(plain) << raw;
  const auto other = as_beast_reads(raw);
  ASSERT_TRUE(other) << raw;
  EXPECT_EQ(plain->method, other->method);
  EXPECT_EQ(plain->target, other->target);
  EXPECT_EQ(plain->version, other->version);
  auto fields = other->headers.all();
  ASSERT_FALSE(fields.empty());
  fields.pop_back();
  EXPECT_EQ(plain->headers.all(), fields);
}

TEST(PlainHead, IsWhatBeastReads) {
  expect_plain("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect_plain("DELETE /a%20b?c=d&e HTTP/1.1\r\nhOST:a\r\nX: \t b  c \t\r\nX:\r\nY: \xc3\xbc\r\n\r\n");
  expect_plain("HEAD / HTTP/1.1\r\nHost: a\r\nconnection:  Keep-Alive\r\nX: :\r\n\r\n");
  for (char c = 0x21; c < 0x7f; ++c) {
    const std::string raw = std::string("GET /x") + c + "y HTTP/1.1\r\nHost: a\r\n\r\n";
    if (c == '"' || c == '#') {
      EXPECT_FALSE(plain_head(raw)) << c;
    } else {
      expect_plain(raw);
    }
  }
}

TEST(PlainHead, LeavesToBeastWhatIsToBeInterpreted) {
  for (const std::string_view start :
       {"GET / HTTP/1.0", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET  / HTTP/1.1", "GET /  HTTP/1.1",
        "GET /a b HTTP/1.1", "GET /\t HTTP/1.1", "get / HTTP/1.1", "G-T / HTTP/1.1", " GET / HTTP/1.1",
        "GET * HTTP/1.1", "GET http://a/ HTTP/1.1", "GET HTTP/1.1", " HTTP/1.1", "GET /\xc3\xbc HTTP/1.1",
        "GET / HTTP/1.1 "})
    EXPECT_FALSE(plain_head(std::string(start) + "\r\nHost: a\r\n\r\n")) << start;
  for (const std::string_view line :
       {"Content-Length: 0", "content-length: 5", "Transfer-Encoding: chunked", "TRANSFER-ENCODING: identity",
        "Connection: close", "Connection: keep-alive, close", "Connection: upgrade",
        "Connection:", "Upgrade: websocket", "Proxy-Connection: close", "Keep-Alive: timeout=5", "Trailer: X",
        "TE: trailers", "Expect: 100-continue"})
    EXPECT_FALSE(plain_head("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(line) + "\r\n\r\n")) << line;
}

TEST(ParseServerName, ReadsOneHostNameAndNothingElse) {
  const auto parse = [](const std::string& bytes) { return parse_server_name(as_bytes(bytes)); };
  const std::string good(
      "\x00\x05\x00\x00\x02"
      "ab",
      7);
  EXPECT_EQ(parse(good), "ab");
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse(good.substr(0, size))) << size;
  EXPECT_FALSE(parse(good + "x"));
  EXPECT_FALSE(
      parse(std::string("\x00\x05\x01\x00\x02"
                        "ab",
                        7)));
  EXPECT_FALSE(
      parse(std::string("\x00\x05\x00\x00\x02"
                        "a\0",
                        7)));
  EXPECT_FALSE(
      parse(std::string("\x00\x08\x00\x00\x02"
                        "ab\0\0\x00",
                        10)));
}

}  // namespace
}  // namespace merlon::net

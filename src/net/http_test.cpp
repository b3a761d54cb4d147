// Values without sockets: headers, targets, forms, encodings, and the responder's promise of exactly one
// answer.
#include "net/http.h"

#include <gtest/gtest.h>

namespace merlon::net {
namespace {

TEST(Headers, CompareWithoutCaseAndKeepOrder) {
  Headers headers;
  headers.add("Set-Cookie", "a");
  headers.add("set-cookie", "b");
  headers.set("Content-Type", "x");
  headers.set("CONTENT-TYPE", "y");
  ASSERT_EQ(headers.all().size(), 3u);
  EXPECT_EQ(*headers.find("SET-COOKIE"), "a");
  EXPECT_EQ(headers.value_or("content-type", ""), "y");
  EXPECT_EQ(headers.value_or("absent", "otherwise"), "otherwise");
  EXPECT_EQ(headers.find("absent"), nullptr);
}

TEST(ParseTarget, DecodesOnceAndKeepsSegmentsApart) {
  const auto target =
      parse_target("/subscriptions//a%2Fb/%2541/?%24filter=a+b%2Bc&api%2Dversion=1&flag&=v&&x=1=2");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->segments, (std::vector<std::string>{"subscriptions", "a/b", "%41"}));
  EXPECT_EQ(target->path, "/subscriptions/a/b/%41");
  EXPECT_EQ(*target->query.find("$FILTER"), "a b+c");
  EXPECT_EQ(*target->query.find("api-version"), "1");
  EXPECT_EQ(*target->query.find("flag"), "");
  EXPECT_EQ(*target->query.find("x"), "1=2");
  EXPECT_EQ(target->query.find("none"), nullptr);
  EXPECT_EQ(parse_target("/")->path, "/");
  EXPECT_TRUE(parse_target("//")->segments.empty());
  EXPECT_EQ(parse_target("/a+b")->segments.front(), "a+b") << "a plus is a space in queries only";
  EXPECT_EQ(parse_target("/%C3%BC")->segments.front(), "\xC3\xBC");
  EXPECT_EQ(parse_target("/...")->segments.front(), "...");
  EXPECT_EQ(parse_target("/.well-known")->segments.front(), ".well-known");
}

TEST(ParseTarget, RefusesWhatCouldBeReadInTwoWays) {
  using namespace std::string_view_literals;
  for (const std::string_view bad :
       {""sv,     "a"sv,         "*"sv,          "https://a/"sv,  "/a/../b"sv, "/."sv,     "/.."sv,
        "/%2e"sv, "/%2E%2e/x"sv, "/.%2e"sv,      "/a%2f..%2fb"sv, "/a%2F."sv,  "/%"sv,     "/%4"sv,
        "/%g0"sv, "/%0g"sv,      "/%00"sv,       "/%0a"sv,        "/%7f"sv,    "/a\\b"sv,  "/%5C"sv,
        "/%ff"sv, "/%c0%ae"sv,   "/%ed%a0%80"sv, "/a b"sv,        "/a\tb"sv,   "/a\0b"sv,  "/a\x7f"sv,
        "/a#b"sv, "/?%00=1"sv,   "/?a=%00"sv,    "/?a=%f"sv,      "/?a=%ff"sv, "/?a=\n"sv, "/\xff"sv}) {
    const auto target = parse_target(bad);
    ASSERT_FALSE(target) << bad;
    EXPECT_EQ(target.error().kind, ErrorKind::invalid);
    EXPECT_EQ(target.error().code, "InvalidRequestUri");
  }
  std::string many = "/?";
  for (int i = 0; i < 513; ++i) many += "a=1&";
  EXPECT_FALSE(parse_target(many));
}

TEST(ParseForm, DecodesAndRefusesRepeatedNames) {
  const auto form =
      parse_form("grant_type=client_credentials&scope=https%3A%2F%2Fa%2F.default+openid&empty=");
  ASSERT_TRUE(form);
  EXPECT_EQ(*form->find("scope"), "https://a/.default openid");
  EXPECT_EQ(*form->find("empty"), "");
  EXPECT_TRUE(parse_form("")->items.empty());
  for (const std::string_view bad :
       {"a=1&a=1", "a=1&A=2", "a=1&%61=2", "a=%", "a=%00", "a=%ff", "a=1\r\n", "a b=1"}) {
    EXPECT_FALSE(parse_form(bad)) << bad;
  }
}

TEST(PercentEncode, RoundTripsThroughTheParser) {
  std::string all;
  for (int i = 1; i < 128; ++i) all += static_cast<char>(i);
  all += "\xC3\xBC";
  EXPECT_EQ(*parse_target("/?x=" + percent_encode(all))->query.find("x"), all);
  EXPECT_EQ(percent_encode("aZ09-._~ /%"), "aZ09-._~%20%2F%25");
}

TEST(Responder, AnswersOnceAnd500WhenDropped) {
  std::vector<int> sent;
  const auto record = [&](const Response& response) { sent.push_back(response.status); };
  {
    const Responder responder(record);
    const Responder copy = responder;
    Response response;
    response.status = 201;
    copy(response);
    responder(response);
  }
  EXPECT_EQ(sent, std::vector<int>{201});
  sent.clear();
  {
    const Responder responder(record);
    const Responder copy = responder;
  }
  EXPECT_EQ(sent, std::vector<int>{500});
}

TEST(HttpStatus, CoversTheKindsThatClientsActOn) {
  EXPECT_EQ(http_status(ErrorKind::misdirected), 421);
  EXPECT_EQ(http_status(ErrorKind::precondition_failed), 412);
  EXPECT_EQ(http_status(ErrorKind::throttled), 429);
  EXPECT_EQ(http_status(ErrorKind::unavailable), 503);
  EXPECT_EQ(reason_phrase(421), "Misdirected Request");
  EXPECT_FALSE(reason_phrase(599).empty());
}

}  // namespace
}  // namespace merlon::net

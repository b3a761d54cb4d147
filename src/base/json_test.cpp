// Strict JSON: what is refused, where, and that what is written reads back equal.
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace merlon {
namespace {

using ::testing::HasSubstr;

std::string message_of(std::string_view text) {
  const auto json = parse_json(text);
  return json ? "accepted" : json.error().message;
}

// A record that is written can be read, whatever somebody had put into it.
TEST(Json, WhatIsNoUtf8IsReplacedWhereItIsWritten) {
  const JsonObject odd{{"half", "a\xc3"}, {"\xff", JsonArray{"\xe4", "\xc3\xa9"}}};
  for (const std::string& text : {to_text(odd), to_canonical_text(Json(odd)), to_pretty_text(Json(odd))}) {
    const auto read = parse_json_object(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(string_at(*read, "half"), "a\xEF\xBF\xBD");
    EXPECT_EQ(array_at(*read, "\xEF\xBF\xBD")->at(1).as_string(), "\xc3\xa9");
  }
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string_view text : {"",
                                      " ",
                                      "{",
                                      "[",
                                      "[1,]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "01",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1e",
                                      "--1",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "nul",
                                      "True",
                                      "\"a",
                                      "\"\n\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "1 2",
                                      "{} {}",
                                      "[]]",
                                      "// c\n1",
                                      "/**/1",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800a\"",
                                      "\xef\xbb\xbf{}",
                                      "{\"a\" 1}",
                                      "{1:2}",
                                      "[1 2]"})
    EXPECT_FALSE(parse_json(text)) << text;
  EXPECT_FALSE(parse_json(std::string_view("1\0", 2)));
}

TEST(Json, AcceptsEveryKindAndWhiteSpaceAround) {
  const auto json =
      parse_json(" {\"a\" : [ null , true, false, -1, 1.5, \"\\u00e4\\ud83d\\ude00\" ] }\r\n\t ");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(to_text(*json), "{\"a\":[null,true,false,-1,1.5,\"ä😀\"]}");
}

TEST(Json, RefusesDuplicateKeysAndSaysWhere) {
  EXPECT_THAT(message_of("{\n  \"name\": 1,\n  \"name\": 2}"), HasSubstr("line 3, column"));
  EXPECT_THAT(message_of("{\"name\":1,\"name\":2}"), HasSubstr("duplicate key 'name'"));
  EXPECT_THAT(message_of("{\"a\":{\"b\":1,\"\\u0062\":2}}"), HasSubstr("duplicate key 'b'"));
  EXPECT_EQ(message_of("{\"a\":{\"a\":1},\"A\":{\"a\":1}}"), "accepted");
  EXPECT_EQ(parse_json("[1,").error().code, "InvalidRequestContent");
}

TEST(Json, RefusesNumbersThatAreNotFinite) {
  for (const std::string_view text : {"1e400", "-1e400", "[1e309]"})
    EXPECT_THAT(message_of(text), HasSubstr("too large")) << text;
  EXPECT_FALSE(parse_json("1e99999999999999999999"));
  EXPECT_EQ(to_text(*parse_json("0e999999")), "0");
  EXPECT_EQ(to_text(*parse_json("1e-400")), "0");
}

TEST(Json, LimitsDepthAndSize) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(32)));
  EXPECT_FALSE(parse_json(nested(33)));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
  EXPECT_FALSE(parse_json(nested(3), {.depth_max = 2}));
  EXPECT_TRUE(parse_json("12345", {.bytes_max = 5}));
  const auto large = parse_json("123456", {.bytes_max = 5});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().kind, ErrorKind::too_large);
}

TEST(Json, IntegersKeepTheirValue) {
  for (const std::string_view text :
       {"0", "-1", "9223372036854775807", "-9223372036854775808", "18446744073709551615"})
    EXPECT_EQ(to_text(*parse_json(text)), text);
  const JsonObject json =
      *parse_json_object(R"({"int":7,"big":18446744073709551615,"double":7.0,"text":"7"})");
  EXPECT_EQ(int_at(json, "int"), 7);
  EXPECT_FALSE(int_at(json, "big"));
  EXPECT_FALSE(int_at(json, "double"));
  EXPECT_FALSE(int_at(json, "text"));
}

TEST(Json, DoublesReadBackEqual) {
  std::mt19937_64 engine(7);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(engine());
    if (!std::isfinite(value)) continue;
    const std::string text = to_text(Json(value));
    const auto json = parse_json(text);
    ASSERT_TRUE(json) << text;
    EXPECT_EQ(json->to_number<double>(), value) << text;
    EXPECT_EQ(to_text(*json), text);
  }
  for (const double value : {0.1, 1e15, 1e16, 1e22, 5e-324, -0.0, std::numeric_limits<double>::max()})
    EXPECT_EQ(to_text(*parse_json(to_text(Json(value)))), to_text(Json(value)));
}

TEST(Json, EscapesWhatMustBe) {
  JsonObject json;
  json["k\"\n"] = std::string("\0\x1f\\/\b\f\r\t\x7f", 9);
  EXPECT_EQ(to_text(json), "{\"k\\\"\\n\":\"\\u0000\\u001f\\\\/\\b\\f\\r\\t\x7f\"}");
  EXPECT_EQ(*parse_json(to_text(json)), Json(json));
}

TEST(Json, CanonicalTextSortsAtEveryLevel) {
  EXPECT_EQ(to_canonical_text(*parse_json(R"({"b":[{"d":1,"c":2}],"a":{}})")),
            R"({"a":{},"b":[{"c":2,"d":1}]})");
  EXPECT_EQ(to_text(*parse_json(R"({"b":1,"a":2})")), R"({"b":1,"a":2})");
  EXPECT_EQ(to_pretty_text(*parse_json(R"({"a":[1,{}],"b":[]})")),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Json, FindsByPath) {
  const JsonObject json = *parse_json_object(R"({"a":{"b":{"c":"x"},"list":[1],"yes":true}})");
  EXPECT_EQ(string_at(json, "a.b.c"), "x");
  EXPECT_EQ(bool_at(json, "a.yes"), true);
  EXPECT_EQ(array_at(json, "a.list")->size(), 1U);
  EXPECT_EQ(object_at(json, "a.b")->size(), 1U);
  for (const std::string_view path : {"", ".", "a.", ".a", "a.b.c.d", "a.list.0", "A", "x"})
    EXPECT_EQ(find(json, path), nullptr) << path;
  EXPECT_FALSE(string_at(json, "a.b"));
  EXPECT_EQ(array_at(json, "a.b"), nullptr);
  EXPECT_EQ(find(*parse_json("[]"), "a"), nullptr);
}

TEST(Json, RequiredFieldsAreNamedInTheCauseAlone) {
  const JsonObject json = *parse_json_object(R"({"a":1})");
  EXPECT_EQ(*require_int(json, "a"), 1);
  const auto missing = require_string(json, "a");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::internal);
  EXPECT_THAT(missing.error().cause, HasSubstr("'a'"));
  EXPECT_EQ(missing.error().message.find("'a'"), std::string::npos);
  EXPECT_FALSE(require_bool(json, "b"));
  EXPECT_FALSE(parse_json_object("[]"));
}

}  // namespace
}  // namespace merlon

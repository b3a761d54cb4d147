// asciicast as others write it is understood, and what is none is refused.
#include "recording/asciicast.h"

#include <gtest/gtest.h>

namespace merlon::recording {
namespace {

TEST(Asciicast, HeadersOfBothVersions) {
  const auto v3 = parse_header(
      R"({"version":3,"term":{"cols":100,"rows":50,"type":"xterm"},"timestamp":1509091818,"title":"t","command":"c"})");
  ASSERT_TRUE(v3);
  EXPECT_EQ(v3->header.cols, 100);
  EXPECT_EQ(v3->header.rows, 50);
  EXPECT_EQ(v3->header.term_type, "xterm");
  EXPECT_EQ(v3->header.timestamp_s, 1509091818);
  EXPECT_EQ(header_line(v3->header, CastForm::v2),
            R"({"version":2,"width":100,"height":50,"timestamp":1509091818,"title":"t","command":"c",)"
            R"("env":{"TERM":"xterm"}})"
            "\n");
  const auto v2 = parse_header(R"({"version": 2, "width": 80, "height": 24, "env": {"TERM": "vt100"}})");
  ASSERT_TRUE(v2);
  EXPECT_EQ(v2->form, CastForm::v2);
  EXPECT_EQ(v2->header.term_type, "vt100");
}

TEST(Asciicast, AHeaderSaysHowThePersonSignedIn) {
  CastHeader header;
  header.signed_in_by = "certificate";
  EXPECT_EQ(header_line(header, CastForm::v3),
            R"({"version":3,"term":{"cols":80,"rows":24},"merlon":{"signedInBy":"certificate"}})"
            "\n");
  CastV2 older;
  EXPECT_EQ(*older.convert(header_line(header, CastForm::v3)),
            R"({"version":2,"width":80,"height":24,"merlon":{"signedInBy":"certificate"}})"
            "\n");
}

TEST(Asciicast, WhatIsNoHeaderIsRefused) {
  for (const char* line :
       {"", "[]", "{}", R"({"version":1,"width":80,"height":24})",
        R"({"version":4,"term":{"cols":80,"rows":24}})", R"({"version":3})",
        R"({"version":3,"term":{"cols":0,"rows":24}})", R"({"version":3,"term":{"cols":10001,"rows":24}})",
        R"({"version":2,"width":"80","height":24})", R"({"version":2,"width":-1,"height":24})",
        "{\"version\":2"})
    EXPECT_FALSE(parse_header(line)) << line;
}

TEST(Asciicast, Events) {
  EXPECT_EQ((*parse_event(R"([0.25, "o", "\u001b[1mz"])"))->data, "\x1b[1mz");
  EXPECT_EQ((*parse_event(R"([1, "r", "80x40"])"))->seconds, 1.0);
  EXPECT_FALSE(parse_event("# a comment")->has_value());
  EXPECT_FALSE(parse_event("")->has_value());
  for (const char* line :
       {"{}", "[]", R"([1, "o"])", R"([1, "o", "a", 2])", R"(["1", "o", "a"])", R"([1, "", "a"])",
        R"([1, "oo", "a"])", R"([-1, "o", "a"])", R"([1e999, "o", "a"])", R"([1, "o", 5])",
        R"([1, "o", "a"] )"
        "x",
        R"([1e10, "o", "a"])"})
    EXPECT_FALSE(parse_event(line)) << line;
}

TEST(Asciicast, TextIsEscapedAsJsonWantsIt) {
  std::string out;
  append_event(out, Duration(12345), 'o', "a\"\\\x1b\x01\n\x7f");
  EXPECT_EQ(out, "[12.345, \"o\", \"a\\\"\\\\\\u001b\\u0001\\n\x7f\"]\n");
  out.clear();
  const std::string large(100'000, '"');
  append_event(out, Duration(0), 'o', large);
  EXPECT_EQ((*parse_event(out.substr(0, out.size() - 1)))->data, large);
}

TEST(Asciicast, VersionTwoHasTheTimesAddedUp) {
  CastV2 cast;
  EXPECT_EQ(*cast.convert(R"([0.5, "o", "a"])"), "[0.500, \"o\", \"a\"]\n");
  EXPECT_EQ(*cast.convert(R"([0.25, "e", "{}"])"), "");
  EXPECT_EQ(*cast.convert(R"([1.000, "r", "80x24"])"), "[1.750, \"r\", \"80x24\"]\n");
  EXPECT_EQ(*cast.convert(R"([0.1, "x", "0"])"), "");
}

TEST(Utf8Stream, CharactersAreCutAnywhere) {
  const std::string text = "aż漢🙂\r\n";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Stream stream;
    std::string whole;
    const auto add = [&](const Utf8Stream::Piece& piece) {
      whole += piece.text;
      EXPECT_TRUE(piece.bytes.empty()) << cut;
    };
    add(stream.push(std::string_view(text).substr(0, cut)));
    add(stream.push(std::string_view(text).substr(cut)));
    add(stream.finish());
    EXPECT_EQ(whole, text);
  }
}

}  // namespace
}  // namespace merlon::recording

// Times and durations as text.
#include "base/time_text.h"

#include <gtest/gtest.h>

namespace merlon {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

std::string canonical(std::string_view text) {
  const auto time = from_rfc3339(text);
  return time ? to_rfc3339(*time) : "refused";
}

TEST(TimeText, ReadsRfc3339) {
  EXPECT_EQ(canonical("2026-11-22T18:23:35Z"), "2026-11-22T18:23:35Z");
  EXPECT_EQ(canonical("2026-11-22t18:23:35z"), "2026-11-22T18:23:35Z");
  EXPECT_EQ(canonical("2026-11-22T18:23:35.1Z"), "2026-11-22T18:23:35.100Z");
  EXPECT_EQ(canonical("2026-11-22T18:23:35.0009999Z"), "2026-11-22T18:23:35Z");
  EXPECT_EQ(canonical("2026-11-22T18:23:35.123456789Z"), "2026-11-22T18:23:35.123Z");
  EXPECT_EQ(canonical("2026-11-22T18:23:35+05:30"), "2026-11-22T12:53:35Z");
  EXPECT_EQ(canonical("2026-12-31T23:59:59-00:01"), "2027-01-01T00:00:59Z");
  EXPECT_EQ(canonical("2024-02-29T00:00:00Z"), "2024-02-29T00:00:00Z");
  EXPECT_EQ(canonical("2000-02-29T00:00:00Z"), "2000-02-29T00:00:00Z");
  EXPECT_EQ(canonical("1969-12-31T23:59:59.999Z"), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(canonical("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00Z");  // a leap second
  EXPECT_EQ(canonical("9999-12-31T23:59:59.999Z"), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(canonical("0000-01-01T00:00:00Z"), "0000-01-01T00:00:00Z");
}

TEST(TimeText, RefusesWhatIsNoTime) {
  for (const std::string_view text : {"",
                                      "2026",
                                      "2026-11-22",
                                      "2026-11-22T18:23:35",
                                      "2026-11-22 18:23:35Z",
                                      "2026-11-22T18:23Z",
                                      "2026-11-22T18:23:35.Z",
                                      "2026-11-22T18:23:35.1234567890Z",
                                      "2026-11-22T18:23:35ZZ",
                                      "2026-11-22T18:23:35Z ",
                                      " 2026-11-22T18:23:35Z",
                                      "2026-02-30T00:00:00Z",
                                      "2025-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:61Z",
                                      "2026-01-01T00:00:00+24:00",
                                      "2026-01-01T00:00:00+0000",
                                      "2026-01-01T00:00:00+00",
                                      "2026-1-1T0:0:0Z",
                                      "+2026-01-01T00:00:00Z",
                                      "-026-01-01T00:00:00Z",
                                      "2026-01-01T00:00:00,5Z",
                                      "2026-01-01T-1:00:00Z"})
    EXPECT_EQ(canonical(text), "refused") << text;
}

TEST(TimeText, RefusesOffsetsThatLeaveFourDigitYears) {
  EXPECT_EQ(canonical("0000-01-01T00:00:00+00:01"), "refused");
  EXPECT_EQ(canonical("9999-12-31T23:59:59-00:01"), "refused");
  EXPECT_EQ(canonical("9999-12-31T23:59:60Z"), "refused");
}

TEST(TimeText, WritesHttpDates) {
  EXPECT_EQ(to_http_date(*from_rfc3339("1994-11-06T08:49:37Z")),
            "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 5.6.7
  EXPECT_EQ(to_http_date(*from_rfc3339("2026-11-22T18:23:35.999Z")), "Sun, 22 Nov 2026 18:23:35 GMT");
}

TEST(TimeText, ReadsIsoDurations) {
  EXPECT_EQ(from_iso8601_duration("PT3H"), hours(3));
  EXPECT_EQ(from_iso8601_duration("PT1H30M"), minutes(90));
  EXPECT_EQ(from_iso8601_duration("P1D"), hours(24));
  EXPECT_EQ(from_iso8601_duration("P1W2DT3H4M5.678S"),
            hours(24 * 9 + 3) + minutes(4) + seconds(5) + milliseconds(678));
  EXPECT_EQ(from_iso8601_duration("PT0S"), Duration(0));
  EXPECT_EQ(from_iso8601_duration("PT0.0019S"), milliseconds(1));
  EXPECT_EQ(from_iso8601_duration("PT90M"), minutes(90));
}

TEST(TimeText, RefusesBadIsoDurations) {
  for (const std::string_view text : {"",
                                      "P",
                                      "PT",
                                      "P1",
                                      "PT1",
                                      "1H",
                                      "P1H",
                                      "PT1D",
                                      "P1DT",
                                      "P1Y",
                                      "P1M",
                                      "PT1M1H",
                                      "PT1H1H",
                                      "P1D1W",
                                      "PT-1H",
                                      "-PT1H",
                                      "+PT1H",
                                      "PT1.5H",
                                      "PT1.S",
                                      "PT.5S",
                                      "pt1h",
                                      "PT1H ",
                                      " PT1H",
                                      "PT1HT1M",
                                      "P1WT",
                                      "PT1,5S",
                                      "P999999999999W",
                                      "PT9999999999999S",
                                      "P0.5D"})
    EXPECT_FALSE(from_iso8601_duration(text)) << text;
}

TEST(TimeText, WritesIsoDurations) {
  EXPECT_EQ(to_iso8601_duration(hours(3)), "PT3H");
  EXPECT_EQ(to_iso8601_duration(minutes(90)), "PT1H30M");
  EXPECT_EQ(to_iso8601_duration(hours(48)), "P2D");
  EXPECT_EQ(to_iso8601_duration(Duration(0)), "PT0S");
  EXPECT_EQ(to_iso8601_duration(Duration(-5)), "PT0S");
  EXPECT_EQ(to_iso8601_duration(milliseconds(1)), "PT0.001S");
  EXPECT_EQ(to_iso8601_duration(hours(25) + seconds(1)), "PT25H1S");
}

TEST(TimeText, ReadsHumanDurations) {
  EXPECT_EQ(from_human_duration("30m"), minutes(30));
  EXPECT_EQ(from_human_duration("1h30m"), minutes(90));
  EXPECT_EQ(from_human_duration("90s"), seconds(90));
  EXPECT_EQ(from_human_duration("2d"), hours(48));
  EXPECT_EQ(from_human_duration("1w2d3h"), hours(24 * 9 + 3));
  EXPECT_EQ(from_human_duration("PT3H"), hours(3));
  for (const std::string_view text :
       {"", "30", "m", "1h1d", "1m1h", "1h1h", "-1h", "1.5h", "1 h", "1H", "1y", "1hT", "T1h", "1dT1h", "h1"})
    EXPECT_FALSE(from_human_duration(text)) << text;
}

TEST(TimeText, WritesHumanDurations) {
  EXPECT_EQ(to_human_duration(minutes(29) + seconds(59)), "29m 59s");
  EXPECT_EQ(to_human_duration(hours(51) + minutes(7)), "2d 3h");
  EXPECT_EQ(to_human_duration(hours(24) + minutes(7)), "1d");
  EXPECT_EQ(to_human_duration(Duration(999)), "0s");
  EXPECT_EQ(to_human_duration(Duration(-1000)), "0s");
}

}  // namespace
}  // namespace merlon

// When what was heard is written: seldom enough to cost nothing, often enough that nobody counts as silent.
#include "machine/seen.h"

#include <gtest/gtest.h>

namespace merlon::machine {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const Timestamp kNoon(hours(24 * 365 * 56 + 12));

Uuid machine(unsigned number) {
  std::string text = "00000000-0000-4000-8000-000000000000";
  for (size_t i = text.size(); number > 0; number /= 10) text[--i] = static_cast<char>('0' + number % 10);
  return *Uuid::parse(text);
}

Seen seen(const Uuid& id, Timestamp at, const char* from = "203.0.113.9") {
  return {.machine = id, .at = at, .from = IpAddress::parse(from)};
}

TEST(SeenBook, TheFirstContactAndOneAfterAMinuteAreWrittenAtOnce) {
  SeenBook book;
  EXPECT_FALSE(book.note(seen(machine(1), kNoon))) << "what another server wrote is not known here";
  book.written(seen(machine(1), kNoon));
  EXPECT_TRUE(book.note(seen(machine(1), kNoon + seconds(59))));
  EXPECT_FALSE(book.note(seen(machine(1), kNoon + seconds(60))));
  book.written(seen(machine(1), kNoon + seconds(60)));
  EXPECT_FALSE(book.note(seen(machine(1), kNoon - hours(1)))) << "a clock that was set back waits for nobody";
}

TEST(SeenBook, WhatWasHeardIsDueOnceAndOnlyWhenItIsOldEnough) {
  SeenBook book;
  book.written(seen(machine(1), kNoon));
  EXPECT_TRUE(book.note(seen(machine(1), kNoon + seconds(25))));
  EXPECT_TRUE(book.due(kNoon + seconds(39)).empty());
  const auto due = book.due(kNoon + seconds(40));
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due.front().at, kNoon + seconds(25)) << "when it spoke, not when it is written";
  book.written(due.front());
  EXPECT_TRUE(book.due(kNoon + hours(1)).empty()) << "it has not spoken since";
  book.forget(machine(1));
  EXPECT_FALSE(book.note(seen(machine(1), kNoon + seconds(26))));
}

// What a server says of a machine is at most 65 s old while it polls every 25 s, and 90 s are silence.
TEST(SeenBook, AMachineThatPollsNeverLooksSilent) {
  SeenBook book;
  Timestamp stored = kNoon;
  book.written(seen(machine(1), kNoon));
  for (int second = 1; second < 3600; ++second) {
    const Timestamp now = kNoon + seconds(second);
    if (second % 25 == 0) EXPECT_TRUE(book.note(seen(machine(1), now)));
    for (const Seen& seen : book.due(now)) {
      stored = seen.at;
      book.written(seen);
    }
    ASSERT_LE(now - stored, seconds(65)) << second;
  }
}

TEST(SeenBook, WhoeverComesFromSomewhereElseIsWrittenAtOnce) {
  SeenBook book;
  book.written(seen(machine(1), kNoon, "10.7.0.4"));
  EXPECT_TRUE(book.note(seen(machine(1), kNoon + seconds(1), "10.7.0.4")));
  EXPECT_FALSE(book.note(seen(machine(1), kNoon + seconds(2), "203.0.113.9")));
  const auto due = book.due(kNoon + seconds(40));
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due.front().from, IpAddress::parse("203.0.113.9")) << "where it could not be written at once";
  const auto stored = Seen::from_json(due.front().to_json());
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->from, IpAddress::parse("203.0.113.9"));
  EXPECT_FALSE(Seen::from_json({{"machine", machine(1).text()}, {"at", "2026-11-27T12:00:00Z"}})->from)
      << "a row from before";
}

// Its row is at most 40 s behind all the same, and this server knows better meanwhile (switchboard.h).
TEST(SeenBook, WhoeverComesFromTwoAddressesInTurnIsWrittenTwiceAMinuteAtMost) {
  SeenBook book;
  book.written(seen(machine(1), kNoon, "10.7.0.4"));
  Seen stored = seen(machine(1), kNoon, "10.7.0.4");
  int writes = 0;
  Timestamp differs_since = kNoon;
  for (int second = 1; second <= 3600; ++second) {
    const Timestamp now = kNoon + seconds(second);
    const Seen here = seen(machine(1), now, second % 2 == 0 ? "10.7.0.4" : "203.0.113.9");
    std::vector<Seen> due = book.due(now);
    if (!book.note(here)) due = {here};
    for (const Seen& each : due) {
      ++writes;
      stored = each;
      book.written(each);
    }
    if (stored.from == here.from) differs_since = now;
    ASSERT_LE(now - differs_since, seconds(41)) << second;
  }
  EXPECT_LE(writes, 2 * 60 + 2);
  // It has settled somewhere: every server knows it within that time.
  for (int second = 1; second <= 45; ++second)
    for (const Seen& each : book.due(kNoon + hours(1) + seconds(second))) {
      stored = each;
      book.written(each);
    }
  EXPECT_EQ(stored.from, IpAddress::parse("10.7.0.4"));
}

TEST(SeenBook, OneWriteIsNeverLong) {
  SeenBook book;
  for (unsigned i = 1; i <= 1200; ++i) {
    book.written(seen(machine(i), kNoon));
    EXPECT_TRUE(book.note(seen(machine(i), kNoon + seconds(1))));
  }
  size_t written = 0;
  for (int second = 0; second < 3; ++second) {
    const auto due = book.due(kNoon + seconds(50 + second));
    EXPECT_LE(due.size(), 500U);
    for (const Seen& seen : due) book.written(seen);
    written += due.size();
  }
  EXPECT_EQ(written, 1200U);
}

}  // namespace
}  // namespace merlon::machine

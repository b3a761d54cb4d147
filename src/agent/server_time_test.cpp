// What an agent knows of a server's time: bounds that hold whatever the network and the clocks do.
#include "agent/server_time.h"

#include <gtest/gtest.h>

namespace merlon::agent {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const Timestamp kNoon(hours(24 * 365 * 56 + 12));

ServerTime::Answer answer(Timestamp time, Duration held, Duration sent, Duration received) {
  return {.server = "a", .time = time, .held = held, .sent = sent, .received = received};
}
ServerTime::Answer from(std::string server, ServerTime::Answer answer) {
  answer.server = std::move(server);
  return answer;
}

TEST(ServerTime, IsNothingBeforeTheFirstAnswer) {
  ServerTime time;
  time.vouched_by(answer(kNoon, {}, seconds(1), seconds(1)));
  EXPECT_FALSE(time.at_most(seconds(1)));
  EXPECT_FALSE(time.at_least(seconds(1)));
}

TEST(ServerTime, CountsFromTheSendingOfTheRequest) {
  ServerTime time;
  time.told_by(answer(kNoon, {}, seconds(10), seconds(35)));  // 25 s on the way: it may be as old, or new
  EXPECT_EQ(time.at_most(seconds(35)), kNoon + seconds(25));
  time.vouched_by(answer(kNoon + seconds(1), {}, seconds(36), seconds(36)));  // a quick one is tighter
  EXPECT_EQ(time.at_most(seconds(36)), kNoon + seconds(1));
  time.vouched_by(answer(kNoon + seconds(20), {}, seconds(37), seconds(56)));  // a loose one does not loosen
  EXPECT_EQ(time.at_most(seconds(56)), kNoon + seconds(21) + Duration(20));
}

TEST(ServerTime, WhatTheServerHeldIsNotOnTheWay) {
  ServerTime time;
  time.told_by(answer(kNoon + seconds(20), seconds(19), seconds(10), seconds(30)));
  EXPECT_EQ(time.at_most(seconds(30)), kNoon + seconds(21));
  // It cannot have been held for longer than it was away.
  time.told_by(answer(kNoon + seconds(30), hours(1), seconds(40), seconds(41)));
  EXPECT_GE(time.at_most(seconds(41)), kNoon + seconds(30));
}

TEST(ServerTime, ABoundIsWorthLessTheOlderItIs) {
  ServerTime time;
  time.told_by(answer(kNoon, {}, seconds(10), seconds(10)));
  EXPECT_EQ(time.at_most(seconds(10) + hours(10)), kNoon + hours(10) + seconds(36));
  EXPECT_EQ(time.at_least(seconds(10) + hours(10)), kNoon + hours(10) - seconds(36));
  // The server's clock runs faster than ours by less than that; an answer that was long on the way disproves
  // nothing.
  time.vouched_by(
      answer(kNoon + hours(10) + seconds(30), {}, hours(10) + seconds(5), hours(10) + seconds(40)));
  EXPECT_GE(time.at_most(hours(10) + seconds(40)), kNoon + hours(10) + seconds(60));
}

TEST(ServerTime, IsNeverEarlierThanAnAnswerProves) {
  ServerTime time;
  time.told_by(answer(kNoon, {}, seconds(10), seconds(10)));
  // Paused for an hour, and our clock did not notice.
  time.vouched_by(answer(kNoon + hours(1), {}, seconds(11), seconds(12)));
  EXPECT_EQ(time.at_most(seconds(12)), kNoon + hours(1) + seconds(1));
}

// Its time leaps to that of another server, whose clock is two seconds ahead, with the state that has what
// that one has granted; and the answer is on its way for so long that it disproves nothing.
TEST(ServerTime, WhatAServerSaidBeforeItToldOfAStateDoesNotBoundItsTimeWithIt) {
  ServerTime time;
  time.told_by(answer(kNoon, {}, seconds(10), seconds(10)));
  time.told_by(answer(kNoon + seconds(7), {}, seconds(15), seconds(25)));
  EXPECT_EQ(time.at_most(seconds(25)), kNoon + seconds(17));
  // It never goes back: what it was at least counts.
  EXPECT_EQ(time.at_least(seconds(25)), kNoon + seconds(15) - Duration(15));
}

TEST(ServerTime, OnlyItsOwnAnswersTightenWhatAServerSaid) {
  ServerTime time;
  time.told_by(from("b", answer(kNoon + seconds(2), {}, seconds(10), seconds(18))));
  EXPECT_EQ(time.at_most(seconds(18)), kNoon + seconds(10));
  time.vouched_by(from("a", answer(kNoon + seconds(8), {}, seconds(20), seconds(20))));
  EXPECT_GE(time.at_most(seconds(20)), kNoon + seconds(12));
  time.vouched_by(from("b", answer(kNoon + seconds(11), {}, seconds(21), seconds(21))));
  EXPECT_EQ(time.at_most(seconds(21)), kNoon + seconds(11));
  EXPECT_EQ(time.at_least(seconds(21)), kNoon + seconds(11));
  // Nor does what another one was at least count for a state that it has not seen.
  time.told_by(from("c", answer(kNoon + seconds(5), {}, seconds(22), seconds(30))));
  EXPECT_EQ(time.at_least(seconds(30)), kNoon + seconds(5));
}

TEST(ServerTime, ItIsNoEarlierThanAnyServerHasProvenThatCallsTheStateItsOwn) {
  ServerTime time;
  time.told_by(from("a", answer(kNoon, {}, seconds(10), seconds(10))));
  time.vouched_by(from("b", answer(kNoon + hours(1), {}, seconds(11), seconds(12))));
  EXPECT_EQ(time.at_most(seconds(12)), kNoon + hours(1));
  EXPECT_EQ(time.at_least(seconds(12)), kNoon + seconds(2) - Duration(2)) << "there";
  time.vouched_by(from("a", answer(kNoon + seconds(3), {}, seconds(13), seconds(13))));
  EXPECT_EQ(time.at_most(seconds(13)), kNoon + hours(1) + seconds(1));
  // Until a state comes from one that knows it better.
  time.told_by(from("a", answer(kNoon + seconds(4), {}, seconds(14), seconds(14))));
  EXPECT_EQ(time.at_most(seconds(14)), kNoon + seconds(4));
}

}  // namespace
}  // namespace merlon::agent

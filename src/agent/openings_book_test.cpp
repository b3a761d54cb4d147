// The book of openings: an opening never gets longer than what was granted, whoever asks, and whatever
// happens to clocks.
#include "agent/openings_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace merlon::agent {
namespace {

using machine::Version;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Timestamp kNoon(hours(24 * 365 * 56 + 12));

OpeningOrder order(std::string id, Duration remaining, Timestamp deadline = kNoon,
                   std::string_view source = "192.0.2.7") {
  OpeningOrder made;
  made.opening.id = std::move(id);
  made.opening.source = IpPrefix::parse(source).value();
  made.opening.destination =
      IpAddress::parse(made.opening.source.family() == IpFamily::v4 ? "10.0.0.4" : "fd00::4").value();
  made.opening.port = 22;
  made.opening.deadline = deadline;
  made.remaining = remaining;
  return made;
}

std::vector<std::string> kinds(const std::vector<BookNews>& news) {
  std::vector<std::string> out;
  for (const BookNews& item : news) out.push_back(item.kind + " " + string_at(item.facts, "id").value());
  return out;
}

// As it comes back from the disk.
JsonObject through_text(const JsonObject& json) { return parse_json_object(to_text(json)).value(); }

class BookTest : public ::testing::Test {
 protected:
  std::vector<std::string> set(Version version, const std::vector<OpeningOrder>& orders, Duration now) {
    auto news = book.set(version, orders, cap, now);
    if (!news) return {news.error().code};
    return kinds(*news);
  }
  OpeningsBook book;
  LocalCap cap;
};

TEST_F(BookTest, OpensExpiresAndRevokes) {
  EXPECT_THAT(set({1, 1}, {order("a", minutes(1)), order("b", minutes(5))}, seconds(100)),
              ElementsAre("opened a", "opened b"));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(160)));
  EXPECT_THAT(book.take_expired(seconds(159)), IsEmpty());
  ASSERT_EQ(book.take_expired(seconds(160)).size(), 1U);
  EXPECT_THAT(book.live_ids(), ElementsAre("b"));
  EXPECT_THAT(set({1, 2}, {}, seconds(161)), ElementsAre("closed b"));
  EXPECT_THAT(book.live(), IsEmpty());
}

TEST_F(BookTest, TheSameVersionNeverLengthensMovesOrBringsBack) {
  set({1, 1}, {order("a", minutes(1)), order("b", minutes(1))}, seconds(0));
  // A slower server clock would give more: the first deadline stands.
  EXPECT_THAT(set({1, 1}, {order("a", minutes(10)), order("b", minutes(1))}, seconds(10)), IsEmpty());
  EXPECT_EQ(book.next_deadline(), Duration(seconds(60)));
  // A later deadline under the same version is a lie.
  set({1, 1}, {order("a", minutes(10), kNoon + hours(1)), order("b", minutes(1))}, seconds(10));
  EXPECT_EQ(book.take_expired(seconds(60)).size(), 2U);
  // Another source under the same version, or the same again: ended is ended.
  EXPECT_THAT(
      set({1, 1}, {order("a", minutes(1)), order("b", minutes(1), kNoon, "203.0.113.1")}, seconds(61)),
      IsEmpty());
  EXPECT_THAT(book.live(), IsEmpty());
  EXPECT_THAT(set({1, 2}, {order("a", minutes(1), kNoon + hours(1))}, seconds(62)), ElementsAre("opened a"));
}

TEST_F(BookTest, TheSameVersionMayShorten) {
  set({1, 1}, {order("a", minutes(10))}, seconds(0));
  set({1, 1}, {order("a", seconds(5))}, seconds(1));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(6)));
}

TEST_F(BookTest, ADeadlineThatDidNotChangeGetsNoLaterWhateverTheServersClockDoes) {
  set({1, 1}, {order("a", minutes(10))}, seconds(0));
  set({1, 2}, {order("a", hours(24))}, seconds(10));
  EXPECT_EQ(book.next_deadline(), Duration(minutes(10)));
  set({1, 3}, {order("a", hours(24), kNoon - minutes(1))}, seconds(20));
  EXPECT_EQ(book.next_deadline(), Duration(minutes(10)));
  set({1, 4}, {order("a", hours(1), kNoon + minutes(50))}, seconds(30));
  EXPECT_EQ(book.next_deadline(), Duration(hours(1) + seconds(30))) << "a later one does";
}

// By an answer that was long on its way, nobody knows its end exactly: it opens for what is sure.
TEST_F(BookTest, AnEndThatIsNotKnownExactlyIsMovedWithinWhatWasPossibleAtFirst) {
  const auto loose = [](Duration surely, Duration most) {
    OpeningOrder made = order("a", surely);
    made.remaining_most = most;
    return made;
  };
  set({1, 1}, {loose(seconds(50), seconds(60))}, seconds(0));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(50)));
  // Known better, by the same version.
  EXPECT_THAT(set({1, 1}, {loose(seconds(57), seconds(58))}, seconds(1)), IsEmpty());
  EXPECT_EQ(book.next_deadline(), Duration(seconds(58)));
  // That was possible at first, and is not any more: by no later order, of no version.
  set({1, 1}, {loose(seconds(59), seconds(59))}, seconds(1));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(59)));
  set({1, 2}, {loose(seconds(70), seconds(80))}, seconds(2));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(59)));
  // Nor by the agent's next life, of which the state file tells.
  std::vector<BookNews> news;
  auto kept = OpeningsBook::from_json(through_text(book.to_json("boot-1")), "boot-1", news).value();
  ASSERT_TRUE(kept.set({1, 2}, {loose(seconds(70), seconds(80))}, cap, seconds(3)));
  EXPECT_EQ(kept.next_deadline(), Duration(seconds(59)));
  JsonObject older = book.to_json("boot-1");
  older["entries"].as_array()[0].as_object().erase("latestMs");
  auto read = OpeningsBook::from_json(through_text(older), "boot-1", news).value();
  ASSERT_TRUE(read.set({1, 2}, {loose(seconds(70), seconds(80))}, cap, seconds(3)));
  EXPECT_EQ(read.next_deadline(), Duration(seconds(59))) << "a book from before there was the word";
}

TEST_F(BookTest, WhatHasPerhapsEndedTooSoonOpensAgainWhenItIsKnownBetter) {
  OpeningOrder loose = order("a", seconds(2));
  loose.remaining_most = minutes(5);
  OpeningOrder none = order("b", Duration(0));
  none.remaining_most = minutes(5);
  EXPECT_THAT(set({1, 1}, {loose, none}, seconds(0)), ElementsAre("opened a"));
  ASSERT_EQ(book.take_expired(seconds(3)).size(), 1U);
  EXPECT_THAT(book.live(), IsEmpty());
  EXPECT_THAT(set({1, 1}, {order("a", minutes(4)), order("b", minutes(4))}, seconds(4)),
              ElementsAre("opened a", "opened b"));
  ASSERT_EQ(book.take_expired(seconds(244)).size(), 2U);
  EXPECT_THAT(set({1, 1}, {order("a", minutes(4)), order("b", minutes(4))}, seconds(245)), IsEmpty())
      << "now it is over";
  EXPECT_THAT(set({1, 2}, {order("a", minutes(4)), order("b", minutes(4))}, seconds(246)), IsEmpty())
      << "whatever another server's clock says";
}

// Each opening of one of many would write all others anew.
TEST_F(BookTest, AMomentMoreIsNotWorthWriting) {
  OpeningOrder kept = order("a", seconds(50));
  kept.remaining_most = seconds(60);
  set({1, 1}, {kept}, seconds(0));
  kept.remaining = seconds(50) + Duration(199);
  set({1, 2}, {kept, order("b", seconds(70))}, seconds(0));
  EXPECT_EQ(book.next_deadline(), Duration(seconds(50)));
}

TEST_F(BookTest, AnOlderVersionIsRefusedAndAnotherEpochIsNewer) {
  set({1, 5}, {order("a", minutes(10))}, seconds(0));
  EXPECT_THAT(set({1, 4}, {order("z", minutes(10))}, seconds(0)), ElementsAre("OlderVersion"));
  EXPECT_THAT(book.live_ids(), ElementsAre("a"));
  EXPECT_THAT(set({2, 1}, {}, seconds(1)), ElementsAre("closed a"));
}

TEST_F(BookTest, TheLocalCapClipsAndRefuses) {
  cap.longest_grant = hours(1);
  cap.widest_v4 = 24;
  cap.widest_v6 = 64;
  EXPECT_THAT(set({1, 1},
                  {order("long", hours(3)), order("wide", hours(1), kNoon, "192.0.0.0/16"),
                   order("wide6", hours(1), kNoon, "2001:db8::/48"),
                   order("fits", minutes(1), kNoon, "192.0.2.0/24")},
                  seconds(0)),
              ElementsAre("opened long", "refused wide", "refused wide6", "opened fits"));
  EXPECT_THAT(book.live_ids(), ElementsAre("fits", "long"));
  EXPECT_EQ(book.take_expired(hours(1)).size(), 2U);
  // Said once, not at every poll.
  EXPECT_THAT(set({1, 1}, {order("wide", hours(1), kNoon, "192.0.0.0/16")}, seconds(2)), IsEmpty());
}

TEST_F(BookTest, TheCapCountsFromTheOpeningHoweverOftenItIsLengthened) {
  cap.longest_grant = hours(1);
  for (int64_t i = 0; i < 6; ++i) set({1, 1 + i}, {order("a", hours(1), kNoon + hours(i))}, minutes(i * 10));
  EXPECT_EQ(book.next_deadline(), Duration(hours(1)));
  EXPECT_EQ(book.take_expired(hours(1)).size(), 1U);
}

TEST_F(BookTest, WhatTheCapHasClosedStaysClosedWhateverElseChanges) {
  cap.longest_grant = hours(1);
  set({1, 1}, {order("long", hours(3))}, seconds(0));
  ASSERT_EQ(book.take_expired(hours(1)).size(), 1U);
  EXPECT_THAT(set({1, 2}, {order("long", hours(2)), order("other", minutes(1))}, hours(1)),
              ElementsAre("opened other"));
  EXPECT_THAT(set({1, 3}, {order("long", hours(4), kNoon + hours(3))}, hours(1)),
              ElementsAre("closed other"));
  EXPECT_THAT(book.live_ids(), IsEmpty());
  // Nor does the agent's own start open it again.
  std::vector<BookNews> news;
  auto kept = OpeningsBook::from_json(through_text(book.to_json("boot-1")), "boot-1", news);
  ASSERT_TRUE(kept);
  const auto after =
      kept->set({1, 4}, {order("long", hours(4), kNoon + hours(3))}, cap, hours(1) + seconds(1));
  ASSERT_TRUE(after);
  EXPECT_THAT(kinds(*after), IsEmpty());
}

// Otherwise each opening would cost what all the earlier ones have left behind.
TEST_F(BookTest, WhatEndedUnderAnOlderVersionIsForgotten) {
  for (int64_t i = 1; i <= 500; ++i) set({1, i}, {order("o" + std::to_string(i), minutes(1))}, seconds(i));
  EXPECT_EQ(book.live_ids().size(), 1U);
  EXPECT_LE(book.to_json("boot-1").at("entries").as_array().size(), 2U);
  // The one that the newest version took away is still known: that version must not bring it back.
  EXPECT_THAT(set({1, 500}, {order("o500", minutes(1)), order("o499", minutes(1))}, seconds(501)), IsEmpty());
}

TEST_F(BookTest, NothingIsOpenAfterABootUntilTheServerSaysSo) {
  set({1, 7}, {order("a", minutes(10)), order("gone", seconds(1))}, seconds(500));
  ASSERT_EQ(book.take_expired(seconds(502)).size(), 1U);
  std::vector<BookNews> news;
  auto same = OpeningsBook::from_json(through_text(book.to_json("boot-1")), "boot-1", news);
  ASSERT_TRUE(same);
  EXPECT_THAT(news, IsEmpty());
  EXPECT_THAT(same->live_ids(), ElementsAre("a"));
  EXPECT_EQ(same->next_deadline(), book.next_deadline());
  auto other = OpeningsBook::from_json(through_text(book.to_json("boot-1")), "boot-2", news);
  ASSERT_TRUE(other);
  EXPECT_THAT(kinds(news), ElementsAre("closed a"));
  EXPECT_THAT(other->live(), IsEmpty());
  // The server's answer opens what is still granted, and nothing that had ended before.
  const auto fresh = other->set({1, 7}, {order("a", minutes(9)), order("gone", minutes(9))}, cap, seconds(3));
  ASSERT_TRUE(fresh);
  EXPECT_THAT(kinds(*fresh), ElementsAre("opened a"));
}

TEST_F(BookTest, AnOpeningWithoutTimeLeftIsNotOpened) {
  EXPECT_THAT(set({1, 1}, {order("late", Duration(0))}, seconds(5)), IsEmpty());
  EXPECT_THAT(book.live(), IsEmpty());
}

OpeningOrder cutting(std::string id, Duration remaining, Timestamp deadline = kNoon) {
  OpeningOrder made = order(std::move(id), remaining, deadline);
  made.opening.cut_established = true;
  return made;
}

TEST_F(BookTest, AnOpeningThatCutsHasAMarkOfItsOwnForAsLongAsItIsTheSame) {
  const auto mark_of = [&](std::string_view id) {
    for (const LiveOpening& live : book.live())
      if (live.id == id) return live.mark;
    return UINT32_MAX;
  };
  set({1, 1}, {cutting("a", minutes(1)), cutting("b", minutes(1)), order("plain", minutes(1))}, seconds(0));
  const uint32_t a = mark_of("a");
  const uint32_t b = mark_of("b");
  EXPECT_NE(a, b);
  EXPECT_NE(a, 0U);
  EXPECT_EQ((a | b) & ~cap.mark_mask, 0U) << "within the bits that are ours";
  EXPECT_EQ(mark_of("plain"), 0U);
  EXPECT_EQ(book.mark_mask(), cap.mark_mask);
  EXPECT_THAT(book.take_fresh_marks(), ElementsAre(a, b));
  set({1, 2}, {cutting("a", minutes(2), kNoon + hours(1)), cutting("b", minutes(1))}, seconds(10));
  EXPECT_EQ(mark_of("a"), a) << "lengthened: its connections go on";
  EXPECT_THAT(book.take_fresh_marks(), IsEmpty());
  set({1, 3}, {cutting("a", minutes(2), kNoon + hours(1))}, seconds(20));
  set({1, 4}, {cutting("a", minutes(2), kNoon + hours(1)), cutting("b", minutes(1))}, seconds(30));
  EXPECT_NE(mark_of("b"), b) << "it had ended: what it let in stays out";
  // The same version may not take the word back.
  set({1, 4}, {cutting("a", minutes(2), kNoon + hours(1)), order("b", minutes(1))}, seconds(31));
  EXPECT_NE(mark_of("b"), 0U);
  // After a restart of the agent, and after one of the machine.
  std::vector<BookNews> news;
  const JsonObject kept = through_text(book.to_json("boot-1"));
  auto same = OpeningsBook::from_json(kept, "boot-1", news);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->mark_mask(), cap.mark_mask);
  EXPECT_EQ(same->live().front().mark, a);
  auto other = OpeningsBook::from_json(kept, "boot-2", news);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->mark_mask(), 0U);
}

TEST_F(BookTest, MarksGoRoundAndSkipThoseInUse) {
  cap.mark_mask = 0x0000000f;  // fifteen
  std::vector<OpeningOrder> all = {cutting("kept", hours(1))};
  set({1, 1}, all, seconds(0));
  const uint32_t kept = book.live().front().mark;
  for (int64_t i = 2; i < 40; ++i) {
    set({1, i}, {cutting("kept", hours(1)), cutting("n" + std::to_string(i), hours(1))}, seconds(i));
    std::set<uint32_t> marks;
    for (const LiveOpening& live : book.live()) marks.insert(live.mark);
    EXPECT_EQ(marks.size(), 2U) << i;
    EXPECT_TRUE(marks.contains(kept));
  }
}

TEST_F(BookTest, WhatNeedsALiveServerIsSuspendedWhileItIsSilent) {
  OpeningOrder needs = order("needs", minutes(10));
  needs.opening.live_server = true;
  book.renew_lease(seconds(15), seconds(0));
  EXPECT_THAT(set({1, 1}, {needs, order("plain", minutes(10))}, seconds(1)),
              ElementsAre("opened needs", "opened plain"));
  EXPECT_EQ(book.live().at(0).deadline, Duration(seconds(15)));
  EXPECT_EQ(book.live().at(1).deadline, Duration(minutes(10) + seconds(1)));
  EXPECT_EQ(book.next_lapse(), Duration(seconds(15)));
  EXPECT_THAT(book.renew_lease(seconds(20), seconds(5)), IsEmpty());
  EXPECT_THAT(book.renew_lease(seconds(12), seconds(6)), IsEmpty()) << "an older answer shortens nothing";
  EXPECT_THAT(book.lapse(seconds(19)), IsEmpty());
  EXPECT_THAT(kinds(book.lapse(seconds(20))), ElementsAre("suspended needs"));
  EXPECT_THAT(book.lapse(seconds(21)), IsEmpty()) << "said once";
  EXPECT_THAT(book.live_ids(), ElementsAre("plain"));
  EXPECT_EQ(book.next_lapse(), std::nullopt);
  EXPECT_THAT(kinds(book.renew_lease(seconds(45), seconds(30))), ElementsAre("resumed needs"));
  EXPECT_THAT(book.live_ids(), ElementsAre("needs", "plain"));
  // A lease is never longer than what was granted, and a new start of the agent begins without one.
  book.renew_lease(hours(5), seconds(40));
  EXPECT_EQ(book.live().at(0).deadline, Duration(minutes(10) + seconds(1)));
  std::vector<BookNews> news;
  auto again = OpeningsBook::from_json(through_text(book.to_json("boot-1")), "boot-1", news);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->live().at(0).deadline, Duration(0));
  EXPECT_THAT(kinds(again->lapse(seconds(41))), ElementsAre("suspended needs"));
}

TEST_F(BookTest, ABookThatIsNotOursIsAnError) {
  std::vector<BookNews> news;
  for (const std::string_view text :
       {"{}", R"({"bootId":"b","epoch":1,"number":1,"entries":[{}]})", R"({"bootId":7,"epoch":1,"number":1})",
        R"({"bootId":"b","epoch":-1,"number":1,"entries":[]})",
        R"({"bootId":"b","epoch":1,"number":1,"lastMark":7,"entries":[]})",
        R"({"bootId":"b","epoch":1,"number":1,"lastMark":-1,"markMask":255,"entries":[]})"})
    EXPECT_FALSE(OpeningsBook::from_json(parse_json_object(text).value(), "b", news)) << text;
}

TEST(LocalCapText, DefaultsReadBackAndUnknownWordsAreErrors) {
  const auto read = LocalCap::from_json(through_text(LocalCap().to_json()));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->allows("firewall"));
  EXPECT_FALSE(read->allows("disk"));
  EXPECT_EQ(read->longest_grant, hours(24));
  const auto bad = [](std::string_view key, Json value) {
    JsonObject json = LocalCap().to_json();
    json[key] = std::move(value);
    return !LocalCap::from_json(through_text(json)).has_value();
  };
  EXPECT_TRUE(bad("longest_grants", "PT1H"));
  EXPECT_TRUE(bad("longest_grant", "1 hour"));
  EXPECT_TRUE(bad("longest_grant", 3600));
  EXPECT_TRUE(bad("widest_source", JsonObject{{"v4", 33}, {"v6", 0}}));
  EXPECT_TRUE(bad("widest_source", JsonObject{{"v4", 0}}));
  EXPECT_TRUE(bad("internal_interfaces", JsonArray{"*"}));
  EXPECT_TRUE(bad("internal_interfaces", "docker*"));
  EXPECT_TRUE(bad("capabilities", JsonArray{7}));
  EXPECT_TRUE(bad("carried_ports", JsonArray{0}));
  EXPECT_TRUE(bad("carried_ports", JsonArray{65536}));
  EXPECT_TRUE(bad("carried_ports", 22));
  EXPECT_EQ(read->carried_ports, LocalCap().carried_ports);
  for (const char* range : {"", "10.0.0.0/8", "10.0.0.0/8:0", "10.0.0.0/33:8443", "2001:db8::/64:8443",
                            "a:8443", "[10.0.0.1]:8443", "10.0.0.1:8443 ", "10.0.0.1:65536", ":8443", "[]:1"})
    EXPECT_TRUE(bad("servers", JsonArray{range})) << range;
  EXPECT_TRUE(bad("servers", "10.0.0.0/8:8443"));
  LocalCap with_servers;
  for (const char* range : {"10.0.0.0/8:8443", "192.0.2.7:443", "[2001:db8::/64]:8443"}) {
    with_servers.servers.push_back(ServerRange::parse(range).value());
    EXPECT_EQ(with_servers.servers.back().text(), range);
  }
  EXPECT_EQ(LocalCap::from_json(through_text(with_servers.to_json())).value().servers, with_servers.servers);
  for (const char* mask : {"0x7f", "ff00ff00", "0xff00ff0g", "0x1ffffffff", "", "-0xff00"})
    EXPECT_TRUE(bad("mark_mask", mask)) << mask;
  EXPECT_TRUE(bad("mark_mask", 255));
  JsonObject older = LocalCap().to_json();
  older.erase("mark_mask");
  EXPECT_EQ(LocalCap::from_json(older).value().mark_mask, LocalCap().mark_mask);
  older["mark_mask"] = "0x0000ff00";
  EXPECT_EQ(LocalCap::from_json(older).value().mark_mask, 0xff00U);
}

}  // namespace
}  // namespace merlon::agent

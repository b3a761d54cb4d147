// Grants end at their deadline and not a millisecond later, whatever the clock, the process or another grant
// does.
#include "grant/grant.h"

#include <map>
#include <set>

#include "base/time_text.h"
#include "grant/foundation_fixture.h"

namespace merlon::grant {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kSubject = "/subscriptions/s/doors/1";

const EndHandler kNothing = [](resource::WriteContext&, const std::vector<Grant>&) -> Result<void> {
  return {};
};

class GrantTest : public testing::Test {
 protected:
  GrantTest() : world_(clock_, {}) { start(); }

  // A new process on the same disk.
  void start() {
    grants_.reset();
    world_.close();
    world_.open();
    grants_ = std::make_unique<Grants>(world_.core(), world_.manager());
    const auto close = [this](resource::WriteContext& context,
                              const std::vector<Grant>& grants) -> Result<void> {
      for (const Grant& grant : grants) {
        ++tried_[grant.justification];
        if (stuck_.contains(grant.justification))
          return fail(ErrorKind::conflict, "Stuck", "The door is stuck.");
        ended_.push_back(grant.justification);
        TRY(context.record("Toy.Doors/close/action", kSubject, {{"why", grant.end_reason}}));
      }
      return {};
    };
    grants_->add_kind("door", close);
    grants_->add_kind("window", kNothing);
  }

  static Grant wanted(const std::string& name, Timestamp deadline, const std::string& kind = "door") {
    Grant grant;
    grant.kind = kind;
    grant.subject = kSubject;
    grant.holder = "holder";
    grant.holder_name = "ada";
    grant.justification = name;
    grant.data = {{"number", 22}};
    grant.deadline = deadline;
    grant.correlation_id = "c";
    return grant;
  }
  Result<Grant> try_open(const std::string& name, Timestamp deadline, const std::string& kind = "door") {
    return store::write_value<Grant>(
        world_.store(), [&](auto& tx) { return grants_->open(tx, wanted(name, deadline, kind)); });
  }
  // "n0", "n1", …, in one commit.
  void open_many(size_t count, const std::string& name, Duration lasts) {
    const Timestamp deadline = grants_->now() + lasts;
    must(world_.store().write([&](store::Transaction& tx) -> Result<void> {
      for (size_t i = 0; i < count; ++i) TRY(grants_->open(tx, wanted(name + std::to_string(i), deadline)));
      return {};
    }));
  }
  Grant open(const std::string& name, Duration lasts) { return must(try_open(name, grants_->now() + lasts)); }
  Result<Grant> extend(const Uuid& id, Timestamp deadline) {
    return store::write_value<Grant>(world_.store(),
                                     [&](auto& tx) { return grants_->extend(tx, id, deadline); });
  }
  Result<void> end(const Uuid& id, std::string_view reason = "UserRequested") {
    return world_.store().write([&](store::Transaction& tx) {
      return world_.manager().as_system(
          tx, "test", [&](resource::WriteContext& context) { return grants_->end(context, id, reason); });
    });
  }
  size_t expire() { return must(grants_->expire_due()); }
  Grant get(const Uuid& id) {
    const auto grant = must(store::read_value<std::optional<Grant>>(
        world_.store(), [&](auto& reader) { return grants_->get(reader, id); }));
    EXPECT_TRUE(grant.has_value());
    return grant.value_or(Grant());
  }
  size_t active(const std::string& kind = "door") {
    return must(store::read_value<std::vector<Grant>>(
                    world_.store(), [&](auto& reader) { return grants_->active(reader, kind); }))
        .size();
  }
  std::optional<Timestamp> next_deadline() {
    return must(store::read_value<std::optional<Timestamp>>(
        world_.store(),
        [&](auto& reader) -> Result<std::optional<Timestamp>> { return grants_->next_deadline(reader); }));
  }

  ManualClock clock_;
  Foundation world_;
  std::unique_ptr<Grants> grants_;
  std::vector<std::string> ended_;
  std::map<std::string, int> tried_;
  std::set<std::string> stuck_;
};

TEST_F(GrantTest, LastsUntilItsDeadlineAndNoLonger) {
  const Grant grant = open("a", minutes(10));
  EXPECT_EQ(grant.start, clock_.now());
  EXPECT_EQ(next_deadline(), grant.deadline);
  clock_.advance(minutes(10) - milliseconds(1));
  EXPECT_EQ(expire(), 0U);
  EXPECT_EQ(active(), 1U);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(active(), 0U);
  EXPECT_THAT(ended_, ElementsAre("a"));
  const Grant after = get(grant.id);
  EXPECT_EQ(after.state, State::ended);
  EXPECT_EQ(after.end_reason, "Expired");
  EXPECT_EQ(after.ended, grant.deadline);
  EXPECT_FALSE(next_deadline().has_value());
  const auto entries = world_.entries("Toy.Doors/");
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries.front().actor.kind, "System");
}

TEST_F(GrantTest, EverythingStoredComesBack) {
  const Grant grant = open("a", minutes(10));
  start();
  const Grant back = get(grant.id);
  EXPECT_EQ(to_text(back.to_json()), to_text(grant.to_json()));
  EXPECT_EQ(int_at(back.data, "number"), 22);
}

TEST_F(GrantTest, ADeadlineMustLieAhead) {
  for (const Duration lasts : {Duration(0), Duration(-1), Duration(-86'400'000)}) {
    const auto refused = try_open("a", clock_.now() + lasts);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, "InvalidDeadline");
  }
  EXPECT_EQ(active(), 0U);
}

TEST_F(GrantTest, WhatRanOutWhileNobodyRanEndsAtTheStart) {
  const Grant over = open("over", minutes(10));
  open("still", hours(3));
  start();
  clock_.advance(hours(2));
  start();
  EXPECT_EQ(active(), 2U) << "nobody has looked yet";
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(get(over.id).end_reason, "Expired");
  EXPECT_EQ(active(), 1U);
}

TEST_F(GrantTest, AClockSteppedBackDoesNotProlong) {
  const Grant grant = open("a", hours(1));
  clock_.advance(minutes(50));
  EXPECT_EQ(expire(), 0U);  // what the tick does: the mark is stored
  clock_.step_wall(-hours(24));
  clock_.advance(minutes(10) - milliseconds(1));
  EXPECT_EQ(expire(), 0U);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(get(grant.id).ended, grant.deadline);
}

TEST_F(GrantTest, AClockSteppedBackDoesNotProlongOverARestart) {
  const Grant grant = open("a", hours(1));
  clock_.advance(minutes(50));
  EXPECT_EQ(expire(), 0U);
  clock_.step_wall(-hours(24));
  const Timestamp before = grants_->now();
  start();
  EXPECT_GE(grants_->now(), before);
  clock_.advance(minutes(10));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(get(grant.id).state, State::ended);
}

TEST_F(GrantTest, WithoutAGrantTimeWaitsForTheClockThatWasSetBack) {
  open("a", minutes(1));
  clock_.advance(minutes(1));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(expire(), 0U);  // sees that none is left
  const Timestamp before = grants_->now();
  clock_.step_wall(-hours(1));
  clock_.advance(minutes(50));
  EXPECT_EQ(grants_->now(), before);
  // A grant that is opened meanwhile lasts for its time and no longer.
  const Grant grant = open("b", minutes(5));
  EXPECT_EQ(grant.start, before);
  clock_.advance(minutes(5));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(get(grant.id).state, State::ended);
  EXPECT_EQ(expire(), 0U);
  clock_.advance(minutes(20));
  EXPECT_EQ(grants_->now(), clock_.now()) << "the clock has caught up";
}

TEST_F(GrantTest, AGrantOfAnotherServerKeepsTimeRunningHereToo) {
  Grants other(world_.core(), world_.manager());
  other.add_kind("door", kNothing);
  EXPECT_EQ(must(other.expire_due()), 0U);
  EXPECT_EQ(expire(), 0U);
  clock_.step_wall(-hours(3));
  open("a", minutes(10));
  must(other.follow_mark());
  const Timestamp before = other.now();
  EXPECT_EQ(before, grants_->now());
  clock_.advance(minutes(4));
  EXPECT_EQ(other.now(), before + minutes(4));
  clock_.advance(minutes(6));
  EXPECT_EQ(must(other.expire_due()), 1U);
}

// A server that has told a machine the time of another one's mark never tells it an earlier one.
TEST_F(GrantTest, ATimeThatAnotherServerHasSeenStays) {
  Grants other(world_.core(), world_.manager());
  open("a", minutes(10));
  must(other.follow_mark());
  const Timestamp mark = other.now() + minutes(3);
  EXPECT_EQ(other.now_after(mark), mark);
  EXPECT_EQ(other.now(), mark);
  clock_.advance(minutes(1));
  EXPECT_EQ(other.now(), mark + minutes(1));
  EXPECT_EQ(other.now_after(mark), mark + minutes(1)) << "an earlier one changes nothing";
}

TEST_F(GrantTest, UnderASteppedBackClockNothingIsOpenedThatIsOver) {
  clock_.advance(hours(10));
  open("a", minutes(1));
  clock_.step_wall(-hours(5));
  const auto refused = try_open("b", clock_.now() + hours(4));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "InvalidDeadline");
}

TEST_F(GrantTest, AClockSteppedForwardEndsEarlyRatherThanLate) {
  const Grant grant = open("a", hours(1));
  clock_.step_wall(hours(24));
  EXPECT_EQ(expire(), 1U);
  // Stepped back again, what has ended stays so, and time goes on from where it was.
  clock_.step_wall(-hours(24));
  EXPECT_EQ(get(grant.id).state, State::ended);
  EXPECT_EQ(expire(), 0U);
  EXPECT_GE(grants_->now(), clock_.now() + hours(23));
  // Nor does what is opened now last until the clock has caught up.
  open("b", minutes(10));
  clock_.advance(minutes(10));
  EXPECT_EQ(expire(), 1U);
}

TEST_F(GrantTest, TheMarkIsStoredOnceAMinuteWithoutAnyGrant) {
  clock_.advance(minutes(30));
  EXPECT_EQ(expire(), 0U);
  clock_.advance(minutes(2));
  EXPECT_EQ(expire(), 0U);
  const Timestamp high = clock_.now();
  clock_.step_wall(-hours(1));
  start();
  EXPECT_GE(grants_->now(), high);
}

TEST_F(GrantTest, ManyThatAreDueAtOnceAllEnd) {
  constexpr size_t kMany = 300;  // more than share a commit
  open_many(kMany, "n", minutes(1));
  open("later", hours(1));
  const uint64_t commits = world_.store().commit_count();
  clock_.advance(minutes(1));
  EXPECT_EQ(expire(), kMany);
  EXPECT_LT(world_.store().commit_count() - commits, 10U) << "many share a commit";
  EXPECT_EQ(active(), 1U);
  EXPECT_THAT(ended_, SizeIs(kMany));
}

TEST_F(GrantTest, OneThatCannotBeEndedHoldsUpNoOther) {
  stuck_ = {"n1", "n270"};
  open_many(275, "n", minutes(1));
  clock_.advance(minutes(1));
  EXPECT_EQ(expire(), 273U);
  EXPECT_EQ(active(), 2U) << "what cannot be undone is not called ended";
  EXPECT_EQ(expire(), 0U);
  EXPECT_GE(tried_["n1"], 2) << "it is tried again";
  stuck_.clear();
  EXPECT_EQ(expire(), 2U);
  EXPECT_EQ(active(), 0U);
}

TEST_F(GrantTest, MoreStuckOnesThanShareACommitHoldUpNoOther) {
  open_many(270, "stuck", minutes(1));
  for (size_t i = 0; i < 270; ++i) stuck_.insert("stuck" + std::to_string(i));
  const Grant last = open("good", minutes(2));
  clock_.advance(minutes(2));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(get(last.id).state, State::ended);
}

TEST_F(GrantTest, EndingIsDoneOnce) {
  const Grant grant = open("a", minutes(10));
  must(end(grant.id, "UserRequested"));
  must(end(grant.id, "Expired"));
  clock_.advance(hours(1));
  EXPECT_EQ(expire(), 0U);
  EXPECT_EQ(get(grant.id).end_reason, "UserRequested");
  EXPECT_THAT(ended_, ElementsAre("a"));
  must(end(Uuid::generate(world_.random), "UserRequested"));  // nobody's: nothing to do
}

TEST_F(GrantTest, AFailedHandlerLeavesItAsItWas) {
  stuck_ = {"a"};
  const Grant grant = open("a", minutes(10));
  const auto refused = end(grant.id);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "Stuck");
  EXPECT_EQ(get(grant.id).state, State::active);
}

TEST_F(GrantTest, ExtendsOnlyForwardAndOnlyWhatGoesOn) {
  const Grant grant = open("a", minutes(10));
  for (const Timestamp deadline : {grant.deadline, grant.deadline - minutes(1), grant.start}) {
    const auto refused = extend(grant.id, deadline);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, "InvalidDeadline");
  }
  EXPECT_EQ(must(extend(grant.id, grant.deadline + minutes(10))).start, grant.start);
  clock_.advance(minutes(15));
  EXPECT_EQ(expire(), 0U) << "the new deadline holds";
  clock_.advance(minutes(5));
  // Its time is over, though nobody has ended it yet: an extension that comes now is too late.
  const auto late = extend(grant.id, clock_.now() + minutes(1));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, "GrantEnded");
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(extend(grant.id, clock_.now() + minutes(1)).error().code, "GrantEnded");
  EXPECT_EQ(extend(Uuid::generate(world_.random), clock_.now() + minutes(1)).error().kind,
            ErrorKind::not_found);
}

TEST_F(GrantTest, AnExtensionSurvivesARestart) {
  const Grant grant = open("a", minutes(10));
  must(extend(grant.id, grant.deadline + hours(1)));
  start();
  clock_.advance(minutes(30));
  EXPECT_EQ(expire(), 0U);
  clock_.advance(hours(1));
  EXPECT_EQ(expire(), 1U);
}

TEST_F(GrantTest, FactsChangeWhileItGoesOn) {
  const Grant grant = open("a", minutes(10));
  const auto set = [&](JsonObject data) {
    return store::write_value<Grant>(world_.store(),
                                     [&](auto& tx) { return grants_->set_data(tx, grant.id, data); });
  };
  must(set({{"number", 23}}));
  EXPECT_EQ(int_at(get(grant.id).data, "number"), 23);
  EXPECT_EQ(get(grant.id).deadline, grant.deadline);
  must(end(grant.id));
  EXPECT_EQ(set({{"number", 24}}).error().code, "GrantEnded");
  EXPECT_EQ(int_at(get(grant.id).data, "number"), 23);
}

TEST_F(GrantTest, KindsAreListedApart) {
  open("a", minutes(10));
  must(try_open("w", clock_.now() + minutes(1), "window"));
  EXPECT_EQ(active("door"), 1U);
  EXPECT_EQ(active("window"), 1U);
  clock_.advance(minutes(1));
  EXPECT_EQ(expire(), 1U);
  EXPECT_EQ(active("window"), 0U);
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(GrantTest, ActiveOnesAreFoundBySubjectAndByGroup) {
  const auto open_for = [&](const std::string& kind, const std::string& subject, const std::string& group) {
    Grant grant = wanted(subject + " under " + group, clock_.now() + minutes(10), kind);
    grant.subject = subject;
    grant.group = group;
    return must(
        store::write_value<Grant>(world_.store(), [&](auto& tx) { return grants_->open(tx, grant); }));
  };
  const auto found = [&](bool by_subject, const std::string& kind, const std::string& value) {
    std::set<std::string> names;
    for (const Grant& grant : must(store::read_value<std::vector<Grant>>(world_.store(), [&](auto& reader) {
           return by_subject ? grants_->active_of_subject(reader, kind, value)
                             : grants_->active_of_group(reader, kind, value);
         })))
      names.insert(grant.justification);
    return names;
  };
  const Grant first = open_for("door", "/a", "/p");
  open_for("door", "/b", "/p");
  open_for("door", "/a", "/q");
  open_for("window", "/a", "/p");
  using Names = std::set<std::string>;
  EXPECT_EQ(found(true, "door", "/a"), (Names{"/a under /p", "/a under /q"}));
  EXPECT_EQ(found(false, "door", "/p"), (Names{"/a under /p", "/b under /p"}));
  EXPECT_EQ(found(true, "window", "/a"), Names{"/a under /p"});
  EXPECT_EQ(found(true, "door", "/"), Names{});
  EXPECT_EQ(active("door"), 3U);
  must(end(first.id));
  EXPECT_EQ(found(true, "door", "/a"), Names{"/a under /q"});
  EXPECT_EQ(found(false, "door", "/p"), Names{"/b under /p"});
}

TEST_F(GrantTest, OnesOfBeforeThereWereGroupsAreIndexed) {
  Grant grant = wanted("old", clock_.now() + minutes(10));
  grant.data = {{"policyId", "/P"}};
  grant.id =
      must(store::write_value<Grant>(world_.store(), [&](auto& tx) { return grants_->open(tx, grant); })).id;
  must(world_.store().write([&](store::Transaction& tx) {
    return index_active_grants(tx, Foundation::tenant(),
                               [](const JsonObject& data) { return *string_at(data, "policyId"); });
  }));
  const auto found = must(store::read_value<std::vector<Grant>>(
      world_.store(), [&](auto& reader) { return grants_->active_of_group(reader, "door", "/P"); }));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found.front().id, grant.id);
}

TEST_F(GrantTest, ASubjectsHistoryIsBoundedAndItsNewestStays) {
  const Grant first = open("first", minutes(1));
  const Grant living = open("living", hours(100));
  clock_.advance(minutes(1));
  expire();
  open_many(210, "n", minutes(1));
  clock_.advance(minutes(1));
  EXPECT_EQ(expire(), 210U);
  open_many(300, "newest", minutes(1));  // one of sixteen looks, by chance: that none does is one in 10^8
  const auto all = must(store::read_value<std::vector<Grant>>(
      world_.store(), [&](auto& reader) { return grants_->of_subject(reader, kSubject); }));
  EXPECT_EQ(all.size(), 401U) << "a hundred that have ended, and those that go on";
  for (const Grant& grant : all) EXPECT_NE(grant.id, first.id);
  EXPECT_EQ(get(living.id).state, State::active) << "what goes on is not forgotten";
}

}  // namespace
}  // namespace merlon::grant

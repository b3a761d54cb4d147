// Denials by the thousand: few entries, true counts, bounded memory.
#include "ledger/denial_counter.h"

#include <algorithm>
#include <map>
#include <thread>

#include "base/ip.h"
#include "ledger/ledger_fixture.h"

namespace merlon::ledger {
namespace {

using namespace std::chrono_literals;

class DenialTest : public LedgerTest {
 protected:
  Entry denial(const std::string& address, const std::string& resource = "/vaults/a/secrets/x") const {
    Entry entry;
    entry.time = clock_.now();
    entry.actor = {"Anonymous", "", "", address};
    entry.action = "Microsoft.KeyVault/vaults/secrets/read";
    entry.resource = resource;
    entry.decision = Decision::denied;
    entry.reason = "AuthenticationFailed";
    entry.request_id = "r1";
    entry.correlation_id = "c1";
    return entry;
  }
  Entry denial_of(const std::string& object_id) const {
    Entry entry = denial("192.0.2.1");
    entry.actor = {"User", object_id, "bob", "192.0.2.1"};
    return entry;
  }
  std::vector<RecordedEntry> flushed(Timestamp now) {
    const auto done = ledger_->flush(now);
    EXPECT_TRUE(done) << done.error().message;
    return list({}, {}, 10'000);
  }
  static int64_t total(const std::vector<RecordedEntry>& entries) {
    int64_t sum = 0;
    for (const auto& recorded : entries) sum += recorded.entry.count;
    return sum;
  }
};

TEST_F(DenialTest, ManyBecomeOneEntryWithCountAndTimes) {
  const Timestamp first = clock_.now();
  for (int i = 0; i < 1000; ++i) {
    ledger_->note_denial(
        denial("192.0.2." + std::to_string(i % 200), "/vaults/a/secrets/s" + std::to_string(i % 7)));
    clock_.advance(10ms);
  }
  const auto entries = flushed(first + 2min);
  ASSERT_EQ(entries.size(), 1U);
  const Entry& summary = entries[0].entry;
  EXPECT_EQ(summary.count, 1000);
  EXPECT_EQ(summary.time, first);
  EXPECT_EQ(summary.decision, Decision::denied);
  EXPECT_EQ(summary.actor.address, "192.0.2.0/24");
  EXPECT_EQ(summary.resource, "/vaults/a/secrets/");
  EXPECT_EQ(summary.reason, "AuthenticationFailed");
  EXPECT_EQ(summary.request_id, "");
  EXPECT_EQ(bool_at(summary.details, "summary"), true);
  EXPECT_EQ(string_at(summary.details, "firstTime"), to_rfc3339(first));
  EXPECT_EQ(string_at(summary.details, "lastTime"), to_rfc3339(first + 9990ms));
  EXPECT_EQ(array_at(summary.details, "resources")->size(), 6U);  // five, and the mark that there were more
  EXPECT_TRUE(verify(file_of(export_all())));
}

TEST_F(DenialTest, OneDenialKeepsWhatItWas) {
  ledger_->note_denial(denial("192.0.2.9"));
  const auto entries = flushed(clock_.now() + 2min);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].entry.count, 1);
  EXPECT_EQ(entries[0].entry.actor.address, "192.0.2.9");
  EXPECT_EQ(entries[0].entry.resource, "/vaults/a/secrets/x");
  EXPECT_EQ(entries[0].entry.request_id, "r1");
  EXPECT_EQ(entries[0].entry.correlation_id, "c1");
}

TEST_F(DenialTest, CallersActionsDecisionsAndMinutesAreApart) {
  ledger_->note_denial(denial("192.0.2.1"));
  ledger_->note_denial(denial("192.0.3.1"));
  ledger_->note_denial(denial("2001:db8:0:1::1"));
  ledger_->note_denial(denial("2001:db8:0:1:ffff::1"));  // the same /64
  ledger_->note_denial(denial("2001:db8:0:2::1"));
  ledger_->note_denial(denial("::ffff:192.0.2.200"));  // the first /24, mapped
  ledger_->note_denial(denial("no address"));
  ledger_->note_denial(denial("no address either"));
  ledger_->note_denial(denial_of("u1"));
  ledger_->note_denial(denial_of("u2"));
  Entry other_action = denial_of("u1");
  other_action.action = "x/y/read";
  ledger_->note_denial(other_action);
  Entry failed = denial_of("u1");
  failed.decision = Decision::failed;
  ledger_->note_denial(failed);
  Entry next_minute = denial_of("u1");
  next_minute.time += 1min;
  ledger_->note_denial(next_minute);
  const auto entries = flushed(clock_.now() + 5min);
  EXPECT_EQ(entries.size(), 10U);
  EXPECT_EQ(total(entries), 13);
}

TEST_F(DenialTest, OnlyFinishedMinutesAreWritten) {
  const Timestamp minute = std::chrono::ceil<std::chrono::minutes>(clock_.now());
  Entry entry = denial("192.0.2.1");
  entry.time = minute + 59s;
  ledger_->note_denial(entry);
  EXPECT_TRUE(flushed(minute + 59'999ms).empty());
  EXPECT_EQ(flushed(minute + 60s).size(), 1U);
  EXPECT_EQ(flushed(minute + 120s).size(), 1U) << "written twice";
  ledger_->note_denial(entry);
  EXPECT_EQ(flushed(Timestamp::max()).size(), 2U) << "shutdown writes the open minute";
}

TEST_F(DenialTest, CallersBeyondTheBoundShareOneEntry) {
  constexpr size_t kStrangers = DenialCounter::kStrangersPerMinuteMax + 2345;
  for (size_t i = 0; i < kStrangers; ++i)
    ledger_->note_denial(denial(IpAddress::from_v4(static_cast<uint32_t>(0x0a000000 + (i << 8))).text()));
  for (size_t i = 0; i < DenialCounter::kCallersPerMinuteMax + 67; ++i)
    ledger_->note_denial(denial_of("user" + std::to_string(i)));
  ASSERT_TRUE(ledger_->flush(Timestamp::max()));
  EXPECT_EQ(head().size, DenialCounter::kStrangersPerMinuteMax + DenialCounter::kCallersPerMinuteMax + 2);
  std::map<int64_t, int64_t> overflow;  // by the bound
  for (const auto& recorded : list({.resource_prefix = {},
                                    .action_prefix = "Merlon.Ledger/",
                                    .from = {},
                                    .to = {},
                                    .correlation_id = {}})) {
    const Entry& entry = recorded.entry;
    EXPECT_EQ(bool_at(entry.details, "overflow"), true);
    EXPECT_EQ(bool_at(entry.details, "summary"), true);
    overflow[int_at(entry.details, "callersPerMinuteMax").value_or(0)] = entry.count;
  }
  const std::map<int64_t, int64_t> expected{
      {static_cast<int64_t>(DenialCounter::kStrangersPerMinuteMax), 2345},
      {static_cast<int64_t>(DenialCounter::kCallersPerMinuteMax), 67}};
  EXPECT_EQ(overflow, expected);
}

TEST_F(DenialTest, MinutesThatNobodyWritesTakeBoundedMemory) {
  DenialCounter counter;
  constexpr size_t kDenials = 20 * DenialCounter::kStrangersPerMinuteMax;
  for (size_t i = 0; i < kDenials; ++i) {
    Entry entry = denial(IpAddress::from_v4(static_cast<uint32_t>(i << 8)).text());
    entry.time += std::chrono::seconds(i / 10);  // tens of minutes, and nobody flushes
    counter.note(entry);
  }
  const auto counts = counter.take_finished(Timestamp::max());
  EXPECT_LE(counts.size(), 2 * DenialCounter::kStrangersPerMinuteMax + 2);
  int64_t counted = 0;
  for (const auto& [key, summary] : counts) counted += summary.count;
  EXPECT_EQ(counted, static_cast<int64_t>(kDenials));
}

// However many addresses somebody has: whoever else is refused in that minute is in the ledger by name.
TEST_F(DenialTest, StrangersTakeNobodysNameAway) {
  for (size_t i = 0; i < DenialCounter::kCallersPerMinuteMax + 10; ++i) {
    Entry entry = denial("192.0.2.1");
    entry.action = "made.up" + std::to_string(i) + "/register/action";
    ledger_->note_denial(entry);
  }
  ledger_->note_denial(denial_of("insider"));
  const auto entries = flushed(clock_.now() + 2min);
  EXPECT_LE(entries.size(), DenialCounter::kStrangersPerMinuteMax + 2);
  const auto insiders = std::ranges::count_if(entries, [](const RecordedEntry& recorded) {
    return recorded.entry.actor.object_id == "insider" && recorded.entry.actor.name == "bob";
  });
  EXPECT_EQ(insiders, 1);
}

TEST_F(DenialTest, LongTextTakesLittleMemory) {
  DenialCounter counter;
  Entry entry = denial("192.0.2.1", std::string(1'000'000, 'r'));
  entry.action = std::string(1'000'000, 'a');
  entry.actor.name = std::string(1'000'000, 'n');
  entry.details = {{"big", std::string(1'000'000, 'd')}};
  entry.justification = std::string(1'000'000, 'j');
  counter.note(entry);
  const auto counts = counter.take_finished(Timestamp::max());
  ASSERT_EQ(counts.size(), 1U);
  const auto& summary = counts.begin()->second;
  EXPECT_LE(summary.first.resource.size() + summary.first.action.size() + summary.first.actor.name.size() +
                summary.first.justification.size() + summary.common_resource.size(),
            2048U);
  EXPECT_TRUE(summary.first.details.empty());
}

TEST_F(DenialTest, WhatCouldNotBeWrittenIsKept) {
  DenialCounter counter;
  counter.note(denial("192.0.2.1"));
  auto counts = counter.take_finished(Timestamp::max());
  counter.note(denial("192.0.2.2"));  // the same caller, meanwhile
  counter.restore(std::move(counts));
  counts = counter.take_finished(Timestamp::max());
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts.begin()->second.count, 2);
}

TEST_F(DenialTest, ManyThreadsLoseNothing) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) ledger_->note_denial(denial("198.51." + std::to_string(t) + ".1"));
      if (t == 0) {
        EXPECT_TRUE(ledger_->flush(Timestamp::max()));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(total(flushed(Timestamp::max())), 2000);
}

}  // namespace
}  // namespace merlon::ledger

// The contract of every Store, one promise of store.h after another.
#include "store/store_contract.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace merlon::store {
namespace {

using Strings = std::vector<std::string>;

TEST_P(StoreContract, ReadsBackWhatWasWrittenReplacedAndErased) {
  EXPECT_EQ(note("a"), std::nullopt);
  ASSERT_TRUE(put_note("a", "one"));
  EXPECT_EQ(note("a"), "one");
  ASSERT_TRUE(put_note("a", "two"));
  EXPECT_EQ(note("a"), "two");
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(contract_notes(), tenant_, "a"); }));
  EXPECT_EQ(note("a"), std::nullopt);
  EXPECT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(contract_notes(), tenant_, "a"); }));
}

TEST_P(StoreContract, KeepsIndexValuesOfARow) {
  ASSERT_TRUE(put_user("u1", "ann@x", std::nullopt));
  auto row = read_value<std::optional<Row>>(
      *store_, [&](Reader& reader) { return reader.get(contract_users(), tenant_, "u1"); });
  ASSERT_TRUE(row && *row);
  EXPECT_EQ((*row)->index_values, (std::vector<std::optional<std::string>>{"ann@x", std::nullopt}));
}

TEST_P(StoreContract, TextIsKeptByteForByte) {
  const std::string hostile = std::string("a\0b", 3) + "'\";--\n\xff\xfe%_";
  ASSERT_TRUE(put_note(hostile, hostile));
  ASSERT_TRUE(put_note(std::string("a\0c", 3), "other"));
  ASSERT_TRUE(put_note("a", ""));
  EXPECT_EQ(note(hostile), hostile);
  EXPECT_EQ(note(std::string("a\0c", 3)), "other");
  EXPECT_EQ(note("a"), "");
  EXPECT_EQ(note_keys(contract_range(std::string("a\0", 2))), (Strings{hostile, std::string("a\0c", 3)}));
  ASSERT_TRUE(put_user("u", std::string("n\0m", 3), ""));
  EXPECT_EQ(user_pairs("upn", contract_range("n")), (Strings{std::string("n\0m/u", 5)}));
  EXPECT_EQ(user_pairs("team", contract_range("")), (Strings{"/u"})) << "an empty value is a value";
}

TEST_P(StoreContract, LargeBodiesSurvive) {
  const std::string large(3 * 1024 * 1024, 'x');
  ASSERT_TRUE(put_note("large", large));
  EXPECT_EQ(note("large"), large);
}

TEST_P(StoreContract, RowsThatDoNotFitTheirTableAreRefused) {
  EXPECT_FALSE(put(contract_notes(), {"", "{}", {}}, tenant_)) << "an empty key cannot be paged over";
  EXPECT_FALSE(put(contract_notes(), {"k", "{}", {"surplus"}}, tenant_));
  EXPECT_FALSE(put(contract_users(), {"k", "{}", {}}, tenant_));
  EXPECT_FALSE(put({"unknown", {}}, {"k", "{}", {}}, tenant_));
}

TEST_P(StoreContract, ScansByPrefixInBothDirectionsPageByPage) {
  for (const char* key : {"a", "b/1", "b/10", "b/2", "b0", "c", "b/\xff", "B/1"}) ASSERT_TRUE(put_note(key));
  EXPECT_EQ(note_keys(contract_range("")), (Strings{"B/1", "a", "b/1", "b/10", "b/2", "b/\xff", "b0", "c"}));
  EXPECT_EQ(note_keys(contract_range("b/")), (Strings{"b/1", "b/10", "b/2", "b/\xff"}));
  EXPECT_EQ(note_keys(contract_range("b/\xff")), (Strings{"b/\xff"}));
  EXPECT_EQ(note_keys(contract_range("\xff\xff")), Strings{});
  EXPECT_EQ(note_keys(contract_range("b/", "", 2)), (Strings{"b/1", "b/10"}));
  EXPECT_EQ(note_keys(contract_range("b/", "b/10", 2)), (Strings{"b/2", "b/\xff"}));
  EXPECT_EQ(note_keys(contract_range("b/", "b/\xff", 2)), Strings{});
  EXPECT_EQ(note_keys(contract_range("b/", "a", 1)), (Strings{"b/1"}))
      << "a page that starts before the prefix";
  EXPECT_EQ(note_keys(contract_range("b/", "c")), Strings{});
  EXPECT_EQ(note_keys(contract_range("b/", "", 3, true)), (Strings{"b/\xff", "b/2", "b/10"}));
  EXPECT_EQ(note_keys(contract_range("b/", "b/10", 3, true)), (Strings{"b/1"}));
  EXPECT_EQ(note_keys(contract_range("b/", "c", 1, true)), (Strings{"b/\xff"}));
  EXPECT_EQ(note_keys(contract_range("", "", 0)), Strings{});
}

TEST_P(StoreContract, PagingVisitsEveryRowOnce) {
  Strings all;
  for (int i = 100; i < 157; ++i) {
    all.push_back("k" + std::to_string(i));
    ASSERT_TRUE(put_user(all.back(), std::nullopt, "t" + std::to_string(i % 4)));
  }
  for (const bool descending : {false, true}) {
    Strings seen;
    Range range = contract_range("t", "", 10, descending);
    for (;;) {
      const auto page = read_value<std::vector<IndexedRow>>(*store_, [&](Reader& reader) {
        return reader.scan_index(contract_users(), tenant_, "team", range);
      });
      ASSERT_TRUE(page);
      for (const auto& row : *page) seen.push_back(row.row.key);
      if (page->size() < range.limit) break;
      range.after = page->back().value;
      range.after_key = page->back().row.key;
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, all);
  }
}

TEST_P(StoreContract, IndexesAreOrderedAndFollowTheirRows) {
  ASSERT_TRUE(put_user("3", "c@x", "red"));
  ASSERT_TRUE(put_user("1", "a@x", "red"));
  ASSERT_TRUE(put_user("2", "b@x", "blue"));
  ASSERT_TRUE(put_user("4", std::nullopt, std::nullopt));
  EXPECT_EQ(user_pairs("team", contract_range("")), (Strings{"blue/2", "red/1", "red/3"}));
  EXPECT_EQ(user_pairs("team", contract_range("r", "", 10, true)), (Strings{"red/3", "red/1"}));
  EXPECT_EQ(user_pairs("team", contract_range("", "blue")), (Strings{"red/1", "red/3"}));
  ASSERT_TRUE(put_user("1", "a@x", "blue"));
  EXPECT_EQ(user_pairs("team", contract_range("red")), (Strings{"red/3"}));
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(contract_users(), tenant_, "3"); }));
  EXPECT_EQ(user_pairs("upn", contract_range("")), (Strings{"a@x/1", "b@x/2"}));
  auto found = read_value<std::vector<Row>>(
      *store_, [&](Reader& reader) { return reader.find(contract_users(), tenant_, "team", "blue"); });
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->front().key, "1");
  EXPECT_FALSE(read_value<std::vector<Row>>(
      *store_, [&](Reader& reader) { return reader.find(contract_users(), tenant_, "nosuch", "blue"); }));
}

TEST_P(StoreContract, AUniqueValueHasOneHolder) {
  ASSERT_TRUE(put_user("1", "a@x", std::nullopt));
  const auto refused = put_user("2", "a@x", std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(refused.error().target, "upn");
  EXPECT_EQ(refused.error().message.find("a@x"), std::string::npos);
  EXPECT_TRUE(put_user("1", "a@x", "same row again"));
  EXPECT_TRUE(put_user("3", std::nullopt, std::nullopt));
  EXPECT_TRUE(put_user("4", std::nullopt, std::nullopt)) << "no value conflicts with nothing";
  EXPECT_TRUE(put(contract_users(), {"2", "{}", {"a@x", std::nullopt}}, contract_tenant(2)));
  // A write may take the refusal as an answer and go on.
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    EXPECT_FALSE(tx.put(contract_users(), tenant_, {"5", "{}", {"a@x", std::nullopt}}));
    return tx.put(contract_users(), tenant_, {"5", "{}", {"b@x", std::nullopt}});
  }));
  EXPECT_EQ(user_pairs("upn", contract_range("")), (Strings{"a@x/1", "b@x/5"}));
}

TEST_P(StoreContract, TenantsDoNotSeeEachOther) {
  const TenantId other = contract_tenant(2);
  ASSERT_TRUE(put_note("k", "mine"));
  EXPECT_EQ(note_of(other, "k"), std::nullopt);
  ASSERT_TRUE(put(contract_notes(), {"k", "theirs", {}}, other));
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(contract_notes(), other, "k"); }));
  EXPECT_EQ(note("k"), "mine");
  ASSERT_TRUE(put(contract_users(), {"u", "{}", {"a@x", "red"}}, other));
  EXPECT_EQ(user_pairs("team", contract_range("")), Strings{});
}

TEST_P(StoreContract, AFailedWriteLeavesNothingAndNoEffect) {
  bool effect = false;
  const auto failed = store_->write([&](Transaction& tx) -> Result<void> {
    TRY(tx.put(contract_notes(), tenant_, {"a", "1", {}}));
    tx.after_commit([&] { effect = true; });
    EXPECT_TRUE(TRY(tx.get(contract_notes(), tenant_, "a")));
    return fail(ErrorKind::forbidden, "No", "no");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "No");
  EXPECT_EQ(note("a"), std::nullopt);
  EXPECT_FALSE(effect);
}

TEST_P(StoreContract, AThrowingWriteFailsAloneAndTheWriterLives) {
  const auto failed = store_->write([&](Transaction& tx) -> Result<void> {
    TRY(tx.put(contract_notes(), tenant_, {"a", "1", {}}));
    throw std::runtime_error("thrown by a test");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::internal);
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    tx.after_commit([] { throw std::runtime_error("thrown by an effect"); });
    return tx.put(contract_notes(), tenant_, {"b", "1", {}});
  }));
  EXPECT_FALSE(store_->read([](Reader&) -> Result<void> { throw std::runtime_error("thrown by a read"); }));
  EXPECT_EQ(note("a"), std::nullopt);
  EXPECT_EQ(note("b"), "1");
}

TEST_P(StoreContract, EffectsRunInOrderAfterTheCommitAndBeforeTheCallerGoesOn) {
  std::vector<int> order;
  std::optional<std::string> seen;
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    tx.after_commit([&] {
      order.push_back(1);
      seen = note("a");
    });
    tx.after_commit([&] { order.push_back(2); });
    return tx.put(contract_notes(), tenant_, {"a", "durable", {}});
  }));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(seen, "durable");
}

// Holds the writer inside one write until further writes wait behind it, so that they share one group.
void contract_hold(Store& store, const std::function<void()>& start_others) {
  std::promise<void> inside;
  std::promise<void> go_on;
  std::thread holder([&] {
    (void)store.write([&](Transaction&) -> Result<void> {  // shares the group's fate
      inside.set_value();
      go_on.get_future().wait();
      return {};
    });
  });
  inside.get_future().wait();
  start_others();
  std::this_thread::sleep_for(
      std::chrono::milliseconds(100));  // they queue; being late only makes groups smaller
  go_on.set_value();
  holder.join();
}

TEST_P(StoreContract, WritesThatWaitShareOneCommitAndFailAlone) {
  constexpr int kWriters = 16;
  std::atomic<int> failures = 0;
  std::vector<std::thread> writers;
  const uint64_t before = store_->commit_count();
  contract_hold(*store_, [&] {
    for (int i = 0; i < kWriters; ++i) {
      writers.emplace_back([&, i] {
        const auto written = store_->write([&](Transaction& tx) -> Result<void> {
          TRY(tx.put(contract_notes(), tenant_, {"w" + std::to_string(100 + i), "1", {}}));
          if (i % 4 == 0) return fail(ErrorKind::invalid, "Every4th", "refused");
          return {};
        });
        if (!written) failures.fetch_add(1);
      });
    }
  });
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(failures, kWriters / 4);
  EXPECT_EQ(note_keys(contract_range("w")).size(), kWriters - kWriters / 4U);
  EXPECT_LE(store_->commit_count() - before, 4U);
  EXPECT_GE(store_->commit_count() - before, 1U);
}

TEST_P(StoreContract, ManyThreadsSeeWhatTheyHaveWritten) {
  constexpr int kThreads = 16;
  constexpr int kEach = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string key = std::to_string(t) + "-" + std::to_string(i);
        EXPECT_TRUE(put_note(key, key));
        EXPECT_EQ(note(key), key) << "a write is visible to its writer";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(note_keys(contract_range("")).size(), static_cast<size_t>(kThreads * kEach));
}

TEST_P(StoreContract, TheHookRunsOncePerGroupThatChangedSomething) {
  std::vector<std::string> order;
  store_->before_commit([&](Transaction& tx, std::span<const std::any>) -> Result<void> {
    order.emplace_back("hook");
    tx.after_commit([&] { order.emplace_back("hook effect"); });
    return tx.put(contract_notes(), tenant_, {"by-hook", "1", {}});
  });
  const uint64_t before = store_->commit_count();
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    tx.after_commit([&] { order.emplace_back("idle effect"); });
    return tx.erase(contract_notes(), tenant_, "absent");
  }));
  EXPECT_EQ(order, Strings{"idle effect"}) << "nothing changed: no hook, but the effect runs";
  EXPECT_EQ(store_->commit_count(), before);
  EXPECT_EQ(note("by-hook"), std::nullopt);
  order.clear();
  ASSERT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
    tx.after_commit([&] { order.emplace_back("effect"); });
    return tx.put(contract_notes(), tenant_, {"a", "1", {}});
  }));
  EXPECT_EQ(order, (Strings{"hook", "effect", "hook effect"}));
  EXPECT_EQ(note("by-hook"), "1");
  EXPECT_EQ(store_->commit_count(), before + 1);
}

TEST_P(StoreContract, TheHookGetsWhatTheWritesThatSucceededHandedOver) {
  std::vector<std::vector<std::string>> given;
  bool refuse = false;
  store_->before_commit([&](Transaction&, std::span<const std::any> handed_over) -> Result<void> {
    given.emplace_back();
    for (const std::any& what : handed_over) given.back().push_back(std::any_cast<std::string>(what));
    if (refuse) return fail(ErrorKind::unavailable, "Sealed", "sealed");
    return {};
  });
  std::vector<std::thread> writers;
  const auto write = [&](std::string what, bool fails) {
    return store_->write([&, fails](Transaction& tx) -> Result<void> {
      tx.hand_over(what + " 1");
      if (fails) return fail(ErrorKind::conflict, "Conflict", "no");
      tx.hand_over(what + " 2");
      return {};
    });
  };
  const uint64_t before = store_->commit_count();
  contract_hold(*store_, [&] {
    writers.emplace_back([&] { EXPECT_TRUE(write("a", false)); });
    writers.emplace_back([&] { EXPECT_FALSE(write("b", true)); });
  });
  for (auto& writer : writers) writer.join();
  ASSERT_EQ(given.size(), 1U) << "to hand something over is a change, and one group's are one call";
  EXPECT_EQ(given.front(), (Strings{"a 1", "a 2"}));
  EXPECT_EQ(store_->commit_count(), before + 1);
  refuse = true;
  EXPECT_EQ(write("c", false).error().code, "Sealed");
  refuse = false;
  EXPECT_TRUE(write("d", false));
  EXPECT_EQ(given.back(), (Strings{"d 1", "d 2"})) << "nothing is left of a group that failed";
  EXPECT_FALSE(write("e", true));
  EXPECT_EQ(given.size(), 3U);
}

TEST_P(StoreContract, AFailingHookFailsTheWholeGroup) {
  std::atomic<bool> refuse = true;
  store_->before_commit([&](Transaction& tx, std::span<const std::any>) -> Result<void> {
    TRY(tx.put(contract_notes(), tenant_, {"by-hook", "1", {}}));
    if (refuse) return fail(ErrorKind::unavailable, "Sealed", "sealed");
    return {};
  });
  std::atomic<int> effects = 0;
  std::atomic<int> sealed = 0;
  std::vector<std::thread> writers;
  contract_hold(*store_, [&] {
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&, i] {
        const auto written = store_->write([&](Transaction& tx) -> Result<void> {
          tx.after_commit([&] { effects.fetch_add(1); });
          return tx.put(contract_notes(), tenant_, {"g" + std::to_string(i), "1", {}});
        });
        if (!written && written.error().code == "Sealed") sealed.fetch_add(1);
      });
    }
  });
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(sealed, 4);
  EXPECT_EQ(effects, 0);
  EXPECT_EQ(note_keys(contract_range("")), Strings{});
  refuse = false;
  EXPECT_TRUE(put_note("later"));
  EXPECT_EQ(note_keys(contract_range("")), (Strings{"by-hook", "later"}));
}

TEST_P(StoreContract, AReaderSeesOneSnapshot) {
  ASSERT_TRUE(put_note("a", "old"));
  ASSERT_TRUE(store_->read([&](Reader& reader) -> Result<void> {
    std::thread([&] { EXPECT_TRUE(put_note("a", "new")); }).join();
    EXPECT_EQ(TRY(reader.get(contract_notes(), tenant_, "a"))->body, "old");
    EXPECT_EQ(note("a"), "new") << "a read that starts later sees it";
    EXPECT_TRUE(put_note("b", "from within a read"));
    EXPECT_FALSE(TRY(reader.get(contract_notes(), tenant_, "b")));
    return {};
  }));
  EXPECT_EQ(note("b"), "from within a read");
}

const std::vector<std::string> kMarked{contract_notes().name};

TEST_P(StoreContract, TablesWithTheSameMarkAreTheSame) {
  std::map<uint64_t, std::string> seen;
  const auto check = [&](Reader& reader, const std::string& wanted) -> Result<void> {
    const auto row = TRY(reader.get(contract_notes(), tenant_, "note"));
    EXPECT_EQ(row->body, wanted) << "a read after a write sees it";
    const auto mark = reader.state_mark(kMarked);
    EXPECT_EQ(mark.has_value(), store_->reads_at_once());
    if (mark) EXPECT_EQ(seen.emplace(*mark, row->body).first->second, row->body);
    return {};
  };
  for (int i = 0; i < 40; ++i) {
    if (i % 3 == 0) ASSERT_TRUE(put_note("note", std::to_string(i)));
    const std::string wanted = std::to_string(i / 3 * 3);
    ASSERT_TRUE(put_user("u" + std::to_string(i), std::nullopt, std::nullopt));
    ASSERT_TRUE(store_->read([&](Reader& reader) { return check(reader, wanted); }));
    ASSERT_TRUE(store_->write([&](Transaction& tx) { return check(tx, wanted); }));
    const auto failed = store_->write([&](Transaction& tx) -> Result<void> {
      TRY(tx.put(contract_notes(), tenant_, {"note", "never", {}}));
      EXPECT_FALSE(tx.state_mark(kMarked)) << "it has changed the table itself";
      return fail(ErrorKind::conflict, "No", "No.");
    });
    EXPECT_FALSE(failed);
  }
  if (store_->reads_at_once())
    EXPECT_EQ(seen.size(), 14U) << "another table's changes are no change of this one";
}

TEST_P(StoreContract, ARowThatIsGoneIsAChangeToo) {
  if (!store_->reads_at_once()) return;
  const auto mark = [&] {
    return read_value<uint64_t>(
               *store_,
               [&](Reader& reader) -> Result<uint64_t> { return reader.state_mark(kMarked).value(); })
        .value();
  };
  ASSERT_TRUE(put_note("note", "1"));
  const auto before = mark();
  ASSERT_TRUE(store_->write([&](Transaction& tx) { return tx.erase(contract_notes(), tenant_, "note"); }));
  EXPECT_NE(mark(), before);
}

// One writes, others read without end: never the same mark for two states, also while a commit is under way.
TEST_P(StoreContract, MarksHoldWhileOthersWrite) {
  ASSERT_TRUE(put_note("note", "0"));
  std::mutex mutex;
  std::map<uint64_t, std::string> seen;
  std::atomic<bool> done = false;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const auto read = store_->read([&](Reader& reader) -> Result<void> {
          const auto row = TRY(reader.get(contract_notes(), tenant_, "note"));
          const auto mark = reader.state_mark(kMarked);
          const std::lock_guard lock(mutex);
          if (mark) EXPECT_EQ(seen.emplace(*mark, row->body).first->second, row->body);
          return {};
        });
        EXPECT_TRUE(read);
      }
    });
  }
  for (int i = 1; i <= 200; ++i) {
    ASSERT_TRUE(put_note("note", std::to_string(i)));
    ASSERT_TRUE(put_user("u" + std::to_string(i), std::nullopt, std::nullopt));
  }
  done = true;
}

TEST_P(StoreContract, AReaderNeverSeesHalfAWrite) {
  std::atomic<bool> stop = false;
  std::thread reader_thread([&] {
    while (!stop) {
      EXPECT_TRUE(store_->read([&](Reader& reader) -> Result<void> {
        const auto a = TRY(reader.get(contract_notes(), tenant_, "a"));
        const auto b = TRY(reader.get(contract_notes(), tenant_, "b"));
        EXPECT_EQ(a.has_value(), b.has_value());
        if (a && b) EXPECT_EQ(a->body, b->body);
        return {};
      }));
    }
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(store_->write([&](Transaction& tx) -> Result<void> {
      TRY(tx.put(contract_notes(), tenant_, {"a", std::to_string(i), {}}));
      return tx.put(contract_notes(), tenant_, {"b", std::to_string(i), {}});
    }));
  }
  stop = true;
  reader_thread.join();
}

TEST_P(StoreContract, WhatWasWrittenIsThereAfterReopening) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(put_note("k" + std::to_string(i), std::string(50'000, 'x')));
  ASSERT_TRUE(put_user("1", "a@x", "red"));
  reopen();
  EXPECT_EQ(note_keys(contract_range("k")).size(), 50U);
  EXPECT_EQ(user_pairs("upn", contract_range("")), (Strings{"a@x/1"}));
  EXPECT_FALSE(put_user("2", "a@x", std::nullopt));
}

}  // namespace
}  // namespace merlon::store

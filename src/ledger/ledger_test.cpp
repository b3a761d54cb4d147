// The ledger over a real store: what a transaction leaves behind, heads that follow from each other, lists
// and restarts.
#include "ledger/ledger.h"

#include <random>
#include <thread>

#include "crypto/key.h"
#include "ledger/entry_text.h"
#include "ledger/head_signer.h"
#include "ledger/ledger_fixture.h"
#include "ledger/ledger_rows.h"

namespace merlon::ledger {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(LedgerTest, StartsWithASignedEmptyHead) {
  const SignedHead first = head();
  EXPECT_EQ(first.size, 0U);
  EXPECT_EQ(first.root, empty_root());
  EXPECT_EQ(first.tenant, tenant_);
  EXPECT_TRUE(head_signature_valid(first, ledger_->public_key_pem()));
}

TEST_F(LedgerTest, TheHeadSignsTheCanonicalTextOfTheContract) {
  append_many(0, 1);
  const SignedHead newest = head();
  const std::string text = R"({"keyId":")" + newest.key_id + R"(","root":")" + to_hex(newest.root) +
                           R"(","size":1,"tenantId":"11111111-2222-4333-8444-555555555555","time":")" +
                           to_rfc3339(newest.time) + R"("})";
  const auto key = crypto::PublicKey::from_pem(ledger_->public_key_pem());
  ASSERT_TRUE(key);
  EXPECT_EQ(newest.key_id, crypto::spki_hash_hex(*key));
  EXPECT_TRUE(key->verify(crypto::SignatureAlgorithm::eddsa, as_bytes(text), newest.signature));
}

TEST_F(LedgerTest, AnEntryComesBackAsItWas) {
  Entry written = entry(7);
  written.decision = Decision::denied;
  written.count = 12;
  ASSERT_TRUE(append(written));
  const auto found = list({});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].index, 0U);
  const Entry& read = found[0].entry;
  EXPECT_EQ(read.time, written.time);
  EXPECT_EQ(read.actor.kind, "User");
  EXPECT_EQ(read.actor.object_id, written.actor.object_id);
  EXPECT_EQ(read.actor.name, written.actor.name);
  EXPECT_EQ(read.actor.address, "192.0.2.7");
  EXPECT_EQ(read.action, written.action);
  EXPECT_EQ(read.resource, written.resource);
  EXPECT_EQ(read.decision, Decision::denied);
  EXPECT_EQ(read.reason, written.reason);
  EXPECT_EQ(read.request_id, written.request_id);
  EXPECT_EQ(read.correlation_id, written.correlation_id);
  EXPECT_EQ(read.justification, written.justification);
  EXPECT_EQ(to_canonical_text(Json(read.details)), to_canonical_text(Json(written.details)));
  EXPECT_EQ(read.count, 12);
}

TEST_F(LedgerTest, AnEntrysTextIsCanonicalJson) {
  Entry plain = entry(1);
  Entry bare;
  Entry hostile = entry(2);
  hostile.resource = "\"},\"decision\":\"allowed\" \\ \x01\n\xff";
  hostile.justification = std::string(5000, 'x');
  hostile.details = {{"z", "\t"}, {"a", JsonObject{{"c", 1}, {"b", -0.0}}}};
  // Details that are texts alone are written by hand.
  Entry texts = entry(3);
  texts.details = {{"z", "\t\"\x7f"}, {"a", ""}, {"", "é"}, {"a\n", "\\"}};
  Entry bad_text = texts;
  bad_text.details["a"] = "\xff";
  Entry bad_name = texts;
  bad_name.details["a\xff"] = "";
  bad_name.details["a\xfe"] = "";
  Entry long_text = texts;
  long_text.details["b"] = std::string(9000, '\x01');
  for (const Entry& one : {plain, bare, hostile, texts, bad_text, bad_name, long_text}) {
    const std::string text = entry_text(one);
    const auto read = parse_json(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(to_canonical_text(*read), text);
    EXPECT_EQ(string_at(read->get_object(), "correlationId"), entered_correlation_id(one));
  }
  EXPECT_EQ(entry_of_text(entry_text(hostile))->decision, hostile.decision);
  const auto details = [](const Entry& one) {
    return to_canonical_text(Json(entry_of_text(entry_text(one))->details));
  };
  EXPECT_EQ(details(texts), to_canonical_text(Json(texts.details)));
  EXPECT_NE(details(bad_text).find("\xEF\xBF\xBD"), std::string::npos);
  EXPECT_NE(details(bad_name).find("omitted"), std::string::npos);
  EXPECT_NE(details(long_text).find("omitted"), std::string::npos);
}

TEST_F(LedgerTest, AWriteThatFailsLeavesNoLeaf) {
  append_many(0, 3);
  const SignedHead before = head();
  const auto refused = store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(ledger_->append(tx, entry(99)));
    TRY(tx.put(things(), tenant_, {"x", "{}", {}}));
    return fail(ErrorKind::conflict, "Conflict", "no");
  });
  EXPECT_FALSE(refused);
  EXPECT_EQ(head().size, 3U);
  EXPECT_EQ(head().root, before.root);
  append_many(3, 1);
  const auto all = list({});
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[3].entry.request_id, "req-3");
  EXPECT_TRUE(verify(file_of(export_all())));
}

// Good and failing writes from many threads share group commits; each good one leaves exactly one leaf.
TEST_F(LedgerTest, GroupsOfGoodAndFailingWrites) {
  constexpr int kThreads = 8;
  constexpr int kEach = 30;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const int number = t * kEach + i;
        const auto result = store_->write([&](store::Transaction& tx) -> Result<void> {
          TRY(ledger_->append(tx, entry(number)));
          if (number % 3 == 0) return fail(ErrorKind::conflict, "Conflict", "no");
          return tx.put(things(), tenant_, {std::to_string(number), "{}", {}});
        });
        EXPECT_EQ(result.has_value(), number % 3 != 0);
      }
    });
  }
  threads.clear();
  const auto all = list({});
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kEach * 2 / 3));
  std::set<std::string> requests;
  for (const auto& recorded : all) requests.insert(recorded.entry.request_id);
  EXPECT_EQ(requests.size(), all.size());
  for (int number = 0; number < kThreads * kEach; ++number)
    EXPECT_EQ(requests.contains("req-" + std::to_string(number)), number % 3 != 0) << number;
  EXPECT_TRUE(verify(file_of(export_all())));
}

TEST_F(LedgerTest, ManyEntriesOfOneWriteKeepTheirOrder) {
  append_many(0, 1200);
  const auto all = list({}, {}, 5000);
  ASSERT_EQ(all.size(), 1200U);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].index, i);
    ASSERT_EQ(all[i].entry.request_id, "req-" + std::to_string(i));
  }
}

TEST_F(LedgerTest, ARestartGoesOn) {
  append_many(0, 5);
  const SignedHead before = head();
  const std::string key = ledger_->public_key_pem();
  start();
  EXPECT_EQ(ledger_->public_key_pem(), key);
  EXPECT_EQ(head().root, before.root);
  append_many(5, 6);
  EXPECT_EQ(head().size, 11U);
  const auto proof = store::read_value<std::vector<Hash>>(
      *store_, [&](store::Reader& reader) { return ledger_->consistency(reader, 5, 11); });
  ASSERT_TRUE(proof);
  EXPECT_TRUE(verify_consistency(5, 11, before.root, head().root, *proof));
  EXPECT_TRUE(verify(file_of(export_all()), {.public_key_pem = key, .witnesses = {before}}));
}

TEST_F(LedgerTest, HeadsOfManySizesFollowFromEachOther) {
  std::vector<SignedHead> heads{head()};
  std::mt19937 sizes(20261122);
  int next = 0;
  while (next < 300) {
    const int step = static_cast<int>(sizes() % 13) + 1;
    append_many(next, step);
    next += step;
    heads.push_back(head());
    EXPECT_TRUE(head_signature_valid(heads.back(), ledger_->public_key_pem()));
  }
  const auto checked = store_->read([&](store::Reader& reader) -> Result<void> {
    for (const SignedHead& from : heads) {
      for (const SignedHead& to : heads) {
        if (from.size > to.size) continue;
        const auto proof = TRY(ledger_->consistency(reader, from.size, to.size));
        EXPECT_TRUE(verify_consistency(from.size, to.size, from.root, to.root, proof));
      }
    }
    return {};
  });
  EXPECT_TRUE(checked);
  EXPECT_TRUE(
      verify(file_of(export_all()), {.public_key_pem = ledger_->public_key_pem(), .witnesses = heads}));
}

TEST_F(LedgerTest, EveryEntryIsProvablyIncluded) {
  append_many(0, 37);
  const SignedHead at_37 = head();
  append_many(37, 20);  // proofs for the older head stay possible
  const auto lines = export_all();
  const auto checked = store_->read([&](store::Reader& reader) -> Result<void> {
    for (uint64_t i = 0; i < 37; ++i) {
      const std::string& line = lines[i];
      const auto leaf = hash_of_text(line.substr(line.size() - 66, 64));
      EXPECT_TRUE(leaf.has_value());
      const auto proof = TRY(ledger_->inclusion(reader, i, 37));
      EXPECT_TRUE(verify_inclusion(*leaf, i, 37, proof, at_37.root)) << i;
    }
    return {};
  });
  EXPECT_TRUE(checked);
}

TEST_F(LedgerTest, ProofsBeyondTheTreeAreRefused) {
  append_many(0, 4);
  const auto checked = store_->read([&](store::Reader& reader) -> Result<void> {
    EXPECT_FALSE(ledger_->inclusion(reader, 0, 5));
    EXPECT_FALSE(ledger_->inclusion(reader, 4, 4));
    EXPECT_FALSE(ledger_->inclusion(reader, 0, ~uint64_t{0}));
    EXPECT_FALSE(ledger_->consistency(reader, 3, 2));
    EXPECT_FALSE(ledger_->consistency(reader, 3, 5));
    EXPECT_TRUE(ledger_->consistency(reader, 0, 4));
    EXPECT_EQ(ledger_->inclusion(reader, 0, 5).error().kind, ErrorKind::invalid);
    return {};
  });
  EXPECT_TRUE(checked);
}

TEST_F(LedgerTest, ListsPagesInBothDirections) {
  append_many(0, 1234);
  std::vector<uint64_t> seen;
  std::optional<uint64_t> after;
  for (;;) {
    const auto page = list({}, after, 100);
    if (page.empty()) break;
    for (const auto& recorded : page) seen.push_back(recorded.index);
    after = seen.back();
  }
  ASSERT_EQ(seen.size(), 1234U);
  for (size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], i);
  const auto newest = list({}, {}, 3, true);
  ASSERT_EQ(newest.size(), 3U);
  EXPECT_EQ(newest[0].index, 1233U);
  EXPECT_EQ(newest[2].index, 1231U);
  const auto older = list({}, newest[2].index, 2, true);
  ASSERT_EQ(older.size(), 2U);
  EXPECT_EQ(older[0].index, 1230U);
  EXPECT_TRUE(list({}, 0, 10, true).empty());
  EXPECT_TRUE(list({}, 1233, 10).empty());
  EXPECT_TRUE(list({}, {}, 0).empty());
}

TEST_F(LedgerTest, FiltersAndTheirCombinations) {
  append_many(0, 30);
  Entry other = entry(30);
  clock_.advance(std::chrono::hours(1));
  other.time = clock_.now();
  other.action = "Merlon.Machines/revoke/action";
  other.resource = "/subscriptions/s2/x";
  other.correlation_id = "CORR-1";
  ASSERT_TRUE(append(other));
  EXPECT_EQ(list({.resource_prefix = "/SUBSCRIPTIONS/s1",
                  .action_prefix = {},
                  .from = {},
                  .to = {},
                  .correlation_id = {}})
                .size(),
            30U);
  EXPECT_EQ(
      list({.resource_prefix = {}, .action_prefix = "merlon.", .from = {}, .to = {}, .correlation_id = {}})
          .size(),
      1U);
  EXPECT_EQ(
      list({.resource_prefix = {}, .action_prefix = {}, .from = other.time, .to = {}, .correlation_id = {}})
          .size(),
      1U);
  EXPECT_EQ(list({.resource_prefix = {},
                  .action_prefix = {},
                  .from = {},
                  .to = other.time - Duration(1),
                  .correlation_id = {}})
                .size(),
            30U);
  const Filter correlated{
      .resource_prefix = {}, .action_prefix = {}, .from = {}, .to = {}, .correlation_id = "corr-1"};
  const auto up = list(correlated);
  ASSERT_EQ(up.size(), 11U);
  for (size_t i = 1; i < up.size(); ++i) EXPECT_LT(up[i - 1].index, up[i].index);
  const auto down = list(correlated, {}, 100, true);
  ASSERT_EQ(down.size(), 11U);
  EXPECT_EQ(down[0].index, 30U);
  EXPECT_EQ(list(correlated, up[4].index).size(), 6U);
  EXPECT_EQ(list(correlated, up[4].index, 100, true).size(), 4U);
  EXPECT_EQ(list(correlated, {}, 2).size(), 2U);
  // An id that begins another one does not find it.
  EXPECT_TRUE(
      list({.resource_prefix = {}, .action_prefix = {}, .from = {}, .to = {}, .correlation_id = "corr-"})
          .empty());
}

TEST_F(LedgerTest, HostileTextStaysOutOfNothing) {
  Entry hostile = entry(0);
  hostile.actor.name = "a\xff\xfe\xc0\x80\n\"\\ b";
  hostile.resource = std::string(100'000, 'r') + "/x";
  hostile.reason = std::string("nul\0nul", 7);
  hostile.justification = std::string(5000, '\x01');
  for (int i = 0; i < 400; ++i) hostile.justification += "ü";
  hostile.details = {{"big", std::string(9000, 'd')}};
  ASSERT_TRUE(append(hostile));
  Entry deep = entry(1);
  Json nested = 1;
  for (int i = 0; i < 200; ++i) nested = JsonObject{{"n", nested}};
  deep.details = {{"deep", nested}};
  ASSERT_TRUE(append(deep));
  Entry ambiguous = entry(2);
  ambiguous.details = {{"k\xff", 1}, {"k\xfe", 2}};
  ASSERT_TRUE(append(ambiguous));
  const auto found = list({});
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].entry.resource.size(), 2048U);
  EXPECT_TRUE(found[0].entry.resource.ends_with("…"));
  EXPECT_EQ(found[0].entry.actor.name, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\n\"\\ b");
  EXPECT_EQ(found[0].entry.reason, std::string("nul\0nul", 7));
  for (const auto& recorded : found) EXPECT_TRUE(recorded.entry.details.contains("omitted"));
  EXPECT_TRUE(string_at(found[1].entry.details, "sha256"));
  EXPECT_TRUE(verify(file_of(export_all())));
}

TEST_F(LedgerTest, BoundedTextCutsBetweenCharacters) {
  EXPECT_EQ(bounded_text("abc", 3), "abc");
  EXPECT_EQ(bounded_text("abcdefgh", 6), "abc…");
  for (size_t max = 3; max < 12; ++max) {
    const std::string cut = bounded_text("ääääää", max);
    EXPECT_LE(cut.size(), max);
    EXPECT_TRUE(parse_json("\"" + cut + "\"")) << max;
  }
  EXPECT_EQ(bounded_text("ääääää", 12), "ääääää");
  EXPECT_EQ(bounded_text("\x80", 10), "\xEF\xBF\xBD");
  EXPECT_EQ(bounded_text("", 0), "");
}

TEST_F(LedgerTest, TheClockMayStepBackButHeadsDoNot) {
  clock_.step_wall(std::chrono::hours(5));
  append_many(0, 1);
  const SignedHead first = head();
  clock_.step_wall(-std::chrono::hours(5));
  append_many(1, 1);
  EXPECT_GE(head().time, first.time);
}

TEST_F(LedgerTest, ALedgerChangedBehindItsBackDoesNotStart) {
  append_many(0, 10);
  const auto erase_last = [&](store::Transaction& tx) {
    return tx.erase(entries_table(), tenant_, index_key(9));
  };
  ASSERT_TRUE(store_->write(erase_last));
  const auto refused = try_start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "LedgerDamaged");
}

TEST_F(LedgerTest, ALostHeadOrKeyDoesNotStart) {
  append_many(0, 2);
  ASSERT_TRUE(
      store_->write([&](store::Transaction& tx) { return tx.erase(keys_table(), TenantId(), "signing"); }));
  auto refused = try_start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "LedgerDamaged");
  ASSERT_TRUE(
      store_->write([&](store::Transaction& tx) { return tx.erase(state_table(), tenant_, "head"); }));
  refused = try_start();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no signed head"));
}

TEST_F(LedgerTest, TheSigningKeyIsSealed) {
  const auto row = store::read_value<std::optional<store::Row>>(
      *store_, [&](store::Reader& reader) { return reader.get(keys_table(), TenantId(), "signing"); });
  ASSERT_TRUE(row && *row);
  EXPECT_THAT((*row)->body, HasSubstr(R"("private":"v1.)"));
  EXPECT_THAT((*row)->body, Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(LedgerTest, HeadsAsJson) {
  append_many(0, 3);
  const SignedHead newest = head();
  const auto back = SignedHead::from_json(*parse_json_object(to_text(newest.to_json())));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_text(back->to_json()), to_text(newest.to_json()));
  for (const char* member : {"keyId", "root", "signature", "size", "tenantId", "time"}) {
    JsonObject json = newest.to_json();
    json[member] = Json(-1);
    EXPECT_FALSE(SignedHead::from_json(json)) << member;
    json[member] = "";
    EXPECT_FALSE(SignedHead::from_json(json)) << member;
    json.erase(member);
    EXPECT_FALSE(SignedHead::from_json(json)) << member;
  }
  EXPECT_FALSE(head_signature_valid(newest, "no key"));
  SignedHead bent = newest;
  ++bent.size;
  EXPECT_FALSE(head_signature_valid(bent, ledger_->public_key_pem()));
}

}  // namespace
}  // namespace merlon::ledger

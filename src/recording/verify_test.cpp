// What was tampered with is found: bytes, chunks, files, rows. What the ledger holds of a recording is found
// by it.
#include "recording/verify.h"

#include "recording/recording_fixture.h"

namespace merlon::recording {
namespace {

using testing::HasSubstr;

class TamperTest : public RecordingTest {
 protected:
  void SetUp() override {
    RecordingTest::SetUp();
    id_ = make();
    other_ = make();
    whole_ = bytes(id_);
    offsets_ = chunk_offsets(whole_);
    ASSERT_EQ(offsets_.size(), 6U);
    ASSERT_EQ(problem(id_), "");
  }
  Uuid make() {
    auto recorder = start();
    for (const char* text : {"one", "two", "three"}) {
      EXPECT_TRUE(recorder->output(text));
      pass();
    }
    EXPECT_TRUE(recorder->close("end", 0));
    return recorder->id();
  }
  std::string chunk(size_t number) const {
    return whole_.substr(offsets_[number], offsets_[number + 1] - offsets_[number]);
  }
  Uuid id_, other_;
  std::string whole_;
  std::vector<size_t> offsets_;
};

TEST_F(TamperTest, AnyChangedByteIsFound) {
  for (size_t at = 0; at < whole_.size(); at += 7) {
    std::string changed = whole_;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    put_bytes(id_, changed);
    EXPECT_NE(problem(id_), "") << "byte " << at;
  }
}

TEST_F(TamperTest, ARemovedChunkIsFound) {
  for (size_t number = 0; number < 5; ++number) {
    put_bytes(id_, whole_.substr(0, offsets_[number]) + whole_.substr(offsets_[number + 1]));
    EXPECT_NE(problem(id_), "") << "chunk " << number;
  }
}

TEST_F(TamperTest, SwappedAndDoubledChunksAreFound) {
  put_bytes(id_, whole_.substr(0, offsets_[1]) + chunk(2) + chunk(1) + whole_.substr(offsets_[3]));
  EXPECT_EQ(problem(id_), "Changed");
  EXPECT_EQ(text(id_), "error RecordingDamaged");
  put_bytes(id_, whole_ + chunk(4));
  EXPECT_EQ(problem(id_), "Changed");
}

TEST_F(TamperTest, ACutTailIsFoundWhereverItIsCut) {
  for (size_t size = 0; size < whole_.size(); size += 11) {
    put_bytes(id_, whole_.substr(0, size));
    EXPECT_NE(problem(id_), "") << size;
  }
  put_bytes(id_, whole_.substr(0, offsets_[4]));
  EXPECT_EQ(problem(id_), "Cut") << "the last chunk, cleanly";
  std::filesystem::remove(file(id_));
  EXPECT_NE(problem(id_), "");
}

TEST_F(TamperTest, AnotherRecordingInItsPlaceIsFound) {
  put_bytes(id_, bytes(other_));
  EXPECT_EQ(problem(id_), "Changed");
  // With its row as well, as who can write the database would: the ledger knows better.
  Record forged = record(other_);
  forged.id = id_;
  ASSERT_TRUE(store_->write(
      [&](store::Transaction& tx) { return tx.put(recordings_table(), tenant_, forged.to_row()); }));
  EXPECT_NE(problem(id_), "");
}

TEST_F(TamperTest, AChangedRowIsFound) {
  const Record before = record(id_);
  const auto put = [&](const std::function<void(Record&)>& change) {
    Record changed = before;
    change(changed);
    ASSERT_TRUE(store_->write(
        [&](store::Transaction& tx) { return tx.put(recordings_table(), tenant_, changed.to_row()); }));
  };
  // The key opens no other content, and the ledger knows better.
  using Change = std::function<void(Record&)>;
  for (const auto& [what, change] : std::vector<std::pair<std::string, Change>>{
           {"person", [](Record& row) { row.person.object_id = "somebody-else"; }},
           {"person", [](Record& row) { row.person.name = "bob@contoso.example"; }},
           {"person", [](Record& row) { row.person.kind = "ServicePrincipal"; }},
           {"address", [](Record& row) { row.person.address = "192.0.2.8"; }},
           {"machine", [](Record& row) { row.machine = "/another"; }},
           {"scope", [](Record& row) { row.scope = "/subscriptions/mine"; }},
           {"session", [](Record& row) { row.session = "another"; }},
           {"login", [](Record& row) { row.login = "root"; }},
           {"kind", [](Record& row) { row.kind = "import"; }},
           {"protocol", [](Record& row) { row.protocol = "none"; }},
           {"title", [](Record& row) { row.title = "nothing of interest"; }},
           {"how the person signed in", [](Record& row) { row.signed_in_by = "key"; }},
           {"start", [](Record& row) { row.started -= std::chrono::hours(1); }},
           {"width", [](Record& row) { row.cols = 10; }},
           {"height", [](Record& row) { row.rows = 10; }},
           {"where its heads are entered", [](Record& row) { row.heads = "recording-heads/none"; }},
           {"how long it is kept", [](Record& row) { row.keep = Duration(5); }}}) {
    put(change);
    const VerifyReport found = report(id_);
    ASSERT_EQ(found.problems.size(), 2U) << what;
    EXPECT_THAT(found.problems[0].message, HasSubstr("does not open"));
    EXPECT_THAT(found.problems[1].message, HasSubstr("knows: " + what + "."));
    EXPECT_EQ(text(id_), "error RecordingDamaged") << what;
  }
  // What is settled at its end.
  for (const auto& [what, change] : std::vector<std::pair<std::string, Change>>{
           {"end", [](Record& row) { *row.ended += std::chrono::hours(1); }},
           {"end", [](Record& row) { row.ended.reset(); }},
           {"until when it is kept", [](Record& row) { row.keep_until = row.started; }},
           {"reason of the end", [](Record& row) { row.reason = "quietly"; }},
           {"size", [](Record& row) { row.bytes = 1; }},
           {"duration", [](Record& row) { row.duration_ms = 1; }},
           {"state", [](Record& row) { row.state = RecordState::interrupted; }}}) {
    put(change);
    const VerifyReport found = report(id_);
    ASSERT_EQ(found.problems.size(), 1U) << what;
    EXPECT_EQ(found.problems[0].code, "RowChanged");
    EXPECT_THAT(found.problems[0].message, HasSubstr("knows: " + what + "."));
  }
  put([](Record& row) { row.chunks = 2; });
  EXPECT_EQ(problem(id_), "RowChanged");
  put([](Record& row) { row.state = RecordState::open; });
  EXPECT_EQ(problem(id_), "RowChanged");
  put([&](Record& row) { row.sealed_key = record(other_).sealed_key; });
  EXPECT_EQ(problem(id_), "RowChanged");
  put([](Record& row) { row.correlation_id = "another-thread"; });
  EXPECT_EQ(report(id_).problems.back().code, "NotInLedger");
  put([](Record&) {});
  EXPECT_EQ(problem(id_), "");
}

TEST_F(RecordingTest, AKeyOfBeforeRowsWereBoundStillOpens) {
  auto recorder = start();
  ASSERT_TRUE(recorder->output("of old"));
  ASSERT_TRUE(recorder->close("end"));
  Record old = record(recorder->id());
  const auto key = open_key(*seal_, old);
  ASSERT_TRUE(key);
  old.sealed_key = seal_->seal("recordings/" + old.id.text() + "/key/1", *key);
  ASSERT_TRUE(store_->write(
      [&](store::Transaction& tx) { return tx.put(recordings_table(), tenant_, old.to_row()); }));
  EXPECT_THAT(text(old.id), HasSubstr("of old"));
}

TEST_F(RecordingTest, HowLongARunningOneIsKeptIsNotChangedUnseen) {
  Opening kept = opening();
  kept.keep = std::chrono::hours(24);
  auto recorder = *all_->start(kept);
  EXPECT_EQ(problem(recorder->id()), "");
  Record changed = record(recorder->id());
  changed.keep_until = changed.started;
  ASSERT_TRUE(store_->write(
      [&](store::Transaction& tx) { return tx.put(recordings_table(), tenant_, changed.to_row()); }));
  EXPECT_EQ(problem(recorder->id()), "RowChanged");
  ASSERT_TRUE(recorder->close("end"));
  EXPECT_EQ(problem(recorder->id()), "") << "its server knows what it wrote";
}

class HeadsTest : public RecordingTest {
 protected:
  std::vector<JsonObject> entries(const std::string& correlation) {
    ledger::Filter filter;
    filter.correlation_id = correlation;
    filter.action_prefix = std::string(kHeadsAction);
    std::vector<JsonObject> found;
    EXPECT_TRUE(store_->read([&](store::Reader& reader) -> Result<void> {
      for (const auto& [index, entry] : TRY(ledger_->list(reader, filter, std::nullopt, 1000, false)))
        found.push_back(entry.details);
      return {};
    }));
    return found;
  }
};

TEST_F(HeadsTest, VerifyingOneReadsTheHeadsOfItsOwnCompanyAlone) {
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (int i = 0; i < 51; ++i) recorders.push_back(start());
  const std::string first = record(recorders.front()->id()).heads;
  const std::string last = record(recorders.back()->id()).heads;
  EXPECT_EQ(record(recorders[49]->id()).heads, first);
  EXPECT_NE(last, first);
  for (int i = 0; i < 3; ++i) {
    for (auto& recorder : recorders) ASSERT_TRUE(recorder->output("typed"));
    pass();
  }
  const auto of_first = entries(first);
  ASSERT_EQ(of_first.size(), 3U);
  EXPECT_EQ(array_at(of_first.front(), "heads")->size(), 50U);
  ASSERT_EQ(entries(last).size(), 3U);
  EXPECT_EQ(array_at(entries(last).front(), "heads")->size(), 1U);
  for (size_t i = 0; i + 1 < recorders.size(); ++i) ASSERT_TRUE(recorders[i]->close("end"));
  ASSERT_TRUE(recorders.back()->output("typed"));
  pass();
  EXPECT_EQ(entries(first).size(), 3U) << "what goes on later is not the first one's to read";
  EXPECT_EQ(entries(last).size(), 4U);
  EXPECT_EQ(problem(recorders.front()->id()), "");
  EXPECT_EQ(report(recorders.back()->id()).ledgered, 5U);
  EXPECT_EQ(ledger_facts(*all_, record(recorders.front()->id()))->heads.size(), 5U) << "opening and end too";
  pass(std::chrono::hours(1));
  EXPECT_NE(record(start()->id()).heads, last);
}

TEST_F(HeadsTest, OlderOnesHaveTheirHeadsAmongThoseOfTheDay) {
  Record old;
  old.id = Uuid::generate(random_);
  old.correlation_id = old.id.text();
  old.started = clock_.now();
  ledger::Entry opened, heads;
  opened.time = heads.time = clock_.now();
  opened.action = kOpenAction;
  opened.resource = old.resource();
  opened.correlation_id = old.correlation_id;
  opened.details = {{"chunks", 1}, {"hash", "00"}};
  heads.action = kHeadsAction;
  heads.correlation_id = heads_correlation(clock_.now());
  JsonArray all;
  all.push_back(JsonArray{old.id.text(), 2, "01"});
  heads.details = {{"heads", std::move(all)}};
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) -> Result<void> {
    TRY(ledger_->append(tx, opened));
    return ledger_->append(tx, heads);
  }));
  const auto facts = ledger_facts(*all_, old);
  ASSERT_TRUE(facts);
  ASSERT_EQ(facts->heads.size(), 2U);
  EXPECT_EQ(facts->heads.back().hash, "01");
}

TEST_F(TamperTest, AnExportedFileVerifiesWithoutServerOrKey) {
  std::vector<ledger::RecordedEntry> entries;
  ASSERT_TRUE(store_->read([&](store::Reader& reader) -> Result<void> {
    entries = TRY(ledger_->list(reader, {}, std::nullopt, 1000, false));
    return {};
  }));
  LedgerFacts facts(id_);
  for (const auto& [index, entry] : entries) facts.add(entry);
  const ReadAt name = read_blob(all_->blobs(), "recordings/" + id_.text());
  EXPECT_TRUE(verify_file(name, id_, facts).sound());
  put_bytes(id_, whole_.substr(0, offsets_[4]));
  EXPECT_EQ(verify_file(name, id_, facts).problems.front().code, "Cut");
  put_bytes(id_, bytes(other_));
  EXPECT_EQ(verify_file(name, id_, facts).problems.front().code, "Changed");
}

TEST_F(TamperTest, DeletingTakesTheKeyAndTheFilesAndIsInTheLedger) {
  const Record kept = record(id_);
  ASSERT_TRUE(store_->write([&](store::Transaction& tx) {
    return all_->remove(tx, kept, {"User", "boss", "boss@contoso.example", ""}, "assignment-1", "req");
  }));
  all_->tick();
  EXPECT_FALSE(std::filesystem::exists(file(id_)));
  EXPECT_EQ(record(id_).state, RecordState::deleted);
  EXPECT_EQ(record(id_).sealed_key, "");
  EXPECT_EQ(text(id_), "error RecordingDeleted");
  const auto facts = ledger_facts(*all_, kept);
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->deleted);
}

}  // namespace
}  // namespace merlon::recording

// Recordings over a real store, ledger and directory of blobs, for the tests of this room.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "crypto/system_random.h"
#include "recording/live.h"
#include "recording/recordings.h"
#include "recording/verify.h"

namespace merlon::recording {

// A database that takes nothing while `is_full`.
class FillingStore final : public store::Store {
 public:
  explicit FillingStore(store::Store& store) : store_(store) {}
  Result<void> write(const std::function<Result<void>(store::Transaction&)>& work) override {
    if (is_full) return fail(ErrorKind::unavailable, "StorageFull", "The disk is full.");
    return store_.write(work);
  }
  Result<void> read(const std::function<Result<void>(store::Reader&)>& work) override {
    return store_.read(work);
  }
  void before_commit(store::BeforeCommit hook) override { store_.before_commit(std::move(hook)); }
  uint64_t commit_count() const override { return store_.commit_count(); }

  bool is_full = false;

 private:
  store::Store& store_;
};

// Blobs on a disk that is as full as a test says.
class MeasuredBlobs final : public store::BlobStore {
 public:
  explicit MeasuredBlobs(std::unique_ptr<store::BlobStore> blobs) : blobs_(std::move(blobs)) {}
  Result<std::unique_ptr<store::BlobWriter>> create(store::BlobSpace space) override {
    return blobs_->create(space);
  }
  Result<std::unique_ptr<store::BlobAppender>> append_to(const std::string& name,
                                                         store::BlobSpace space) override {
    return blobs_->append_to(name, space);
  }
  Result<void> sync(std::span<store::BlobAppender* const> appenders) override {
    return blobs_->sync(appenders);
  }
  Result<Bytes> read(const std::string& name, uint64_t offset, size_t length) override {
    return blobs_->read(name, offset, length);
  }
  Result<std::optional<uint64_t>> size(const std::string& name) override { return blobs_->size(name); }
  Result<void> cut(const std::string& name, uint64_t size) override { return blobs_->cut(name, size); }
  Result<void> remove(const std::string& name) override { return blobs_->remove(name); }
  Result<std::vector<std::string>> list(const std::string& folder, const std::string& after,
                                        size_t limit) override {
    return blobs_->list(folder, after, limit);
  }
  bool has_room(store::BlobSpace space) override { return blobs_->has_room(space); }
  store::BlobDisk disk() override { return {100 - used, 100}; }
  void restore_reserve() override { blobs_->restore_reserve(); }
  const std::string& id() const override { return blobs_->id(); }

  uint64_t used = 50;  // percent

 private:
  const std::unique_ptr<store::BlobStore> blobs_;
};

class RecordingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "merlon-recording-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    boot();
  }
  void TearDown() override {
    kill();
    std::filesystem::remove_all(directory_);
  }

  void boot() {
    std::vector<store::TableSpec> all = seal::tables();
    for (const auto* more : {&ledger::tables(), &tables()}) all.insert(all.end(), more->begin(), more->end());
    auto store = store::open_sqlite(directory_.string(), {.tables = all, .migrations = {}});
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    store_ = *std::move(store);
    auto seal = seal::Seal::open(*store_, (directory_ / "root.key").string(), random_);
    ASSERT_TRUE(seal) << seal.error().message;
    seal_ = *std::move(seal);
    auto ledger = ledger::Ledger::open(*store_, *seal_, clock_, random_, tenant_);
    ASSERT_TRUE(ledger) << ledger.error().message;
    ledger_ = *std::move(ledger);
    auto blobs = store::open_blob_directory((directory_ / "blobs").string(), "place-1");
    ASSERT_TRUE(blobs) << blobs.error().message;
    database_ = std::make_unique<FillingStore>(*store_);
    auto measured = std::make_unique<MeasuredBlobs>(*std::move(blobs));
    disk_ = measured.get();
    all_ = std::make_unique<Recordings>(*database_, *seal_, *ledger_, std::move(measured), clock_, random_,
                                        tenant_, limits_);
  }
  // As kill -9: nothing is ended.
  void kill() {
    all_.reset();
    database_.reset();
    ledger_.reset();
    seal_.reset();
    store_.reset();
  }
  // Its server dies: nothing more is written of it.
  void crash(std::unique_ptr<Recorder>& recorder) {
    {
      const auto live = all_->live(recorder->id());
      const std::lock_guard lock(live->mutex);
      live->ending = live->ended = true;
    }
    recorder.reset();
  }
  void reboot() {
    kill();
    boot();
    all_->tick();
  }

  Opening opening() const {
    Opening opening;
    opening.session = "session-1";
    opening.scope = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/bastionHosts/b";
    opening.machine = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web-1";
    opening.kind = "shell";
    opening.login = "admin";
    opening.person = {"User", "8f0e6b0e-0000-4000-8000-000000000001", "anna@contoso.example", "192.0.2.7"};
    return opening;
  }
  std::unique_ptr<Recorder> start() {
    auto started = all_->start(opening());
    EXPECT_TRUE(started) << started.error().message << started.error().cause;
    return *std::move(started);
  }
  // Time for everything that is due.
  void pass(Duration time = std::chrono::seconds(31)) {
    clock_.advance(time);
    all_->tick();
  }
  Record record(const Uuid& id) {
    const auto found = store::read_value<std::optional<Record>>(
        *store_, [&](store::Reader& reader) { return find_record(reader, tenant_, id); });
    EXPECT_TRUE(found && *found);
    return found && *found ? **found : Record();
  }
  std::string text(const Uuid& id) {
    std::string whole, from;
    for (;;) {
      const auto page = all_->read(record(id), from, 1000);
      if (!page) return "error " + page.error().code;
      whole += page->text;
      from = page->next;
      if (page->at_end) return whole;
    }
  }
  VerifyReport report(const Uuid& id) {
    auto report = verify(*all_, record(id));
    EXPECT_TRUE(report) << report.error().message << report.error().cause;
    return report ? *report : VerifyReport();
  }
  std::string problem(const Uuid& id) {
    const VerifyReport found = report(id);
    return found.sound() ? "" : found.problems.front().code;
  }

  std::filesystem::path file(const Uuid& id) const { return directory_ / "blobs/recordings" / id.text(); }
  std::string bytes(const Uuid& id) const {
    std::ifstream in(file(id), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put_bytes(const Uuid& id, const std::string& text) const {
    std::ofstream(file(id), std::ios::binary | std::ios::trunc) << text;
  }
  // Where each chunk begins, and the end.
  std::vector<size_t> chunk_offsets(const std::string& whole) const {
    std::vector<size_t> offsets{kFileMagic.size()};
    while (offsets.back() + 4 <= whole.size()) {
      size_t size = 0;
      for (size_t i = 0; i < 4; ++i)
        size |= static_cast<size_t>(static_cast<uint8_t>(whole[offsets.back() + i])) << (8 * i);
      offsets.push_back(offsets.back() + 4 + size);
    }
    return offsets;
  }

  std::filesystem::path directory_;
  ManualClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_{*Uuid::parse("11111111-0000-4000-8000-000000000000")};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<FillingStore> database_;
  MeasuredBlobs* disk_ = nullptr;
  RecordingLimits limits_;  // of the next that is opened
  std::unique_ptr<Recordings> all_;
};

}  // namespace merlon::recording

// A ledger over a real store in a directory of its own, for the tests of this room.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "base/time_text.h"
#include "crypto/system_random.h"
#include "ledger/ledger.h"

namespace merlon::ledger {

class LedgerTest : public ::testing::Test {
 protected:
  static const store::TableSpec& things() {
    static const store::TableSpec table{"things", {}};
    return table;
  }

  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "merlon-ledger-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    // The first key is a write of its own, and the ledger's hook must be set before the first write.
    open_store();
    ASSERT_TRUE(seal::Seal::open(*store_, key_path(), random_));
    start();
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  std::string key_path() const { return (directory_ / "root.key").string(); }
  void stop() {
    ledger_.reset();
    seal_.reset();
    store_.reset();
  }
  void open_store() {
    stop();
    std::vector<store::TableSpec> all = seal::tables();
    all.insert(all.end(), tables().begin(), tables().end());
    all.push_back(things());
    auto store = store::open_sqlite(directory_.string(), {.tables = all, .migrations = {}});
    ASSERT_TRUE(store) << store.error().message << store.error().cause;
    store_ = *std::move(store);
  }
  void start() {
    auto opened = try_start();
    ASSERT_TRUE(opened) << opened.error().message << opened.error().cause;
  }
  Result<void> try_start() {
    open_store();
    seal_ = TRY(seal::Seal::open(*store_, key_path(), random_));
    ledger_ = TRY(Ledger::open(*store_, *seal_, clock_, random_, tenant_));
    return {};
  }

  Entry entry(int number) const {
    Entry entry;
    entry.time = clock_.now();
    entry.actor = {"User", "8f0e6b0e-0000-4000-8000-000000000001", "anna@contoso.example", "192.0.2.7"};
    entry.action = "Microsoft.Network/networkSecurityGroups/write";
    entry.resource =
        "/subscriptions/S1/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/n" +
        std::to_string(number);
    entry.reason = "assignment-1";
    entry.request_id = "req-" + std::to_string(number);
    entry.correlation_id = "corr-" + std::to_string(number % 3);
    entry.justification = "ticket \"42\" – größer";
    entry.details = {{"number", number},
                     {"nested", JsonObject{{"b", 1}, {"a", JsonArray{1.5, nullptr, true}}}}};
    return entry;
  }
  Result<void> append(const Entry& entry) {
    return store_->write([&](store::Transaction& tx) { return ledger_->append(tx, entry); });
  }
  void append_many(int from, int count) {
    const auto written = store_->write([&](store::Transaction& tx) -> Result<void> {
      for (int i = from; i < from + count; ++i) TRY(ledger_->append(tx, entry(i)));
      return {};
    });
    ASSERT_TRUE(written) << written.error().cause;
  }
  SignedHead head() {
    auto newest = store::read_value<SignedHead>(*store_, [&](store::Reader& r) { return ledger_->head(r); });
    EXPECT_TRUE(newest) << newest.error().cause;
    return newest.value_or(SignedHead());
  }
  std::vector<RecordedEntry> list(const Filter& filter, std::optional<uint64_t> after = {},
                                  size_t limit = 1000, bool descending = false) {
    auto found = store::read_value<std::vector<RecordedEntry>>(
        *store_, [&](store::Reader& r) { return ledger_->list(r, filter, after, limit, descending); });
    EXPECT_TRUE(found) << found.error().cause;
    return found.value_or(std::vector<RecordedEntry>());
  }
  std::vector<std::string> export_all() {
    std::vector<std::string> lines;
    const auto done = ledger_->export_lines([&](const std::string& line) -> Result<void> {
      lines.push_back(line);
      return {};
    });
    EXPECT_TRUE(done) << done.error().message << done.error().cause;
    return lines;
  }
  static std::string file_of(const std::vector<std::string>& lines) {
    std::string file;
    for (const std::string& line : lines) file += line + "\n";
    return file;
  }
  static Result<VerifyReport> verify(const std::string& file, const VerifyOptions& options = {}) {
    std::istringstream stream(file);
    return verify_export(stream, options);
  }

  std::filesystem::path directory_;
  ManualClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_{*Uuid::parse("11111111-2222-4333-8444-555555555555")};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace merlon::ledger

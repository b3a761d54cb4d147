// The simulated disk under the product's own store: what was committed outlives a loss of power and a disk
// that fails, what was not is there whole or not at all, and a full disk takes what its reserve is for.
#include "simulate/sim_disk.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "store/server_store.h"

namespace merlon::simulate {
namespace {

const store::TableSpec kTable{"things", {{"colour", store::Unique::no}}};
const TenantId kTenant{};

struct Died {};

class SimDiskTest : public ::testing::Test {
 protected:
  void SetUp() override { set_log_level(static_cast<LogLevel>(static_cast<int>(LogLevel::error) + 1)); }
  void TearDown() override {
    store_.reset();
    set_log_level(LogLevel::info);
  }

  Result<void> open() {
    store::WriterMode mode;
    mode.callers_thread = true;
    mode.instead_of_exit = [](const Error&) { throw Died(); };
    store::Schema schema;
    schema.tables = {kTable};
    store_ = TRY(store::open_embedded_store(state_disk_on(disk_), std::move(mode), schema));
    return {};
  }
  // Two rows that belong together.
  Result<void> put(int number, bool urgent = false) {
    return store_->write([&](store::Transaction& tx) -> Result<void> {
      if (urgent) tx.urgent();
      const std::string body(200 + static_cast<size_t>(number % 50) * 100, 'x');
      TRY(tx.put(kTable, kTenant, {"a" + std::to_string(number), body, {"red"}}));
      return tx.put(kTable, kTenant, {"b" + std::to_string(number), body, {"blue"}});
    });
  }
  bool has(const std::string& key) {
    const auto row = store::read_value<bool>(*store_, [&](store::Reader& reader) -> Result<bool> {
      return TRY(reader.get(kTable, kTenant, key)).has_value();
    });
    EXPECT_TRUE(row) << row.error().cause;
    return row.value_or(false);
  }
  void go_on_after_power_loss() {
    auto next = disk_->after_power_loss(random_);
    disk_->break_down();
    store_.reset();
    disk_ = std::move(next);
  }

  SeededRandom random_{11};
  std::shared_ptr<SimDisk> disk_ = std::make_shared<SimDisk>();
  std::unique_ptr<store::EmbeddedStore> store_;
};

TEST_F(SimDiskTest, AFileIsWhatWasWrittenAndAfterALossOfPowerWhatWasSynced) {
  SimFile file;
  const std::string first(10'000, 'a'), second(6'000, 'b');
  const auto bytes = [](const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); };
  file.write(0, bytes(first), first.size());
  file.sync();
  const SimFile copy = file;
  file.write(3'000, bytes(second), second.size());
  const auto text_of = [](const SimFile& of) {
    std::string text(of.size(), '?');
    of.read(0, reinterpret_cast<uint8_t*>(text.data()), text.size());
    return text;
  };
  EXPECT_EQ(text_of(file), first.substr(0, 3000) + second + first.substr(0, 1000));
  EXPECT_EQ(text_of(copy), first) << "a copy is its own";
  bool old_there = false, new_there = false;
  for (int i = 0; i < 50; ++i) {
    const std::string found = text_of(file.after_power_loss(random_));
    ASSERT_EQ(found.size(), first.size());
    EXPECT_EQ(found.substr(0, 3000), first.substr(0, 3000));
    old_there |= found.substr(3000, 6000).find('a') != std::string::npos;
    new_there |= found.substr(3000, 6000).find('b') != std::string::npos;
  }
  EXPECT_TRUE(old_there && new_there);
  file.truncate(100);
  file.write(200, bytes(first), 1);
  EXPECT_EQ(text_of(file), first.substr(0, 100) + std::string(100, '\0') + "a");
}

TEST_F(SimDiskTest, WhatWasCommittedOutlivesEveryLossOfPower) {
  int number = 0;
  for (int life = 0; life < 60; ++life) {
    ASSERT_TRUE(open());
    for (int i = 0; i < number; ++i)
      ASSERT_TRUE(has("a" + std::to_string(i)) && has("b" + std::to_string(i))) << i << " in life " << life;
    const int more = static_cast<int>(random_.below(6));
    for (int i = 0; i < more; ++i) ASSERT_TRUE(put(number++));
    if (random_.chance(300)) store_->idle();
    go_on_after_power_loss();
  }
  EXPECT_GT(number, 60);
}

TEST_F(SimDiskTest, ADiskThatLiesIsNoticed) {
  bool lost = false;
  for (int life = 0; life < 20 && !lost; ++life) {
    disk_ = std::make_shared<SimDisk>();
    ASSERT_TRUE(open());
    disk_->faults().lies = true;
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(put(i));
    go_on_after_power_loss();
    lost = !open() || !has("a2");
    store_.reset();
  }
  EXPECT_TRUE(lost);
}

// At each operation once.
TEST_F(SimDiskTest, WhateverOperationFailsNothingIsThereByHalf) {
  unsigned refused = 0, died = 0;
  for (int at = 1; at < 120; ++at) {
    disk_ = std::make_shared<SimDisk>();
    ASSERT_TRUE(open());
    ASSERT_TRUE(put(0));
    disk_->faults().fail_in = at;
    int done = 0;
    bool is_dead = false;
    for (int i = 1; i < 8; ++i) {
      try {
        const auto written = put(i);
        if (i == 4) store_->idle();
        if (!written) ++refused;
        if (written && done == i - 1) done = i;
      } catch (const Died&) {
        is_dead = true;
        ++died;
        break;
      }
    }
    disk_->faults().fail_in = 0;
    if (is_dead || random_.chance(500)) {
      go_on_after_power_loss();
      ASSERT_TRUE(open()) << at;
    }
    for (int i = 0; i <= done; ++i) ASSERT_TRUE(has("a" + std::to_string(i))) << i << " after " << at;
    for (int i = 0; i < 8; ++i)
      ASSERT_EQ(has("a" + std::to_string(i)), has("b" + std::to_string(i))) << i << " after " << at;
    store_.reset();
  }
  EXPECT_GT(refused + died, 5U);
  EXPECT_GT(died, 2U) << "a COMMIT whose outcome nobody knows ends the process";
}

TEST_F(SimDiskTest, AFullDiskTakesWhatItsReserveIsForAndNothingElse) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(put(1));
  disk_->faults().full = true;
  auto refused = put(2);
  for (int i = 100; refused && i < 200; ++i) refused = put(i);  // into what was taken before
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "StorageFull");
  EXPECT_TRUE(put(3, true));
  EXPECT_FALSE(put(4));
  go_on_after_power_loss();
  ASSERT_TRUE(open());
  EXPECT_TRUE(has("a1") && has("a3") && !has("a4"));
  EXPECT_FALSE(put(5)) << "what is free is for urgent writes after a restart too";
  EXPECT_TRUE(put(6, true));
  disk_->faults().full = false;
  store_->idle();
  EXPECT_TRUE(put(7));
}

}  // namespace
}  // namespace merlon::simulate

// Faults around the real store.
#include "simulate/faulty_store.h"

namespace merlon::simulate {
namespace {

using store::Range;
using store::Reader;
using store::Row;
using store::TableSpec;
using store::Transaction;

// Hears what a write does.
class Watched final : public Transaction {
 public:
  Watched(Transaction& inner, const StoreFaults& faults) : inner_(inner), faults_(faults) {}
  Result<std::optional<Row>> get(const TableSpec& table, const TenantId& tenant,
                                 std::string_view key) override {
    return inner_.get(table, tenant, key);
  }
  Result<std::vector<Row>> scan(const TableSpec& table, const TenantId& tenant, const Range& range) override {
    return inner_.scan(table, tenant, range);
  }
  Result<std::vector<store::IndexedRow>> scan_index(const TableSpec& table, const TenantId& tenant,
                                                    std::string_view index, const Range& range) override {
    return inner_.scan_index(table, tenant, index, range);
  }
  Result<std::vector<Row>> find(const TableSpec& table, const TenantId& tenant, std::string_view index,
                                std::string_view value) override {
    return inner_.find(table, tenant, index, value);
  }
  std::optional<uint64_t> state_mark(std::span<const std::string> tables) const override {
    return inner_.state_mark(tables);
  }
  Result<void> put(const TableSpec& table, const TenantId& tenant, const Row& row) override {
    changed = true;
    if (!faults_.alters) return inner_.put(table, tenant, row);
    Row other = row;
    faults_.alters(table, other);
    return inner_.put(table, tenant, other);
  }
  Result<void> erase(const TableSpec& table, const TenantId& tenant, std::string_view key) override {
    changed = true;
    return inner_.erase(table, tenant, key);
  }
  void after_commit(std::function<void()> effect) override { inner_.after_commit(std::move(effect)); }
  void hand_over(std::any what) override {
    changed = true;
    inner_.hand_over(std::move(what));
  }
  void urgent() override { inner_.urgent(); }
  bool changed = false;

 private:
  Transaction& inner_;
  const StoreFaults& faults_;
};

class FaultyStore final : public store::ServerStore {
 public:
  FaultyStore(std::unique_ptr<store::ServerStore> inner, StoreFaults& faults)
      : inner_(std::move(inner)), faults_(faults) {}

  Result<void> write(const std::function<Result<void>(Transaction&)>& work) override {
    if (faults_.dead) return fail(ErrorKind::unavailable, "Killed", "The simulated server is dead.");
    maybe_die();
    bool lost = false;
    auto done = inner_->write([&](Transaction& tx) -> Result<void> {
      Watched watched(tx, faults_);
      TRY(work(watched));
      lost = faults_.loses_writes && watched.changed;
      if (lost) return fail(ErrorKind::internal, "Lost", "lost");
      return {};
    });
    if (lost) return {};
    maybe_die();
    return done;
  }
  Result<void> read(const std::function<Result<void>(Reader&)>& work) override { return inner_->read(work); }
  void before_commit(store::BeforeCommit hook) override { inner_->before_commit(std::move(hook)); }
  uint64_t commit_count() const override { return inner_->commit_count(); }
  Result<void> read_whole(const std::function<Result<void>(store::WholeReader&)>& work) override {
    return inner_->read_whole(work);
  }
  bool is_shared() const override { return inner_->is_shared(); }
  void on_foreign_commit(std::function<void()> notice) override {
    inner_->on_foreign_commit(std::move(notice));
  }
  void start_finished() override { inner_->start_finished(); }

 private:
  void maybe_die() {
    if (faults_.kill_in == 0 || --faults_.kill_in > 0) return;
    faults_.dead = true;
    throw ServerKilled();
  }

  std::unique_ptr<store::ServerStore> inner_;
  StoreFaults& faults_;
};

}  // namespace

std::unique_ptr<store::ServerStore> make_faulty(std::unique_ptr<store::ServerStore> inner,
                                                StoreFaults& faults) {
  return std::make_unique<FaultyStore>(std::move(inner), faults);
}

}  // namespace merlon::simulate

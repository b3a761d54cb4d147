// Taking, keeping and losing a lease.
#include "store/lease.h"

namespace merlon::store {
namespace {

const TenantId kNoTenant{};  // work of the whole installation

}  // namespace

const TableSpec& leases_table() {
  static const TableSpec table{"leases", {}};
  return table;
}

Result<Lease::Record> Lease::read(Reader& reader) const {
  const auto row = TRY(reader.get(leases_table(), kNoTenant, name_));
  if (!row) return Record{};
  const JsonObject json = TRY(parse_json_object(row->body));
  return Record{TRY(require_string(json, "holder")), TRY(require_int(json, "epoch")),
                TRY(require_int(json, "beat"))};
}

Result<void> Lease::put(Transaction& tx, const Record& record) const {
  const JsonObject json{{"holder", record.holder}, {"epoch", record.epoch}, {"beat", record.beat}};
  return tx.put(leases_table(), kNoTenant, {name_, to_text(json), {}});
}

Result<bool> Lease::hold() {
  const std::lock_guard lock(mutex_);
  const Duration now = clock_.boottime();
  if (epoch_ != 0 && now - since_ < kRenewEvery) return true;
  const Record found = TRY(read_value<Record>(store_, [this](Reader& reader) { return read(reader); }));
  const bool ours = epoch_ != 0 && found.holder == holder_ && found.epoch == epoch_;
  if (!ours) {
    epoch_ = 0;
    if (!seen_ || *seen_ != found) {
      seen_ = found;
      since_ = now;
    }
    if (!found.holder.empty() && now - since_ < kLifetime) return false;
  }
  bool taken = false;
  TRY(store_.write([&](Transaction& tx) -> Result<void> {
    taken = TRY(take(tx, found));
    return {};
  }));
  if (!taken) {  // another was quicker
    epoch_ = 0;
    seen_.reset();
    return false;
  }
  epoch_ = ours ? found.epoch : found.epoch + 1;
  seen_.reset();
  since_ = now;
  return true;
}

Result<bool> Lease::take(Transaction& tx, const Record& expected) {
  Record record = TRY(read(tx));
  if (record != expected) return false;
  if (record.holder != holder_ || epoch_ == 0) ++record.epoch;
  record.holder = holder_;
  ++record.beat;
  TRY(put(tx, record));
  return true;
}

Result<void> Lease::check(Reader& reader) const {
  const std::lock_guard lock(mutex_);
  const Record found = TRY(read(reader));
  if (epoch_ != 0 && found.holder == holder_ && found.epoch == epoch_) return {};
  return fail(ErrorKind::conflict, "LeaseLost",
              "Another server has taken over '" + name_ + "' meanwhile; nothing was changed by this one.");
}

Result<void> Lease::release() {
  const std::lock_guard lock(mutex_);
  if (epoch_ == 0) return {};
  const int64_t epoch = std::exchange(epoch_, 0);
  return store_.write([&](Transaction& tx) -> Result<void> {
    Record record = TRY(read(tx));
    if (record.holder != holder_ || record.epoch != epoch) return {};
    record.holder.clear();
    return put(tx, record);
  });
}

}  // namespace merlon::store

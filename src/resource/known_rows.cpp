// See known_rows.h.
#include "resource/known_rows.h"

namespace merlon::resource {
namespace {

constexpr size_t kRowsMax = 4096;  // of a table

std::optional<uint64_t> mark_of(const store::Reader& reader, const store::TableSpec& table) {
  return reader.state_mark({&table.name, 1});
}

}  // namespace

KnownRows::Kept* KnownRows::find(const store::TableSpec& table, const TenantId& tenant, uint64_t mark) {
  const auto found = tables_.find(table.name);
  if (found == tables_.end() || found->second.mark != mark || found->second.tenant != tenant) return nullptr;
  return &found->second;
}

KnownRows::Kept& KnownRows::keep(const store::TableSpec& table, const TenantId& tenant, uint64_t mark) {
  if (Kept* kept = find(table, tenant, mark)) return *kept;
  Kept& kept = tables_[table.name];
  kept = {.mark = mark, .tenant = tenant, .rows = {}, .empty = {}};
  return kept;
}

Result<bool> KnownRows::has(store::Reader& reader, const store::TableSpec& table, const TenantId& tenant,
                            const std::string& key) {
  const auto mark = mark_of(reader, table);
  if (mark) {
    const std::lock_guard lock(mutex_);
    if (const Kept* kept = find(table, tenant, *mark))
      if (const auto row = kept->rows.find(key); row != kept->rows.end()) return row->second;
  }
  const bool there = TRY(reader.get(table, tenant, key)).has_value();
  if (mark) {
    const std::lock_guard lock(mutex_);
    Kept& kept = keep(table, tenant, *mark);
    if (kept.rows.size() >= kRowsMax) kept.rows.clear();
    kept.rows.insert_or_assign(key, there);
  }
  return there;
}

Result<bool> KnownRows::is_empty(store::Reader& reader, const store::TableSpec& table,
                                 const TenantId& tenant) {
  const auto mark = mark_of(reader, table);
  if (mark) {
    const std::lock_guard lock(mutex_);
    if (const Kept* kept = find(table, tenant, *mark); kept != nullptr && kept->empty) return *kept->empty;
  }
  const store::Range any{.prefix = {}, .after = {}, .after_key = {}, .limit = 1};
  const bool empty = TRY(reader.scan(table, tenant, any)).empty();
  if (mark) {
    const std::lock_guard lock(mutex_);
    keep(table, tenant, *mark).empty = empty;
  }
  return empty;
}

}  // namespace merlon::resource

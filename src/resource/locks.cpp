// Read in the transaction of the write that they guard: a lock that was set a moment before counts.
#include "resource/locks.h"

#include <algorithm>

#include "access/access.h"
#include "base/text.h"

namespace merlon::resource {
namespace {

std::string key_of(std::string_view scope, std::string_view name) {
  return ascii_lower(scope) + "\n" + ascii_lower(name);
}

Result<Lock> read_lock(const store::Row& row) {
  Lock lock;
  lock.text = row.body;
  lock.body = TRY(parse_json_object(row.body));
  lock.scope = TRY(ResourceId::parse(TRY(require_string(lock.body, "id")))).parent();
  lock.name = TRY(require_string(lock.body, "name"));
  const bool read_only = string_at(lock.body, "properties.level") == "ReadOnly";
  lock.level = read_only ? LockLevel::read_only : LockLevel::can_not_delete;
  return lock;
}

}  // namespace

const store::TableSpec& Locks::table() {
  static const store::TableSpec spec{"locks", {}};
  return spec;
}

Result<std::vector<Lock>> Locks::with_prefix(store::Reader& reader, const std::string& prefix) const {
  std::vector<Lock> found;
  if (TRY(core_.known_rows->is_empty(reader, table(), core_.tenant))) return found;
  store::Range range{.prefix = prefix, .after = {}, .after_key = {}};
  for (;;) {
    const auto rows = TRY(reader.scan(table(), core_.tenant, range));
    for (const auto& row : rows) found.push_back(TRY(read_lock(row)));
    if (rows.size() < range.limit) return found;
    range.after = rows.back().key;
  }
}

Result<std::vector<Lock>> Locks::at_and_above(store::Reader& reader, std::string_view scope) const {
  std::vector<Lock> found;
  for (const std::string& ancestor : access::scope_and_ancestors(scope)) {
    if (ancestor == "/") continue;
    for (Lock& lock : TRY(with_prefix(reader, ancestor + "\n"))) found.push_back(std::move(lock));
  }
  return found;
}

Result<std::vector<Lock>> Locks::below(store::Reader& reader, std::string_view scope) const {
  return with_prefix(reader, ascii_lower(scope) + "/");
}

Result<void> Locks::check(store::Reader& reader, std::string_view scope, Change change) const {
  if (TRY(core_.known_rows->is_empty(reader, table(), core_.tenant))) return {};
  std::vector<Lock> in_the_way = TRY(at_and_above(reader, scope));
  if (change == Change::write) {
    std::erase_if(in_the_way, [](const Lock& lock) { return lock.level != LockLevel::read_only; });
  } else {
    for (Lock& lock : TRY(below(reader, scope))) in_the_way.push_back(std::move(lock));
  }
  if (in_the_way.empty()) return {};
  return std::unexpected(scope_locked(scope, change, in_the_way));
}

Result<std::optional<Lock>> Locks::get(store::Reader& reader, const ResourceId& scope,
                                       std::string_view name) const {
  const auto row = TRY(reader.get(table(), core_.tenant, key_of(scope.text(), name)));
  if (!row) return std::optional<Lock>();
  return std::optional<Lock>(TRY(read_lock(*row)));
}

Result<void> Locks::put(store::Transaction& tx, const ResourceId& scope, std::string_view name,
                        const JsonObject& shown) const {
  return tx.put(table(), core_.tenant, {key_of(scope.text(), name), to_text(shown), {}});
}

Result<void> Locks::erase(store::Transaction& tx, const ResourceId& scope, std::string_view name) const {
  return tx.erase(table(), core_.tenant, key_of(scope.text(), name));
}

Result<void> Locks::forget_scope(store::Transaction& tx, std::string_view scope) const {
  for (const std::string& prefix : {ascii_lower(scope) + "\n", ascii_lower(scope) + "/"}) {
    for (const Lock& lock : TRY(with_prefix(tx, prefix))) TRY(erase(tx, lock.scope, lock.name));
  }
  return {};
}

Result<void> Locks::move_scope(store::Transaction& tx, const ResourceId& from, const ResourceId& to) const {
  for (const char* next : {"\n", "/"}) {
    for (const Lock& lock : TRY(with_prefix(tx, from.key() + next))) {
      const std::string rest = lock.scope.text().substr(from.text().size());
      const ResourceId scope = TRY(ResourceId::parse(to.text() + rest));
      JsonObject body = lock.body;
      body["id"] = lock_id(scope, lock.name);
      TRY(erase(tx, lock.scope, lock.name));
      TRY(put(tx, scope, lock.name, body));
    }
  }
  return {};
}

std::string lock_id(const ResourceId& scope, std::string_view name) {
  return scope.text() + "/providers/Microsoft.Authorization/locks/" + std::string(name);
}

// Azure's text, as its users quote it; `details` names the locks, so that nobody has to look for them.
Error scope_locked(std::string_view scope, Change change, const std::vector<Lock>& locks) {
  Error error;
  error.kind = ErrorKind::conflict;
  error.code = "ScopeLocked";
  std::vector<std::string> scopes;
  for (const Lock& lock : locks) {
    const std::string quoted = "'" + lock.scope.text() + "'";
    if (std::ranges::find(scopes, quoted) == scopes.end()) scopes.push_back(quoted);
    const std::string level = lock.level == LockLevel::read_only ? "ReadOnly" : "CanNotDelete";
    error.details.push_back(
        {"ScopeLocked", "The lock '" + lock.name + "' is " + level + ".", lock_id(lock.scope, lock.name)});
  }
  error.message = "The scope '" + std::string(scope) + "' cannot perform " +
                  (change == Change::remove ? "delete" : "write") +
                  " operation because following scope(s) are locked: " + join(scopes, ",") +
                  ". Please remove the lock and try again.";
  error.target = locks.front().scope.text();
  return error;
}

}  // namespace merlon::resource

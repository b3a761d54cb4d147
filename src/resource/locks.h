// Management locks (Microsoft Learn, "Lock your Azure resources"): what nobody may delete or change while
// they stand, whatever roles they hold. A lock counts for its scope and everything below it; what is above a
// locked thing cannot be deleted either, since that would take it along.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resource/call.h"

namespace merlon::resource {

enum class LockLevel { can_not_delete, read_only };

struct Lock {
  ResourceId scope;  // as its maker spelled it
  std::string name;
  LockLevel level = LockLevel::can_not_delete;
  JsonObject body;   // as GET shows it
  std::string text;  // the same, as stored
};

class Locks {
 public:
  explicit Locks(const Core& core) : core_(core) {}
  static const store::TableSpec& table();  // key: lower-case scope, '\n', lower-case name

  // 409 ScopeLocked, naming every lock that is in the way. Costs next to nothing while nobody has set a lock.
  Result<void> check(store::Reader& reader, std::string_view scope, Change change) const;

  Result<std::optional<Lock>> get(store::Reader& reader, const ResourceId& scope,
                                  std::string_view name) const;
  Result<std::vector<Lock>> at_and_above(store::Reader& reader, std::string_view scope) const;
  Result<std::vector<Lock>> below(store::Reader& reader, std::string_view scope) const;
  Result<void> put(store::Transaction& tx, const ResourceId& scope, std::string_view name,
                   const JsonObject& shown) const;
  Result<void> erase(store::Transaction& tx, const ResourceId& scope, std::string_view name) const;
  // A resource that gets another id keeps its locks, and so does what is in it.
  Result<void> move_scope(store::Transaction& tx, const ResourceId& from, const ResourceId& to) const;
  // What is gone needs no locks: those at the scope and below it go too.
  Result<void> forget_scope(store::Transaction& tx, std::string_view scope) const;

 private:
  Result<std::vector<Lock>> with_prefix(store::Reader& reader, const std::string& prefix) const;
  const Core& core_;
};

std::string lock_id(const ResourceId& scope, std::string_view name);
Error scope_locked(std::string_view scope, Change change, const std::vector<Lock>& locks);

}  // namespace merlon::resource

// Resource groups: where resources live, and what their owner deletes as one.
#pragma once

#include <optional>
#include <string>

#include "resource/call.h"

namespace merlon::resource {

class Groups {
 public:
  explicit Groups(const Core& core) : core_(core) {}
  static const store::TableSpec& table();

  struct Group {
    std::string text;  // as GET shows it
    JsonObject body;
    ResourceId id;
  };
  Result<std::optional<Group>> get(store::Reader& reader, std::string_view id) const;
  Result<bool> exists(store::Reader& reader, std::string_view id) const;
  // 404 ResourceGroupNotFound unless it exists.
  Result<void> require(store::Reader& reader, const ResourceId& id) const;
  // `body` holds location, tags, managedBy; the rest is filled in. Returns what GET shows.
  Result<JsonObject> put(store::Transaction& tx, const ResourceId& id, const JsonObject& body) const;
  Result<void> erase(store::Transaction& tx, const ResourceId& id) const;
  Result<std::vector<Group>> all(store::Reader& reader) const;

 private:
  const Core& core_;
};

// 400 InvalidResourceGroup unless `name` may be one.
Result<void> check_group_name(std::string_view name);

}  // namespace merlon::resource

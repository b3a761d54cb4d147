// Long-running operations: what a 202 answer points to until its work is done (arm-core.md, Asynchronous
// operations).
#pragma once

#include "resource/manager.h"

namespace merlon::resource {

class Operations {
 public:
  explicit Operations(const Core& core) : core_(core) {}
  static const store::TableSpec& table();

  struct Record {
    Manager::Operation operation;
    std::string started_by;  // object id: its starter may always ask how it goes
  };
  Result<Manager::Operation> start(WriteContext& context, const ResourceId& id, std::string_view status,
                                   JsonObject result) const;
  Result<void> finish(store::Transaction& tx, const std::string& id, std::string_view status,
                      JsonObject result, std::optional<Error> error = {}) const;
  Result<std::optional<Record>> find(store::Reader& reader, std::string_view id) const;

  // 202 with Location, Azure-AsyncOperation and Retry-After.
  static net::Response accepted(const Call& call, const Manager::Operation& operation);
  // The same beside an answer that has the resource: Azure-AsyncOperation and Retry-After.
  static void point_to(net::Response& response, const Call& call, const Manager::Operation& operation);
  // 202 with Location alone, as a resource group's deletion answers.
  static net::Response accepted_at_subscription(const Call& call, const Manager::Operation& operation);

 private:
  const Core& core_;
};

}  // namespace merlon::resource

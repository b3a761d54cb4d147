// tidy: allow(banned-name) because Azure calls it the Resource Manager
// The Resource Manager: from an HTTP request to an identified, authorized, checked, carried out and recorded
// change. It knows no resource type by itself; services declare theirs before the first request.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resource/resource_type.h"
#include "resource/route.h"

namespace merlon::resource {

const std::vector<store::TableSpec>& tables();

class Manager {  // tidy: allow(banned-name) because Azure calls it the Resource Manager
 public:
  static std::unique_ptr<Manager> make(Core core);
  virtual ~Manager() = default;

  // Declarations, before the first request.
  virtual void add(Route route) = 0;
  virtual void add(ResourceType type) = 0;
  virtual void add(EmbeddedType type) = 0;
  virtual const std::vector<Route>& routes() const = 0;  // generated ones included: for OpenAPI and the tests

  // Answers any control-plane request that is not identity's. Runs on a worker; blocks on the store.
  virtual net::Response handle(const net::Request& request, const std::string& origin) = 0;
  // The same answer where it takes no waiting; else nothing, and nothing has happened.
  virtual std::optional<net::Response> answer_at_once(const net::Request& request,
                                                      const std::string& origin) = 0;

  // For services, in the transaction of the caller. Reading needs no right: the route's handler has answered
  // for that.
  virtual Result<std::optional<Resource>> get(store::Reader& reader, const ResourceId& id) = 0;
  virtual Result<std::vector<Resource>> list(store::Reader& reader, std::string_view type,
                                             std::string_view scope) = 0;
  // Creates or replaces as the system does: no shape check, no hooks but `changed`; used to make what
  // enrolment needs and to re-render what others see (JIT rules, back references). The group must exist.
  virtual Result<Resource> store_document(WriteContext& context, const ResourceId& id, JsonObject body) = 0;
  // The same without `changed`, for re-rendering from a timer, where there is no request.
  virtual Result<Resource> render(store::Transaction& tx, const ResourceId& id, JsonObject body) = 0;
  virtual Result<void> erase(store::Transaction& tx, const ResourceId& id) = 0;
  // Whether the caller of a filter_items list may see `scope` (always, unless Call::only_permitted).
  virtual Result<bool> may(store::Reader& reader, const Call& call, std::string_view action,
                           std::string_view scope) = 0;
  // For work that is nobody's request (WriteContext::require_unlocked is for those): 409 ScopeLocked.
  virtual Result<void> require_unlocked(store::Reader& reader, std::string_view scope, Change change) = 0;
  virtual Result<bool> group_exists(store::Reader& reader, std::string_view group_id) = 0;
  virtual Result<void> ensure_group(WriteContext& context, const ResourceId& group,
                                    const std::string& location) = 0;

  // Long-running operations: a 202 answer with Location and Azure-AsyncOperation, polled until terminal.
  struct Operation {
    std::string id;      // uuid
    std::string status;  // "InProgress", "Succeeded", "Failed", "Canceled"
    std::string resource_id;
    std::string provider, location;
    JsonObject result;  // what Location answers when done; empty = 204
    std::optional<Error> error;
    Timestamp started, ended;
  };
  virtual Result<Operation> start_operation(WriteContext& context, const ResourceId& id,
                                            std::string_view status, JsonObject result) = 0;
  virtual Result<void> finish_operation(store::Transaction& tx, const std::string& operation_id,
                                        std::string_view status, JsonObject result) = 0;
  virtual net::Response accepted(const Call& call, const Operation& operation) = 0;  // 202 with its headers

  // A ledger entry and a running change by the system itself (timers, agents): a WriteContext with Merlon as
  // its actor.
  virtual Result<void> as_system(store::Transaction& tx, std::string_view reason,
                                 const std::function<Result<void>(WriteContext&)>& work) = 0;
};

}  // namespace merlon::resource

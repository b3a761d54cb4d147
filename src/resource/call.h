// One authenticated request on its way through the Resource Manager, and what its handlers may do.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <string>

#include "base/json.h"
#include "identity/principal.h"
#include "net/http.h"
#include "resource/core.h"
#include "resource/resource_id.h"

namespace merlon::resource {

struct Call {
  const net::Request& request;
  std::map<std::string, std::string>
      parameters;   // of the route's path, decoded: {"resourceGroupName", "rg1"}
  ResourceId id;    // the resource that the path names (without a trailing action)
  JsonObject body;  // parsed; empty when there is none
  identity::Principal principal;
  TenantId tenant;
  Timestamp now;
  std::string
      origin;  // "https://host:port" as asked for: for nextLink, Location and other URLs that we hand out
  std::string api_version;
  std::string correlation_id;   // x-ms-correlation-request-id, or ours
  std::any gathered;            // what the route's gather step brought
  bool only_permitted = false;  // a filter_items list by one who lacks the permission at the list's scope

  const std::string& parameter(
      std::string_view name) const;  // checked: a route that does not declare it is a bug
};

// How a request, or a part of its work, touches a thing: what locks tell apart (locks.h).
enum class Change { write, remove };

// What a handler answers. Writers' answers leave only after COMMIT.
net::Response json_response(int status, const JsonObject& body);
net::Response text_response(int status, std::string json_text);  // JSON text that is ready
net::Response empty_response(int status);
net::Response error_response(const Error& error, const std::string& request_id = {});

// The decide step of a write. Valid only inside the handler.
class WriteContext {
 public:
  WriteContext(const Core& core_in, const Call& call_in, store::Transaction& tx_in)
      : core(core_in), call(call_in), tx(tx_in), actor(call_in.principal.actor()) {}
  // Merlon itself, which needs no right and says why it acts.
  WriteContext(const Core& core_in, const Call& call_in, store::Transaction& tx_in, std::string system_reason)
      : core(core_in),
        call(call_in),
        tx(tx_in),
        actor{"System", {}, "merlon", {}},
        reason(std::move(system_reason)),
        is_system(true) {}
  const Core& core;
  const Call& call;
  store::Transaction& tx;

  // A right needed beyond the route's own, on a linked resource. Denied: LinkedAuthorizationFailed, 403.
  Result<void> require(std::string_view action, std::string_view scope);
  // For a change beyond what the path names. 409 ScopeLocked when a lock at or above `scope` forbids it, or
  // one below it a removal. Merlon's own work passes, as do routes that say so (Route::passes_locks_because).
  Result<void> require_unlocked(std::string_view scope, Change change = Change::write);
  // Before what stands at `scope` and below it goes: 401 StepUpRequired unless the caller meets each step-up
  // policy there. It would go too, and what is deleted may come back (a vault is recovered, a name is used
  // again).
  Result<void> require_removable(std::string_view scope);
  bool passes_locks = false;
  // For the ledger entry of this request.
  std::string justification;
  JsonObject details;
  // A further ledger entry, in the same transaction, by the same actor.
  Result<void> record(std::string_view action, std::string_view resource, JsonObject entry_details);

  const ledger::Actor actor;
  std::string reason;  // the assignment that allowed the request; why the system acts
  const bool is_system = false;
  unsigned recorded = 0;  // entries made by record()
};

using ReadHandler = std::function<Result<net::Response>(const Call&, store::Reader&)>;
using WriteHandler = std::function<Result<net::Response>(WriteContext&)>;
// Step 1 (architecture.md): may block or call out, holds no transaction; its value reaches the handler as
// Call::gathered.
class Gathered {  // not an any itself: std::expected and std::any each take the other for something to
                  // convert from
 public:
  Gathered() = default;
  template <class T>
  static Gathered of(T value) {
    Gathered gathered;
    gathered.value = std::move(value);
    return gathered;
  }
  std::any value;
};
using GatherHandler = std::function<Result<Gathered>(const Call&)>;

}  // namespace merlon::resource

// A route is declared once: method, path, permission, body, help, handler. Validation, authorization, OpenAPI
// and docs come from this declaration. A route without a permission (or a stated reason to be public) does
// not exist.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "resource/call.h"
#include "schema/shape.h"

namespace merlon::resource {

struct Route {
  std::string method;  // "GET", "PUT", …
  // Segments: literals (case-insensitive), {name} for one segment, and a leading {+scope} for any id before
  // "/providers/…".
  std::string path;
  std::string permission;  // "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"
  // Where the permission is checked: a path with the same {names}; empty = the path itself without a trailing
  // action segment (POST). A list at a group or subscription is checked there, and its items are filtered by
  // read permission when the caller lacks it (`filter_items`), as Azure does.
  std::string checked_at;
  // The name that the ledger gives the action when it is not the permission: several acts may take one right.
  std::string entered_as{};
  std::string public_because;  // only without a permission: why anybody may call it
  std::string summary;         // one line for OpenAPI, docs and --help
  std::optional<schema::Shape> body;
  // A read of one stored document: quick enough for the thread that serves all connections (net/server.h).
  bool at_once = false;
  bool any_api_version = false;  // true: works without api-version (metadata, health)
  ReadHandler read;              // exactly one of read and write
  WriteHandler write;
  GatherHandler gather;  // optional
  // A write that locks do not stop (locks.h), and why: setting locks, and what only takes access away.
  std::string passes_locks_because;
  // A list: who lacks the permission at the list's own scope sees the items that they may read one by one.
  // The handler must then drop the others: Call::only_permitted, Manager::may().
  bool filter_items = false;
  // What the request says about itself to conditions on role assignments ("@Request[…]"). Runs after
  // authentication, on the parsed but unchecked body, before the permission is decided.
  std::function<Result<access::Attributes>(const Call&, store::Reader&)> attributes{};
};

}  // namespace merlon::resource

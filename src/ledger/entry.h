// What the ledger records: who did what to which thing, whether it was allowed, and why. Never a secret.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"

namespace merlon::ledger {

enum class Decision { allowed, denied, failed };
std::string_view decision_text(Decision decision);

struct Actor {
  std::string kind;       // "User", "ServicePrincipal", "Machine", "System", "Anonymous"
  std::string object_id;  // empty for System and Anonymous
  std::string name;       // upn, application or machine name, "merlon"
  std::string address;    // where the request came from; empty for System
};

struct Entry {
  Timestamp time;
  Actor actor;
  std::string
      action;  // Azure's operation name: "Microsoft.Network/networkSecurityGroups/write"; ours under Merlon.*
  std::string resource;  // id of the thing acted on
  Decision decision = Decision::allowed;
  std::string reason;  // why it was allowed or denied: an assignment id, an error code
  std::string request_id;
  std::string correlation_id;
  std::string justification;  // what the person gave as a reason
  JsonObject details;         // facts of the action; bounded to 8 KiB
  int64_t count = 1;          // more than one for summarised denials
};

}  // namespace merlon::ledger

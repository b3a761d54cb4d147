// Managed identities on a machine: which ones its agent may ask tokens for and for whom (a part of the
// desired state), and the messages by which it asks.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"

namespace merlon::machine {

struct BoundIdentity {
  std::string client_id;
  std::string principal_id;
  std::string
      resource_id;  // of the user-assigned identity; of the virtual machine when it is the machine's own
  bool own = false;
  bool operator==(const BoundIdentity&) const = default;
};

// Who may ask, and for what. The first rule that fits a caller decides.
struct CallerRule {
  std::string name;
  std::vector<std::string> users;       // names or numbers of the machine's users
  std::vector<std::string> units;       // systemd units: "nginx.service", or slices
  std::vector<std::string> client_ids;  // of identities that they may ask for
  bool operator==(const CallerRule&) const = default;
};

struct IdentityEndpoint {
  std::vector<BoundIdentity> identities;
  // With no rules from the owner, whoever can read the challenge file (root, and the group "himds") may ask
  // for all.
  bool has_rules = false;
  std::vector<CallerRule> rules;
  bool link_local = false;  // answer at 169.254.169.254 too
  bool empty() const { return identities.empty(); }
  bool operator==(const IdentityEndpoint&) const = default;
  JsonObject to_json() const;
  static Result<IdentityEndpoint> from_json(const JsonObject& json);  // bounded and strict
};

inline constexpr size_t kBoundIdentitiesMax = 1024;
inline constexpr size_t kCallerRulesMax = 64;
inline constexpr size_t kCallersMax = 64;  // users, and units, of one rule

// POST /agent/v1/token
struct TokenRequest {
  std::string boot_id;
  std::string client_id;  // which identity: one of the endpoint's
  std::string audience;
  std::string caller;  // the rule that let the caller in; empty: none is needed
  JsonObject to_json() const;
  static Result<TokenRequest> from_json(const JsonObject& json);
};

struct TokenAnswer {
  Secret token;
  Timestamp not_before, expires;
  Timestamp server_time;
  JsonObject to_json() const;
  static Result<TokenAnswer> from_json(const JsonObject& json);
};

inline constexpr size_t kAudienceMax = 512;

}  // namespace merlon::machine

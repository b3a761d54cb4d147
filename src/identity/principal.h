// Who is asking, as every room above knows it. From a token only identity is taken; groups and roles are read
// live.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "base/uuid.h"
#include "ledger/entry.h"

namespace merlon::identity {

enum class PrincipalKind { user, service_principal };
std::string_view principal_kind_text(
    PrincipalKind kind);  // "User", "ServicePrincipal": Azure's principalType

struct Principal {
  Uuid object_id;
  PrincipalKind kind = PrincipalKind::user;
  std::string name;              // user principal name, or the application's display name
  Uuid app_id;                   // the client application
  std::vector<std::string> amr;  // how they signed in: "pwd", "mfa", "rsa"
  Timestamp auth_time;
  std::string token_id;         // uti
  IpAddress address;            // the socket's peer
  std::string session_id = {};  // the sign-in that it comes from (sessions.h); applications may have none
  ledger::Actor actor() const;
};

}  // namespace merlon::identity

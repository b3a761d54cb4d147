// What a person's certificate says of the sign-in that it was issued for, in an extension of our own: so that
// it ends with that sign-in, and policies that ask for a fresh second factor know when there was one.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/principal.h"

namespace merlon::ssh_identity {

inline constexpr std::string_view kSignInExtension = "sign-in@merlon.dev";

struct SignInNote {
  identity::PrincipalKind kind = identity::PrincipalKind::user;
  Uuid app_id;
  std::string
      stamp_digest;  // SHA-256 of the session stamp, hex: the stamp itself is no business of its holder
  std::vector<std::string> amr;
  Timestamp auth_time;

  std::string to_text() const;
  static Result<SignInNote> from_text(std::string_view text);
};

}  // namespace merlon::ssh_identity

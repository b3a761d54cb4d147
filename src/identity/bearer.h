// Reading an access token of our own, in two steps: is it ours, unaltered, in time and for this API (no store
// needed), and does its principal still exist, enabled, with no revocation since (read live).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "identity/issuer.h"
#include "identity/signing_keys.h"

namespace merlon::identity {

struct TokenClaims {
  std::string issuer;
  std::string audience;
  std::string stamp;
  std::string session;  // of a person
  PrincipalKind kind = PrincipalKind::user;
  Uuid object_id;
  Uuid app_id;
  std::vector<std::string> amr;
  Timestamp auth_time;
  Timestamp not_before, expires;
  std::string token_id;
};

// The token of "Bearer <token>". Errors: AuthenticationFailed.
Result<std::string_view> bearer_token(std::string_view authorization);

// Everything but the audience. Errors: InvalidAuthenticationToken, ExpiredAuthenticationToken,
// InvalidAuthenticationTokenTenant. Nothing of a claim is believed, or told, before the signature is
// verified.
Result<TokenClaims> verify_token(std::string_view token, const std::vector<SigningKey>& keys,
                                 const TenantId& tenant, Timestamp now);
// Whether claims that were verified at another time are in time now, with 5 minutes for clocks that differ.
// Errors: ExpiredAuthenticationToken, InvalidAuthenticationToken.
Result<void> check_times(const TokenClaims& claims, Timestamp now);

// Without an address.
Result<Principal> live_principal(store::Reader& reader, Directory& directory, const TokenClaims& claims);

}  // namespace merlon::identity

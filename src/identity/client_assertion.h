// private_key_jwt (RFC 7523 section 2.2, OpenID Connect Core section 9): a client proves itself with a JWT
// signed by the key of a certificate that its application has registered.
#pragma once

#include <string>
#include <string_view>

#include "identity/directory.h"
#include "identity/sessions.h"
#include "identity/sign_in_error.h"

namespace merlon::identity {

struct AssertionContext {
  std::string origin;  // of this server as the client asked for it
  TenantId tenant;
  std::string domain;
  Timestamp now;
};

struct ProvenAssertion {
  Uuid credential_id;
  AssertionUse use;  // to be recorded; `peer` is the caller's to fill
};

// exp, nbf and iat, with five minutes for clocks that differ. When the assertion is over, that margin
// included.
SignIn<Timestamp> check_assertion_times(const JsonObject& payload, Timestamp now);

SignIn<ProvenAssertion> verify_client_assertion(const Application& application, std::string_view assertion,
                                                const AssertionContext& context);

}  // namespace merlon::identity

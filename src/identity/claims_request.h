// The parameter "claims" (OpenID Connect Core section 5.5, as Entra's claims challenge uses it): what a
// client wants its access token to say. A resource server that wants more of a person than their token says
// answers with such a text; the client hands it on; the person proves themselves anew.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "identity/sign_in_error.h"

namespace merlon::identity {

struct ClaimsRequest {
  bool understands_challenge = false;          // xms_cc has "CP1": the client can handle a claims challenge
  bool mfa = false;                            // amr must have "mfa"
  std::optional<Timestamp> signed_in_since{};  // auth_time must not be before this
  bool satisfied_by(const std::vector<std::string>& amr, Timestamp auth_time) const;
};

// Nothing asked for when there is no text. What is not about access tokens, and what is not known, is left
// out (section 5.5: a server may); what is malformed is refused with AADSTS9002313.
SignIn<ClaimsRequest> parse_claims_request(const std::string* text);

// {"access_token":{"amr":{"essential":true,"values":["mfa"]},"auth_time":{"essential":true,"value":…}}}
std::string step_up_claims(Timestamp signed_in_since);

}  // namespace merlon::identity

// A request to the authorization endpoint (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1, PKCE:
// RFC 7636), read and held against what is registered.
#pragma once

#include <optional>
#include <string>

#include "identity/claims_request.h"
#include "identity/redirect_uri.h"
#include "identity/scope.h"
#include "identity/tenant_path.h"

namespace merlon::identity {

enum class ResponseMode { query, fragment, form_post };
enum class Prompt { any, none, sign_in, select_account };

struct AuthorizeRequest {
  std::string origin;
  Application application;
  std::string redirect_uri;
  RedirectParts redirect;
  bool redirect_known = false;  // it is registered: a refusal may be sent there
  ResponseMode mode = ResponseMode::query;
  std::string state;
  bool has_state = false;
  RequestedScope scope;
  std::string nonce;
  std::string challenge;  // of PKCE S256
  Prompt prompt = Prompt::any;
  std::string login_hint;
  std::optional<Duration> max_age;
  ClaimsRequest claims;
};

// Fills `out` as far as it comes, so that a refusal after the redirect URI can be told to the client.
SignIn<void> read_authorize_request(store::Reader& reader, Directory& directory, const Issuer& issuer,
                                    const net::Query& query, Dialect dialect, AuthorizeRequest& out);

// How old a sign-in may be (OpenID Connect Core section 3.1.2.1); nothing for no text.
SignIn<std::optional<Duration>> parse_max_age(std::string_view text);
// RFC 7636 section 4.1 and 4.2: 43 characters of base64url; 43 to 128 unreserved ones.
bool is_code_challenge(std::string_view text);
bool is_code_verifier(std::string_view text);

// The applications that come with Merlon and act for whoever signs in through them: Azure's command line
// (whose id Azure's SDKs use too) and our own. All others are somebody else's: they learn who has signed in,
// and get nothing of the Resource Manager or the directory until an administrator has consented.
bool is_first_party(const Uuid& app_id);
// The path to which people come back at a bastion's own name.
inline constexpr std::string_view kBastionPagesReturn = "/signed-in";
// What an application that acts for a person may get a token for.
SignIn<void> check_consent(const Application& application, const ServicePrincipal& principal,
                           ResourceKind kind, std::string_view audience);

}  // namespace merlon::identity

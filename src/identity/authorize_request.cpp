// Reading authorization requests.
#include "identity/authorize_request.h"

#include <algorithm>

#include "identity/audience.h"
#include "identity/bootstrap.h"
#include "identity/web_sign_in.h"

namespace merlon::identity {
namespace {

constexpr size_t kStateMax = 4096;
constexpr size_t kNonceMax = 1024;
constexpr size_t kHintMax = 320;
constexpr int64_t kMaxAgeMax = 1'000'000'000;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request must contain the following parameter: '" + std::string(parameter) + "'.");
}

SignIn<void> read_client(store::Reader& reader, Directory& directory, const net::Query& query,
                         AuthorizeRequest& out) {
  const std::string* client = query.find("client_id");
  if (client == nullptr || client->empty()) return missing("client_id");
  const auto id = Uuid::parse(*client);
  const auto application =
      id ? TRY(directory.application_by_app_id(reader, *id)) : std::optional<Application>();
  const auto principal =
      id ? TRY(directory.service_principal_by_app_id(reader, *id)) : std::optional<ServicePrincipal>();
  if (!application || !principal)
    return refuse(700016, "Application with identifier '" + shown(*client) +
                              "' was not found in the directory '" + directory.tenant().text() +
                              "'. Check the client id, and that you ask the right tenant.");
  out.application = *application;
  if (!principal->enabled)
    return refuse(7000112, "Application '" + id->text() + "'(" + principal->display_name + ") is disabled.");
  return {};
}

// "https://<bastion>.bastion.<domain>/signed-in", at the very port that is asked here: bastions come and go,
// and each name of that form is this server's, whatever stands there.
bool is_bastion_page(const RedirectParts& redirect, const std::string& origin, std::string_view domain) {
  const std::string suffix = ".bastion." + ascii_lower(domain);
  const size_t host_at = std::string_view("https://").size();
  const size_t colon = origin.find(':', host_at);
  const std::string port = colon == std::string::npos ? "" : origin.substr(colon + 1);
  if (redirect.scheme != "https" || redirect.port != port || redirect.rest != kBastionPagesReturn ||
      !redirect.host.ends_with(suffix))
    return false;
  const std::string_view label =
      std::string_view(redirect.host).substr(0, redirect.host.size() - suffix.size());
  return !label.empty() && label.find('.') == std::string_view::npos;
}

SignIn<void> read_redirect(const net::Query& query, const Issuer& issuer, AuthorizeRequest& out) {
  const std::string* redirect = query.find("redirect_uri");
  if (redirect == nullptr || redirect->empty()) return missing("redirect_uri");
  const auto parts = parse_redirect_uri(*redirect);
  const bool registered_here = parts && out.application.app_id.text() == kBastionPagesAppId &&
                               is_bastion_page(*parts, out.origin, issuer.domain());
  const bool registered =
      registered_here ||
      (parts && std::ranges::any_of(out.application.redirect_uris, [&](const RedirectUri& known) {
         return redirect_uri_matches(known, *redirect);
       }));
  if (!registered)
    return refuse(50011, "The redirect URI '" + shown(*redirect) +
                             "' specified in the request does not match the redirect URIs configured for the "
                             "application '" +
                             out.application.app_id.text() + "'. Register exactly this URI.");
  out.redirect_uri = *redirect;
  out.redirect = *parts;
  return {};
}

SignIn<void> read_mode(const net::Query& query, AuthorizeRequest& out) {
  const std::string mode = form_value(query, "response_mode");
  if (mode == "fragment")
    out.mode = ResponseMode::fragment;
  else if (mode == "form_post" && !out.redirect.host.empty())
    out.mode = ResponseMode::form_post;
  else if (!mode.empty() && mode != "query")
    return refuse(90014, "The parameter 'response_mode' must be query, fragment or form_post.");
  return {};
}

SignIn<void> read_challenge(const net::Query& query, AuthorizeRequest& out) {
  out.challenge = form_value(query, "code_challenge");
  const std::string method = form_value(query, "code_challenge_method");
  if (out.challenge.empty() && method.empty() && !out.application.public_client) return {};
  if (out.challenge.empty())
    return refuse(50147,
                  "A code challenge is required: send code_challenge and code_challenge_method=S256 (PKCE).");
  // RFC 7636 section 4.3: a missing method is "plain", which protects from nobody who reads the request.
  if (method != "S256")
    return refuse(50147, "The code_challenge_method must be S256; 'plain' is not accepted.");
  if (!is_code_challenge(out.challenge))
    return refuse(50147, "The size of the code challenge parameter is not valid: S256 gives 43 characters.");
  return {};
}

SignIn<void> read_prompt(const net::Query& query, AuthorizeRequest& out) {
  const std::string prompt = form_value(query, "prompt");
  if (prompt == "none")
    out.prompt = Prompt::none;
  else if (prompt == "login")
    out.prompt = Prompt::sign_in;
  else if (prompt == "select_account")
    out.prompt = Prompt::select_account;
  // Consent is an administrator's to give: there is nothing to ask people.
  else if (!prompt.empty() && prompt != "consent" && prompt != "admin_consent")
    return refuse(90014, "The parameter 'prompt' must be login, none, consent or select_account.");
  out.login_hint = form_value(query, "login_hint");
  if (out.login_hint.size() > kHintMax) out.login_hint.clear();
  out.max_age = TRY(parse_max_age(form_value(query, "max_age")));
  return {};
}

SignIn<void> read_scope(store::Reader& reader, Directory& directory, const Issuer& issuer,
                        const net::Query& query, Dialect dialect, AuthorizeRequest& out) {
  const std::string* resource = query.find("resource");
  const std::string scope = form_value(query, "scope");
  if (scope.empty() && (resource == nullptr || resource->empty()))
    return missing(dialect == Dialect::v1 ? "resource" : "scope");
  out.scope = TRY(parse_scope(scope));
  if (dialect != Dialect::v2 && resource != nullptr && !resource->empty()) {
    if (resource->size() > 512)
      return refuse(500011, "The resource principal named in the request is too long.");
    out.scope.audience = *resource;
    out.scope.openid = true;
    out.scope.offline_access = true;
  }
  if (out.scope.audience.empty()) return {};
  const ResourceKind kind = TRY(resolve_audience(reader, directory, issuer, out.scope.audience, out.origin));
  const auto principal = TRY(directory.service_principal_by_app_id(reader, out.application.app_id));
  return check_consent(out.application, principal.value_or(ServicePrincipal{}), kind, out.scope.audience);
}

}  // namespace

SignIn<std::optional<Duration>> parse_max_age(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int64_t seconds = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || seconds > kMaxAgeMax)
      return refuse(90014, "The parameter 'max_age' must be a number of seconds.");
    seconds = seconds * 10 + (c - '0');
  }
  return std::chrono::seconds(seconds);
}

bool is_code_challenge(std::string_view text) {
  return text.size() == 43 &&
         std::ranges::all_of(text, [](char c) { return is_unreserved(c) && c != '.' && c != '~'; });
}

bool is_code_verifier(std::string_view text) {
  return text.size() >= 43 && text.size() <= 128 && std::ranges::all_of(text, is_unreserved);
}

bool is_first_party(const Uuid& app_id) {
  return app_id.text() == kAzureCliAppId || app_id.text() == kBastionPagesAppId;
}

SignIn<void> check_consent(const Application& application, const ServicePrincipal& principal,
                           ResourceKind kind, std::string_view audience) {
  if (kind == ResourceKind::application) {
    // A token for itself tells an application who is there, and opens nothing else.
    const std::string_view bare = without_slashes(audience);
    if (bare == application.app_id.text() ||
        std::ranges::any_of(application.identifier_uris,
                            [&](const std::string& uri) { return without_slashes(uri) == bare; }))
      return {};
    return refuse(65001,
                  "The user or administrator has not consented to use the application for this resource. Ask "
                  "for a token of the Resource Manager or of Microsoft Graph.");
  }
  if (is_first_party(application.app_id) || principal.acts_for_users) return {};
  return refuse(65001, "The user or administrator has not consented to use the application with ID '" +
                           application.app_id.text() + "' named '" + application.display_name +
                           "'. An administrator consents with 'merlon app consent " +
                           application.app_id.text() + "'.");
}

SignIn<void> read_authorize_request(store::Reader& reader, Directory& directory, const Issuer& issuer,
                                    const net::Query& query, Dialect dialect, AuthorizeRequest& out) {
  if (const auto twice = repeated_parameter(query))
    return refuse(9002313, "Invalid request. The parameter '" + shown(*twice) + "' is there more than once.");
  TRY(read_client(reader, directory, query, out));
  TRY(read_redirect(query, issuer, out));
  TRY(read_mode(query, out));
  if (const std::string* state = query.find("state")) {
    if (state->size() > kStateMax) return refuse(90014, "The parameter 'state' is too long.");
    out.state = *state;
    out.has_state = true;
  }
  out.redirect_known = true;
  if (query.find("request") != nullptr || query.find("request_uri") != nullptr)
    return refuse(90014, "The parameters 'request' and 'request_uri' are not supported.");
  const std::string type = form_value(query, "response_type");
  if (type.empty()) return missing("response_type");
  if (type != "code")
    return refuse(70005, "The response type '" + shown(type) + "' is not supported. Ask for 'code'.");
  out.nonce = form_value(query, "nonce");
  if (out.nonce.size() > kNonceMax) return refuse(90014, "The parameter 'nonce' is too long.");
  TRY(read_challenge(query, out));
  TRY(read_prompt(query, out));
  out.claims = TRY(parse_claims_request(query.find("claims")));
  return read_scope(reader, directory, issuer, query, dialect, out);
}

}  // namespace merlon::identity

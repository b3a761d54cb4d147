// The grants that begin in a browser: authorization codes (RFC 6749 section 4.1.3, RFC 7636) and device codes
// (RFC 8628).
#include <algorithm>

#include "base/text.h"
#include "crypto/digest.h"
#include "identity/authorize_request.h"
#include "identity/reply.h"
#include "identity/token_endpoint.h"

namespace merlon::identity {
namespace {

constexpr Duration kDeviceLifetime = std::chrono::minutes(15);
constexpr Duration kDeviceRemembered = std::chrono::hours(1);
constexpr Duration kPollInterval = std::chrono::seconds(5);
constexpr Duration kPollTolerance = std::chrono::milliseconds(500);
constexpr int kUserCodeTries = 4;
constexpr std::string_view kDeviceAction = "Merlon.Identity/deviceCodes/issue/action";

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request body must contain the following parameter: '" + std::string(parameter) + "'.");
}

std::unexpected<SignInError> with_error(SignInError error, std::string_view name) {
  error.error = name;
  return std::unexpected(std::move(error));
}

}  // namespace

SignIn<void> TokenEndpoint::check_redemption(const TokenRequest& request, const AuthorizationCode& code,
                                             const Client& client) const {
  if (code.client != client.application.app_id)
    return refuse(70000, "Provided grant is invalid or malformed. Sign in again.");
  const std::string* redirect = request.field("redirect_uri");
  if (redirect == nullptr || *redirect != code.redirect_uri)
    return refuse(500112,
                  "The reply address does not match the reply address provided when requesting the "
                  "authorization code.");
  const std::string* verifier = request.field("code_verifier");
  const bool proven =
      code.challenge.empty()
          // RFC 9700 section 4.8.2: a verifier without a challenge means that the challenge was taken out.
          ? verifier == nullptr
          : verifier != nullptr && is_code_verifier(*verifier) &&
                to_base64url(crypto::sha256(as_bytes(*verifier))) == code.challenge;
  if (!proven)
    return refuse(50148,
                  "The code_verifier does not match the code_challenge supplied in the authorization request "
                  "for PKCE.");
  if (parts_.clock.now() >= code.redeemable_until)
    return refuse(70008, "The provided authorization code has expired. Sign in again.");
  return {};
}

SignIn<Grant> TokenEndpoint::redeem(store::Reader& reader, TokenRequest& request,
                                    const AuthorizationCode& code) {
  const TenantId& tenant = parts_.directory.tenant();
  const Client client = TRY(user_client(request, reader));
  TRY(check_redemption(request, code, client));
  request.ledger_resource = parts_.passwords.user_path(code.user);
  const auto user = TRY(store::get<User>(reader, tenant, code.user.text()));
  const std::string stamp = TRY(session_stamp(reader, tenant, code.user));
  if (!user || !user->enabled || stamp != code.stamp)
    return refuse(50173, "The provided grant has expired due to it being revoked. Sign in again.");
  const std::string* asked = request.field("scope");
  const RequestedScope scope =
      asked == nullptr || asked->empty() ? code.scope : TRY(requested_scope(request));
  Grant grant = user_grant(request, *user, client, stamp);
  grant.name = "authorization_code";
  grant.nonce = code.nonce;
  grant.openid = code.scope.openid;
  grant.subject.principal.amr = code.amr;
  grant.subject.principal.auth_time = code.auth_time;
  grant.subject.audience =
      TRY(user_audience(request, reader, client,
                        scope.audience.empty() ? code.scope.audience : scope.audience, Consent::needed));
  grant.session = new_session(request, grant);
  grant.session->parent = code.session;
  grant.code_digest = code.digest;
  if (code.scope.offline_access) add_refresh_token(grant);
  return grant;
}

SignIn<Grant> TokenEndpoint::authorization_code(TokenRequest& request) {
  const std::string* text = request.field("code");
  if (text == nullptr || text->empty()) return missing("code");
  std::optional<AuthorizationCode> code;
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    code = TRY(store::get<AuthorizationCode>(reader, parts_.directory.tenant(), code_digest(*text)));
    if (code && !code->gave) outcome = redeem(reader, request, *code);
    return {};
  }));
  if (!code) return refuse(70000, "Provided grant is invalid or malformed. Sign in again.");
  if (outcome) return *std::move(outcome);
  // RFC 6749 section 4.1.2: used twice, so one of the two who had it is a thief.
  request.ledger_resource = parts_.passwords.user_path(code->user);
  TRY(end_reused(request, *code->gave, code->user, "authorization code"));
  return refuse(54005,
                "OAuth2 Authorization code was already redeemed. What it was redeemed for has been revoked. "
                "Sign in again.");
}

Result<void> TokenEndpoint::use_up_code(store::Transaction& tx, const Grant& grant) {
  const TenantId& tenant = parts_.directory.tenant();
  if (grant.name == "device_code") {
    const auto code = TRY(store::get<DeviceCode>(tx, tenant, grant.code_digest));
    if (!code || code->state != DeviceState::approved)
      return fail(ErrorKind::unauthenticated, "CodeGone", "used or revoked meanwhile");
    return store::erase<DeviceCode>(tx, tenant, grant.code_digest);
  }
  auto code = TRY(store::get<AuthorizationCode>(tx, tenant, grant.code_digest));
  if (!code || code->gave) return fail(ErrorKind::unauthenticated, "CodeGone", "used or revoked meanwhile");
  code->gave = grant.session->id;
  return store::put(tx, tenant, *code);
}

net::Response TokenEndpoint::device_code(const net::Request& request, const std::string& origin,
                                         const TenantPath& path, Dialect dialect) {
  auto asked = read(request, origin, path, dialect);
  if (!asked) {
    note_refusal(request, asked.error(), tenant_path(), kDeviceAction);
    return error_reply(asked.error(), request, parts_.clock.now());
  }
  const auto body = new_device_code(*asked);
  if (!body) return refused(*asked, body.error(), kDeviceAction);
  return json_reply(200, *body);
}

SignIn<JsonObject> TokenEndpoint::new_device_code(TokenRequest& request) {
  const RequestedScope scope = TRY(requested_scope(request));
  const std::string* age_text = request.field("max_age");
  const auto age = TRY(parse_max_age(age_text == nullptr ? std::string_view() : *age_text));
  std::optional<SignIn<void>> allowed;
  DeviceCode code;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    allowed = [&]() -> SignIn<void> {
      const Client client = TRY(user_client(request, reader));
      if (!client.application.public_client)
        return refuse(7000218,
                      "The device code flow is for public clients. Set 'isFallbackPublicClient' of the "
                      "application, or sign it in with its own credential.");
      code.client = client.application.app_id;
      TRY(user_audience(request, reader, client, scope.audience, Consent::needed));
      return {};
    }();
    return {};
  }));
  TRY(*allowed);
  const Duration wait = TRY(parts_.guard.begin_device_code(request.request.peer));
  if (wait > Duration::zero())
    return refuse(50196, "Too many device codes were asked for from this address. Wait " +
                             std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) +
                             " seconds and try again.");
  const Timestamp now = parts_.clock.now();
  const std::string text = make_code(parts_.random);
  code.digest = code_digest(text);
  code.scope = scope;
  code.claims = request.claims;
  if (age) {
    // In whole seconds, as tokens say when a person signed in.
    const Timestamp since = std::chrono::floor<std::chrono::seconds>(now - *age);
    code.claims.signed_in_since = std::max(code.claims.signed_in_since.value_or(since), since);
  }
  code.address = request.request.peer.text();
  code.user_agent = kept_user_agent(request.request.headers.value_or("User-Agent", ""));
  code.created = now;
  code.redeemable_until = now + kDeviceLifetime;
  code.expires = now + kDeviceRemembered;
  TRY(parts_.store.write([&](store::Transaction& tx) -> Result<void> {
    const TenantId& tenant = parts_.directory.tenant();
    for (int tries = 0; tries < kUserCodeTries && code.user_code.empty(); ++tries) {
      const std::string drawn = make_user_code(parts_.random);
      if (TRY(store::find<DeviceCode>(tx, tenant, "user_code", drawn)).empty()) code.user_code = drawn;
    }
    if (code.user_code.empty())
      return fail(ErrorKind::unavailable, "ServiceUnavailable", "No user code is free. Try again.");
    TRY(store::put(tx, tenant, code));
    return sweep_expired(tx, tenant, now);
  }));
  const std::string shown = shown_user_code(code.user_code);
  const std::string page = request.origin + "/devicelogin";
  const auto number = [&](int64_t value) {
    return request.dialect == Dialect::v1 ? Json(std::to_string(value)) : Json(value);
  };
  JsonObject body{{"user_code", shown},
                  {"device_code", text},
                  {"verification_uri", page},
                  {"expires_in", number(kDeviceLifetime / std::chrono::seconds(1))},
                  {"interval", number(kPollInterval / std::chrono::seconds(1))},
                  {"message", "To sign in, use a web browser to open the page " + page +
                                  " and enter the code " + shown + " to authenticate."}};
  if (request.dialect == Dialect::v1) body["verification_url"] = page;
  return body;
}

// Remembers the poll; false when it came too soon.
Result<bool> TokenEndpoint::note_poll(const DeviceCode& code) {
  const Timestamp now = parts_.clock.now();
  if (now >= code.last_poll && now - code.last_poll < kPollInterval - kPollTolerance) return false;
  TRY(parts_.store.write([&](store::Transaction& tx) -> Result<void> {
    auto stored = TRY(store::get<DeviceCode>(tx, parts_.directory.tenant(), code.digest));
    if (!stored) return {};
    stored->last_poll = now;
    return store::put(tx, parts_.directory.tenant(), *stored);
  }));
  return true;
}

SignIn<Grant> TokenEndpoint::redeem(store::Reader& reader, TokenRequest& request, const DeviceCode& code,
                                    const Client& client) {
  const TenantId& tenant = parts_.directory.tenant();
  request.ledger_resource = parts_.passwords.user_path(*code.user);
  const auto user = TRY(store::get<User>(reader, tenant, code.user->text()));
  const std::string stamp = TRY(session_stamp(reader, tenant, *code.user));
  if (!user || !user->enabled || stamp != code.stamp)
    return refuse(50173, "The provided grant has expired due to it being revoked. Sign in again.");
  Grant grant = user_grant(request, *user, client, stamp);
  grant.name = "device_code";
  grant.openid = code.scope.openid;
  grant.subject.principal.amr = code.amr;
  grant.subject.principal.auth_time = code.auth_time;
  grant.subject.audience = TRY(user_audience(request, reader, client, code.scope.audience, Consent::needed));
  grant.session = new_session(request, grant);
  grant.session->parent = code.session;
  grant.code_digest = code.digest;
  if (code.scope.offline_access) add_refresh_token(grant);
  return grant;
}

SignIn<Grant> TokenEndpoint::device_code_grant(TokenRequest& request) {
  // RFC 8628 says "device_code"; AD FS and Entra's v1 say "code".
  const std::string* text = request.field("device_code");
  if (text == nullptr || text->empty()) text = request.field("code");
  if (text == nullptr || text->empty()) return missing("device_code");
  std::optional<DeviceCode> code;
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    outcome = [&]() -> SignIn<Grant> {
      const Client client = TRY(user_client(request, reader));
      code = TRY(store::get<DeviceCode>(reader, parts_.directory.tenant(), code_digest(*text)));
      if (!code || code->client != client.application.app_id) {
        code.reset();
        return refuse(70018, "The device_code is not known. Ask for a new one.");
      }
      if (code->state == DeviceState::declined)
        return with_error(SignInError(65004, "The user declined the sign-in."), "authorization_declined");
      if (parts_.clock.now() >= code->redeemable_until)
        return refuse(70019, "The device code has expired. Ask for a new one.");
      if (code->state == DeviceState::pending || !code->user) return refuse(70016, "pending");
      return redeem(reader, request, *code, client);
    }();
    return {};
  }));
  if (outcome->has_value() || outcome->error().number != 70016 || !code) return *std::move(outcome);
  if (!TRY(note_poll(*code)))
    return with_error(SignInError(70016, "The device asks too often. Wait 5 seconds between two questions."),
                      "slow_down");
  return refuse(70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling until somebody has "
                "signed in and entered the code.");
}

}  // namespace merlon::identity

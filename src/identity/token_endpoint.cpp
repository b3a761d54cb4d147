// Reading a token request, the client credentials grant, and issuing.
#include "identity/token_endpoint.h"

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "identity/discovery.h"
#include "identity/record_fields.h"
#include "identity/reply.h"

namespace merlon::identity {
namespace {

constexpr Duration kTokenLifetime = std::chrono::hours(1);
constexpr int64_t kExpiresIn = 3599;
constexpr Duration kSessionMargin =
    std::chrono::minutes(10);  // beyond the skew that an expired token is given
constexpr Duration kSweepEvery = std::chrono::seconds(1);
constexpr size_t kTokenIdBytes = 16;
constexpr size_t kFormMax = 64 * 1024;
constexpr std::string_view kIssueAction = "Merlon.Identity/tokens/issue/action";

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request body must contain the following parameter: '" + std::string(parameter) + "'.");
}

// MSAL sends an assertion again while it lives (its JwtAssertionCreator caches it for nine minutes), so what
// is refused is the same assertion from somewhere else. A client that reaches us by both loopback addresses
// is one place.
std::string place_of(const IpAddress& peer) { return peer.is_loopback() ? "loopback" : peer.text(); }

std::string subject_path(const Principal& principal) {
  return (principal.kind == PrincipalKind::user ? "/users/" : "/servicePrincipals/") +
         principal.object_id.text();
}

}  // namespace

net::Response TokenEndpoint::token(const net::Request& request, const std::string& origin,
                                   const TenantPath& path, Dialect dialect) {
  auto read_request = read(request, origin, path, dialect);
  if (!read_request) {
    note_refusal(request, read_request.error(), tenant_path(), kIssueAction);
    return error_reply(read_request.error(), request, parts_.clock.now());
  }
  const auto body = answer(*read_request);
  if (body) return json_reply(200, *body);
  return refused(*read_request, body.error(), kIssueAction);
}

net::Response TokenEndpoint::refused(const TokenRequest& request, const SignInError& error,
                                     std::string_view action) {
  // Waiting is no refusal: a device asks every few seconds until somebody has answered.
  if (error.number != 70016) note_refusal(request.request, error, request.ledger_resource, action);
  return error_reply(error, request.request, parts_.clock.now());
}

void TokenEndpoint::note_refusal(const net::Request& request, const SignInError& error,
                                 const std::string& resource, std::string_view action) {
  if (error.status >= 500) return;
  ledger::Entry entry;
  entry.time = parts_.clock.now();
  entry.actor = {.kind = "Anonymous", .object_id = {}, .name = {}, .address = request.peer.text()};
  entry.action = action;
  entry.resource = resource;
  entry.decision = ledger::Decision::denied;
  entry.reason = "AADSTS" + std::to_string(error.number);
  entry.request_id = request.request_id;
  entry.correlation_id = correlation_id(request);
  parts_.ledger.note_denial(entry);
}

SignIn<TokenRequest> TokenEndpoint::read(const net::Request& request, const std::string& origin,
                                         const TenantPath& path, Dialect dialect) const {
  if (!path.known)
    return refuse(90002, "Tenant '" + path.tenant.substr(0, 64) +
                             "' not found. Check to make sure you have the "
                             "correct tenant ID and are signing into the correct cloud.");
  if (request.method != "POST")
    return refuse(900561,
                  "The endpoint only accepts POST requests. Received a " + request.method + " request.");
  const std::string_view type = request.headers.value_or("Content-Type", "");
  if (!ascii_iequal(trim(type.substr(0, type.find(';'))), "application/x-www-form-urlencoded"))
    return refuse(900144,
                  "The request body must be application/x-www-form-urlencoded and contain the following "
                  "parameter: 'grant_type'.");
  if (request.body.size() > kFormMax)
    return refuse(9002313, "Invalid request. The request body is longer than 65536 bytes.");
  auto form = net::parse_form(request.body);
  if (!form)
    return refuse(9002313, "Invalid request. Request is malformed or invalid: " + form.error().message);
  TokenRequest parsed{.request = request,
                      .origin = origin,
                      .path = path,
                      .dialect = dialect,
                      .form = *std::move(form),
                      .claims = {},
                      .wants_client_info = false,
                      .foreign = {},
                      .ledger_resource = tenant_path()};
  parsed.claims = TRY(parse_claims_request(parsed.field("claims")));
  const std::string* client_info = parsed.field("client_info");
  parsed.wants_client_info = client_info != nullptr && *client_info == "1";
  parsed.foreign = foreign_proof(parsed.form);
  return parsed;
}

std::optional<SignIn<ForeignProof>> TokenEndpoint::foreign_proof(const net::Query& form) const {
  const std::string* client_id = form.find("client_id");
  const std::string* assertion = form.find("client_assertion");
  const auto id = client_id == nullptr ? std::nullopt : Uuid::parse(*client_id);
  if (!id || assertion == nullptr) return std::nullopt;
  return parts_.federation.prove(*id, *assertion);
}

SignIn<ClientClaim> TokenEndpoint::client_claim(const TokenRequest& request) const {
  ClientClaim claim = TRY(read_client(request.form, request.request.headers, parts_.directory.tenant()));
  if (claim.has_assertion) claim.foreign = request.foreign;
  return claim;
}

SignIn<JsonObject> TokenEndpoint::answer(TokenRequest& request) {
  const std::string* grant_type = request.field("grant_type");
  if (grant_type == nullptr || grant_type->empty()) return missing("grant_type");
  if (*grant_type == "client_credentials") return issue(request, TRY(client_credentials(request)));
  if (*grant_type == "password") return issue(request, TRY(password(request)));
  if (*grant_type == "refresh_token") return issue(request, TRY(refresh_token(request)));
  if (*grant_type == "authorization_code") return issue(request, TRY(authorization_code(request)));
  // MSAL for Python says "device_code" to AD FS.
  if (*grant_type == "urn:ietf:params:oauth:grant-type:device_code" || *grant_type == "device_code")
    return issue(request, TRY(device_code_grant(request)));
  return refuse(70003,
                "The app requested a grant type that this server does not support. Supported are "
                "authorization_code, client_credentials, device_code, password and refresh_token.");
}

SignIn<RequestedScope> TokenEndpoint::requested_scope(const TokenRequest& request) const {
  const std::string* scope = request.field("scope");
  const std::string* resource = request.field("resource");
  if (resource != nullptr && request.dialect != Dialect::v2) {
    RequestedScope requested = scope == nullptr ? RequestedScope() : TRY(parse_scope(*scope));
    requested.audience = *resource;
    requested.by_default = true;
    requested.openid = true;
    requested.offline_access = true;
    if (resource->size() > 512)
      return refuse(500011, "The resource principal named in the request is too long.");
    return requested;
  }
  if (scope == nullptr || scope->empty())
    return missing(request.dialect == Dialect::v1 ? "resource" : "scope");
  return parse_scope(*scope);
}

AssertionContext TokenEndpoint::assertion_context(const TokenRequest& request) const {
  return {.origin = request.origin,
          .tenant = parts_.directory.tenant(),
          .domain = parts_.issuer.domain(),
          .now = parts_.clock.now()};
}

SignIn<Grant> TokenEndpoint::client_credentials(TokenRequest& request) {
  const ClientClaim claim = TRY(client_claim(request));
  const RequestedScope scope = TRY(requested_scope(request));
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    outcome = [&]() -> SignIn<Grant> {
      if (const auto known = TRY(parts_.directory.service_principal_by_app_id(reader, claim.client_id)))
        request.ledger_resource = tenant_path() + "/servicePrincipals/" + known->id.text();
      Client client = TRY(authenticate_client(reader, parts_.directory, claim, PublicClients::refuse,
                                              assertion_context(request)));
      if (scope.audience.empty() || !scope.by_default)
        return refuse(1002012,
                      "The provided value for scope is not valid. Client credential flows must have a scope "
                      "value with /.default suffixed to the resource identifier (application ID URI).");
      TRY(resolve_audience(reader, parts_.directory, parts_.issuer, scope.audience, request.origin));
      Grant grant;
      grant.name = "client_credentials";
      grant.credential_id = client.credential_id;
      grant.assertion_use = std::move(client.assertion_use);
      TokenSubject& subject = grant.subject;
      subject.principal = {.object_id = client.principal.id,
                           .kind = PrincipalKind::service_principal,
                           .name = client.principal.display_name,
                           .app_id = client.principal.app_id,
                           .amr = {},
                           .auth_time = parts_.clock.now(),
                           .token_id = {},
                           .address = request.request.peer};
      subject.audience = scope.audience;
      subject.resource_id = client.principal.resource_id;
      subject.proof = client.proof;
      subject.stamp = TRY(session_stamp(reader, parts_.directory.tenant(), client.principal.id));
      return grant;
    }();
    return {};
  }));
  return *std::move(outcome);
}

SignIn<JsonObject> TokenEndpoint::issue(const TokenRequest& request, Grant grant) {
  grant.subject.understands_claims_challenge = request.claims.understands_challenge;
  const Principal& who = grant.subject.principal;
  // The client was challenged and asks again with what it has: only the person can help.
  if (who.kind == PrincipalKind::user && !request.claims.satisfied_by(who.amr, who.auth_time))
    return refuse(
        50076,
        "A fresh sign-in with a second factor is needed. Sign in again, in a browser: 'merlon login "
        "--fresh', or 'az logout' and 'az login'.");
  grant.subject.principal.token_id = to_base64url(parts_.random.bytes(kTokenIdBytes));
  if (grant.subject.principal.kind == PrincipalKind::user && !grant.session)
    return std::unexpected(
        SignInError(internal_error("a token for a person outside of any session").error()));
  if (grant.session) {
    grant.subject.session_id = grant.session->id.text();
    grant.session->last_used = parts_.clock.now();
    grant.session->expires = parts_.clock.now() + kTokenLifetime + kSessionMargin;
    if (grant.refresh) grant.session->expires = std::max(grant.session->expires, grant.refresh->expires);
  }
  const std::string access_token = TRY(parts_.issuer.issue(grant.subject, request.origin, kTokenLifetime));
  JsonObject body = response_body(request, grant, access_token);
  if (grant.openid) {
    const IdTokenForm form{.issuer = issuer_of(request.dialect, request.origin, parts_.directory.tenant()),
                           .version = request.dialect == Dialect::v2 ? "2.0" : "1.0",
                           .nonce = grant.nonce};
    body["id_token"] = TRY(parts_.issuer.issue_id_token(grant.subject, form, kTokenLifetime));
  }
  const auto write = [&](bool on_reserve) {
    return parts_.store.write([&](store::Transaction& tx) -> Result<void> {
      if (on_reserve) tx.urgent();
      TRY(use_up(tx, request, grant));
      if (!on_reserve && sweep_is_due())
        TRY(sweep_expired(tx, parts_.directory.tenant(), parts_.clock.now()));
      return record(tx, request, grant);
    });
  };
  auto written = write(false);
  if (!written && written.error().code == "StorageFull" &&
      TRY(may_use_reserve(grant.subject.principal.object_id)))
    written = write(true);
  if (!written && written.error().code == "AssertionReplayed")
    return refuse(700027,
                  "Client assertion failed verification: it was used before from another address. Make a new "
                  "assertion, with a new 'jti', on each machine.");
  if (!written && written.error().code == "RefreshTokenGone")
    return refuse(70000, "The provided refresh token is not valid any more. Sign in again.");
  if (!written && written.error().code == "CodeGone")
    return refuse(70000, "The provided code is not valid any more. Sign in again.");
  TRY(written);
  return body;
}

// Looking for what has expired takes more of the writer's time than the rest of a token.
bool TokenEndpoint::sweep_is_due() {
  const Duration now = parts_.clock.boottime();
  if (swept_ && now - *swept_ < kSweepEvery) return false;
  swept_ = now;
  return true;
}

Result<bool> TokenEndpoint::may_use_reserve(const Uuid& principal) {
  const bool is_administrator =
      TRY(store::read_value<bool>(parts_.store, [&](store::Reader& reader) -> Result<bool> {
        return parts_.directory.has_directory_role(reader, *Uuid::parse(kGlobalAdministrator), principal);
      }));
  return is_administrator && on_reserve_.take(parts_.clock.boottime());
}

Result<void> TokenEndpoint::use_up(store::Transaction& tx, const TokenRequest& request, const Grant& grant) {
  const TenantId& tenant = parts_.directory.tenant();
  if (grant.assertion_use) {
    AssertionUse use = *grant.assertion_use;
    use.peer = place_of(request.request.peer);
    const auto before = TRY(store::get<AssertionUse>(tx, tenant, use.digest));
    if (before && before->peer != use.peer)
      return fail(ErrorKind::unauthenticated, "AssertionReplayed", "replayed");
    if (!before) TRY(store::put(tx, tenant, use));
  }
  if (!grant.rotated_digest.empty()) {
    auto previous = TRY(store::get<RefreshToken>(tx, tenant, grant.rotated_digest));
    if (!previous) return fail(ErrorKind::unauthenticated, "RefreshTokenGone", "revoked meanwhile");
    if (!previous->rotated) previous->rotated = parts_.clock.now();
    TRY(store::put(tx, tenant, *previous));
    if (!TRY(store::get<Session>(tx, tenant, grant.session->id.text())))
      return fail(ErrorKind::unauthenticated, "RefreshTokenGone", "the session has ended meanwhile");
  }
  if (!grant.code_digest.empty()) TRY(use_up_code(tx, grant));
  if (grant.session) TRY(store::put(tx, tenant, *grant.session));
  if (grant.refresh) TRY(store::put(tx, tenant, *grant.refresh));
  return {};
}

Result<void> TokenEndpoint::record(store::Transaction& tx, const TokenRequest& request, const Grant& grant) {
  const Principal& principal = grant.subject.principal;
  ledger::Entry entry;
  entry.time = parts_.clock.now();
  entry.actor = principal.actor();
  entry.action = kIssueAction;
  entry.resource = tenant_path() + subject_path(principal);
  entry.decision = ledger::Decision::allowed;
  entry.reason = grant.name;
  entry.request_id = request.request.request_id;
  entry.correlation_id = correlation_id(request.request);
  entry.details = {{"audience", grant.subject.audience},
                   {"clientId", principal.app_id.text()},
                   {"expires", to_rfc3339(entry.time + kTokenLifetime)},
                   {"tokenId", principal.token_id}};
  if (grant.session) entry.details["sessionId"] = grant.session->id.text();
  if (!grant.credential_id.is_nil()) entry.details["credentialId"] = grant.credential_id.text();
  return parts_.ledger.append(tx, entry);
}

JsonObject TokenEndpoint::response_body(const TokenRequest& request, const Grant& grant,
                                        const std::string& access_token) const {
  const Principal& principal = grant.subject.principal;
  const std::string& audience = grant.subject.audience;
  JsonObject body{{"token_type", "Bearer"}};
  if (request.dialect == Dialect::v1) {
    const int64_t now =
        std::chrono::floor<std::chrono::seconds>(parts_.clock.now()).time_since_epoch().count();
    body["expires_in"] = std::to_string(kExpiresIn);
    body["ext_expires_in"] = std::to_string(kExpiresIn);
    body["expires_on"] = std::to_string(now + kExpiresIn);
    body["not_before"] = std::to_string(now);
    body["resource"] = audience;
  } else {
    body["expires_in"] = kExpiresIn;
    body["ext_expires_in"] = kExpiresIn;
  }
  body["access_token"] = access_token;
  if (principal.kind != PrincipalKind::user) return body;
  // MSAL finds a cached token only when every scope that is asked for is in this text.
  body["scope"] = request.dialect == Dialect::v1 ? std::string("user_impersonation")
                                                 : audience + "/user_impersonation " + audience + "/.default";
  if (!grant.refresh_text.empty()) body["refresh_token"] = grant.refresh_text;
  if (request.wants_client_info) {
    const JsonObject info{{"uid", principal.object_id.text()}, {"utid", parts_.directory.tenant().text()}};
    body["client_info"] = to_base64url(as_bytes(to_text(info)));
  }
  return body;
}

}  // namespace merlon::identity

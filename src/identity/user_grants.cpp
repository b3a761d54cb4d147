// The grants of people: user name and password (RFC 6749 section 4.3), refresh tokens (section 6, rotated as
// RFC 9700 section 4.14.2 asks), their revocation, and the change of an expired password.
#include <algorithm>

#include "base/text.h"
#include "identity/authorize_request.h"
#include "identity/bootstrap.h"
#include "identity/reply.h"
#include "identity/token_endpoint.h"

namespace merlon::identity {
namespace {

constexpr Duration kRefreshIdleMax = std::chrono::hours(24) * 14;
constexpr Duration kRefreshTotalMax = std::chrono::hours(24) * 90;  // since the password was given
// Two processes of one az share a token cache and refresh at the same moment: the slower one is not a thief.
constexpr Duration kRotationGrace = std::chrono::seconds(60);
constexpr std::string_view kRevokeAction = "Merlon.Identity/sessions/revoke/action";

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request body must contain the following parameter: '" + std::string(parameter) + "'.");
}

std::unexpected<SignInError> wrong_password() {
  return refuse(50126, "Error validating credentials due to invalid username or password.");
}

// A password alone does not even change itself: that would lock its owner out.
std::unexpected<SignInError> second_factor_needed() {
  return refuse(
      50076,
      "You must use multi-factor authentication, which a user name and a password cannot do. Sign in "
      "in a browser: 'merlon login' without --username, or 'az login' without --password.");
}

}  // namespace

SignIn<Client> TokenEndpoint::user_client(const TokenRequest& request, store::Reader& reader) const {
  const ClientClaim claim = TRY(client_claim(request));
  return authenticate_client(reader, parts_.directory, claim, PublicClients::allow,
                             assertion_context(request));
}

Grant TokenEndpoint::user_grant(const TokenRequest& request, const User& user, const Client& client,
                                const std::string& stamp) const {
  Grant grant;
  grant.credential_id = client.credential_id;
  grant.assertion_use = client.assertion_use;
  TokenSubject& subject = grant.subject;
  subject.principal = {.object_id = user.id,
                       .kind = PrincipalKind::user,
                       .name = user.user_principal_name,
                       .app_id = client.application.app_id,
                       .amr = {"pwd"},
                       .auth_time = parts_.clock.now(),
                       .token_id = {},
                       .address = request.request.peer};
  subject.scope = "user_impersonation";
  subject.user_principal_name = user.user_principal_name;
  subject.display_name = user.display_name;
  subject.stamp = stamp;
  subject.proof = client.proof;
  return grant;
}

Session TokenEndpoint::new_session(const TokenRequest& request, const Grant& grant) const {
  const Principal& principal = grant.subject.principal;
  const Timestamp now = parts_.clock.now();
  return {.id = Uuid::generate(parts_.random),
          .user = principal.object_id,
          .client = principal.app_id,
          .parent = {},
          .method = grant.name,
          .cookie_digest = {},
          .stamp = grant.subject.stamp,
          .address = request.request.peer.text(),
          .user_agent = kept_user_agent(request.request.headers.value_or("User-Agent", "")),
          .amr = principal.amr,
          .auth_time = principal.auth_time,
          .created = now,
          .last_used = now,
          .expires = now};  // set when its token is issued
}

SignIn<std::string> TokenEndpoint::user_audience(const TokenRequest& request, store::Reader& reader,
                                                 const Client& client, const std::string& audience,
                                                 Consent consent) const {
  const bool trusted = is_first_party(client.application.app_id) || client.principal.acts_for_users ||
                       consent == Consent::given_with_the_password;
  if (audience.empty())
    return trusted ? std::string("https://graph.microsoft.com") : client.application.app_id.text();
  const ResourceKind kind =
      TRY(resolve_audience(reader, parts_.directory, parts_.issuer, audience, request.origin));
  // Who gives an application their password has hidden nothing from it.
  if (consent == Consent::needed || kind == ResourceKind::application)
    TRY(check_consent(client.application, client.principal, kind, audience));
  return audience;
}

void TokenEndpoint::add_refresh_token(Grant& grant) const {
  const TokenSubject& subject = grant.subject;
  grant.refresh_text = make_code(parts_.random);
  grant.refresh = RefreshToken{.digest = code_digest(grant.refresh_text),
                               .user = subject.principal.object_id,
                               .client = subject.principal.app_id,
                               .family = grant.session->id,
                               .audience = subject.audience,
                               .stamp = subject.stamp,
                               .amr = subject.principal.amr,
                               .auth_time = subject.principal.auth_time,
                               .expires = std::min(parts_.clock.now() + kRefreshIdleMax,
                                                   subject.principal.auth_time + kRefreshTotalMax),
                               .rotated = {}};
}

SignIn<Grant> TokenEndpoint::password(TokenRequest& request) {
  const std::string* name = request.field("username");
  const std::string* password = request.field("password");
  if (name == nullptr || name->empty()) return missing("username");
  if (password == nullptr || password->empty()) return missing("password");
  const RequestedScope scope = TRY(requested_scope(request));
  std::optional<SignIn<Client>> client;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    client = user_client(request, reader);
    return {};
  }));
  if (!*client) return std::unexpected(client->error());
  const User user =
      TRY(parts_.passwords.check(request.request, *name, Secret(*password), request.ledger_resource));
  if (TRY(parts_.second_factors.required(user))) return second_factor_needed();
  if (user.must_change_password)
    return refuse(
        50055,
        "The password is expired. Set a new one with 'merlon login', or POST UserName, OldPassword, "
        "NewPassword and ConfirmNewPassword to /adfs/portal/updatepassword.");
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    outcome = [&]() -> SignIn<Grant> {
      const TenantId& tenant = parts_.directory.tenant();
      // Read with the hash: had the password been changed since it was checked, this stamp is not the
      // token's.
      const auto now = TRY(store::get<User>(reader, tenant, user.id.text()));
      if (!now || !now->enabled || now->password_hash != user.password_hash) return wrong_password();
      Grant grant = user_grant(request, *now, **client, TRY(session_stamp(reader, tenant, user.id)));
      grant.name = "password";
      grant.openid = scope.openid;
      grant.subject.audience =
          TRY(user_audience(request, reader, **client, scope.audience, Consent::given_with_the_password));
      grant.session = new_session(request, grant);
      if (scope.offline_access) add_refresh_token(grant);
      return grant;
    }();
    return {};
  }));
  return *std::move(outcome);
}

SignIn<Grant> TokenEndpoint::refresh_token(TokenRequest& request) {
  const std::string* text = request.field("refresh_token");
  if (text == nullptr || text->empty()) return missing("refresh_token");
  const std::string* asked = request.field("scope");
  const bool named = request.field("resource") != nullptr || (asked != nullptr && !asked->empty());
  const RequestedScope scope = named ? TRY(requested_scope(request)) : RequestedScope();
  std::optional<RefreshToken> stolen;
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    outcome = [&]() -> SignIn<Grant> {
      const TenantId& tenant = parts_.directory.tenant();
      const Timestamp now = parts_.clock.now();
      const Client client = TRY(user_client(request, reader));
      const auto token = TRY(store::get<RefreshToken>(reader, tenant, code_digest(*text)));
      if (!token || token->client != client.application.app_id)
        return refuse(70000, "Provided grant is invalid or malformed. Sign in again.");
      request.ledger_resource = tenant_path() + "/users/" + token->user.text();
      if (token->rotated && now - *token->rotated > kRotationGrace) {
        stolen = token;
        return refuse(
            70000,
            "The refresh token was used before. All sessions that came from its sign-in have ended. "
            "Sign in again.");
      }
      if (now >= token->expires)
        return refuse(700082, "The refresh token has expired due to inactivity or age. Sign in again.");
      const auto user = TRY(store::get<User>(reader, tenant, token->user.text()));
      const auto session = TRY(store::get<Session>(reader, tenant, token->family.text()));
      const std::string stamp = TRY(session_stamp(reader, tenant, token->user));
      if (!user || !session || stamp != token->stamp)
        return refuse(50173, "The provided grant has expired due to it being revoked. Sign in again.");
      if (!user->enabled)
        return refuse(50057, "The user account is disabled. Ask a directory administrator.");
      Grant grant = user_grant(request, *user, client, stamp);
      grant.name = "refresh_token";
      grant.subject.principal.amr = token->amr;
      grant.subject.principal.auth_time = token->auth_time;
      grant.openid = !named || scope.openid;
      grant.session = session;
      grant.subject.audience = TRY(
          user_audience(request, reader, client, scope.audience.empty() ? token->audience : scope.audience,
                        session->method == "password" ? Consent::given_with_the_password : Consent::needed));
      add_refresh_token(grant);
      grant.rotated_digest = token->digest;
      return grant;
    }();
    return {};
  }));
  if (stolen) TRY(end_reused(request, stolen->family, stolen->user, "refresh token"));
  return *std::move(outcome);
}

Result<void> TokenEndpoint::end_reused(const TokenRequest& request, const Uuid& session, const Uuid& user,
                                       std::string_view what) {
  return parts_.store.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    TRY(end_session(tx, parts_.directory.tenant(), session));
    ledger::Entry entry;
    entry.time = parts_.clock.now();
    entry.actor = {.kind = "System", .object_id = {}, .name = "merlon", .address = {}};
    entry.action = kRevokeAction;
    entry.resource = parts_.passwords.user_path(user);
    entry.decision = ledger::Decision::allowed;
    entry.reason = std::string(what) + " was used twice";
    entry.request_id = request.request.request_id;
    entry.correlation_id = correlation_id(request.request);
    entry.details = {{"sessionId", session.text()}, {"address", request.request.peer.text()}};
    return parts_.ledger.append(tx, entry);
  });
}

net::Response TokenEndpoint::revoke(const net::Request& request, const std::string& origin,
                                    const TenantPath& path, Dialect dialect) {
  auto asked = read(request, origin, path, dialect);
  if (!asked) {
    note_refusal(request, asked.error(), tenant_path(), kRevokeAction);
    return error_reply(asked.error(), request, parts_.clock.now());
  }
  const auto revoked = revoke_token(*asked);
  if (!revoked) return refused(*asked, revoked.error(), kRevokeAction);
  return json_reply(200, {});
}

// RFC 7009: who has a refresh token may end what it stands for; an unknown one is no error (section 2.2).
SignIn<void> TokenEndpoint::revoke_token(TokenRequest& request) {
  const std::string* text = request.field("token");
  if (text == nullptr || text->empty()) return missing("token");
  std::optional<RefreshToken> token;
  std::optional<SignIn<Client>> client;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    client = user_client(request, reader);
    token = TRY(store::get<RefreshToken>(reader, parts_.directory.tenant(), code_digest(*text)));
    return {};
  }));
  if (!*client) return std::unexpected(client->error());
  if (!token || token->client != (*client)->application.app_id) return {};
  TRY(parts_.store.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    const auto user = TRY(store::get<User>(tx, parts_.directory.tenant(), token->user.text()));
    TRY(end_session(tx, parts_.directory.tenant(), token->family));
    ledger::Entry entry;
    entry.time = parts_.clock.now();
    entry.actor = {.kind = "User",
                   .object_id = token->user.text(),
                   .name = user ? user->user_principal_name : std::string(),
                   .address = request.request.peer.text()};
    entry.action = kRevokeAction;
    entry.resource = parts_.passwords.user_path(token->user);
    entry.reason = "signed out";
    entry.request_id = request.request.request_id;
    entry.correlation_id = correlation_id(request.request);
    entry.details = {{"sessionId", token->family.text()}, {"clientId", token->client.text()}};
    return parts_.ledger.append(tx, entry);
  }));
  return {};
}

net::Response TokenEndpoint::change_password(const net::Request& request) {
  std::string resource = tenant_path();
  const auto changed = [&]() -> SignIn<void> {
    if (request.method != "POST")
      return refuse(900561,
                    "The endpoint only accepts POST requests. Received a " + request.method + " request.");
    const auto form = net::parse_form(request.body);
    if (!form)
      return refuse(9002313, "Invalid request. Request is malformed or invalid: " + form.error().message);
    for (const std::string_view name : {"UserName", "OldPassword", "NewPassword", "ConfirmNewPassword"})
      if (const std::string* value = form->find(name); value == nullptr || value->empty())
        return missing(name);
    const Secret old_password(*form->find("OldPassword"));
    const Secret new_password(*form->find("NewPassword"));
    const User user = TRY(parts_.passwords.check(request, *form->find("UserName"), old_password, resource));
    if (TRY(parts_.second_factors.required(user))) return second_factor_needed();
    return parts_.passwords.change(request, user, new_password, Secret(*form->find("ConfirmNewPassword")),
                                   old_password);
  }();
  if (changed) return json_reply(200, {{"status", "changed"}});
  note_refusal(request, changed.error(), resource, PasswordSignIn::kChangeAction);
  return error_reply(changed.error(), request, parts_.clock.now());
}

}  // namespace merlon::identity

// The grants of people: user name and password (RFC 6749 section 4.3), refresh tokens (section 6, rotated as
// RFC 9700 section 4.14.2 asks), and the change of an expired password.
#include <algorithm>

#include "base/text.h"
#include "crypto/digest.h"
#include "identity/reply.h"
#include "identity/token_endpoint.h"

namespace merlon::identity {
namespace {

constexpr size_t kRefreshBytes = 32;
constexpr Duration kRefreshIdleMax = std::chrono::hours(24) * 14;
constexpr Duration kRefreshTotalMax = std::chrono::hours(24) * 90;  // since the password was given
// Two processes of one az share a token cache and refresh at the same moment: the slower one is not a thief.
constexpr Duration kRotationGrace = std::chrono::seconds(60);
constexpr std::string_view kPasswordAction = "microsoft.directory/users/password/update";

std::string refresh_digest(std::string_view text) { return to_hex(crypto::sha256(as_bytes(text))); }

std::unexpected<SignInError> missing(std::string_view parameter) {
  return refuse(900144,
                "The request body must contain the following parameter: '" + std::string(parameter) + "'.");
}

std::unexpected<SignInError> wrong_password() {
  return refuse(50126, "Error validating credentials due to invalid username or password.");
}

}  // namespace

SignIn<Client> TokenEndpoint::user_client(const TokenRequest& request, store::Reader& reader) const {
  const ClientClaim claim =
      TRY(read_client(request.form, request.request.headers, parts_.directory.tenant()));
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

// People's tokens are for the Resource Manager and for Graph: consent to other applications does not exist.
SignIn<std::string> TokenEndpoint::user_audience(const TokenRequest& request, store::Reader& reader,
                                                 const std::string& audience) const {
  const ResourceKind kind =
      TRY(resolve_audience(reader, parts_.directory, parts_.issuer, audience, request.origin));
  if (kind == ResourceKind::application)
    return refuse(65001,
                  "The user or administrator has not consented to use the application for this resource. Ask "
                  "for a token of the Resource Manager or of Microsoft Graph.");
  return audience;
}

void TokenEndpoint::add_refresh_token(Grant& grant, const Uuid& family) const {
  const TokenSubject& subject = grant.subject;
  grant.refresh_text = to_base64url(parts_.random.bytes(kRefreshBytes));
  grant.refresh = RefreshToken{.digest = refresh_digest(grant.refresh_text),
                               .user = subject.principal.object_id,
                               .client = subject.principal.app_id,
                               .family = family,
                               .audience = subject.audience,
                               .stamp = subject.stamp,
                               .amr = subject.principal.amr,
                               .auth_time = subject.principal.auth_time,
                               .expires = std::min(parts_.clock.now() + kRefreshIdleMax,
                                                   subject.principal.auth_time + kRefreshTotalMax),
                               .rotated = {}};
}

SignIn<User> TokenEndpoint::check_password(const net::Request& request, const std::string& name,
                                           const Secret& password, std::string& ledger_resource) {
  const Duration wait = parts_.guard.wait(name, request.peer);
  if (wait > Duration::zero())
    return refuse(50053,
                  "Sign-in was blocked because of too many failed attempts for this account or from this "
                  "address. Wait " +
                      std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) +
                      " seconds and try again.");
  const auto user = TRY(store::read_value<std::optional<User>>(
      parts_.store, [&](store::Reader& reader) { return parts_.directory.user_by_name(reader, name); }));
  if (user) ledger_resource = tenant_path() + "/users/" + user->id.text();
  const bool equal = TRY(parts_.passwords.verify(password, user ? user->password_hash : std::string()));
  if (!user || !equal) {
    parts_.guard.failed(name, request.peer);
    return wrong_password();
  }
  parts_.guard.succeeded(name, request.peer);
  // Told only to who knows the password.
  if (!user->enabled) return refuse(50057, "The user account is disabled. Ask a directory administrator.");
  return *user;
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
  const User user = TRY(check_password(request.request, *name, Secret(*password), request.ledger_resource));
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
      grant.subject.audience = TRY(user_audience(
          request, reader,
          scope.audience.empty() ? std::string("https://graph.microsoft.com") : scope.audience));
      if (scope.offline_access) add_refresh_token(grant, Uuid::generate(parts_.random));
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
  std::optional<Uuid> stolen;
  std::optional<SignIn<Grant>> outcome;
  TRY(parts_.store.read([&](store::Reader& reader) -> Result<void> {
    outcome = [&]() -> SignIn<Grant> {
      const TenantId& tenant = parts_.directory.tenant();
      const Timestamp now = parts_.clock.now();
      const Client client = TRY(user_client(request, reader));
      const auto token = TRY(store::get<RefreshToken>(reader, tenant, refresh_digest(*text)));
      if (!token || token->client != client.application.app_id)
        return refuse(70000, "Provided grant is invalid or malformed. Sign in again.");
      request.ledger_resource = tenant_path() + "/users/" + token->user.text();
      if (token->rotated && now - *token->rotated > kRotationGrace) {
        stolen = token->family;
        return refuse(
            70000,
            "The refresh token was used before. All sessions that came from its sign-in have ended. "
            "Sign in again.");
      }
      if (now >= token->expires)
        return refuse(700082, "The refresh token has expired due to inactivity or age. Sign in again.");
      const auto user = TRY(store::get<User>(reader, tenant, token->user.text()));
      const std::string stamp = TRY(session_stamp(reader, tenant, token->user));
      if (!user || stamp != token->stamp)
        return refuse(50173, "The provided grant has expired due to it being revoked. Sign in again.");
      if (!user->enabled)
        return refuse(50057, "The user account is disabled. Ask a directory administrator.");
      Grant grant = user_grant(request, *user, client, stamp);
      grant.name = "refresh_token";
      grant.subject.principal.amr = token->amr;
      grant.subject.principal.auth_time = token->auth_time;
      grant.openid = !named || scope.openid;
      grant.subject.audience =
          TRY(user_audience(request, reader, scope.audience.empty() ? token->audience : scope.audience));
      add_refresh_token(grant, token->family);
      grant.rotated_digest = token->digest;
      return grant;
    }();
    return {};
  }));
  if (stolen)
    TRY(parts_.store.write([&](store::Transaction& tx) -> Result<void> {
      tx.urgent();
      return erase_refresh_family(tx, parts_.directory.tenant(), *stolen);
    }));
  return *std::move(outcome);
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
    const User user = TRY(check_password(request, *form->find("UserName"), old_password, resource));
    if (new_password != Secret(*form->find("ConfirmNewPassword")) || new_password == old_password)
      return refuse(120000,
                    "The new password must be confirmed by the same text, and differ from the old one.");
    if (const auto weakness = password_weakness(new_password.expose_text(), user.user_principal_name))
      return refuse(120000, "The new password " + *weakness + ".");
    std::string hash = TRY(parts_.passwords.hash(new_password));
    TRY(parts_.store.write([&](store::Transaction& tx) -> Result<void> {
      const auto now = TRY(store::get<User>(tx, parts_.directory.tenant(), user.id.text()));
      if (!now || now->password_hash != user.password_hash)
        return fail(ErrorKind::unavailable, "Conflict",
                    "The password was changed by someone else meanwhile.");
      TRY(parts_.directory.set_password(tx, user.id, std::move(hash), false));
      ledger::Entry entry;
      entry.time = parts_.clock.now();
      entry.actor = {.kind = "User",
                     .object_id = user.id.text(),
                     .name = user.user_principal_name,
                     .address = request.peer.text()};
      entry.action = kPasswordAction;
      entry.resource = resource;
      entry.reason = "self-service";
      entry.request_id = request.request_id;
      entry.correlation_id = correlation_id(request);
      return parts_.ledger.append(tx, entry);
    }));
    return {};
  }();
  if (changed) return json_reply(200, {{"status", "changed"}});
  note_refusal(request, changed.error(), resource, kPasswordAction);
  return error_reply(changed.error(), request, parts_.clock.now());
}

}  // namespace merlon::identity

// Listing, adding and removing authentication methods (learn.microsoft.com/graph/api/resources/
// authenticationmethods-overview). People add their own; an administrator may only take away, so that nobody
// can become somebody else by adding a method to them.
#include "identity/authentication_methods.h"

#include <algorithm>

#include "base/time_text.h"
#include "identity/graph_objects.h"
#include "identity/record_fields.h"
#include "identity/second_factor_sign_in.h"
#include "identity/sessions.h"
#include "identity/step_up_error.h"
#include "identity/totp.h"

namespace merlon::identity {
namespace {

// Everybody's password has this id in Graph.
constexpr const char* kPasswordMethodId = "28c10230-6103-485e-b985-444c60001490";
constexpr Duration kFresh = std::chrono::minutes(15);
constexpr const char* kDefaultName = "Authenticator app";

SecondFactors factors_of(const GraphCall& call) {
  return {call.issuer.seal(), call.tenant(), call.clock, call.random};
}

Result<Uuid> own_id(const GraphCall& call) {
  if (call.principal.kind != PrincipalKind::user)
    return graph_bad_request("/me request is only valid with delegated authentication flow.");
  return call.principal.object_id;
}

// Nobody changes their methods with a token that an old sign-in has given, nor who has a second factor with
// one that a password alone has: otherwise a stolen token would make itself a lasting way in, and lock its
// owner out.
Result<void> require_fresh(const GraphCall& call, store::Reader& reader) {
  if (call.principal.kind != PrincipalKind::user) return {};
  const bool is_fresh = call.clock.now() - call.principal.auth_time <= kFresh;
  if (!TRY(factors_of(call).required(reader, call.principal.object_id))) {
    if (is_fresh) return {};
    return fail(ErrorKind::unauthenticated, "FreshSignInRequired",
                "Adding a second factor takes a sign-in that is not older than 15 minutes. Sign in again "
                "('merlon login --fresh') and repeat this.");
  }
  const bool mfa = std::ranges::find(call.principal.amr, kMfa) != call.principal.amr.end();
  if (mfa && is_fresh) return {};
  return std::unexpected(step_up_error("Changing authentication methods", kFresh, {}));
}

JsonObject shown(const TotpMethod& method) {
  return {{"@odata.type", "#microsoft.graph.softwareOathAuthenticationMethod"},
          {"id", method.id.text()},
          {"displayName", method.name},
          {"secretKey", nullptr},
          {"createdDateTime", to_rfc3339(method.created)},
          {"lastUsedDateTime", method.last_used ? Json(to_rfc3339(*method.last_used)) : Json(nullptr)}};
}

JsonObject shown(const Passkey& passkey) {
  return {{"@odata.type", "#microsoft.graph.fido2AuthenticationMethod"},
          {"id", passkey.id.text()},
          {"displayName", passkey.name},
          {"attestationLevel", "notAttested"},
          {"createdDateTime", to_rfc3339(passkey.created)},
          {"lastUsedDateTime", passkey.last_used ? Json(to_rfc3339(*passkey.last_used)) : Json(nullptr)}};
}

Result<JsonObject> methods_of(const GraphCall& call, store::Reader& reader, const Uuid& id) {
  const auto user = TRY(store::get<User>(reader, call.tenant(), id.text()));
  if (!user) return graph_not_found(id.text());
  JsonArray values;
  if (!user->password_hash.empty())
    values.push_back(JsonObject{{"@odata.type", "#microsoft.graph.passwordAuthenticationMethod"},
                                {"id", kPasswordMethodId},
                                {"password", nullptr},
                                {"createdDateTime", to_rfc3339(user->created)}});
  const SecondFactors factors = factors_of(call);
  for (const TotpMethod& method : TRY(factors.confirmed(reader, id))) values.push_back(shown(method));
  for (const Passkey& passkey : TRY(factors.passkeys().of(reader, id))) values.push_back(shown(passkey));
  JsonObject list = graph_list(call, "users('" + id.text() + "')/authentication/methods", std::move(values));
  list["recoveryCodesLeft"] = TRY(factors.recovery_codes_left(reader, id));
  return list;
}

Result<JsonObject> list_own_methods(const GraphCall& call, store::Reader& reader) {
  return methods_of(call, reader, TRY(own_id(call)));
}

Result<JsonObject> list_methods(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(call.id_argument(0));
  if (!call.may_see(id)) return graph_denied();
  return methods_of(call, reader, id);
}

schema::Shape new_totp() {
  return schema::object({schema::defaulted("displayName", schema::text().with_range(1, 64), kDefaultName)});
}

GraphOutcome outcome(const Uuid& user, int status, JsonObject body, JsonObject details) {
  return {.status = status,
          .body = std::move(body),
          .resource = "users/" + user.text(),
          .action = {},
          .details = std::move(details)};
}

Result<GraphOutcome> enrol_totp(const GraphCall& call, store::Transaction& tx) {
  const Uuid user = TRY(own_id(call));
  TRY(require_fresh(call, tx));
  const auto made =
      TRY(factors_of(call).enrol(tx, user, string_at(call.body, "displayName").value_or(kDefaultName)));
  JsonObject body = shown(made.method);
  // Shown this once: the app needs it.
  body["secretKey"] = base32(made.secret.expose());
  body["otpauthUri"] = otpauth_uri(made.secret, "Merlon", call.principal.name);
  return outcome(user, 201, std::move(body), {{"methodId", made.method.id.text()}, {"method", "totp"}});
}

schema::Shape first_code() {
  return schema::object({schema::required("code", schema::text().with_range(1, 64))});
}

// With the first method come the first recovery codes.
Result<GraphOutcome> confirm_totp(const GraphCall& call, store::Transaction& tx) {
  const Uuid user = TRY(own_id(call));
  TRY(require_fresh(call, tx));
  const Uuid id = TRY(call.id_argument(0));
  const SecondFactors factors = factors_of(call);
  const bool first = !TRY(factors.required(tx, user));
  const TotpMethod method = TRY(factors.confirm(tx, user, id, TRY(require_string(call.body, "code"))));
  JsonObject body = shown(method);
  if (first) body["recoveryCodes"] = to_json_array(TRY(factors.make_recovery_codes(tx, user)));
  return outcome(user, 200, std::move(body), {{"methodId", method.id.text()}, {"method", "totp"}});
}

Result<GraphOutcome> new_recovery_codes(const GraphCall& call, store::Transaction& tx) {
  const Uuid user = TRY(own_id(call));
  TRY(require_fresh(call, tx));
  const SecondFactors factors = factors_of(call);
  if (!TRY(factors.required(tx, user)))
    return graph_bad_request(
        "Recovery codes stand in for a second factor, and there is none. Enrol one with 'merlon mfa enrol' "
        "first.");
  return outcome(user, 201, {{"recoveryCodes", to_json_array(TRY(factors.make_recovery_codes(tx, user)))}},
                 {});
}

Result<GraphOutcome> remove_method_of(const GraphCall& call, store::Transaction& tx, const Uuid& user,
                                      const Uuid& id) {
  TRY(require_fresh(call, tx));
  tx.urgent();
  if (!TRY(factors_of(call).remove(tx, user, id))) return graph_not_found(id.text());
  return outcome(user, 204, {}, {{"methodId", id.text()}});
}

Result<GraphOutcome> remove_own_method(const GraphCall& call, store::Transaction& tx) {
  return remove_method_of(call, tx, TRY(own_id(call)), TRY(call.id_argument(0)));
}

Result<GraphOutcome> remove_method(const GraphCall& call, store::Transaction& tx) {
  const Uuid user = TRY(call.id_argument(0));
  if (!call.administrator && user != call.principal.object_id) return graph_denied();
  return remove_method_of(call, tx, user, TRY(call.id_argument(1)));
}

// For who has lost everything: all methods go, and so does every session, as whoever found the phone may have
// one.
Result<GraphOutcome> reset_methods(const GraphCall& call, store::Transaction& tx) {
  const Uuid user = TRY(call.id_argument(0));
  if (user == call.principal.object_id)
    return graph_bad_request("Your own methods are removed one by one; a reset is for another person.");
  TRY(require_fresh(call, tx));
  if (!TRY(store::get<User>(tx, call.tenant(), user.text()))) return graph_not_found(user.text());
  tx.urgent();
  TRY(factors_of(call).remove_all(tx, user));
  TRY(revoke_sessions(tx, call.tenant(), user, call.random));
  return outcome(user, 204, {}, {});
}

}  // namespace

std::vector<GraphRoute> authentication_routes() {
  constexpr auto kSelf = GraphPermission::read_self;
  constexpr auto kWriteSelf = GraphPermission::write_self;
  return {
      {.method = "GET",
       .pattern = "me/authentication/methods",
       .permission = kSelf,
       .read = list_own_methods},
      {.method = "GET",
       .pattern = "users/{id}/authentication/methods",
       .permission = kSelf,
       .read = list_methods},
      {.method = "POST",
       .pattern = "me/authentication/merlon.totp",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/enrol/action",
       .write = enrol_totp,
       .shape = new_totp},
      {.method = "POST",
       .pattern = "me/authentication/merlon.totp/{id}/confirm",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/confirm/action",
       .write = confirm_totp,
       .shape = first_code},
      {.method = "POST",
       .pattern = "me/authentication/merlon.recoveryCodes",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/recoveryCodes/make/action",
       .write = new_recovery_codes},
      {.method = "DELETE",
       .pattern = "me/authentication/softwareOathMethods/{id}",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/delete",
       .write = remove_own_method},
      {.method = "DELETE",
       .pattern = "users/{id}/authentication/softwareOathMethods/{method}",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/delete",
       .write = remove_method},
      {.method = "DELETE",
       .pattern = "me/authentication/fido2Methods/{id}",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/delete",
       .write = remove_own_method},
      {.method = "DELETE",
       .pattern = "users/{id}/authentication/fido2Methods/{method}",
       .permission = kWriteSelf,
       .action = "Merlon.Identity/authenticationMethods/delete",
       .write = remove_method},
      {.method = "POST",
       .pattern = "users/{id}/authentication/merlon.reset",
       .permission = GraphPermission::write_directory,
       .action = "Merlon.Identity/authenticationMethods/reset/action",
       .write = reset_methods},
  };
}

}  // namespace merlon::identity

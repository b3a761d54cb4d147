// What Graph has no words for, beside it under the name of merlon: who is signed in where, and its end; the
// keys that sign tokens; consent to applications.
#include "base/time_text.h"
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/sessions.h"
#include "identity/signing_keys.h"

namespace merlon::identity::graph {
namespace {

constexpr size_t kPageRows = 500;

Result<JsonObject> shown(const GraphCall& call, store::Reader& reader, const Session& session) {
  const auto user = TRY(store::get<User>(reader, call.tenant(), session.user.text()));
  const auto application = session.client.is_nil()
                               ? std::optional<Application>()
                               : TRY(call.directory.application_by_app_id(reader, session.client));
  return JsonObject{{"id", session.id.text()},
                    {"userId", session.user.text()},
                    {"userPrincipalName", user ? Json(user->user_principal_name) : Json(nullptr)},
                    {"appId", session.client.is_nil() ? Json(nullptr) : Json(session.client.text())},
                    {"appDisplayName", application ? Json(application->display_name) : Json(nullptr)},
                    {"kind", session.method},
                    {"parentSessionId", session.parent ? Json(session.parent->text()) : Json(nullptr)},
                    {"ipAddress", session.address},
                    {"userAgent", session.user_agent},
                    {"signInDateTime", to_rfc3339(session.auth_time)},
                    {"createdDateTime", to_rfc3339(session.created)},
                    {"lastUsedDateTime", to_rfc3339(session.last_used)},
                    {"expirationDateTime", to_rfc3339(session.expires)}};
}

Result<JsonObject> sessions_of(const GraphCall& call, store::Reader& reader, const Uuid& user) {
  JsonArray values;
  for (const Session& session : TRY(store::find<Session>(reader, call.tenant(), "user", user.text())))
    if (call.clock.now() < session.expires) values.push_back(TRY(shown(call, reader, session)));
  return graph_list(call, "merlon.sessions", std::move(values));
}

GraphOutcome ended(const Session& session) {
  return {.status = 204,
          .body = {},
          .resource = "users/" + session.user.text(),
          .action = {},
          .details = {{"sessionId", session.id.text()}, {"kind", session.method}}};
}

}  // namespace

Result<JsonObject> list_sessions(const GraphCall& call, store::Reader& reader) {
  if (!call.reads_directory) return sessions_of(call, reader, call.principal.object_id);
  const GraphQuery query = TRY(parse_graph_query(call.request.query));
  if (!query.filter.empty() || !query.select.empty())
    return graph_bad_request("Sessions are listed with $top and $skiptoken alone, or below one user.");
  JsonArray values;
  std::string last = query.skip_token;
  bool more = true;
  while (more && values.size() < query.top) {
    const store::Range range{.prefix = {}, .after = last, .after_key = {}, .limit = kPageRows};
    const auto rows = TRY(reader.scan(Session::table(), call.tenant(), range));
    more = rows.size() == kPageRows;
    for (const store::Row& row : rows) {
      if (values.size() == query.top) {
        more = true;
        break;
      }
      last = row.key;
      const Session session = TRY(store::decode<Session>(row));
      if (call.clock.now() < session.expires) values.push_back(TRY(shown(call, reader, session)));
    }
  }
  JsonObject list = graph_list(call, "merlon.sessions", std::move(values));
  if (more)
    list["@odata.nextLink"] = call.origin + "/v1.0/merlon.sessions?$top=" + std::to_string(query.top) +
                              "&$skiptoken=" + net::percent_encode(last);
  return list;
}

Result<JsonObject> list_user_sessions(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(call.id_argument(0));
  if (!call.may_see(id)) return graph_denied();
  if (!TRY(store::get<User>(reader, call.tenant(), id.text()))) return graph_not_found(id.text());
  return sessions_of(call, reader, id);
}

Result<GraphOutcome> end_one_session(const GraphCall& call, store::Transaction& tx) {
  const auto id = Uuid::parse(call.arguments.at(0));
  const auto session =
      id ? TRY(store::get<Session>(tx, call.tenant(), id->text())) : std::optional<Session>();
  // Who may not look gets one answer, whether the session exists or not.
  if (!call.administrator && (!session || session->user != call.principal.object_id)) return graph_denied();
  if (!session) return graph_not_found(call.arguments.at(0));
  tx.urgent();
  TRY(end_session(tx, call.tenant(), session->id));
  return ended(*session);
}

Result<GraphOutcome> revoke_own_sessions(const GraphCall& call, store::Transaction& tx) {
  if (call.principal.kind != PrincipalKind::user)
    return graph_bad_request("/me request is only valid with delegated authentication flow.");
  tx.urgent();
  TRY(revoke_sessions(tx, call.tenant(), call.principal.object_id, call.random));
  return GraphOutcome{
      .status = 200,
      .body = {{"@odata.context", call.origin + "/v1.0/$metadata#Edm.Boolean"}, {"value", true}},
      .resource = "users/" + call.principal.object_id.text(),
      .action = {},
      .details = {}};
}

Result<JsonObject> list_signing_keys(const GraphCall& call, store::Reader& reader) {
  return graph_list(call, "merlon.signingKeys", TRY(call.issuer.describe_keys(reader)));
}

schema::Shape rotation() {
  return schema::object(
      {schema::defaulted("mode", schema::text_of({"announced", "atOnce", "compromised"}), "announced")});
}

namespace {

Rotation rotation_of(const GraphCall& call) {
  const std::string mode = string_at(call.body, "mode").value_or("announced");
  return mode == "compromised" ? Rotation::compromised
         : mode == "atOnce"    ? Rotation::at_once
                               : Rotation::announced;
}

}  // namespace

Result<std::any> make_signing_key(const GraphCall& call) {
  return std::any(TRY(call.issuer.make_key(rotation_of(call))));
}

Result<GraphOutcome> rotate_signing_key(const GraphCall& call, store::Transaction& tx) {
  const auto* made = std::any_cast<store::Row>(&call.prepared);
  MERLON_CHECK(made != nullptr);
  if (rotation_of(call) == Rotation::compromised) tx.urgent();
  TRY(call.issuer.adopt_key(tx, *made, rotation_of(call)));
  JsonObject body = graph_list(call, "merlon.signingKeys", TRY(call.issuer.describe_keys(tx)));
  return GraphOutcome{
      .status = 200,
      .body = std::move(body),
      .resource = "signingKeys",
      .action = {},
      .details = {{"key", made->key}, {"mode", string_at(call.body, "mode").value_or("announced")}}};
}

schema::Shape consent() { return schema::object({schema::required("granted", schema::boolean())}); }

namespace {

// What its owners have put there until now, and could use from now on: its secrets and certificates, and
// where the codes of people who sign in through it arrive.
Result<void> add_ways_in(const GraphCall& call, store::Reader& reader, const Uuid& principal,
                         JsonObject& details) {
  const auto found = TRY(store::get<ServicePrincipal>(reader, call.tenant(), principal.text()));
  const auto application =
      found ? TRY(call.directory.application_by_app_id(reader, found->app_id)) : std::optional<Application>();
  if (!application) return {};
  JsonArray credentials, redirects;
  for (const PasswordCredential& password : application->passwords)
    credentials.push_back(JsonObject{{"keyId", password.id.text()}, {"displayName", password.display_name}});
  for (const CertificateCredential& certificate : application->certificates)
    credentials.push_back(JsonObject{{"keyId", certificate.id.text()},
                                     {"displayName", certificate.display_name},
                                     {"thumbprint", certificate.sha1_thumbprint_hex}});
  for (const RedirectUri& redirect : application->redirect_uris) redirects.emplace_back(redirect.uri);
  details["credentials"] = std::move(credentials);
  details["redirectUris"] = std::move(redirects);
  return {};
}

}  // namespace

Result<GraphOutcome> set_consent(const GraphCall& call, store::Transaction& tx) {
  const Uuid id = TRY(call.id_argument(0));
  const bool granted = TRY(require_bool(call.body, "granted"));
  if (!granted) tx.urgent();
  TRY(call.directory.set_acts_for_users(tx, id, granted));
  JsonObject details = {{"granted", granted}, {"scope", "user_impersonation"}};
  if (granted) TRY(add_ways_in(call, tx, id, details));
  return GraphOutcome{.status = 204,
                      .body = {},
                      .resource = "servicePrincipals/" + id.text(),
                      .action = {},
                      .details = std::move(details)};
}

}  // namespace merlon::identity::graph

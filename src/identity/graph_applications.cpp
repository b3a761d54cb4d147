// Graph: applications and their credentials.
#include "base/time_text.h"
#include "crypto/x509.h"
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/record_fields.h"
#include "identity/sessions.h"

namespace merlon::identity::graph {
namespace {

constexpr Duration kSecretLifetime =
    std::chrono::hours(24) * 365;  // when the caller names no end: az's default

schema::Shape key_credential() {
  return schema::object({schema::optional("type", schema::text_of({"AsymmetricX509Cert"})),
                         schema::optional("usage", schema::text_of({"Verify"})),
                         schema::optional("displayName", schema::text()),
                         schema::optional("keyId", schema::text()),
                         schema::optional("key", schema::text().with_range(1, 65536))});
}

schema::Shape redirect_uris() {
  return schema::object(
      {schema::optional("redirectUris", schema::array_of(schema::text()).with_range(0, 256))});
}

// Each of Graph's two lists replaces what there is of its kind.
void replace_redirects(Application& application, const JsonObject& body) {
  const auto replace = [&](std::string_view owner, RedirectKind kind) {
    const JsonObject* object = object_at(body, owner);
    if (object == nullptr || !object->contains("redirectUris")) return;
    std::erase_if(application.redirect_uris, [&](const RedirectUri& known) { return known.kind == kind; });
    for (std::string uri : strings_at(*object, "redirectUris"))
      application.redirect_uris.push_back({std::move(uri), kind});
  };
  replace("web", RedirectKind::web);
  replace("publicClient", RedirectKind::public_client);
}

Result<Application> application_argument(const GraphCall& call, store::Reader& reader) {
  const Uuid id = TRY(call.id_argument(0));
  auto application = TRY(store::get<Application>(reader, call.tenant(), id.text()));
  if (!application) return graph_not_found(id.text());
  return *std::move(application);
}

GraphOutcome changed(const Application& application, JsonObject details) {
  return {.status = 204,
          .body = {},
          .resource = "applications/" + application.id.text(),
          .action = {},
          .details = std::move(details)};
}

// `key` is base64 of the DER, or of the PEM text, as tools send both.
Result<std::string> certificate_of(const JsonObject& credential) {
  std::string text = TRY(require_string(credential, "key"));
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  const auto bytes = from_base64(text);
  if (!bytes) return graph_bad_request("The key of a key credential must be base64.", "keyCredentials");
  if (as_text(*bytes).starts_with("-----BEGIN")) return std::string(as_text(*bytes));
  return crypto::certificate_pem(*bytes);
}

// The list as the caller wants it to be: entries with a known keyId stay, entries with a key are added,
// others go.
Result<void> replace_keys(const GraphCall& call, store::Transaction& tx, const Application& application,
                          const JsonArray& wanted) {
  std::vector<Uuid> kept;
  std::vector<const JsonObject*> added;
  for (const Json& value : wanted) {
    const JsonObject& credential = value.get_object();
    const auto id = Uuid::parse(string_at(credential, "keyId").value_or(std::string()));
    const bool known =
        id && std::ranges::any_of(application.certificates,
                                  [&](const CertificateCredential& other) { return other.id == *id; });
    if (known)
      kept.push_back(*id);
    else if (credential.contains("key"))
      added.push_back(&credential);
    else
      return graph_bad_request("A key credential without a key must name the keyId of one that exists.",
                               "keyCredentials");
  }
  for (const CertificateCredential& certificate : application.certificates)
    if (std::ranges::find(kept, certificate.id) == kept.end())
      TRY(call.directory.remove_credential(tx, application.id, certificate.id));
  for (const JsonObject* credential : added) {
    std::string pem = TRY(certificate_of(*credential));
    TRY(call.directory.add_certificate(tx, application.id, std::move(pem)));
  }
  return {};
}

}  // namespace

schema::Shape new_application() {
  return schema::object(
      {schema::required("displayName", schema::text()),
       schema::optional("identifierUris", schema::array_of(schema::text()).with_range(0, 50)),
       schema::optional("isFallbackPublicClient", schema::boolean()),
       schema::optional("web", redirect_uris()), schema::optional("publicClient", redirect_uris()),
       schema::optional("keyCredentials", schema::array_of(key_credential()).with_range(0, 64))});
}

schema::Shape changed_application() {
  return schema::object(
      {schema::optional("displayName", schema::text()),
       schema::optional("identifierUris", schema::array_of(schema::text()).with_range(0, 50)),
       schema::optional("isFallbackPublicClient", schema::boolean()),
       schema::optional("web", redirect_uris()), schema::optional("publicClient", redirect_uris()),
       schema::optional("keyCredentials", schema::array_of(key_credential()).with_range(0, 64))});
}

schema::Shape new_password() {
  return schema::object({schema::optional(
      "passwordCredential", schema::object({schema::optional("displayName", schema::text()),
                                            schema::optional("startDateTime", schema::text()),
                                            schema::optional("endDateTime", schema::text())}))});
}

schema::Shape removed_password() { return schema::object({schema::required("keyId", schema::text())}); }

schema::Shape new_key() { return schema::object({schema::required("keyCredential", key_credential())}); }

Result<JsonObject> list_applications(const GraphCall& call, store::Reader& reader) {
  return graph_page<Application>(
      call, reader, "applications",
      [](const Application& application) -> Result<JsonObject> { return graph_application(application); });
}

Result<JsonObject> get_application(const GraphCall& call, store::Reader& reader) {
  return graph_single(call, "applications", graph_application(TRY(application_argument(call, reader))));
}

Result<GraphOutcome> create_application(const GraphCall& call, store::Transaction& tx) {
  Application application;
  application.display_name = TRY(require_string(call.body, "displayName"));
  application.identifier_uris = strings_at(call.body, "identifierUris");
  application.public_client = bool_at(call.body, "isFallbackPublicClient").value_or(false);
  replace_redirects(application, call.body);
  application = TRY(call.directory.register_application(tx, application));
  if (const JsonArray* keys = array_at(call.body, "keyCredentials"))
    TRY(replace_keys(call, tx, application, *keys));
  const auto stored = TRY(store::get<Application>(tx, call.tenant(), application.id.text()));
  if (!stored) return internal_error("the application just created is not in the store");
  GraphOutcome outcome =
      changed(application, {{"appId", application.app_id.text()}, {"displayName", application.display_name}});
  outcome.status = 201;
  outcome.body = graph_single(call, "applications", graph_application(*stored));
  return outcome;
}

Result<GraphOutcome> update_application(const GraphCall& call, store::Transaction& tx) {
  Application application = TRY(application_argument(call, tx));
  const JsonArray* keys = array_at(call.body, "keyCredentials");
  if (keys != nullptr) TRY(replace_keys(call, tx, application, *keys));
  application.display_name = string_at(call.body, "displayName").value_or(application.display_name);
  if (call.body.contains("identifierUris"))
    application.identifier_uris = strings_at(call.body, "identifierUris");
  application.public_client =
      bool_at(call.body, "isFallbackPublicClient").value_or(application.public_client);
  replace_redirects(application, call.body);
  TRY(call.directory.update_application(tx, application));
  GraphOutcome outcome = changed(application, {});
  if (keys != nullptr) outcome.action = "microsoft.directory/applications/credentials/update";
  return outcome;
}

Result<GraphOutcome> delete_application(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  tx.urgent();
  TRY(call.directory.erase_application(tx, application.id));
  return changed(application,
                 {{"appId", application.app_id.text()}, {"displayName", application.display_name}});
}

Result<GraphOutcome> add_password(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  Duration lifetime = kSecretLifetime;
  if (const auto end = string_at(call.body, "passwordCredential.endDateTime")) {
    const auto time = from_rfc3339(*end);
    if (!time)
      return graph_bad_request("endDateTime is not an RFC 3339 time.", "passwordCredential.endDateTime");
    lifetime = *time - call.clock.now();
  }
  const NewSecret secret = TRY(call.directory.add_secret(
      tx, application.id, string_at(call.body, "passwordCredential.displayName").value_or(std::string()),
      lifetime));
  GraphOutcome outcome = changed(application, {{"added", secret.credential.id.text()}});
  outcome.status = 200;
  outcome.body = {{"@odata.context", call.origin + "/v1.0/$metadata#microsoft.graph.passwordCredential"},
                  {"keyId", secret.credential.id.text()},
                  {"displayName", secret.credential.display_name},
                  {"hint", secret.credential.hint},
                  {"secretText", secret.text.expose_text()},
                  {"startDateTime", to_rfc3339(secret.credential.start)},
                  {"endDateTime", to_rfc3339(secret.credential.end)}};
  return outcome;
}

// Of either kind: removePassword and removeKey differ only in what tools call them.
Result<GraphOutcome> remove_password(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  const auto id = Uuid::parse(TRY(require_string(call.body, "keyId")));
  if (!id) return graph_bad_request("keyId is not a GUID.", "keyId");
  tx.urgent();
  TRY(call.directory.remove_credential(tx, application.id, *id));
  return changed(application, {{"removed", id->text()}});
}

Result<GraphOutcome> add_key(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(application_argument(call, tx));
  const JsonObject* credential = object_at(call.body, "keyCredential");
  if (credential == nullptr || !credential->contains("key"))
    return graph_bad_request("The key credential has no key: send base64 of the certificate.",
                             "keyCredential");
  std::string pem = TRY(certificate_of(*credential));
  const auto added = TRY(call.directory.add_certificate(tx, application.id, std::move(pem)));
  GraphOutcome outcome = changed(application, {{"added", added.id.text()}});
  outcome.status = 200;
  outcome.body = {{"@odata.context", call.origin + "/v1.0/$metadata#microsoft.graph.keyCredential"},
                  {"keyId", added.id.text()},
                  {"displayName", added.display_name},
                  {"customKeyIdentifier", added.sha1_thumbprint_hex},
                  {"type", "AsymmetricX509Cert"},
                  {"usage", "Verify"},
                  {"startDateTime", to_rfc3339(added.start)},
                  {"endDateTime", to_rfc3339(added.end)}};
  return outcome;
}

}  // namespace merlon::identity::graph

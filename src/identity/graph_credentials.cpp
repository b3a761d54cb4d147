// Graph: secrets and certificates of applications. A service principal of this directory has its
// application's: whoever asks for one of them by the service principal (`az ad sp credential`) gets and
// changes those.
#include "base/time_text.h"
#include "crypto/x509.h"
#include "identity/graph_handlers.h"
#include "identity/graph_objects.h"
#include "identity/record_fields.h"

namespace merlon::identity::graph {
namespace {

constexpr Duration kSecretLifetime =
    std::chrono::hours(24) * 365;  // when the caller names no end: az's default

// `key` is base64 of the DER, or of the PEM text, as tools send both.
Result<std::string> certificate_of(const JsonObject& credential) {
  std::string text = TRY(require_string(credential, "key"));
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  const auto bytes = from_base64(text);
  if (!bytes) return graph_bad_request("The key of a key credential must be base64.", "keyCredentials");
  if (as_text(*bytes).starts_with("-----BEGIN")) return std::string(as_text(*bytes));
  return crypto::certificate_pem(*bytes);
}

// Whose credentials the path names: the application, or a service principal's.
Result<Application> owner_argument(const GraphCall& call, store::Reader& reader) {
  if (!call.pattern.starts_with("servicePrincipals/")) return application_argument(call, reader);
  return application_of(call, reader, TRY(service_principal_argument(call, reader)));
}

GraphOutcome changed(const GraphCall& call, const Application& application, JsonObject details) {
  if (call.pattern.starts_with("servicePrincipals/"))
    details["servicePrincipal"] = ascii_lower(call.arguments.at(0));
  return {.status = 204,
          .body = {},
          .resource = "applications/" + application.id.text(),
          .action = {},
          .details = std::move(details)};
}

}  // namespace

schema::Shape key_credential() {
  return schema::object({schema::optional("type", schema::text_of({"AsymmetricX509Cert"})),
                         schema::optional("usage", schema::text_of({"Verify"})),
                         schema::optional("displayName", schema::text()),
                         schema::optional("keyId", schema::text()),
                         schema::optional("key", schema::text().with_range(1, 65536))});
}

schema::Shape new_password() {
  return schema::object({schema::optional(
      "passwordCredential", schema::object({schema::optional("displayName", schema::text()),
                                            schema::optional("startDateTime", schema::text()),
                                            schema::optional("endDateTime", schema::text())}))});
}

schema::Shape removed_password() { return schema::object({schema::required("keyId", schema::text())}); }

schema::Shape new_key() { return schema::object({schema::required("keyCredential", key_credential())}); }

Result<Application> application_of(const GraphCall& call, store::Reader& reader,
                                   const ServicePrincipal& principal) {
  auto application = TRY(call.directory.application_by_app_id(reader, principal.app_id));
  if (!application)
    return graph_bad_request(
        "The service principal '" + principal.id.text() +
        "' has no application in this directory, so it keeps no secret and no certificate.");
  return *std::move(application);
}

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

Result<GraphOutcome> add_password(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(owner_argument(call, tx));
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
  GraphOutcome outcome = changed(call, application, {{"added", secret.credential.id.text()}});
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
  const Application application = TRY(owner_argument(call, tx));
  const auto id = Uuid::parse(TRY(require_string(call.body, "keyId")));
  if (!id) return graph_bad_request("keyId is not a GUID.", "keyId");
  tx.urgent();
  TRY(call.directory.remove_credential(tx, application.id, *id));
  return changed(call, application, {{"removed", id->text()}});
}

Result<GraphOutcome> add_key(const GraphCall& call, store::Transaction& tx) {
  const Application application = TRY(owner_argument(call, tx));
  const JsonObject* credential = object_at(call.body, "keyCredential");
  if (credential == nullptr || !credential->contains("key"))
    return graph_bad_request("The key credential has no key: send base64 of the certificate.",
                             "keyCredential");
  std::string pem = TRY(certificate_of(*credential));
  const auto added = TRY(call.directory.add_certificate(tx, application.id, std::move(pem)));
  GraphOutcome outcome = changed(call, application, {{"added", added.id.text()}});
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

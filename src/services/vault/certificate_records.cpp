// Rows of certificates and back.
#include "services/vault/certificate_records.h"

#include "base/text.h"

namespace merlon::vault {
namespace {

JsonObject object_in(const JsonObject& json, std::string_view key) {
  const JsonObject* object = object_at(json, key);
  return object == nullptr ? JsonObject() : *object;
}

Result<Uuid> vault_in(const JsonObject& json) {
  const auto vault = Uuid::parse(TRY(require_string(json, "vault")));
  if (!vault) return internal_error("certificate record: vault is no UUID");
  return *vault;
}

}  // namespace

JsonObject PendingRequest::to_json() const {
  JsonObject json{{"requestId", request_id}, {"version", version}, {"csr", csr},
                  {"status", status},        {"issuer", issuer},   {"facts", facts.to_json()}};
  if (cancellation_requested) json["cancellationRequested"] = true;
  if (!issuer_type.empty()) json["issuerType"] = issuer_type;
  if (!exportable) json["exportable"] = false;
  json["sealed"] = sealed.to_json();
  return json;
}

Result<PendingRequest> PendingRequest::from_json(const JsonObject& json) {
  PendingRequest request;
  request.request_id = TRY(require_string(json, "requestId"));
  request.version = TRY(require_string(json, "version"));
  request.csr = TRY(require_string(json, "csr"));
  request.status = TRY(require_string(json, "status"));
  request.issuer = TRY(require_string(json, "issuer"));
  request.facts = TRY(Facts::from_json(object_in(json, "facts")));
  request.cancellation_requested = bool_at(json, "cancellationRequested").value_or(false);
  request.issuer_type = string_at(json, "issuerType").value_or("");
  request.exportable = bool_at(json, "exportable").value_or(true);
  request.sealed = TRY(Sealed::from_json(object_in(json, "sealed")));
  return request;
}

const store::TableSpec& Certificate::table() {
  static const store::TableSpec spec{"vault_certificates", {}};
  return spec;
}

JsonObject Certificate::to_json() const {
  JsonObject json{{"vault", name.vault.text()},
                  {"name", name.name},
                  {"policy", policy},
                  {"policyCreated", policy_created},
                  {"policyUpdated", policy_updated}};
  if (!noticed.empty()) json["noticed"] = noticed;
  if (pending) json["pending"] = pending->to_json();
  return json;
}

Result<Certificate> Certificate::from_json(const JsonObject& json) {
  Certificate certificate;
  certificate.name = {TRY(vault_in(json)), Kind::certificates, TRY(require_string(json, "name"))};
  certificate.policy = object_in(json, "policy");
  certificate.policy_created = TRY(require_int(json, "policyCreated"));
  certificate.policy_updated = TRY(require_int(json, "policyUpdated"));
  certificate.noticed = string_at(json, "noticed").value_or("");
  if (const JsonObject* pending = object_at(json, "pending"))
    certificate.pending = TRY(PendingRequest::from_json(*pending));
  return certificate;
}

const store::TableSpec& Setting::table() {
  static const store::TableSpec spec{"vault_settings", {}};
  return spec;
}

Result<Setting> Setting::from_json(const JsonObject& json) {
  return Setting{TRY(vault_in(json)), TRY(require_string(json, "path")), object_in(json, "body")};
}

std::string issuer_path(std::string_view name) { return "issuers/" + ascii_lower(name); }

}  // namespace merlon::vault

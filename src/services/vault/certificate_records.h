// What a vault stores of certificates beside their versions: the policy and the request that is under way,
// and the vault's contacts and issuers.
#pragma once

#include "services/vault/records.h"

namespace merlon::vault {

// A request for a version, until somebody deletes it. The key waits here for its certificate.
struct PendingRequest {
  std::string request_id;
  std::string version;  // that it makes
  std::string csr;      // DER in base64
  std::string status;   // "inProgress", "completed" or "cancelled"
  bool cancellation_requested = false;
  std::string issuer, issuer_type;
  Facts facts;             // of the version, when it is made
  Sealed sealed;           // while in progress
  bool exportable = true;  // the sealed key: as the policy was when it was made
  JsonObject to_json() const;
  static Result<PendingRequest> from_json(const JsonObject& json);
  std::string seal_context(const ObjectName& name) const { return name.key() + "/pending/" + version; }
};

// Filed under the name of its object, live or deleted.
struct Certificate {
  ObjectName name;
  JsonObject policy;  // canonical, as read_certificate_policy makes it
  int64_t policy_created = 0, policy_updated = 0;
  std::string noticed;  // the version whose end the contacts were told of
  std::optional<PendingRequest> pending;

  static const store::TableSpec& table();
  std::string key() const { return name.key(); }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<Certificate> from_json(const JsonObject& json);
};

// The vault's contacts ("contacts") and issuers ("issuers/<name>").
struct Setting {
  Uuid vault;
  std::string path;
  JsonObject body;

  static const store::TableSpec& table();
  std::string key() const { return vault.text() + "/" + path; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const { return {{"vault", vault.text()}, {"path", path}, {"body", body}}; }
  static Result<Setting> from_json(const JsonObject& json);
};

std::string issuer_path(std::string_view name);  // "issuers/<name in lower case>"

}  // namespace merlon::vault

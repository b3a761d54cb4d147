// Federated identity credentials: which tokens of which foreign issuer an application, or a managed identity,
// accepts in the place of a secret. Azure allows 20 for each; here there may be any number, and a token finds
// its credential by index. One names its subject, or has an expression that the token's claims must fit
// (federation_expression.h): those are looked at one after the other when no subject is equal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "store/table.h"

namespace merlon::identity {

inline constexpr std::string_view kTokenExchangeAudience = "api://AzureADTokenExchange";

struct FederatedCredential {
  Uuid id;
  Uuid app_id;  // of whom it signs in
  std::string name;
  std::string issuer;   // compared byte by byte, as are the next two
  std::string subject;  // empty when there is an expression
  std::string audience;
  std::string description;
  std::string
      authorities_pem;  // whom the issuer's TLS certificate must come from; empty = the system's store
  Timestamp created;
  std::string expression = {};  // in the place of a subject
  std::string keys_jwks = {};  // the issuer's keys (RFC 7517), pinned: it is never asked; empty = it is asked
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<FederatedCredential> from_json(const JsonObject& json);
};

// Rules on the caller's transaction, entering nothing in the ledger. They fill in id and created, and the
// audience when it is empty. Errors are `invalid` with the property's name as target, or Conflict.
Result<FederatedCredential> add_federated_credential(store::Transaction& tx, const TenantId& tenant,
                                                     FederatedCredential credential, const Clock& clock,
                                                     Random& random);
// Not its name, as in Azure.
Result<void> update_federated_credential(store::Transaction& tx, const TenantId& tenant,
                                         const FederatedCredential& credential);
Result<void> erase_federated_credentials(store::Transaction& tx, const TenantId& tenant, const Uuid& app_id);

Result<std::optional<FederatedCredential>> federated_credential_by_name(store::Reader& reader,
                                                                        const TenantId& tenant,
                                                                        const Uuid& app_id,
                                                                        std::string_view name);
// One page of them, ascending by name.
Result<std::vector<FederatedCredential>> federated_credentials(store::Reader& reader, const TenantId& tenant,
                                                               const Uuid& app_id,
                                                               std::string_view after_name, size_t limit);
// What a token of this issuer and subject signs in by.
Result<std::optional<FederatedCredential>> federated_credential_for(store::Reader& reader,
                                                                    const TenantId& tenant,
                                                                    const Uuid& app_id,
                                                                    std::string_view issuer,
                                                                    std::string_view subject);
// The first, in no order of meaning, of those with an expression for this issuer that `admits` says yes to.
Result<std::optional<FederatedCredential>> federated_credential_by_expression(
    store::Reader& reader, const TenantId& tenant, const Uuid& app_id, std::string_view issuer,
    const std::function<bool(const FederatedCredential&)>& admits);
Result<bool> trusts_issuer(store::Reader& reader, const TenantId& tenant, const Uuid& app_id,
                           std::string_view issuer);

}  // namespace merlon::identity

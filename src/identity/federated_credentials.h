// Federated identity credentials: which tokens of which foreign issuer an application, or a managed identity,
// accepts in the place of a secret. Azure allows 20 for each; here there may be any number, and a token finds
// its credential by index.
#pragma once

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
  std::string issuer;  // compared byte by byte, as are the next two
  std::string subject;
  std::string audience;
  std::string description;
  std::string
      authorities_pem;  // whom the issuer's TLS certificate must come from; empty = the system's store
  Timestamp created;
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
Result<bool> trusts_issuer(store::Reader& reader, const TenantId& tenant, const Uuid& app_id,
                           std::string_view issuer);

}  // namespace merlon::identity

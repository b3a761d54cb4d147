// What a server decided once, at its first start, and never changes: tenant, subscription, domain, and the
// private authority that its TLS certificates come from.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "crypto/key.h"
#include "seal/seal.h"
#include "store/store.h"

namespace merlon::server {

const std::vector<store::TableSpec>& tables();

struct Settings {
  TenantId tenant;
  Uuid subscription;
  std::string domain;
  Timestamp created;
  std::string authority_pem;  // also in DIR/ca.pem, for clients
  Secret authority_key_der;
};

// Reads them, or makes them on the first start (an empty `domain` is the stored one, or merlon.localhost). A
// `domain` other than the stored one is refused: the authority is constrained to its domain by name, so
// nothing could trust the new name.
Result<Settings> open_settings(store::Store& store, const seal::Seal& seal, const Clock& clock,
                               Random& random, const std::string& domain);

}  // namespace merlon::server

// The foundation, handed to every room above it by hand: no singletons, no globals.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "access/access.h"
#include "base/clock.h"
#include "base/random.h"
#include "identity/directory.h"
#include "identity/issuer.h"
#include "ledger/ledger.h"
#include "resource/known_rows.h"
#include "resource/throttle.h"
#include "seal/seal.h"
#include "store/store.h"

namespace merlon::resource {

struct Core {
  store::Store& store;
  seal::Seal& seal;
  ledger::Ledger& ledger;
  identity::Directory& directory;
  identity::Issuer& issuer;
  access::Access& access;
  const Clock& clock;
  Random& random;
  TenantId tenant;
  Uuid subscription;   // the one subscription of this tenant
  std::string domain;  // "merlon.localhost"
  std::string default_location = "local";
  std::optional<RateLimits> rate_limits{};  // none: nobody is throttled
  std::shared_ptr<KnownRows> known_rows = std::make_shared<KnownRows>();
};

}  // namespace merlon::resource

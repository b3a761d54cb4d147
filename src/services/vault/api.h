// The key vault: Microsoft.KeyVault/vaults on the control plane, and each vault's data plane (secrets and
// keys) behind its own name, <vault>.vault.<domain> (contract keyvault.md).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/secret.h"
#include "crypto/hsm.h"
#include "identity/principal.h"
#include "machine/platform.h"
#include "net/server.h"

namespace merlon::vault {

struct SecretName {
  std::string vault, name, version;  // of the version: empty for whichever is newest
};

// A secret that the server itself uses, by the right of whoever has lent it (decision 0052).
struct SecretUse {
  SecretName secret;
  identity::Principal lender;
  JsonObject details;  // for the ledger: for whom, and what for
  std::string correlation_id;
};
struct UsedSecret {
  Secret value;
  std::string version;
};

class Vaults {
 public:
  virtual ~Vaults() = default;
  // Whether `lender` may read the secret now, from where they are, as the vault would judge a request of
  // theirs; and whether there is something to read. Refusals are the vault's own.
  virtual Result<void> check_lender(store::Reader& reader, const SecretName& secret,
                                    const identity::Principal& lender) = 0;
  // Whether use_secret() would have a value now; nothing is entered.
  virtual Result<void> check_use(store::Reader& reader, const SecretUse& use) = 0;
  // The value, once its use is entered in the ledger; a refusal is entered, too. The lender must be enabled
  // and may read it; the vault must let trusted services in; the secret be enabled and within its dates.
  // Blocks on the store.
  virtual Result<UsedSecret> use_secret(const SecretUse& use) = 0;
  // Whether the request's host is a vault's name: such a request is for no other part of Merlon.
  virtual bool handles(const net::Request& request) const = 0;
  // On a worker. The answer may leave from another thread, once what it needs is durable.
  virtual void handle(net::Request request, net::Responder respond) = 0;
  // What takes no waiting but for its entry in the ledger is begun, and answered when that is durable. False:
  // nothing has happened, and handle() is to be asked, by a worker. Destruction waits for all that has begun.
  virtual bool begin_at_once(const std::shared_ptr<const net::Request>& request,
                             const net::LateAnswer& answer) = 0;
  // What time makes due: the end of retention, rotation by policy, rows of vaults that are gone. `guard` runs
  // first in each write (grant::Grants::Guard).
  using Guard = std::function<Result<void>(store::Transaction&)>;
  virtual Result<void> tick(const Guard& guard) = 0;
};

// `hsm`: where keys of the types with "-HSM" lie; nothing: there are none.
std::unique_ptr<Vaults> install(Platform& platform, std::unique_ptr<crypto::Hsm> hsm = nullptr);
const std::vector<store::TableSpec>& tables();

// In the transaction that puts a restored backup in force. What the backup says is just being made in a
// hardware token may have been filed since by the server that it is of: it is forgotten, and never destroyed.
// Returns the ids of those objects.
Result<std::vector<std::string>> forget_keys_being_made(store::Transaction& tx, const TenantId& tenant);

}  // namespace merlon::vault

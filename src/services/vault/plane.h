// The data plane of the vaults: https://<vault>.vault.<domain>. One table of operations, each with the right
// that it takes; what all of them share (who asks, from where, may they, the ledger) happens here.
#pragma once

#include <any>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/under_way.h"
#include "machine/platform.h"
#include "net/computing.h"
#include "net/server.h"
#include "services/vault/api.h"
#include "services/vault/records.h"
#include "services/vault/throttle.h"
#include "store/known_records.h"
#include "store/later_writes.h"

namespace merlon::vault {

struct Operation;

// One request on its way.
struct Asked {
  const net::Request& request;
  std::string method;      // X-HTTP-METHOD looked at
  std::string origin;      // "https://kv.vault.merlon.localhost:8443", as asked for
  std::string vault_name;  // from the host, lower case
  Timestamp now;
  const Operation* operation = nullptr;
  std::vector<std::string> arguments;  // what stands at the path's {names}; absent ones at the end are ""
  std::shared_ptr<const Vault> found_vault{};
  identity::Principal principal;
  bool identified = false;
  bool by_server = false;  // for somebody, with nobody there: the server's own use of what they have lent
  std::string reason;      // what allowed it: an assignment's id, or "access policy"
  JsonObject body;
  std::any gathered;           // from `load` or `gather` to what follows
  JsonObject details;          // for the ledger
  Cost cost{};                 // of the key that is used, where one is
  unsigned retry_after_s = 0;  // when it is refused for being too much
  const Vault& vault() const;  // one without a name until it is found
  ObjectName object(Kind kind) const {
    return {vault().uid, kind, arguments.empty() ? std::string() : arguments[0]};
  }
};

struct Answer {
  int status = 200;
  JsonObject body;
};

// How long read, or load and compute of what has been loaded, take.
enum class Pace {
  quick,     // no longer than to hand them to a worker does
  computes,  // up to some milliseconds, without waiting for anything
  waits,     // for a token, perhaps
};

// Exactly one of read, load and write. Reads are entered in the ledger after they were answered for, before
// the answer leaves (plane_begun.cpp); writes in the transaction that changes something.
struct Operation {
  std::string method;
  std::string path;    // "secrets/{name}/{version}"; a version at the end or before a verb may be missing
  std::string action;  // "secrets/getSecret/action", below Microsoft.KeyVault/vaults/
  std::string policy_kind, policy_word;  // "secrets", "get"
  std::string object_folder{};           // where {name} is filed; policy_kind when empty
  std::function<Result<Answer>(Asked&, store::Reader&)> read{};
  // What the snapshot has to give; then `compute`, which may take long and holds no snapshot.
  std::function<Result<void>(Asked&, store::Reader&)> load{};
  std::function<Result<Answer>(Asked&)> compute{};
  std::function<Pace(const Asked&)> pace{};  // nothing: it is a worker's
  // What takes long before a write: making a key.
  std::function<Result<void>(Asked&)> gather{};
  std::function<Result<Answer>(Asked&, store::Transaction&)> write{};
  // What a write leads to once it is durable; what fails here is done again by the timer.
  std::function<void(const Asked&)> after{};
  std::vector<std::string> shape{};  // the path's segments; the plane fills them in
};

inline Pace always_quick(const Asked&) { return Pace::quick; }

class HsmKeys;
struct RevocationListName;

class Plane {
 public:
  Plane(Platform& platform, const HsmKeys& hsm);
  ~Plane();
  bool handles(const net::Request& request) const;
  // As Vaults (api.h) has them.
  void handle(net::Request request, net::Responder respond);
  bool begin_at_once(const std::shared_ptr<const net::Request>& request, const net::LateAnswer& answer,
                     const net::Compute& compute);
  // From inside the server (plane_inside.cpp).
  Result<void> check_lender(store::Reader& reader, const SecretName& secret,
                            const identity::Principal& lender) const;
  Result<void> check_use(store::Reader& reader, const SecretUse& use) const;
  Result<UsedSecret> use_secret(const SecretUse& use) const;

 private:
  struct Begun;
  Asked asked_of(const net::Request& request) const;
  net::Response response_to(const Asked& asked, const Result<Answer>& answer) const;
  // What is read and worked out; nothing when it is going to be a write.
  Result<std::optional<Answer>> look(Asked& asked) const;
  Result<Pace> look_at_once(Asked& asked, Answer& answer) const;
  Result<Answer> compute_in_turn(Asked& asked) const;  // when its turn has come
  void enter_later(std::shared_ptr<Begun> begun, const Result<Answer>& answer);
  net::Response revocation_list(const net::Request& request, const RevocationListName& name) const;
  Result<Answer> run_write(Asked& asked) const;
  Result<void> route(Asked& asked) const;
  Result<void> admit(Asked& asked, store::Reader& reader) const;
  Result<void> find_vault(Asked& asked, store::Reader& reader) const;
  Result<Version> version_to_use(Asked& asked, store::Reader& reader) const;
  Result<Version> lent_version(Asked& asked, store::Reader& reader) const;
  Result<void> parse(Asked& asked) const;
  Result<void> spend(Asked& asked) const;
  ledger::Entry entry_for(const Asked& asked, ledger::Decision decision) const;
  std::optional<ledger::Entry> refusal_entry(const Asked& asked, const Error& error) const;
  void set_headers(const Asked& asked, net::Response& response) const;

  Platform& platform_;
  mutable store::KnownRecords<Vault> vaults_;
  std::vector<Operation> operations_;
  std::unique_ptr<VaultThrottle> throttle_;  // nothing: nobody is throttled
  store::LaterWrites* const later_;          // the store, where it can do without threads that wait
  UnderWay begun_;                           // not answered yet
};

// The operations, one function per file.
using AddOperation = std::function<void(Operation)>;
void add_secret_operations(const resource::Core& core, const AddOperation& add);
void add_key_operations(const resource::Core& core, const HsmKeys& hsm, const AddOperation& add);
void add_certificate_operations(const resource::Core& core, const AddOperation& add);
void add_shared_operations(const resource::Core& core, const HsmKeys& hsm, Kind kind,
                           const AddOperation& add);  // deleted, backup, …

// Key Vault's errors have an inner code: innererror.code.
std::unexpected<Error> fault(ErrorKind kind, std::string_view code, std::string message,
                             std::string_view inner = {});
inline std::unexpected<Error> bad_parameter(std::string message) {
  return fault(ErrorKind::invalid, "BadParameter", std::move(message));
}
net::Response fault_response(const Error& error);

// Whether the vault's network rules let `peer` in (authority.cpp).
Result<void> check_network(Platform& platform, store::Reader& reader, const Vault& vault,
                           const IpAddress& peer);
// The same for the server itself, one of Azure's trusted services.
Result<void> check_trusted_service(const Vault& vault);
// The vault's own way of deciding: roles, or access policies, never both. Returns what allowed it.
Result<std::string> check_right(const resource::Core& core, store::Reader& reader, const Asked& asked);
// Whoever has an authority sign for them has to be let at it: a right at their own certificate alone would be
// one to any name in anybody's.
Result<void> check_issuer_right(const resource::Core& core, store::Reader& reader, const Asked& asked,
                                std::string_view issuer);

}  // namespace merlon::vault

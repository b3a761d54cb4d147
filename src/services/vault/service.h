// The rules of vaults, on both planes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/computing.h"
#include "services/vault/api.h"
#include "services/vault/hsm_keys.h"
#include "services/vault/plane.h"
#include "services/vault/records.h"

namespace merlon::vault {

inline constexpr std::string_view kVaultType = "Microsoft.KeyVault/vaults";

void add_arm_object_routes(Platform& platform, const HsmKeys& hsm);  // arm_objects.cpp

// A key that its policy rotates now.
struct DueRotation {
  Object object;
  Vault vault;
  Version newest;
};

// What was due and could not be done waits a while, so that it costs nothing else its turn, nor the log a
// line every few seconds. Not kept over a start: then it is tried once more.
class PutOff {
 public:
  bool waits(const std::string& key, Timestamp now) const;
  void note(const std::string& key, const Result<void>& done, Timestamp now);

 private:
  std::map<std::string, Timestamp> until_;
};

class Service final : public Vaults {
 public:
  Service(Platform& platform, std::unique_ptr<crypto::Hsm> hsm);

  bool handles(const net::Request& request) const override { return plane_.handles(request); }
  void handle(net::Request request, net::Responder respond) override {
    plane_.handle(std::move(request), std::move(respond));
  }
  bool begin_at_once(const std::shared_ptr<const net::Request>& request,
                     const net::LateAnswer& answer) override {
    return begin_at_once(request, answer, compute_);
  }
  bool begin_at_once(const std::shared_ptr<const net::Request>& request, const net::LateAnswer& answer,
                     const net::Compute& compute) {
    return plane_.begin_at_once(request, answer, compute);
  }
  Result<void> check_lender(store::Reader& reader, const SecretName& secret,
                            const identity::Principal& lender) override {
    return plane_.check_lender(reader, secret, lender);
  }
  Result<void> check_use(store::Reader& reader, const SecretUse& use) override {
    return plane_.check_use(reader, use);
  }
  Result<UsedSecret> use_secret(const SecretUse& use) override { return plane_.use_secret(use); }
  Result<void> tick(const Guard& guard) override;
  const HsmKeys& hsm() const { return hsm_; }

  // Control plane (control.cpp).
  Result<JsonObject> put(resource::WriteContext& context, const resource::ResourceId& id,
                         const resource::Resource* existing, JsonObject wanted);
  Result<void> changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove(resource::WriteContext& context, const resource::Resource& existing);
  Result<JsonObject> change_policies(resource::WriteContext& context, const resource::ResourceId& id,
                                     std::string_view operation);
  Result<JsonObject> name_availability(store::Reader& reader, const std::string& name);
  Result<JsonObject> deleted_vault(store::Reader& reader, const std::string& location,
                                   const std::string& name);
  JsonObject shown_deleted(const Vault& vault) const;
  Result<Vault> purge(resource::WriteContext& context, const std::string& location, const std::string& name);

 private:
  Result<JsonObject> create(resource::WriteContext& context, const resource::ResourceId& id,
                            JsonObject wanted);
  Result<JsonObject> recover(resource::WriteContext& context, const resource::ResourceId& id,
                             JsonObject wanted, Vault vault);
  Result<std::optional<Vault>> find(store::Reader& reader, std::string_view name);
  Result<Vault> require_deleted(store::Reader& reader, const std::string& location, const std::string& name);
  Result<void> destroy(store::Transaction& tx, const Vault& vault);

  // What time makes due (timer.cpp).
  Result<void> purge_due_vaults(const Guard& guard, Timestamp now);
  Result<std::optional<Vault>> vault_of(store::Reader& reader, const Object& object);
  Result<void> purge_due_object(const Guard& guard, const std::string& key, Timestamp now);
  Result<void> rotate_due_key(const Guard& guard, const std::string& key, Timestamp now);
  Result<std::optional<DueRotation>> due_rotation(store::Reader& reader, const std::string& key,
                                                  Timestamp now);
  // renewal.cpp
  Result<void> renew_due_certificate(const Guard& guard, const std::string& key, Timestamp now);
  Result<std::vector<store::Row>> due_rows(const store::TableSpec& table, Timestamp now);
  Result<void> act_on_due_objects(const Guard& guard, Timestamp now);
  Result<void> act_on_due_object(const Guard& guard, const store::Row& row, Timestamp now);
  Result<void> sweep_leftovers(const Guard& guard);

  Platform& platform_;
  const HsmKeys hsm_;
  // Before the plane, which bounds what it has begun, and waits for it at its end.
  static constexpr size_t kComputingMax = 1024;
  net::Computing computing_{kComputingMax};
  const net::Compute compute_ = computing_.compute();
  Plane plane_;
  Timestamp looked_{};  // tick's alone, as is:
  PutOff put_off_;
};

}  // namespace merlon::vault

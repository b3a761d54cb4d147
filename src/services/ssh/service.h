// The rules of SSH identities.
#pragma once

#include <mutex>

#include "services/ssh/api.h"
#include "services/ssh/authorities.h"
#include "services/ssh/known_host.h"
#include "services/ssh/registered_key.h"

namespace merlon::ssh_identity {

inline constexpr Duration kCertificateLifetime = std::chrono::hours(8);
inline constexpr Duration kCertificateLifetimeMax = std::chrono::hours(24);
inline constexpr size_t kKeysMax = 50;  // of one person

class Service final : public SshIdentities {
 public:
  Service(Platform& platform, Authorities authorities)
      : platform_(platform), authorities_(std::move(authorities)) {}
  void declare();
  Result<void> tell_machines();  // of the authority: those that were enrolled before it
  void follow_machines();        // what enrolled machines report, and what they are to trust

  Result<identity::Principal> person(store::Reader& reader, ByteView key_or_certificate,
                                     const IpAddress& source) override;
  Result<MachineCredential> machine_credential(const identity::Principal& person, std::string_view login,
                                               std::string_view machine_id,
                                               std::string_view session) override;
  Result<std::vector<std::string>> host_keys(store::Reader& reader, std::string_view machine_id) override;
  void serves_at(std::string port) override {
    const std::lock_guard lock(mutex_);
    port_ = std::move(port);
  }
  ssh::PublicKey people_authority() const override {
    return ssh::PublicKey::of(authorities_.people().public_key());
  }
  ssh::PublicKey machines_authority() const override {
    return ssh::PublicKey::of(authorities_.machines().public_key());
  }
  ssh::PublicKey host_key() const override { return ssh::PublicKey::of(authorities_.host().public_key()); }
  Secret host_private_key() const override;

 private:
  Result<net::Response> issue(resource::WriteContext& context);
  Result<net::Response> put_key(resource::WriteContext& context);
  Result<net::Response> remove_key(resource::WriteContext& context);
  Result<net::Response> list_keys(const resource::Call& call, store::Reader& reader);
  void declare_host_keys();
  Result<net::Response> put_host_keys(resource::WriteContext& context);
  Result<net::Response> get_host_keys(const resource::Call& call, store::Reader& reader);
  Result<void> hear_facts(resource::WriteContext& context, const machine::Machine& machine,
                          machine::ToldBy told_by);
  Result<void> forget_machine(resource::WriteContext& context, const machine::Machine& machine);
  net::Response show_authorities() const;
  Result<identity::Principal> certified(store::Reader& reader, ByteView certificate, const IpAddress& source);
  Result<identity::Principal> registered(store::Reader& reader, const ssh::PublicKey& key,
                                         const IpAddress& source);
  uint64_t serial();

  Platform& platform_;
  const Authorities authorities_;
  mutable std::mutex mutex_;
  std::string port_;
};

}  // namespace merlon::ssh_identity

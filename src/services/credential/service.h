// The rules of machine credentials.
#pragma once

#include "services/credential/api.h"
#include "services/credential/machine_credential.h"

namespace merlon::credential {

inline constexpr size_t kCredentialsMax = 1000;  // of one scope

class Service final : public MachineCredentials {
 public:
  Service(Platform& platform, vault::Vaults& vaults, ssh_identity::SshIdentities& identities)
      : platform_(platform), vaults_(vaults), identities_(identities) {}
  void declare();  // routes.cpp
  void forget_with(compute::Compute& compute);

  Result<std::optional<Found>> find(store::Reader& reader, std::string_view machine, std::string_view login,
                                    const std::vector<std::string>& host_keys) override;
  Result<ssh::MachineSecret> secret(const Found& found, const Use& use) override;

 private:
  // routes.cpp
  Result<net::Response> put(resource::WriteContext& context);
  Result<net::Response> remove(resource::WriteContext& context);
  Result<net::Response> get(const resource::Call& call, store::Reader& reader);
  Result<net::Response> list(const resource::Call& call, store::Reader& reader);
  Result<MachineCredential> read_body(resource::WriteContext& context, const resource::ResourceId& scope,
                                      std::string name);
  Result<vault::SecretName> secret_at(resource::WriteContext& context, std::string_view property);
  Result<resource::ResourceId> require_scope(store::Reader& reader, const resource::Call& call);
  // "Ready", or why it would not be used now.
  Result<std::pair<std::string, std::string>> state_of(store::Reader& reader,
                                                       const MachineCredential& credential);

  Result<vault::UsedSecret> use(const MachineCredential& credential, const vault::SecretName& secret,
                                const Use& use);

  Platform& platform_;
  vault::Vaults& vaults_;
  ssh_identity::SshIdentities& identities_;
};

bool is_machine(const resource::ResourceId& id);
// What is left of the host keys known of a machine that a password may be sent to.
std::vector<std::string> trusted_for(const MachineCredential& credential,
                                     const std::vector<std::string>& known);

}  // namespace merlon::credential

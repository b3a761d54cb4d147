// The identities of machines: what their agents are told of them, and the tokens that they get.
#pragma once

#include "services/compute/api.h"
#include "services/managed_identity/callers.h"

namespace merlon::managed_identity {

class Service {
 public:
  explicit Service(Platform& platform) : platform_(platform) {}

  // The machine's document or rules have changed: its agent is told, and the tokens end that it got of
  // identities which are not its any more.
  Result<void> follow(resource::WriteContext& context, const resource::ResourceId& vm);
  // The machine goes.
  Result<void> leave(resource::WriteContext& context, const resource::ResourceId& vm);
  // An identity has gone: the same for each machine that had it.
  Result<void> follow_machines_with(resource::WriteContext& context, const Uuid& principal);

  Result<machine::TokenAnswer> token(const machine::Machine& machine, const machine::TokenRequest& asked,
                                     const std::string& origin);

  Result<JsonObject> callers(store::Reader& reader, const resource::ResourceId& vm);
  Result<JsonObject> put_callers(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<bool> remove_callers(resource::WriteContext& context, const resource::ResourceId& vm);
  // Microsoft.ManagedIdentity/identities/default: the machine's own identity.
  Result<JsonObject> own_identity(store::Reader& reader, const resource::ResourceId& vm);

 private:
  Result<std::vector<machine::BoundIdentity>> bound(store::Reader& reader, const JsonObject& document);
  Result<void> add_bound(store::Reader& reader, const std::optional<std::string>& principal, bool own,
                         std::vector<machine::BoundIdentity>& found);
  Result<identity::TokenSubject> allow(store::Transaction& tx, const Uuid& machine_id,
                                       const machine::TokenRequest& asked, const std::string& origin);
  Result<std::string> session(store::Transaction& tx, const machine::Machine& machine,
                              const identity::ServicePrincipal& principal, const std::string& stamp);
  Result<resource::Resource> machine_document(store::Reader& reader, const resource::ResourceId& vm);

  Platform& platform_;
};

}  // namespace merlon::managed_identity

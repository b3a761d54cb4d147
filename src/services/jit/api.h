// Just-in-time VM access: Microsoft.Security/locations/jitNetworkAccessPolicies and its initiate action
// (contract jit.md). A policy closes management ports by overlay deny rules; an accepted request opens one
// for one source until a deadline, as a grant with kernel-timed openings on the machine.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "machine/platform.h"
#include "services/network/api.h"

namespace merlon::jit {

// What another service, on its way to a machine in a person's name, has been given.
struct PortAccess {
  Uuid grant;
  Timestamp deadline;
  bool own = true;  // asked for by port_access() itself, so to be given back; else the person's own
};
struct PortAccessRequest {
  resource::ResourceId vm;
  uint16_t port = 0;
  IpAddress source;  // the only one that it is opened for
  std::string justification;
  std::optional<Duration> lasts{};  // at most; the policy's own maximum when longer or absent
};

class Jit {
 public:
  virtual ~Jit() = default;
  // Whether a policy guards the port: then it opens by port_access() alone.
  virtual Result<bool> guards(store::Reader& reader, const resource::ResourceId& vm, uint16_t port) = 0;
  // By the right of the context's caller, with every check of a request of their own. Nothing when no policy
  // guards the port. Beside other openings of the same port and source, which stay as they are: several
  // people may come from the same bastion. Where others must agree, an opening that they have agreed to is
  // taken; JitApprovalRequired when there is none.
  virtual Result<std::optional<PortAccess>> port_access(resource::WriteContext& context,
                                                        const PortAccessRequest& request) = 0;
  // Ends the openings of people and applications that are gone or disabled. Called a few times a second, by
  // one server at a time.
  virtual Result<void> tick(const grant::Grants::Guard& guard) = 0;
};

std::unique_ptr<Jit> install(Platform& platform, network::Network& network);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::jit

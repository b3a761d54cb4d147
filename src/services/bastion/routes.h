// What the bastion declares on the control plane, one function per file.
#pragma once

#include "services/bastion/service.h"

namespace merlon::bastion {

inline const std::string kHostPath =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Network/"
    "bastionHosts/{bastionHostName}";

void add_host_routes(resource::Manager& resources, Service& service);
void add_session_routes(resource::Manager& resources, Service& service);
void add_policy_routes(resource::Manager& resources, Service& service);
void add_moderation_routes(resource::Manager& resources, Service& service);
void add_link_routes(resource::Manager& resources, Service& service);

// The host that a path names.
Result<resource::ResourceId> host_in(const resource::Call& call);

}  // namespace merlon::bastion

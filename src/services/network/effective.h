// The effective rules of an interface as Azure shows them, made from what its machine enforces.
#pragma once

#include "services/network/compiled.h"

namespace merlon::network {

// "securityRules/AllowHttps", "defaultSecurityRules/DenyAllInBound".
std::string effective_name(const CompiledRule& rule);
// EffectiveNetworkSecurityGroupListResult.
JsonObject effective_groups_json(const CompiledInterface& compiled);
// One element of SecurityGroupViewResult's networkInterfaces.
JsonObject security_group_view_json(const CompiledInterface& compiled);

}  // namespace merlon::network

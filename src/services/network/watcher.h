// What Azure's questions to a network watcher have in common.
#pragma once

#include <string>
#include <string_view>

#include "services/network/service.h"

namespace merlon::network {

inline constexpr const char* kNetworkPath =
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Network/";

std::unexpected<Error> wrong_parameter(std::string_view field, const std::string& what);
// The machine that the question is about. The answer tells about it: who asks must be allowed to read it.
Result<resource::ResourceId> readable_machine(const Platform& platform, const resource::Call& call,
                                              store::Reader& reader);
Result<void> require_watcher(const Platform& platform, const resource::Call& call, store::Reader& reader);
Result<IpAddress> address_in(const JsonObject& body, std::string_view field);
resource::Route watcher_action(std::string action, std::string summary, schema::Shape body);

}  // namespace merlon::network

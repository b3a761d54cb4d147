// What Azure shows of a resource although nobody has sent it. Source: azure-rest-api-specs,
// Microsoft.Network, examples of creating one.
#pragma once

#include "base/json.h"

namespace merlon::network {

void show_interface_defaults(JsonObject& properties);
void show_public_address_defaults(JsonObject& document);

}  // namespace merlon::network

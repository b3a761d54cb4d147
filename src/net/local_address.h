// Which of this machine's own addresses a connection would come from: a question to its routes.
#pragma once

#include <optional>

#include "base/ip.h"

namespace merlon::net {

// Nothing when there is no route. Sends nothing and does not wait.
std::optional<IpAddress> source_address_for(const IpAddress& target);

}  // namespace merlon::net

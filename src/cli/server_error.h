// What a server's refusal says, whatever form it came in: Azure's error body, OAuth's, or none at all.
#pragma once

#include <string>

#include "net/http.h"

namespace merlon::cli {

Error error_of(const net::Response& response);
// What to do next; empty when the message says it all.
std::string hint_of(const Error& error);

}  // namespace merlon::cli

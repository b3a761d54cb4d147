// If-Match and If-None-Match (RFC 9110 section 13). Azure's entity tags are compared without their W/ mark:
// clients send back what they were shown, weak form and all.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http.h"

namespace merlon::resource {

// `current` holds the tags that the thing answers to; empty when it does not exist. Error:
// PreconditionFailed.
Result<void> check_preconditions(const net::Request& request, const std::vector<std::string>& current,
                                 std::string_view what);
// True when a GET may be answered with 304.
bool is_unchanged(const net::Request& request, std::string_view etag);

std::string entity_tag(std::string_view etag);  // W/"…": for the header and for bodies that show it

}  // namespace merlon::resource

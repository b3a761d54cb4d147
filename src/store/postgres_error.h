// What PostgreSQL reports, as errors of ours: what the caller may know, and for the log the SQLSTATE and the
// primary message, never its detail, which quotes values of rows. Not for other rooms.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace merlon::store {

std::unexpected<Error> database_unreachable(const std::string& which, std::string_view reason);
Error connection_lost_error(std::string_view reason, std::string_view doing = {});
std::unexpected<Error> database_error(std::string_view sqlstate, std::string_view primary,
                                      std::string_view doing);

}  // namespace merlon::store

// Which Merlon this is.
#pragma once

#include <string>

namespace merlon::cli {

inline std::string version_line() { return "merlon 0.1.0\n"; }

}  // namespace merlon::cli

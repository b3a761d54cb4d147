// Secrets from a person's keyboard, without showing them.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace merlon::cli {

// Asks on the terminal itself, whatever standard input and output are. `instead` is what to do where there is
// no terminal: "set MERLON_PASSWORD".
Result<Secret> ask_secret(const std::string& question, const std::string& instead);

}  // namespace merlon::cli

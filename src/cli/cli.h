// The command line: everything that `merlon` can be told to do.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace merlon::cli {

// Exit code: 0 done, 1 refused or failed, 2 wrong usage; for `jit request … -- command`, the command's.
int main(int argc, char** argv);

// The same with everything passed in. `arguments` is without the program's name.
int run(std::vector<std::string> arguments, Context& context);

}  // namespace merlon::cli

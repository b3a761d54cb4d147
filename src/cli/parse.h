// From an argument vector to one command with its options filled in.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace merlon::cli {

struct Parsed {
  const Command* command = nullptr;  // null: `text` says it all (help, version, or what is wrong)
  int exit_code = kDone;
  OutputForm output = OutputForm::table;
  std::string text;
};

// `arguments` without the program's name. The options' targets are those of `commands`.
Parsed parse(const std::vector<Command>& commands, std::vector<std::string> arguments);

}  // namespace merlon::cli

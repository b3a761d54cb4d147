// One of this machine's own programs, run for what it says: by its path and arguments, without a shell, with
// an empty input, bounded in time and in output.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace merlon::agent {

struct ProgramEnd {
  int status = -1;  // of exit; -1: a signal ended it
  std::string out, err;
  bool good() const { return status == 0; }
};

inline constexpr Duration kProgramWithin{10'000};

// Errors: it could not be started, or took longer and was killed.
Result<ProgramEnd> run_program(const std::vector<std::string>& arguments, Duration within = kProgramWithin);

}  // namespace merlon::agent

// Waiting, and running another program, in a way that Ctrl-C or SIGTERM ends cleanly: what was opened is
// closed again before this program ends.
#pragma once

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace merlon::cli {

// While it lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT do not end the process: they are asked for. Threads
// that are made meanwhile inherit that; older ones do not, so make it before anything that makes threads.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // The signal that came, or nothing after the time.
  std::optional<int> wait(std::chrono::milliseconds time) const;

  // Runs `arguments` (found by PATH; no shell) with our standard streams, waits, and passes signals on that
  // the command does not get by itself from the terminal. Answers its exit code, 128 + signal as shells do.
  Result<int> run(const std::vector<std::string>& arguments) const;

 private:
  sigset_t watched_{};
  sigset_t before_{};
};

}  // namespace merlon::cli

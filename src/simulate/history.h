// Histories played by their numbers: one, or as many as asked for, on as many threads.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "simulate/world.h"

namespace merlon::simulate {

struct Outcome {
  uint64_t seed = 0;
  uint64_t hash = 0;  // of the trace: the same for the same seed, steps and program
  unsigned requests = 0, packets = 0;
  std::optional<Violation> violation;
  std::vector<std::string> last;  // of the trace, when an invariant does not hold
};

// Plays one history after the other on copies of one setting. One thread at a time.
class Player {
 public:
  Player(const Setting& setting, std::string directory)
      : setting_(setting), directory_(std::move(directory)) {}
  Outcome play(const WorldOptions& options, unsigned steps, RealKernel* real = nullptr);

 private:
  const Setting& setting_;
  const std::string directory_;
  RuleCache rules_;
  unsigned played_ = 0;
};

struct Campaign {
  uint64_t first_seed = 1;
  unsigned histories = 1;
  unsigned steps = 60;
  unsigned servers = 0;  // of each history; 0: as its seed has it
  unsigned jobs = 1;
  bool trace = false;  // prints every line of what happened; one job
};

struct Report {
  unsigned histories = 0, requests = 0, packets = 0;
  uint64_t hash = 0;              // of all traces
  std::vector<Outcome> failures;  // by seed
};

Result<Report> run(const Campaign& campaign, std::ostream& out);
// For people: which invariant, in which seed, after what, and how to see it again.
std::string text_of(const Outcome& failure, unsigned steps, unsigned servers = 0);

}  // namespace merlon::simulate

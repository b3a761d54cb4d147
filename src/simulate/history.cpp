// Playing histories, and telling of them.
#include "simulate/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>

#include "base/log.h"
#include "net/worker_pool.h"

namespace merlon::simulate {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kJobsMax = 256;
constexpr size_t kFailuresMax = 20;
// Above every level: thousands of servers and agents would tell of faults that were meant.
constexpr auto kSilence = static_cast<LogLevel>(static_cast<int>(LogLevel::error) + 1);

}  // namespace

Outcome Player::play(const WorldOptions& options, unsigned steps, RealKernel* real) {
  Outcome outcome;
  outcome.seed = options.seed;
  const std::string directory = directory_ + "/h" + std::to_string(++played_);
  fs::create_directories(directory);
  {
    World world(setting_, rules_, directory, options, real);
    try {
      world.begin();
      for (unsigned i = 0; i < steps; ++i) world.step();
      world.end();
    } catch (const Violation& violation) {
      outcome.violation = violation;
      outcome.last.assign(world.trace().last().begin(), world.trace().last().end());
    }
    outcome.hash = world.trace().hash();
    outcome.requests = world.requests();
    outcome.packets = world.packets();
  }
  std::error_code ignored;
  fs::remove_all(directory, ignored);
  return outcome;
}

Result<Report> run(const Campaign& campaign, std::ostream& out) {
  set_log_level(kSilence);
  const auto scratch = TRY(ScratchDirectory::make());
  const Setting setting = TRY(make_setting(scratch->path() + "/setting"));
  std::vector<Outcome> outcomes(campaign.histories);
  std::atomic<unsigned> next = 0;
  std::atomic<size_t> failed = 0;
  const auto work = [&](unsigned job) {
    Player player(setting, scratch->path() + "/" + std::to_string(job));
    for (unsigned i = next++; i < campaign.histories && failed < kFailuresMax; i = next++) {
      const WorldOptions options{.seed = campaign.first_seed + i,
                                 .servers = campaign.servers,
                                 .trace = campaign.trace ? &out : nullptr};
      outcomes[i] = player.play(options, campaign.steps);
      if (outcomes[i].violation) ++failed;
    }
  };
  const unsigned jobs = campaign.trace ? 1 : std::clamp(campaign.jobs, 1U, kJobsMax);
  if (jobs == 1) {
    work(0);
  } else {
    net::WorkerPool pool("simulate", jobs, jobs);
    for (unsigned job = 0; job < jobs; ++job) pool.submit([&work, job] { work(job); });
    pool.stop();
  }
  Report report;
  for (const Outcome& outcome : outcomes) {
    if (outcome.hash == 0) continue;  // not played, after too many failures
    ++report.histories;
    report.requests += outcome.requests;
    report.packets += outcome.packets;
    report.hash = report.hash * 31 + outcome.hash;
    if (outcome.violation) report.failures.push_back(outcome);
  }
  return report;
}

std::string text_of(const Outcome& failure, unsigned steps, unsigned servers) {
  std::string text = fmt::format("SEED {} BREAKS \"{}\": {}\n", failure.seed, failure.violation->invariant,
                                 failure.violation->what);
  for (const std::string& line : failure.last) text += "    " + line + "\n";
  return text + fmt::format("  See it again: merlon simulate --seed {} --steps {}{} --trace\n", failure.seed,
                            steps, servers == 0 ? "" : fmt::format(" --servers {}", servers));
}

}  // namespace merlon::simulate

// merlon simulate: the promises put to the test, without a server, a network or a privilege.
#include <fmt/format.h>

#include <charconv>
#include <ostream>

#include "cli/command.h"
#include "simulate/history.h"

namespace merlon::cli {
namespace {

constexpr uint64_t kHistoriesMax = 100'000'000;
constexpr uint64_t kStepsMax = 1'000'000;
constexpr uint64_t kJobsMax = 256;
constexpr uint64_t kServersMax = 8;

struct SimulateOptions {
  std::string seed = "1", steps = "60", histories = "1", jobs = "1", servers = "0";
  bool trace = false;
};

Result<uint64_t> number(const std::string& text, std::string_view option, uint64_t most) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most)
    return wrong_usage(fmt::format("{} must be a whole number of at most {}, not '{}'.", option, most, text));
  return value;
}

Result<int> simulate(Context& context, const SimulateOptions& options) {
  simulate::Campaign campaign;
  campaign.first_seed = TRY(number(options.seed, "--seed", UINT64_MAX));
  campaign.steps = static_cast<unsigned>(TRY(number(options.steps, "--steps", kStepsMax)));
  campaign.histories = static_cast<unsigned>(TRY(number(options.histories, "--histories", kHistoriesMax)));
  campaign.jobs = static_cast<unsigned>(TRY(number(options.jobs, "--jobs", kJobsMax)));
  campaign.servers = static_cast<unsigned>(TRY(number(options.servers, "--servers", kServersMax)));
  campaign.trace = options.trace;
  const Duration start = context.clock.boottime();
  const simulate::Report report = TRY(simulate::run(campaign, context.out));
  const double seconds = static_cast<double>((context.clock.boottime() - start).count()) / 1000;
  for (const simulate::Outcome& failure : report.failures)
    context.out << simulate::text_of(failure, campaign.steps, campaign.servers);
  context.out << fmt::format(
      "{} histories of {} steps, {} requests, {} packets judged: {}; traces {:016x}\n", report.histories,
      campaign.steps, report.requests, report.packets,
      report.failures.empty() ? "every invariant held" : fmt::format("{} FAILED", report.failures.size()),
      report.hash);
  if (report.histories > 0 && seconds > 0)
    context.err << fmt::format("{:.1f} s, {:.0f} histories a minute\n", seconds,
                               report.histories * 60 / seconds);
  return report.failures.empty() ? kDone : kFailed;
}

}  // namespace

std::vector<Command> simulate_commands() {
  return {make_command(
      "simulate",
      "Play servers, agents, clients and faults by a seed, and check every promise after every step",
      "merlon simulate --seed 1 --histories 1000 --jobs 4", simulate,
      [](Command& command, SimulateOptions& options) {
        command.without_output()
            .text("--seed", options.seed, "Number of the first history; 1 when not given")
            .text("--steps", options.steps, "How many things happen in each history; 60 when not given")
            .text("--histories", options.histories,
                  "How many, with the seeds after the first; 1 when not given")
            .text("--jobs", options.jobs, "How many at once; 1 when not given")
            .text("--servers", options.servers,
                  "How many servers on one database; 0, when not given, is one or two by the seed")
            .flag("--trace", options.trace, "Print all that happens, line by line");
      })};
}

}  // namespace merlon::cli

// What flow logs are told: at most one report on its way at a time, so that a server that is away costs no
// more memory than one report and the book.
#include <algorithm>

#include "agent/warden.h"
#include "base/log.h"

namespace merlon::agent {
namespace {

constexpr Duration kReportEvery{5'000};

}  // namespace

void Warden::report_flows() {
  const Duration now = clock_.boottime();
  if (const auto done = firewall_.follow_flows(flows_); !done && now >= flows_failed_) {
    flows_failed_ = now + Duration(60'000);
    log_error("flow logs", done.error());
  }
  if (now < next_flows_ || !flows_.has_news()) return;
  const bool is_on_its_way =
      std::any_of(events_.begin(), events_.end(), [](const Event& event) { return event.kind == "flows"; });
  if (is_on_its_way) return;
  next_flows_ = now + kReportEvery;
  note("flows", flows_.take(now).to_json());
}

}  // namespace merlon::agent

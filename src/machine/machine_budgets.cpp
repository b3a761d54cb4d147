// Prices and terms.
#include "machine/machine_budgets.h"

#include <algorithm>

#include "machine/fleet.h"

namespace merlon::machine {
namespace {

// Bytes that reports leave in the ledger, which nothing removes. A machine that comes back after an outage
// has 512 events, of some 300 bytes.
constexpr Budget::Terms kEntered = {.at_once = 1024.0 * 1024, .per_minute = 64.0 * 1024};
// Bytes that reports have the writer write: a flow log is the most, with a report of some 200 KB in 5 s.
constexpr Budget::Terms kWritten = {.at_once = 8.0 * 1024 * 1024, .per_minute = 4.0 * 1024 * 1024};
constexpr Budget::Terms kRenewals = {.at_once = 4, .per_minute = 1};
// An agent keeps the tokens that it has, and asks anew when its state changes.
constexpr Budget::Terms kTokens = {.at_once = 120, .per_minute = 60};
constexpr double kEntryBytes = 512;            // of an entry beside its details
constexpr double kDetailsBytesMax = 8 * 1024;  // the ledger's own bound
constexpr double kFactsEntries = 2048;         // what new facts may have services enter
constexpr double kWriteBytes = 8 * 1024;       // of the records that any report rewrites

double bytes_entered(const Machine& machine, const SyncRequest& said) {
  double bytes = Fleet::is_ahead(machine, said) ? kEntryBytes : 0;
  if (said.facts) bytes += kFactsEntries;
  for (const Observation& observation : said.observations)
    if (Fleet::is_recorded(observation.kind))
      bytes +=
          kEntryBytes + std::min(kDetailsBytesMax, static_cast<double>(to_text(observation.facts).size()));
  return bytes;
}

}  // namespace

MachineBudgets::MachineBudgets(const Clock& clock)
    : entered_(clock, kEntered),
      written_(clock, kWritten),
      renewals_(clock, kRenewals),
      tokens_(clock, kTokens) {}

bool MachineBudgets::afford(const Machine& machine, const SyncRequest& said, size_t bytes) {
  const std::string id = machine.id.text();
  const double written = kWriteBytes + static_cast<double>(bytes);
  if (!written_.take(id, written)) return false;
  if (entered_.take(id, bytes_entered(machine, said))) return true;
  written_.give_back(id, written);
  return false;
}

bool MachineBudgets::may_renew(const Machine& machine) { return renewals_.take(machine.id.text(), 1); }

bool MachineBudgets::may_have_token(const Machine& machine) { return tokens_.take(machine.id.text(), 1); }

SyncRequest without_reports(const Machine& machine, const SyncRequest& said) {
  SyncRequest bare;
  bare.nonce = said.nonce;
  bare.boot_id = said.boot_id;
  bare.have = machine.desired.version;
  bare.applied = machine.applied;
  return bare;
}

}  // namespace merlon::machine

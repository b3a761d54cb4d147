// What one machine may have the server do, and what each thing that it says costs (docs/decisions/0062).
#pragma once

#include "machine/machines.h"
#include "machine/report_budget.h"

namespace merlon::machine {

class MachineBudgets {
 public:
  explicit MachineBudgets(const Clock& clock);
  // `bytes`: of the whole request. False: nothing of its reports is taken now.
  bool afford(const Machine& machine, const SyncRequest& said, size_t bytes);
  bool may_renew(const Machine& machine);
  bool may_have_token(const Machine& machine);

 private:
  Budget entered_, written_, renewals_, tokens_;
};

// What the server must know of a machine whatever else it says: who speaks, since which boot, with which key.
SyncRequest without_reports(const Machine& machine, const SyncRequest& said);

}  // namespace merlon::machine

// Turns the entries of a group commit into leaves, and signs one head for all of them. Not for other rooms.
#pragma once

#include <any>
#include <span>
#include <string>

#include "ledger/head_signer.h"
#include "ledger/ledger_rows.h"

namespace merlon::ledger {

// An entry as its write hands it over to the end of its group (store::Transaction::hand_over): it goes with
// the write when that fails.
struct Appended {
  StoredEntry stored;
  std::string correlation_id;
};

class Sequencer {
 public:
  Sequencer(HeadSigner signer, const Clock& clock, const TenantId& tenant)
      : signer_(std::move(signer)), clock_(clock), tenant_(tenant) {}

  // Runs inside the transaction of the group, before COMMIT. Holds no position of its own: what it goes on
  // from is read in the transaction, so that a group that was rolled back leaves nothing behind.
  Result<void> run(store::Transaction& tx, std::span<const std::any> handed_over) const;
  // The first state of a ledger: the empty tree, signed.
  Result<State> empty_state() const;
  const HeadSigner& signer() const { return signer_; }

 private:
  Result<void> append_leaf(store::Transaction& tx, Frontier& frontier, const Appended& appended) const;

  HeadSigner signer_;
  const Clock& clock_;
  TenantId tenant_;
};

}  // namespace merlon::ledger

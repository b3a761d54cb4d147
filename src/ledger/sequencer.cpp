// One writer, one order: pending keys grow in the order of append(), across the writes of a group.
#include "ledger/sequencer.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::ledger {
namespace {

constexpr size_t kPageRows = 500;

}  // namespace

Result<void> Sequencer::run(store::Transaction& tx) const {
  const store::Range page{.prefix = {}, .after = {}, .after_key = {}, .limit = kPageRows};
  auto pending = TRY(tx.scan(pending_table(), tenant_, page));
  if (pending.empty()) return {};
  auto state = TRY(read_state(tx, tenant_));
  if (!state) return internal_error("the ledger's state row has gone");
  for (; !pending.empty(); pending = TRY(tx.scan(pending_table(), tenant_, page)))
    for (const store::Row& row : pending) TRY(append_leaf(tx, state->frontier, row));
  // Heads are in order of time as well as of size, whatever the clock does.
  const Timestamp time = std::max(clock_.now(), state->head.time);
  state->head = TRY(signer_.sign(tenant_, state->frontier, time));
  return write_state(tx, tenant_, *state);
}

Result<void> Sequencer::append_leaf(store::Transaction& tx, Frontier& frontier,
                                    const store::Row& pending) const {
  const StoredEntry stored = TRY(StoredEntry::from_body(pending.body));
  const Entry entry = TRY(entry_of_text(stored.text));
  std::optional<std::string> correlation;
  if (!entry.correlation_id.empty()) correlation = ascii_lower(entry.correlation_id);
  TRY(tx.put(entries_table(), tenant_, {index_key(frontier.size), pending.body, {correlation}}));
  Result<void> written;
  frontier.append(salted_leaf(stored.salt, stored.text),
                  [&](unsigned level, uint64_t index, const Hash& hash) {
                    if (written) written = write_node(tx, tenant_, level, index, hash);
                  });
  TRY(std::move(written));
  return tx.erase(pending_table(), tenant_, pending.key);
}

Result<State> Sequencer::empty_state() const {
  State state;
  state.head = TRY(signer_.sign(tenant_, state.frontier, clock_.now()));
  return state;
}

}  // namespace merlon::ledger

// One writer, one order: that of append(), across the writes of a group.
#include "ledger/sequencer.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::ledger {

Result<void> Sequencer::run(store::Transaction& tx, std::span<const std::any> handed_over) const {
  std::optional<State> state;
  for (const std::any& what : handed_over) {
    const auto* appended = std::any_cast<Appended>(&what);
    if (appended == nullptr) continue;
    if (!state) state = TRY(read_state(tx, tenant_));
    if (!state) return internal_error("the ledger's state row has gone");
    TRY(append_leaf(tx, state->frontier, *appended));
  }
  if (!state) return {};
  // Heads are in order of time as well as of size, whatever the clock does.
  const Timestamp time = std::max(clock_.now(), state->head.time);
  state->head = TRY(signer_.sign(tenant_, state->frontier, time));
  return write_state(tx, tenant_, *state);
}

Result<void> Sequencer::append_leaf(store::Transaction& tx, Frontier& frontier,
                                    const Appended& appended) const {
  std::optional<std::string> correlation;
  if (!appended.correlation_id.empty()) correlation = ascii_lower(appended.correlation_id);
  TRY(tx.put(entries_table(), tenant_,
             {index_key(frontier.size), appended.stored.to_body(), {std::move(correlation)}}));
  Result<void> written;
  frontier.append(salted_leaf(appended.stored.salt, appended.stored.text),
                  [&](unsigned level, uint64_t index, const Hash& hash) {
                    if (written) written = write_node(tx, tenant_, level, index, hash);
                  });
  return written;
}

Result<State> Sequencer::empty_state() const {
  State state;
  state.head = TRY(signer_.sign(tenant_, state.frontier, clock_.now()));
  return state;
}

}  // namespace merlon::ledger

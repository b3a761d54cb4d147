// What the ledger keeps in the store. Not for other rooms.
//
// ledger_entries: index → {"salt", "entry"}; the entry is the very text that was hashed.
//
// ledger_nodes: level/index → hash of a complete subtree; level 0 are the leaves, which outlive pruned
// entries.
//
// ledger_state: the frontier and the newest signed head, in one row.
//
// ledger_keys: the signing key, sealed; under the nil tenant, since one key signs for every tenant.
#pragma once

#include <string>

#include "ledger/entry_text.h"
#include "ledger/ledger.h"

namespace merlon::ledger {

const store::TableSpec& entries_table();
const store::TableSpec& nodes_table();
const store::TableSpec& state_table();
const store::TableSpec& keys_table();

std::string index_key(uint64_t index);  // zero-padded: bytewise order is the numbers' order
Result<uint64_t> index_of_key(std::string_view key);

struct StoredEntry {
  Salt salt{};
  std::string text;

  std::string to_body() const;
  static Result<StoredEntry> from_body(std::string_view body);
};

struct State {
  Frontier frontier;
  SignedHead head;
};

Result<std::optional<State>> read_state(store::Reader& reader, const TenantId& tenant);
Result<void> write_state(store::Transaction& tx, const TenantId& tenant, const State& state);
Result<void> write_node(store::Transaction& tx, const TenantId& tenant, unsigned level, uint64_t index,
                        const Hash& hash);
NodeReader node_reader(store::Reader& reader, const TenantId& tenant);

}  // namespace merlon::ledger

// The ledger's export in parts, so that nobody holds the whole of it in memory: the parts one after the other
// are the file that Ledger::export_lines() writes, and that `merlon ledger verify` reads.
#pragma once

#include "ledger/ledger.h"

namespace merlon::ledger {

// Over HTTP: where the next part begins.
inline constexpr std::string_view kContinuedAtHeader = "x-merlon-continued-at";

struct ExportPart {
  std::string text;                      // whole lines, each with its line end
  std::optional<uint64_t> continued_at;  // `from` of the next part; none: this one ends with the signed head
};

// The entries from index `from` on, until there are `bytes_max` bytes (a line more at most). Entries never
// change, so that parts need not be of one snapshot: the head is that of the last one's. Errors: `from` is
// beyond the end (400), the ledger does not fit together.
Result<ExportPart> export_part(store::Store& store, Ledger& ledger, const TenantId& tenant, uint64_t from,
                               size_t bytes_max);

}  // namespace merlon::ledger

// A part is of one snapshot: its head counts every entry that it can see.
#include "ledger/export_part.h"

#include <fmt/format.h>

#include "ledger/export_format.h"

namespace merlon::ledger {
namespace {

constexpr size_t kRowsAtOnce = 500;

std::unexpected<Error> gone(uint64_t index) {
  return fail(
      ErrorKind::internal, "LedgerDamaged",
      fmt::format("The ledger in the database does not fit together: entry {} has gone. It was changed "
                  "outside Merlon, or the disk is faulty. Keep the state directory as evidence and "
                  "restore a backup.",
                  index));
}

}  // namespace

Result<ExportPart> export_part(store::Store& store, Ledger& ledger, const TenantId& tenant, uint64_t from,
                               size_t bytes_max) {
  return store::read_value<ExportPart>(store, [&](store::Reader& reader) -> Result<ExportPart> {
    const SignedHead head = TRY(ledger.head(reader));
    if (from > head.size)
      return fail(ErrorKind::invalid, "InvalidLedgerRange",
                  fmt::format("The ledger has {} entries, and there is none from {} on. Begin with 0.",
                              head.size, from),
                  "from");
    ExportPart part;
    uint64_t next = from;
    store::Range range{.prefix = {},
                       .after = from == 0 ? std::string() : index_key(from - 1),
                       .after_key = {},
                       .limit = kRowsAtOnce};
    while (next < head.size) {
      const auto rows = TRY(reader.scan(entries_table(), tenant, range));
      if (rows.empty()) return gone(next);
      for (const store::Row& row : rows) {
        if (next == head.size) break;
        if (part.text.size() >= bytes_max) {
          part.continued_at = next;
          return part;
        }
        if (row.key != index_key(next)) return gone(next);
        part.text.append(to_line(next, TRY(StoredEntry::from_body(row.body)))).append("\n");
        ++next;
      }
      range.after = rows.back().key;
    }
    part.text.append(to_line(HeadLine{head, ledger.public_key_pem()})).append("\n");
    return part;
  });
}

}  // namespace merlon::ledger

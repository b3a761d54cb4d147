// The lines of an export. There is one spelling per content: what export writes is what verify accepts, byte
// by byte. Not for other rooms: ledger.h is theirs.
#pragma once

#include <string>

#include "ledger/ledger_rows.h"

namespace merlon::ledger {

inline constexpr size_t kExportLineBytesMax = kEntryTextBytesMax + 1024;

struct EntryLine {
  uint64_t index = 0;
  StoredEntry stored;
  std::string leaf_hex;  // as it stands in the line
};
struct HeadLine {
  SignedHead head;
  std::string public_key_pem;
};

std::string to_line(uint64_t index, const StoredEntry& stored);
std::string to_line(const HeadLine& head);
bool looks_like_head(std::string_view line);
// Only the form is checked; nothing when it is not the form that to_line() writes. The entry's text is
// anything.
std::optional<EntryLine> entry_of_line(std::string_view line);
std::optional<HeadLine> head_of_line(std::string_view line);

}  // namespace merlon::ledger

// An entry as the text that is hashed, and back. Not for other rooms: entry.h is theirs.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"

namespace merlon::ledger {

inline constexpr size_t kSaltBytes = 16;
inline constexpr size_t kEntryTextBytesMax =
    64 * 1024;  // above what the bounds of the single members can add up to
inline constexpr size_t kDetailsBytesMax = 8 * 1024;
inline constexpr size_t kEntryDepthMax = 32;

using Salt = std::array<uint8_t, kSaltBytes>;

// Canonical JSON with every member present. Always text that entry_of_text() reads, whatever the entry holds.
std::string entry_text(const Entry& entry);
Result<Entry> entry_of_text(std::string_view text);

// As it stands in the text.
std::string entered_correlation_id(const Entry& entry);

// Well-formed UTF-8 of at most `bytes_max` bytes: bad bytes become U+FFFD, what is too long ends in "…".
std::string bounded_text(std::string_view text, size_t bytes_max);

// leaf_hash(salt ‖ text): without the salt, nobody can test a guess at an entry against its leaf.
Hash salted_leaf(const Salt& salt, std::string_view text);

}  // namespace merlon::ledger

// What the ledger is told of a recording, and what verification therefore expects to find there (verify.h).
// Not for other rooms.
#pragma once

#include "ledger/entry.h"
#include "recording/records.h"

namespace merlon::recording {

ledger::Entry entry_of(const Record& record, std::string_view action, Timestamp now, JsonObject details);
// `chunks` and `hash` in hex: of what it begins with.
ledger::Entry opening_entry(const Record& record, uint64_t chunks, const std::string& hash);
// Of its end, as its row has it.
JsonObject end_details(const Record& record);

}  // namespace merlon::recording

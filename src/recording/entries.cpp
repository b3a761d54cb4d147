// Entries from rows.
#include "recording/entries.h"

#include "base/time_text.h"
#include "recording/recordings.h"

namespace merlon::recording {

ledger::Entry entry_of(const Record& record, std::string_view action, Timestamp now, JsonObject details) {
  ledger::Entry entry;
  entry.time = now;
  entry.actor = record.person;
  entry.action = action;
  entry.resource = record.resource();
  entry.correlation_id = record.correlation_id;
  entry.details = std::move(details);
  return entry;
}

ledger::Entry opening_entry(const Record& record, uint64_t chunks, const std::string& hash) {
  return entry_of(record, kOpenAction, record.started,
                  {{"chunks", chunks},
                   {"hash", hash},
                   {"session", record.session},
                   {"machine", record.machine},
                   {"kind", record.kind},
                   {"protocol", record.protocol},
                   {"login", record.login},
                   {"signedInBy", record.signed_in_by},
                   {"title", record.title},
                   {"cols", record.cols},
                   {"rows", record.rows},
                   {"place", record.place},
                   {"heads", record.heads},
                   {"keepMs", record.keep ? Json(record.keep->count()) : Json()}});
}

JsonObject end_details(const Record& record) {
  return {{"chunks", record.chunks},
          {"hash", record.head},
          {"bytes", record.bytes},
          {"durationMs", record.duration_ms},
          {"reason", record.reason},
          {"endTime", record.ended ? Json(to_rfc3339(*record.ended)) : Json()},
          {"keepUntil", record.keep_until ? Json(to_rfc3339(*record.keep_until)) : Json()}};
}

}  // namespace merlon::recording

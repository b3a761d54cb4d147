// How a recording ends: its last chunk, then its row and the ledger's entry. Where those two cannot be
// written (the database is away, or its disk is full) they are written again later, as of when it ended.
#include "base/log.h"
#include "recording/entries.h"
#include "recording/group_index.h"
#include "recording/live.h"
#include "recording/recordings.h"

namespace merlon::recording {

std::optional<Error> Recordings::finish_file(const std::shared_ptr<Live>& live,
                                             std::optional<int> exit_status) {
  const Duration now = clock_.boottime();
  std::optional<Error> failure;
  {
    const std::lock_guard lock(live->mutex);
    const auto wrote = [&]() -> Result<void> {
      TRY(live->finish_text(now, random_));
      if (exit_status) TRY(live->event('x', std::to_string(*exit_status), now, random_));
      return live->cut(ChunkKind::last, random_);
    };
    if (live->failure)
      failure = live->failure;
    else if (const auto done = wrote(); !done)
      failure = done.error();
    live->ended = true;
    rates_.leave(live->account);
    live->finish_index(random_);
  }
  if (!failure)
    if (const auto synced = make_durable({live}); !synced) failure = synced.error();
  if (failure) fail_live(live, *failure);  // found by the session's own call: nobody has been told yet
  return failure;
}

Result<void> Recordings::close(const std::shared_ptr<Live>& live, std::string_view reason,
                               std::optional<int> exit_status) {
  const Timestamp wall = clock_.now();
  {
    const std::lock_guard lock(live->mutex);
    if (std::exchange(live->ending, true)) return {};
  }
  const auto failure = finish_file(live, exit_status);
  Record record;
  {
    const std::lock_guard lock(live->mutex);
    record = live->record;
    record.chunks = live->chunks;
    record.head = to_hex(live->head);
    record.bytes = live->data->size();
    record.duration_ms = live->length().count();
  }
  if (const auto grouped = write_groups(*blobs_, record, index_key(live->key), random_); !grouped)
    log_error("the index of a recording has no groups; a search takes longer", grouped.error(),
              {{"recording", live->id.text()}});
  record.state = RecordState::closed;
  record.ended = wall;
  record.reason = reason;
  if (failure) record.reason += "; it could be recorded no further: " + failure->message;
  if (record.keep_until) record.keep_until = wall + (*record.keep_until - record.started);
  {
    const std::lock_guard lock(live->mutex);
    live->end = Live::End{std::move(record), failure.has_value()};
  }
  return enter_end(live);
}

Result<void> Recordings::enter_end(const std::shared_ptr<Live>& live) {
  std::optional<Live::End> end;
  {
    const std::lock_guard lock(live->mutex);
    end.swap(live->end);  // one writes it at a time
  }
  if (!end) return {};
  ledger::Entry entry =
      entry_of(end->record, kCloseAction, end->record.ended.value_or(clock_.now()), end_details(end->record));
  if (end->failed) entry.decision = ledger::Decision::failed;
  const auto written = store_.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    TRY(tx.put(recordings_table(), tenant_, end->record.to_row()));
    return ledger_.append(tx, entry);
  });
  if (!written) {
    const std::lock_guard lock(live->mutex);
    live->end = std::move(end);
    return written;
  }
  const std::lock_guard lock(mutex_);
  live_.erase(live->id);
  return {};
}

void Recordings::enter_ends(const LiveList& lives) {
  for (const auto& live : lives)
    if (const auto done = enter_end(live); !done && !std::exchange(live->end_failed, true))
      log_error("the end of a recording is not in the database yet; trying again", done.error(),
                {{"recording", live->id.text()}});
}

void Recordings::close_all(std::string_view reason) {
  const LiveList lives = all_live();
  for (const auto& live : lives) {
    auto closed = close(live, reason, std::nullopt);
    if (closed) closed = enter_end(live);  // of one that was closed before
    if (!closed)
      log_error("a recording could not be ended; the next start does it", closed.error(),
                {{"recording", live->id.text()}});
  }
}

}  // namespace merlon::recording

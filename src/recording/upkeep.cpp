// What time makes due: chunks that have waited, heads for the ledger, recordings that a dead server left open
// or that have been kept long enough.
#include <fmt/format.h>

#include <map>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "recording/entries.h"
#include "recording/group_index.h"
#include "recording/live.h"
#include "recording/recordings.h"
#include "recording/verify.h"

namespace merlon::recording {
namespace {

constexpr Duration kProgressEvery = std::chrono::seconds(1);
constexpr size_t kExpirePerTick = 100;
constexpr size_t kRecoverMax = 100'000;

ledger::Actor merlon_itself() { return {"System", {}, "merlon", {}}; }

bool is_due(const std::optional<Duration>& last, Duration every, Duration now) {
  return !last || now - *last >= every;
}

}  // namespace

void Recordings::tick() {
  const Duration now = clock_.boottime();
  if (!recovered_) recover();
  write_due(now);
  blobs_->restore_reserve();
  remove_blobs();
  if (is_due(expired_at_, limits_.expire_every, now)) {
    expired_at_ = now;
    expire();
  }
}

void Recordings::write_due(Duration now) {
  const LiveList lives = all_live();
  LiveList written;
  for (const auto& live : lives) {
    std::optional<Error> failure;
    {
      const std::lock_guard lock(live->mutex);
      if (live->is_due(now, limits_.flush_every))
        if (const auto done = live->cut(ChunkKind::data, random_); !done) failure = done.error();
      if (live->failure && !live->failure_told) failure = live->failure;  // found by its own call
      if (live->unsynced) written.push_back(live);
      if (!live->ended) rates_.settle(live->account, now);
    }
    if (failure) fail_live(live, *failure);
  }
  if (!written.empty())
    if (const auto done = make_durable(written); !done)
      log_error("recordings could not be made durable", done.error(), {{"recordings", written.size()}});
  if (!lives.empty() && is_due(progress_at_, kProgressEvery, now)) {
    progress_at_ = now;
    enter_ends(lives);
    end_on_full_disk(lives);
    keep_progress(lives);
  }
  if (!lives.empty() && is_due(entered_at_, limits_.ledger_every, now)) {
    entered_at_ = now;
    enter_heads(lives);
  }
}

std::optional<Error> Recordings::is_full(unsigned percent, std::string_view what) const {
  const store::BlobDisk disk = blobs_->disk();
  const double used = disk.whole == 0 ? 0
                                      : 100 - 100 * static_cast<double>(std::min(disk.free, disk.whole)) /
                                                  static_cast<double>(disk.whole);
  if (used <= percent) return std::nullopt;
  Error error;
  error.kind = ErrorKind::unavailable;
  error.code = "StorageFull";
  error.message = fmt::format(
      "The disk that recordings are kept on is {:.0f} % full, and beyond {} % {}. Whoever looks after the "
      "server "
      "makes room on it, or gives it more of the disk (--recordings).",
      used, percent, what);
  return error;
}

// What is recorded so far is kept; the session is told as it goes on.
void Recordings::end_on_full_disk(const LiveList& lives) {
  const auto full = is_full(limits_.disk_percent_running(), "no recording goes on");
  if (!full) return;
  LiveList ending;
  for (const auto& live : lives) {
    const std::lock_guard lock(live->mutex);
    if (live->may_use_reserve || live->failure || live->ended) continue;
    if (live->cut(ChunkKind::data, random_)) ending.push_back(live);
  }
  if (!make_durable(ending)) return;  // which has said so
  for (const auto& live : ending) fail_live(live, *full);
}

void Recordings::keep_progress(const LiveList& lives) {
  if (!recovered_) return;  // what is there is still needed
  Progress progress;
  for (const auto& live : lives) {
    const std::lock_guard lock(live->mutex);
    progress.heads.emplace_back(live->id, live->durable);
  }
  const auto kept = store_.write(
      [&](store::Transaction& tx) { return write_progress(tx, seal_, tenant_, blobs_->id(), progress); });
  if (!kept && !std::exchange(progress_failed_, true))
    log_error("how far the recordings have come could not be noted; trying again", kept.error());
  if (kept) progress_failed_ = false;
}

void Recordings::enter_heads(const LiveList& lives) {
  std::vector<std::pair<std::shared_ptr<Live>, uint64_t>> entered;
  std::map<std::string, JsonArray> groups;  // by company
  for (const auto& live : lives) {
    const std::lock_guard lock(live->mutex);
    if (live->durable.chunks <= live->ledgered) continue;
    groups[live->record.heads].push_back(
        JsonArray{live->id.text(), live->durable.chunks, to_hex(live->durable.hash)});
    entered.emplace_back(live, live->durable.chunks);
  }
  if (groups.empty()) return;
  const Timestamp wall = clock_.now();
  const auto done = store_.write([&](store::Transaction& tx) -> Result<void> {
    for (const auto& [company, heads] : groups) {
      ledger::Entry entry;
      entry.time = wall;
      entry.actor = merlon_itself();
      entry.action = kHeadsAction;
      entry.resource = "/providers/Merlon.Bastion/recordings";
      entry.correlation_id = company;
      entry.details = {{"heads", heads}};
      TRY(ledger_.append(tx, entry));
    }
    return {};
  });
  if (!done)
    return log_error("the recordings' heads could not be entered in the ledger; trying again", done.error());
  for (const auto& [live, chunks] : entered) {
    const std::lock_guard lock(live->mutex);
    live->ledgered = chunks;
  }
}

void Recordings::recover() {
  Progress progress;
  std::vector<Record> left;
  const auto found = store_.read([&](store::Reader& reader) -> Result<void> {
    for (const store::IndexedRow& row :
         TRY(reader.scan_index(recordings_table(), tenant_, "state",
                               {.prefix = std::string(state_text(RecordState::open)),
                                .after = {},
                                .after_key = {},
                                .limit = kRecoverMax}))) {
      Record record = TRY(Record::from_row(row.row));
      if (record.place == blobs_->id() && !is_live(record.id)) left.push_back(std::move(record));
    }
    for (const store::IndexedRow& row :
         TRY(reader.scan_index(recordings_table(), tenant_, "state",
                               {.prefix = std::string(state_text(RecordState::deleted)),
                                .after = {},
                                .after_key = {},
                                .limit = kRecoverMax}))) {
      const Record record = TRY(Record::from_row(row.row));
      const std::lock_guard lock(mutex_);
      if (record.place == blobs_->id()) doomed_.push_back(record.id);  // a crash may have left its files
    }
    // A row that does not open is reported by each recording's verification; here it only tells less.
    if (auto known = read_progress(reader, seal_, tenant_, blobs_->id())) progress = *std::move(known);
    return {};
  });
  if (!found) return log_error("recordings that a dead server left could not be looked for", found.error());
  recovered_ = true;
  for (Record& record : left) {
    const std::string id = record.id.text();
    if (const auto done = recover_one(std::move(record), progress); !done) {
      recovered_ = false;
      log_error("a recording that a dead server left could not be ended; trying again", done.error(),
                {{"recording", id}});
    }
  }
}

Result<void> Recordings::recover_one(Record record, const Progress& progress) {
  const auto key = open_key(seal_, record);
  const Chain chain = follow_chain(read_blob(*blobs_, record.data_name()), record.id, key ? &*key : nullptr);
  const uint64_t size = TRY(blobs_->size(record.data_name())).value_or(0);
  std::string evidence;  // of more than a crash
  if (!key) evidence = key.error().message;
  if (chain.fault && chain.fault->code != "ChunkCut") evidence = chain.fault->message;
  Progress::Head expected;
  for (const auto& [id, head] : progress.heads) {
    if (id != record.id || head.chunks == 0) continue;
    expected = head;
    if (head.chunks > chain.hashes.size())
      evidence = fmt::format("{} chunks were on the disk, {} are left", head.chunks, chain.hashes.size());
    else if (chain.hashes[head.chunks - 1] != head.hash)
      evidence = "it is not what was on the disk";
  }
  const uint64_t dropped = size > chain.bytes ? size - chain.bytes : 0;
  if (dropped > 0 && evidence.empty()) TRY(blobs_->cut(record.data_name(), chain.bytes));
  if (key && evidence.empty()) rebuild_index(record, *key);
  record.state = chain.has_last && evidence.empty() ? RecordState::closed : RecordState::interrupted;
  record.ended = record.started + chain.length;
  record.chunks = chain.hashes.size();
  record.head = chain.hashes.empty() ? std::string() : to_hex(chain.hashes.back());
  record.bytes = chain.bytes;
  record.duration_ms = chain.length.count();
  record.reason = evidence.empty() ? "its server ended; the recording ends at its last full chunk"
                                   : "DAMAGED while its server was down: " + evidence;
  if (!evidence.empty())
    log(LogLevel::error, "A RECORDING WAS DAMAGED WHILE ITS SERVER WAS DOWN",
        {{"recording", record.id.text()}, {"what", evidence}});
  ledger::Entry entry =
      entry_of(record, record.state == RecordState::closed ? kCloseAction : kInterruptedAction, clock_.now(),
               end_details(record));
  entry.actor = merlon_itself();
  entry.decision = evidence.empty() ? ledger::Decision::allowed : ledger::Decision::failed;
  entry.details["droppedBytes"] = dropped;
  // What was certainly there counts, not what somebody has left of it: verification goes on finding the
  // damage.
  if (!evidence.empty() && expected.chunks > 0) {
    entry.details["chunks"] = expected.chunks;
    entry.details["hash"] = to_hex(expected.hash);
  }
  return store_.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    TRY(tx.put(recordings_table(), tenant_, record.to_row()));
    return ledger_.append(tx, entry);
  });
}

void Recordings::rebuild_index(const Record& record, const Secret& key) {
  const auto work = [&]() -> Result<void> {
    TRY(blobs_->remove(record.index_name()));
    TRY(blobs_->remove(groups_name(record.id)));
    const auto index = TRY(blobs_->append_to(record.index_name(), store::BlobSpace::reserve));
    const Secret indexed = index_key(key);
    SegmentBuilder builder;
    std::string space;
    uint64_t segments = 0;
    ChunkReader reader(read_blob(*blobs_, record.data_name()));
    const auto write = [&](uint64_t end) {
      return index->append(seal_segment(indexed, record.id, segments++, builder.cut(end), random_));
    };
    while (auto chunk = TRY(reader.next())) {
      const Secret text = TRY(open_chunk(key, record.id, *chunk));
      for (const std::string_view line : split(given_out(text.expose_text(), space), '\n')) {
        const auto event = parse_event(line);
        if (!event || !*event) continue;
        if ((*event)->code == 'o') builder.output((*event)->data, chunk->offset);
        if ((*event)->code == 'i') builder.input((*event)->data, chunk->offset);
        if ((*event)->code == 'e' || (*event)->code == 'm') builder.line((*event)->data);
      }
      if (builder.is_full()) TRY(write(chunk->end()));
    }
    if (!builder.is_empty()) TRY(write(reader.offset()));
    return write_groups(*blobs_, record, indexed, random_);
  };
  if (const auto done = work(); !done)
    log_error("the index of a recording could not be made again; it is searched itself", done.error(),
              {{"recording", record.id.text()}});
}

void Recordings::expire() {
  const std::string now = std::to_string(1'000'000'000'000'000 + clock_.now().time_since_epoch().count());
  const auto done = store_.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();
    for (const store::IndexedRow& row :
         TRY(tx.scan_index(recordings_table(), tenant_, "keep_until",
                           {.prefix = {}, .after = {}, .after_key = {}, .limit = kExpirePerTick}))) {
      if (row.value > now) break;
      Record record = TRY(Record::from_row(row.row));
      if (record.state == RecordState::open) continue;
      TRY(remove(tx, std::move(record), merlon_itself(), "kept as long as its bastion wants", {}));
    }
    return {};
  });
  if (!done)
    log_error("recordings that were kept long enough could not be deleted; trying again", done.error());
}

void Recordings::remove_blobs() {
  std::vector<Uuid> doomed;
  {
    const std::lock_guard lock(mutex_);
    doomed.swap(doomed_);
  }
  for (const Uuid& id : doomed) {
    Record names;
    names.id = id;
    for (const std::string& name : {names.data_name(), names.index_name(), groups_name(id)})
      if (const auto removed = blobs_->remove(name); !removed)
        log_error("the file of a deleted recording, unreadable without its key, could not be removed",
                  removed.error(), {{"file", name}});
  }
}

}  // namespace merlon::recording

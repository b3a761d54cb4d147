// What is begun, added to, made durable and read.
#include "recording/recordings.h"

#include <fmt/format.h>

#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "crypto/aead.h"
#include "recording/entries.h"
#include "recording/live.h"
#include "recording/place.h"

namespace merlon::recording {
namespace {

constexpr int64_t kTerminalMax = 10'000;
constexpr size_t kTitleBytesMax = 512;
// 50 heads take some 6 of an entry's 8 KiB. Who begins much later is of another company: an entry is written
// as long as anybody of its company is there.
constexpr size_t kCompanyMax = 50;
constexpr Duration kCompanyFor = std::chrono::hours(1);

Result<std::pair<uint64_t, uint64_t>> position_of(std::string_view text) {
  std::pair<uint64_t, uint64_t> position{0, kFileMagic.size()};
  if (text.empty()) return position;
  const auto parts = split(text, '-');
  const auto read = [](std::string_view part, uint64_t& value) {
    const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), value);
    return !part.empty() && fault == std::errc() && end == part.data() + part.size();
  };
  if (parts.size() != 2 || !read(parts[0], position.first) || !read(parts[1], position.second) ||
      position.second < kFileMagic.size() || position.second > (uint64_t{1} << 50U))
    return fail(
        ErrorKind::invalid, "InvalidQueryParameterValue",
        "'" + std::string(text) + "' is no place in a recording. Begin without one, then give 'next' back.",
        "from");
  return position;
}

Record record_of(const Opening& opening, const Uuid& id, Timestamp now, const std::string& place) {
  Record record;
  record.id = id;
  record.session = opening.session.empty() ? id.text() : opening.session;
  record.scope = opening.scope;
  record.machine = opening.machine;
  record.kind = opening.kind;
  record.protocol = opening.protocol;
  record.login = opening.login;
  record.title = opening.title.substr(0, whole_characters(opening.title, kTitleBytesMax));
  record.signed_in_by = opening.signed_in_by;
  record.correlation_id = opening.correlation_id.empty() ? id.text() : opening.correlation_id;
  record.person = opening.person;
  record.started = now;
  record.cols = std::clamp<int64_t>(opening.cols, 1, kTerminalMax);
  record.rows = std::clamp<int64_t>(opening.rows, 1, kTerminalMax);
  record.place = place;
  return record;
}

}  // namespace

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all{recordings_table(), progress_table(), places_table()};
  return all;
}

Recorder::~Recorder() {
  if (const auto closed = close("abandoned"); !closed)
    log_error("a recording could not be ended", closed.error(), {{"recording", live_->id.text()}});
}
const Uuid& Recorder::id() const { return live_->id; }

Result<void> Recorder::output(std::string_view bytes) {
  return all_.add(*live_, [&](Duration now) { return live_->output(bytes, now, all_.random_); });
}
Result<void> Recorder::input(std::string_view bytes) {
  return all_.add(*live_, [&](Duration now) { return live_->input(bytes, now, all_.random_); });
}
Result<void> Recorder::resize(int64_t cols, int64_t rows) {
  const std::string size = fmt::format("{}x{}", std::clamp<int64_t>(cols, 1, kTerminalMax),
                                       std::clamp<int64_t>(rows, 1, kTerminalMax));
  return all_.add(*live_, [&](Duration now) { return live_->event('r', size, now, all_.random_); });
}
Result<void> Recorder::marker(std::string_view text) {
  return all_.add(*live_, [&](Duration now) -> Result<void> {
    TRY(live_->event('m', is_utf8(text) ? text : std::string_view("?"), now, all_.random_));
    live_->searchable(text);
    return {};
  });
}
Result<void> Recorder::fact(std::string_view kind, JsonObject facts) {
  facts["kind"] = kind;
  const std::string text = to_text(facts);
  return all_.add(*live_, [&](Duration now) -> Result<void> {
    TRY(live_->event('e', is_utf8(text) ? text : std::string("{}"), now, all_.random_));
    live_->searchable(text);
    return {};
  });
}
void Recorder::at(Duration since_start) {
  const std::lock_guard lock(live_->mutex);
  live_->told_time = since_start;
}
Duration Recorder::wait() const {
  const std::lock_guard lock(live_->mutex);
  if (live_->ended) return Duration(0);
  return all_.rates_.wait(live_->account, all_.clock_.boottime());
}
Result<void> Recorder::flush() { return all_.flush(live_); }
Result<void> Recorder::close(std::string_view reason, std::optional<int> exit_status) {
  return all_.close(live_, reason, exit_status);
}
void Recorder::on_failure(std::function<void(const Error&)> tell) {
  const std::lock_guard lock(live_->mutex);
  live_->on_failure = std::move(tell);
}

Recordings::Recordings(store::Store& store, const seal::Seal& seal, ledger::Ledger& ledger,
                       std::unique_ptr<store::BlobStore> blobs, const Clock& clock, Random& random,
                       TenantId tenant, RecordingLimits limits)
    : store_(store),
      seal_(seal),
      ledger_(ledger),
      blobs_(std::move(blobs)),
      clock_(clock),
      random_(random),
      tenant_(std::move(tenant)),
      limits_(limits),
      rates_(limits.rate_each, limits.rate_all, limits.burst_each) {}

Recordings::~Recordings() = default;

Result<std::unique_ptr<Recorder>> Recordings::start(const Opening& opening) {
  if (open_count() >= limits_.open_max)
    return fail(
        ErrorKind::throttled, "TooManyRecordings",
        fmt::format("{} sessions are being recorded, the most that this server does at once. End some.",
                    limits_.open_max));
  if (!opening.may_use_reserve)
    if (auto full = is_full(limits_.disk_percent, "nothing new is recorded")) return std::unexpected(*full);
  const auto space = opening.may_use_reserve ? store::BlobSpace::reserve : store::BlobSpace::ordinary;
  Record record = record_of(opening, Uuid::generate(random_), clock_.now(), blobs_->id());
  record.keep = opening.keep;
  if (record.keep) record.keep_until = record.started + *record.keep;
  record.heads = heads_of_new(clock_.boottime());
  const Secret key(random_.bytes(crypto::kAes256KeyBytes));
  record.sealed_key = seal_key(seal_, record, key);
  auto data = TRY(blobs_->append_to(record.data_name(), space));
  auto index = TRY(blobs_->append_to(record.index_name(), space));
  const auto live = std::make_shared<Live>(record, key, std::move(data), std::move(index), clock_.boottime());
  live->may_use_reserve = opening.may_use_reserve;
  TRY(live->data->append(as_bytes(kFileMagic)));
  TRY(live->cut(ChunkKind::data, random_));
  TRY(make_durable({live}));
  live->ledgered = live->chunks;
  {
    // Before its row is there: a row that is open and not live is one that a dead server left.
    const std::lock_guard lock(mutex_);
    live_.emplace(live->id, live);
  }
  const ledger::Entry opened = opening_entry(record, live->chunks, to_hex(live->head));
  const auto written = store_.write([&](store::Transaction& tx) -> Result<void> {
    if (opening.may_use_reserve) tx.urgent();
    TRY(tx.put(recordings_table(), tenant_, record.to_row()));
    return ledger_.append(tx, opened);
  });
  if (written) return std::make_unique<Recorder>(*this, live);
  const std::lock_guard lock(mutex_);
  live_.erase(live->id);
  doomed_.push_back(live->id);
  return std::unexpected(written.error());
}

std::string Recordings::heads_of_new(Duration now) {
  const std::lock_guard lock(mutex_);
  if (company_.heads.empty() || company_.members == kCompanyMax || now - company_.since > kCompanyFor)
    company_ = {"recording-heads/" + Uuid::generate(random_).text(), 0, now};
  ++company_.members;
  return company_.heads;
}

size_t Recordings::open_count() {
  const std::lock_guard lock(mutex_);
  return live_.size();
}
std::shared_ptr<Live> Recordings::live(const Uuid& id) {
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : found->second;
}
bool Recordings::is_live(const Uuid& id) { return live(id) != nullptr; }
Recordings::LiveList Recordings::all_live() {
  const std::lock_guard lock(mutex_);
  LiveList all;
  for (const auto& [id, live] : live_) all.push_back(live);
  return all;
}

Result<void> Recordings::add(Live& live, const std::function<Result<void>(Duration now)>& work) {
  const Duration now = clock_.boottime();
  const std::lock_guard lock(live.mutex);
  const uint64_t before = live.volume();
  const auto done = work(now);
  if (const uint64_t after = live.volume(); after > before) rates_.spend(live.account, after - before, now);
  return done;
}

Result<void> Recordings::make_durable(const LiveList& lives) {
  std::vector<store::BlobAppender*> appenders;
  std::vector<std::pair<std::shared_ptr<Live>, Progress::Head>> reached;
  for (const auto& live : lives) {
    const std::lock_guard lock(live->mutex);
    if (!std::exchange(live->unsynced, false)) continue;
    appenders.push_back(live->data.get());
    reached.emplace_back(live, Progress::Head{live->chunks, live->head});
  }
  const auto synced = blobs_->sync(appenders);
  if (!synced) {
    // What has not reached the disk once will not by being asked again (fsync(2), "ERRORS").
    for (const auto& [live, head] : reached) fail_live(live, synced.error());
    return synced;
  }
  for (const auto& [live, head] : reached) {
    const std::lock_guard lock(live->mutex);
    if (head.chunks > live->durable.chunks) live->durable = head;
  }
  return {};
}

void Recordings::fail_live(const std::shared_ptr<Live>& live, const Error& error) {
  std::function<void(const Error&)> tell;
  {
    const std::lock_guard lock(live->mutex);
    if (!live->failure) live->failure = error;
    if (std::exchange(live->failure_told, true)) return;
    tell = std::exchange(live->on_failure, {});
  }
  log_error("A SESSION CAN BE RECORDED NO FURTHER", error, {{"recording", live->id.text()}});
  if (tell) tell(error);
}

Result<void> Recordings::flush(const std::shared_ptr<Live>& live) {
  {
    const std::lock_guard lock(live->mutex);
    if (live->failure) return std::unexpected(*live->failure);
    TRY(live->cut(ChunkKind::data, random_));
  }
  return make_durable({live});
}

void Recordings::look_on(const Uuid& id) {
  const auto found = live(id);
  if (!found) return;
  const std::lock_guard lock(found->mutex);
  found->watched_until = clock_.boottime() + std::chrono::seconds(5);
}

Result<Page> Recordings::read(const Record& record, std::string_view from, size_t bytes_max) {
  const auto [number, offset] = TRY(position_of(from));
  if (record.place != blobs_->id())
    return fail(ErrorKind::conflict, "RecordingElsewhere",
                "The recording " + record.id.text() + " lies with another server. Ask that one.");
  const Secret key = TRY(open_key(seal_, record));
  const bool live = is_live(record.id);  // before reading: what ends meanwhile is read to its end next time
  if (live) look_on(record.id);
  ChunkReader reader(read_blob(*blobs_, record.data_name()), offset);
  if (from.empty()) TRY(reader.check_magic());
  Page page;
  std::string space;
  bool is_whole = false;
  uint64_t wanted = number;
  std::optional<ChunkHash> previous;
  if (number == 0) previous.emplace();
  while (page.text.size() < bytes_max) {
    auto chunk = reader.next();
    if (!chunk && chunk.error().code == "ChunkCut" && record.state == RecordState::open) break;
    if (!chunk) return std::unexpected(chunk.error());
    if (!*chunk) {
      page.at_end = true;
      break;
    }
    const Chunk& found = **chunk;
    if (found.header.number != wanted || (previous && found.header.previous != *previous))
      return fail(
          ErrorKind::conflict, "RecordingDamaged",
          fmt::format("Chunk {} of the recording {} is not where it should be. 'merlon recording verify {}' "
                      "says more.",
                      wanted, record.id.text(), record.id.text()));
    const Secret text = TRY(open_chunk(key, record.id, found));
    page.text += given_out(text.expose_text(), space);
    previous = hash_chunk(record.id, found.body);
    ++wanted;
    page.next = fmt::format("{}-{}", wanted, found.end());
    if (found.header.kind == ChunkKind::last) {
      page.at_end = is_whole = true;
      break;
    }
  }
  if (page.next.empty()) page.next = fmt::format("{}-{}", number, offset);
  page.ended = page.at_end && (!live || is_whole);
  return page;
}

Result<void> Recordings::remove(store::Transaction& tx, Record record, const ledger::Actor& actor,
                                std::string_view reason, const std::string& request_id) {
  if (record.state == RecordState::open)
    return fail(ErrorKind::conflict, "RecordingInUse",
                "The recording " + record.id.text() + " is being written. End its session first.");
  ledger::Entry entry = entry_of(record, kDeleteAction, clock_.now(),
                                 {{"chunks", record.chunks},
                                  {"hash", record.head},
                                  {"person", record.person.name},
                                  {"machine", record.machine},
                                  {"started", to_rfc3339(record.started)}});
  entry.actor = actor;
  entry.reason = reason;
  entry.request_id = request_id;
  TRY(ledger_.append(tx, entry));
  record.state = RecordState::deleted;
  record.sealed_key.clear();
  TRY(tx.put(recordings_table(), tenant_, record.to_row()));
  tx.after_commit([this, id = record.id] {
    const std::lock_guard lock(mutex_);
    doomed_.push_back(id);
  });
  return {};
}

}  // namespace merlon::recording

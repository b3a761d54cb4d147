// Rows as JSON.
#include "recording/records.h"

#include <algorithm>

#include "base/time_text.h"

namespace merlon::recording {
namespace {

constexpr std::string_view kStates[] = {"open", "closed", "interrupted", "deleted"};

// Of recordings that began before their rows were bound to their keys.
std::string unbound_key_context(const Uuid& recording) { return "recordings/" + recording.text() + "/key/1"; }
// A digest, since a context is a name and titles are long.
std::string key_context(const Record& record) {
  const JsonArray settled{record.session,
                          record.scope,
                          record.machine,
                          record.kind,
                          record.protocol,
                          record.login,
                          record.title,
                          record.signed_in_by,
                          record.correlation_id,
                          record.person.kind,
                          record.person.object_id,
                          record.person.name,
                          record.person.address,
                          to_rfc3339(record.started),
                          record.cols,
                          record.rows,
                          record.place,
                          record.heads,
                          record.keep ? record.keep->count() : int64_t{-1}};
  return "recordings/" + record.id.text() + "/key/2/" + to_hex(crypto::sha256(as_bytes(to_text(settled))));
}
std::string progress_context(const std::string& place) { return "recording_progress/" + place + "/heads/1"; }

Result<std::optional<Timestamp>> time_at(const JsonObject& json, std::string_view name) {
  const auto text = string_at(json, name);
  if (!text) return std::optional<Timestamp>();
  const auto time = from_rfc3339(*text);
  if (!time) return internal_error("a recording's row has a bad time at " + std::string(name));
  return time;
}

std::string text_at(const JsonObject& json, std::string_view name) {
  return string_at(json, name).value_or("");
}

std::optional<ChunkHash> hash_of(std::string_view hex) {
  const auto bytes = from_hex(hex);
  if (!bytes || bytes->size() != ChunkHash().size()) return std::nullopt;
  ChunkHash hash{};
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

JsonObject person_json(const ledger::Actor& person) {
  return {{"kind", person.kind},
          {"objectId", person.object_id},
          {"name", person.name},
          {"address", person.address}};
}

}  // namespace

const store::TableSpec& recordings_table() {
  static const store::TableSpec table{
      "recordings",
      {{"started", store::Unique::no}, {"state", store::Unique::no}, {"keep_until", store::Unique::no}}};
  return table;
}

const store::TableSpec& progress_table() {
  static const store::TableSpec table{"recording_progress", {}};
  return table;
}

std::string_view state_text(RecordState state) { return kStates[static_cast<size_t>(state)]; }

std::string Record::resource() const { return scope + "/providers/Merlon.Bastion/recordings/" + id.text(); }

store::Row Record::to_row() const {
  JsonObject json{{"id", id.text()},
                  {"state", state_text(state)},
                  {"session", session},
                  {"scope", scope},
                  {"machine", machine},
                  {"kind", kind},
                  {"protocol", protocol},
                  {"login", login},
                  {"title", title},
                  {"signedInBy", signed_in_by},
                  {"correlationId", correlation_id},
                  {"person", person_json(person)},
                  {"started", to_rfc3339(started)},
                  {"reason", reason},
                  {"cols", cols},
                  {"rows", rows},
                  {"chunks", chunks},
                  {"bytes", bytes},
                  {"durationMs", duration_ms},
                  {"head", head},
                  {"place", place},
                  {"key", sealed_key}};
  if (keep) json["keepMs"] = keep->count();
  if (!heads.empty()) json["heads"] = heads;
  if (ended) json["ended"] = to_rfc3339(*ended);
  if (keep_until) json["keepUntil"] = to_rfc3339(*keep_until);
  const bool gone = state == RecordState::deleted;
  // Of one length, so that text sorts as time does.
  const std::string when = std::to_string(1'000'000'000'000'000 + started.time_since_epoch().count());
  std::optional<std::string> until;
  if (keep_until && !gone)
    until = std::to_string(1'000'000'000'000'000 + keep_until->time_since_epoch().count());
  return {id.text(),
          to_text(json),
          {gone ? std::nullopt : std::optional(when), std::string(state_text(state)), until}};
}

Result<Record> Record::from_row(const store::Row& row) {
  const JsonObject json = TRY(parse_json_object(row.body));
  Record record;
  const auto id = Uuid::parse(row.key);
  const auto state = std::ranges::find(kStates, TRY(require_string(json, "state")));
  const auto started = TRY(time_at(json, "started"));
  if (!id || state == std::end(kStates) || !started)
    return internal_error("the row of recording " + row.key + " is malformed");
  record.id = *id;
  record.state = static_cast<RecordState>(state - std::begin(kStates));
  record.started = *started;
  record.ended = TRY(time_at(json, "ended"));
  record.keep_until = TRY(time_at(json, "keepUntil"));
  record.session = text_at(json, "session");
  record.scope = text_at(json, "scope");
  record.machine = text_at(json, "machine");
  record.kind = text_at(json, "kind");
  record.protocol = text_at(json, "protocol");
  record.login = text_at(json, "login");
  record.title = text_at(json, "title");
  record.signed_in_by = text_at(json, "signedInBy");
  record.correlation_id = text_at(json, "correlationId");
  record.person = {text_at(json, "person.kind"), text_at(json, "person.objectId"),
                   text_at(json, "person.name"), text_at(json, "person.address")};
  record.reason = text_at(json, "reason");
  record.cols = int_at(json, "cols").value_or(80);
  record.rows = int_at(json, "rows").value_or(24);
  record.chunks = static_cast<uint64_t>(int_at(json, "chunks").value_or(0));
  record.bytes = static_cast<uint64_t>(int_at(json, "bytes").value_or(0));
  record.duration_ms = int_at(json, "durationMs").value_or(0);
  record.head = text_at(json, "head");
  record.place = text_at(json, "place");
  record.sealed_key = text_at(json, "key");
  if (const auto keep = int_at(json, "keepMs")) record.keep = Duration(*keep);
  record.heads = text_at(json, "heads");
  return record;
}

std::string seal_key(const seal::Seal& seal, const Record& record, const Secret& key) {
  return seal.seal(key_context(record), key);
}

Result<Secret> open_key(const seal::Seal& seal, const Record& record) {
  if (record.sealed_key.empty())
    return fail(ErrorKind::gone, "RecordingDeleted",
                "The recording " + record.id.text() + " was deleted: its key is gone.");
  auto key = seal.open(key_context(record), record.sealed_key);
  if (!key) key = seal.open(unbound_key_context(record.id), record.sealed_key);
  if (!key)
    return fail(ErrorKind::conflict, "RecordingDamaged",
                "The key of the recording " + record.id.text() +
                    " does not open: its row was changed, or comes from another recording.");
  return key;
}

Secret index_key(const Secret& key) {
  return Secret(crypto::hmac_sha256(key.expose(), as_bytes("merlon.recording.index.v1")));
}

Result<std::optional<Record>> find_record(store::Reader& reader, const TenantId& tenant, const Uuid& id) {
  const auto row = TRY(reader.get(recordings_table(), tenant, id.text()));
  if (!row) return std::optional<Record>();
  return std::optional(TRY(Record::from_row(*row)));
}

Result<void> write_progress(store::Transaction& tx, const seal::Seal& seal, const TenantId& tenant,
                            const std::string& place, const Progress& progress) {
  std::string lines;
  for (const auto& [id, head] : progress.heads)
    lines += id.text() + " " + std::to_string(head.chunks) + " " + to_hex(head.hash) + "\n";
  return tx.put(
      progress_table(), tenant,
      {place, to_text(JsonObject{{"heads", seal.seal(progress_context(place), Secret(lines))}}), {}});
}

Result<Progress> read_progress(store::Reader& reader, const seal::Seal& seal, const TenantId& tenant,
                               const std::string& place) {
  Progress progress;
  const auto row = TRY(reader.get(progress_table(), tenant, place));
  if (!row) return progress;
  const std::string sealed = TRY(require_string(TRY(parse_json_object(row->body)), "heads"));
  const Secret lines = TRY(seal.open(progress_context(place), sealed));
  std::string_view rest = lines.expose_text();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto id = Uuid::parse(line.substr(0, 36));
    const size_t space = line.rfind(' ');
    const auto hash = space == std::string_view::npos ? std::nullopt : hash_of(line.substr(space + 1));
    if (!id || !hash || space < 38) return internal_error("the recordings' progress is malformed");
    progress.heads.emplace_back(
        *id,
        Progress::Head{std::strtoull(std::string(line.substr(37, space - 37)).c_str(), nullptr, 10), *hash});
  }
  return progress;
}

}  // namespace merlon::recording

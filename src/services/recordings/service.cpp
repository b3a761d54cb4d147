// Reading, verifying, searching and deleting. Importing is in import.cpp.
#include "services/recordings/service.h"

#include <algorithm>

#include "base/text.h"
#include "base/time_text.h"
#include "recording/search.h"
#include "recording/verify.h"
#include "resource/paging.h"
#include "resource/permitted.h"

namespace merlon::recordings {
namespace {

using recording::Record;
using recording::RecordState;
using resource::Call;

constexpr size_t kPageBytes = 1024 * 1024;
constexpr size_t kListDefault = 100;
constexpr size_t kReadingsMax = 10'000;
constexpr auto kReadingEvery = std::chrono::minutes(15);
constexpr int64_t kHitsMax = 500;

// Equal to, or below; both as text, without case.
bool is_within(std::string_view id, std::string_view scope) {
  while (scope.ends_with('/')) scope.remove_suffix(1);
  while (scope.starts_with('/')) scope.remove_prefix(1);
  while (id.starts_with('/')) id.remove_prefix(1);
  return !id.empty() && !scope.empty() && ascii_istarts_with(id, scope) &&
         (id.size() == scope.size() || id[scope.size()] == '/');
}

std::unexpected<Error> not_found(const std::string& id) {
  return fail(ErrorKind::not_found, "ResourceNotFound",
              "There is no recording '" + id.substr(0, 100) +
                  "' within this scope. 'merlon recording list' shows those that you may see.");
}

std::string text_of(const JsonObject& body, std::string_view name) {
  return string_at(body, name).value_or("");
}

// The pipeline reads the body of what only asks after gathering.
Result<JsonObject> body_of(const Call& call) {
  if (trim(call.request.body).empty()) return JsonObject();
  return parse_json_object(call.request.body);
}

}  // namespace

JsonObject Service::shown(const Record& record) const {
  JsonObject properties{{"state", recording::state_text(record.state)},
                        {"session", record.session},
                        {"bastion", record.scope},
                        {"machine", record.machine},
                        {"kind", record.kind},
                        {"protocol", record.protocol},
                        {"login", record.login},
                        {"title", record.title},
                        {"userName", record.person.name},
                        {"userObjectId", record.person.object_id},
                        {"clientAddress", record.person.address},
                        {"startTime", to_rfc3339(record.started)},
                        {"reason", record.reason},
                        {"durationMs", record.duration_ms},
                        {"chunks", record.chunks},
                        {"bytes", record.bytes},
                        {"hash", record.head},
                        {"correlationId", record.correlation_id},
                        {"running", all_.is_live(record.id)}};
  if (!record.signed_in_by.empty()) properties["signedInBy"] = record.signed_in_by;
  if (record.ended) properties["endTime"] = to_rfc3339(*record.ended);
  if (record.keep_until && record.ended) properties["keepUntil"] = to_rfc3339(*record.keep_until);
  return {{"id", record.resource()},
          {"name", record.id.text()},
          {"type", "Merlon.Bastion/recordings"},
          {"properties", std::move(properties)}};
}

Result<Record> Service::named(const Call& call, store::Reader& reader) const {
  const std::string& name = call.parameter("recordingId");
  const auto id = Uuid::parse(name);
  if (!id) return not_found(name);
  const auto record = TRY(recording::find_record(reader, platform_.core.tenant, *id));
  const std::string& scope = call.parameter("+scope");
  if (!record || record->state == RecordState::deleted ||
      !(is_within(record->scope, scope) || is_within(record->machine, scope)))
    return not_found(name);
  return *record;
}

Result<Record> Service::named(const Call& call) const {
  return store::read_value<Record>(platform_.core.store,
                                   [&](store::Reader& reader) { return named(call, reader); });
}

Result<bool> Service::may_see(const Call& call, store::Reader& reader, std::string_view action,
                              const Record& record) const {
  const std::string& scope = call.parameter("+scope");
  for (const std::string& place : {record.scope, record.machine})
    if (is_within(place, scope) && TRY(platform_.resources.may(reader, call, action, place))) return true;
  return false;
}

// The right to search is none to what is found: lines are contents.
Result<bool> Service::may_open(const Call& call, store::Reader& reader, const Record& record) const {
  const std::string& scope = call.parameter("+scope");
  for (const std::string& place : {record.scope, record.machine})
    if (is_within(place, scope) &&
        TRY(resource::permitted(platform_.core, reader, call.principal, kContentAction, place)))
      return true;
  return false;
}

Result<net::Response> Service::list(const Call& call, store::Reader& reader) const {
  const resource::Page page = TRY(resource::page_of(call, kListDefault));
  const std::string* machine = call.request.query.find("machine");
  const std::string* user = call.request.query.find("user");
  std::vector<std::string> values;
  std::string after, after_key, next;
  if (!page.after.empty()) {
    const size_t slash = page.after.find('/');
    after = page.after.substr(0, slash);
    if (slash != std::string::npos) after_key = page.after.substr(slash + 1);
  }
  for (bool more = true; more && next.empty();) {
    const auto rows = TRY(reader.scan_index(
        recording::recordings_table(), platform_.core.tenant, "started",
        {.prefix = {}, .after = after, .after_key = after_key, .limit = kListDefault, .descending = true}));
    more = rows.size() == kListDefault;
    for (const store::IndexedRow& row : rows) {
      const Record record = TRY(Record::from_row(row.row));
      const bool wanted =
          (machine == nullptr || ascii_iequal(record.machine, *machine) ||
           ascii_iequal(std::string_view(record.machine).substr(record.machine.rfind('/') + 1), *machine)) &&
          (user == nullptr || ascii_iequal(record.person.name, *user));
      if (wanted && TRY(may_see(call, reader, kReadAction, record))) {
        if (values.size() == page.top) {
          next = after + "/" + after_key;
          break;
        }
        values.push_back(to_text(shown(record)));
      }
      after = row.value;
      after_key = row.row.key;
    }
  }
  return resource::text_response(
      200, resource::list_text(values, next.empty() ? "" : resource::next_link(call, next)));
}

// Who looks at what somebody did is entered too, once for each person, recording and quarter of an hour.
Result<void> Service::enter_reading(const Call& call, const Record& record) {
  const std::string key = call.principal.object_id.text() + "/" + record.id.text();
  {
    const std::lock_guard lock(mutex_);
    const auto known = readings_.find(key);
    if (known != readings_.end() && call.now >= known->second && call.now - known->second < kReadingEvery)
      return {};
  }
  ledger::Entry entry;
  entry.time = call.now;
  entry.actor = call.principal.actor();
  entry.action = kContentAction;
  entry.resource = record.resource();
  entry.request_id = call.request.request_id;
  entry.correlation_id = record.correlation_id;
  entry.details = {{"userName", record.person.name}, {"machine", record.machine}};
  TRY(platform_.core.store.write([&](store::Transaction& tx) -> Result<void> {
    tx.urgent();  // who looks into what is happening must not be kept from it by a full disk
    return platform_.core.ledger.append(tx, entry);
  }));
  const std::lock_guard lock(mutex_);
  if (readings_.size() >= kReadingsMax) readings_.clear();
  readings_[key] = call.now;
  return {};
}

Result<JsonObject> Service::content(const Call& call) {
  const Record record = TRY(named(call));
  const JsonObject body = TRY(body_of(call));
  TRY(enter_reading(call, record));
  recording::Page page = TRY(all_.read(record, text_of(body, "from"), kPageBytes));
  return JsonObject{{"text", std::move(page.text)},
                    {"next", std::move(page.next)},
                    {"atEnd", page.at_end},
                    {"ended", page.ended}};
}

Result<JsonObject> Service::sealed(const Call& call) {
  const Record record = TRY(named(call));
  const JsonObject body = TRY(body_of(call));
  const int64_t offset = int_at(body, "offset").value_or(0);
  if (offset < 0)
    return fail(ErrorKind::invalid, "InvalidParameter", "The offset is a number of bytes, from 0.", "offset");
  if (record.place != all_.blobs().id())
    return fail(ErrorKind::conflict, "RecordingElsewhere",
                "The recording " + record.id.text() + " lies with another server. Ask that one.");
  const Bytes bytes = TRY(all_.blobs().read(record.data_name(), static_cast<uint64_t>(offset), kPageBytes));
  return JsonObject{{"data", to_base64(bytes)},
                    {"next", offset + static_cast<int64_t>(bytes.size())},
                    {"atEnd", bytes.size() < kPageBytes}};
}

Result<JsonObject> Service::verify(const Call& call) {
  const recording::VerifyReport report = TRY(recording::verify(all_, TRY(named(call))));
  JsonArray problems;
  for (const auto& problem : report.problems)
    problems.push_back(JsonObject{{"code", problem.code}, {"message", problem.message}});
  return JsonObject{
      {"sound", report.sound()},        {"state", report.state}, {"chunks", report.chunks},
      {"bytes", report.bytes},          {"hash", report.head},   {"chunksInLedger", report.ledgered},
      {"problems", std::move(problems)}};
}

Result<JsonObject> Service::search(const Call& call) {
  const JsonObject body = TRY(body_of(call));
  recording::Query query;
  query.text = text_of(body, "text");
  query.after = text_of(body, "after");
  query.hits_max = static_cast<size_t>(std::clamp<int64_t>(int_at(body, "top").value_or(50), 1, kHitsMax));
  query.may_see = [&](const Record& record) {
    return store::read_value<bool>(platform_.core.store,
                                   [&](store::Reader& reader) { return may_open(call, reader, record); });
  };
  const recording::SearchAnswer answer = TRY(recording::search(all_, query));
  JsonArray hits;
  // Whoever is shown a line has read in that recording. Again and again in one is entered once.
  for (const recording::Hit& hit : answer.hits) TRY(enter_reading(call, hit.record));
  for (const recording::Hit& hit : answer.hits)
    hits.push_back(JsonObject{{"recording", hit.record.resource()},
                              {"name", hit.record.id.text()},
                              {"userName", hit.record.person.name},
                              {"machine", hit.record.machine},
                              {"startTime", to_rfc3339(hit.record.started)},
                              {"atMs", hit.at_ms},
                              {"line", hit.line}});
  return JsonObject{{"value", std::move(hits)},
                    {"next", answer.next},
                    {"recordings", answer.recordings},
                    {"unreadable", answer.unreadable}};
}

Result<net::Response> Service::remove(resource::WriteContext& context) {
  Record record = TRY(named(context.call, context.tx));
  if (!is_within(record.scope, context.call.parameter("+scope")))
    return fail(ErrorKind::forbidden, "LinkedAuthorizationFailed",
                "A recording is deleted by who may do so at its bastion host, " + record.scope +
                    ", or above: a right at the machine is not enough.");
  context.tx.urgent();
  context.details["userName"] = record.person.name;
  context.details["hash"] = record.head;
  TRY(all_.remove(context.tx, std::move(record), context.actor, context.reason,
                  context.call.request.request_id));
  return resource::empty_response(204);
}

}  // namespace merlon::recordings

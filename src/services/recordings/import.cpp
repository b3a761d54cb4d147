// Recordings made elsewhere (by asciinema on a console, say), kept and chained as our own are: what they say
// of the time before they came here is their maker's word, which is why their kind is "import". Added to as
// they grow, so that a running one is imported live.
#include <cmath>

#include "base/log.h"
#include "base/text.h"
#include "services/recordings/service.h"

namespace merlon::recordings {
namespace {

using recording::CastForm;
using resource::Call;

constexpr Duration kIdle = std::chrono::minutes(10);
constexpr double kSecondsMax = 30.0 * 24 * 3600;
constexpr size_t kImportsMax = 200;

Result<JsonObject> body_of(const Call& call) { return parse_json_object(call.request.body); }

std::unexpected<Error> wrong(std::string message, std::string target) {
  return fail(ErrorKind::invalid, "InvalidParameter", std::move(message), std::move(target));
}

Result<void> resize(recording::Recorder& recorder, std::string_view size) {
  const auto parts = split(size, 'x');
  const auto number = [](std::string_view text) {
    int64_t value = 0;
    for (const char c : text) {
      if (c < '0' || c > '9' || value > 10'000) return int64_t{0};
      value = value * 10 + (c - '0');
    }
    return value;
  };
  if (parts.size() != 2 || number(parts[0]) == 0 || number(parts[1]) == 0)
    return wrong("A resize event's text is COLSxROWS.", "events");
  return recorder.resize(number(parts[0]), number(parts[1]));
}

}  // namespace

Result<JsonObject> Service::begin_import(const Call& call) {
  const JsonObject body = TRY(body_of(call));
  const auto header = TRY(recording::parse_header(string_at(body, "header").value_or("")));
  recording::Opening opening;
  opening.scope = call.parameter("+scope");
  if (!opening.scope.starts_with('/')) opening.scope.insert(0, 1, '/');
  opening.kind = "import";
  opening.protocol = "none";
  opening.title = header.header.title;
  opening.cols = header.header.cols;
  opening.rows = header.header.rows;
  opening.correlation_id = call.correlation_id;
  opening.person = call.principal.actor();
  {
    const std::lock_guard lock(mutex_);
    if (imports_.size() >= kImportsMax)
      return fail(ErrorKind::throttled, "TooManyImports",
                  "Too many recordings are being imported at once. Try again when some have ended.");
  }
  auto import = std::make_shared<Import>();
  import->recorder = TRY(all_.start(opening));
  import->form = header.form;
  import->owner = call.principal.object_id.text();
  import->used = platform_.core.clock.boottime();
  const std::string id = import->recorder->id().text();
  const std::lock_guard lock(mutex_);
  imports_.emplace(id, std::move(import));
  return JsonObject{{"id", opening.scope + "/providers/Merlon.Bastion/recordings/" + id}, {"name", id}};
}

Result<std::shared_ptr<Service::Import>> Service::own_import(const Call& call) {
  const auto record = TRY(named(call));
  const std::lock_guard lock(mutex_);
  const auto found = imports_.find(record.id.text());
  if (found == imports_.end())
    return fail(
        ErrorKind::conflict, "ImportEnded",
        "The recording " + record.id.text() + " is not being imported, or not any more. Begin a new one.");
  if (found->second->owner != call.principal.object_id.text())
    return fail(ErrorKind::forbidden, "ImportOfAnother",
                "The recording " + record.id.text() + " is being imported by somebody else.");
  found->second->used = platform_.core.clock.boottime();
  return found->second;
}

Result<void> Service::add_line(Import& import, std::string_view line) const {
  const auto event = TRY(recording::parse_event(line));
  if (!event) return {};
  import.seconds = import.form == CastForm::v3 ? import.seconds + event->seconds : event->seconds;
  if (import.seconds > kSecondsMax) return wrong("The recording is longer than 30 days.", "events");
  recording::Recorder& recorder = *import.recorder;
  recorder.at(Duration(std::llround(import.seconds * 1000)));
  switch (event->code) {
    case 'o':
      return recorder.output(event->data);
    case 'i':
      return recorder.input(event->data);
    case 'm':
      return recorder.marker(event->data);
    case 'r':
      return resize(recorder, event->data);
    default:
      return {};  // others' codes mean nothing here; ours are not for others to make up
  }
}

Result<JsonObject> Service::add_to_import(const Call& call) {
  const JsonObject body = TRY(body_of(call));
  const auto import = TRY(own_import(call));
  const std::string events = string_at(body, "events").value_or("");
  const std::lock_guard one(import->mutex);
  if (const Duration wait = import->recorder->wait(); wait > Duration(0))
    return fail(
        ErrorKind::throttled, "ImportTooFast",
        "More was sent than the server records in the time (its option --recordings). Nothing of this part "
        "was taken: send it again in " +
            std::to_string(wait.count()) + " milliseconds.");
  for (const std::string_view line : split(events, '\n')) TRY(add_line(*import, line));
  TRY(import->recorder->flush());  // what is answered for is on the disk
  return JsonObject{{"seconds", import->seconds}};
}

Result<JsonObject> Service::end_import(const Call& call) {
  const JsonObject body = TRY(body_of(call));
  const auto import = TRY(own_import(call));
  const std::lock_guard one(import->mutex);
  TRY(import->recorder->close("imported"));
  const std::lock_guard lock(mutex_);
  imports_.erase(import->recorder->id().text());
  return JsonObject{{"seconds", import->seconds}};
}

void Service::end_idle_imports() {
  const Duration now = platform_.core.clock.boottime();
  std::vector<std::shared_ptr<Import>> idle;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = imports_.begin(); it != imports_.end();) {
      const bool over = now - it->second->used > kIdle;
      if (over) idle.push_back(std::move(it->second));
      it = over ? imports_.erase(it) : std::next(it);
    }
  }
  for (const auto& import : idle) {
    const std::lock_guard one(import->mutex);
    if (const auto closed = import->recorder->close("nobody went on with the import"); !closed)
      log_error("an import that nobody went on with could not be ended", closed.error());
  }
}

}  // namespace merlon::recordings

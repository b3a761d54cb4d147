// How grants are stored.
#include "base/time_text.h"
#include "grant/grant.h"

namespace merlon::grant {
namespace {

Result<Timestamp> require_time(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("stored grant has a malformed time in " + std::string(key));
  return *time;
}

}  // namespace

const store::TableSpec& Grant::table() {
  static const store::TableSpec spec{
      "grants", {{"subject", store::Unique::no}, {"active_deadline", store::Unique::no}}};
  return spec;
}

std::string Grant::key() const { return id.text(); }

std::vector<std::optional<std::string>> Grant::index_values() const {
  // Milliseconds since 1970 have thirteen digits until 2286, so they sort as text; ended grants leave this
  // index.
  std::optional<std::string> active_deadline;
  if (state == State::active) active_deadline = std::to_string(deadline.time_since_epoch().count());
  return {subject, active_deadline};
}

JsonObject Grant::to_json() const {
  JsonObject json = {{"id", id.text()},
                     {"kind", kind},
                     {"subject", subject},
                     {"holder", holder},
                     {"holderName", holder_name},
                     {"justification", justification},
                     {"data", data},
                     {"start", to_rfc3339(start)},
                     {"deadline", to_rfc3339(deadline)},
                     {"active", state == State::active},
                     {"endReason", end_reason},
                     {"correlationId", correlation_id}};
  if (ended) json["ended"] = to_rfc3339(*ended);
  return json;
}

Result<Grant> Grant::from_json(const JsonObject& json) {
  Grant grant;
  const auto id = Uuid::parse(TRY(require_string(json, "id")));
  if (!id) return internal_error("stored grant has a malformed id");
  grant.id = *id;
  grant.kind = TRY(require_string(json, "kind"));
  grant.subject = TRY(require_string(json, "subject"));
  grant.holder = TRY(require_string(json, "holder"));
  grant.holder_name = TRY(require_string(json, "holderName"));
  grant.justification = TRY(require_string(json, "justification"));
  if (const JsonObject* data = object_at(json, "data")) grant.data = *data;
  grant.start = TRY(require_time(json, "start"));
  grant.deadline = TRY(require_time(json, "deadline"));
  grant.state = TRY(require_bool(json, "active")) ? State::active : State::ended;
  grant.end_reason = TRY(require_string(json, "endReason"));
  grant.correlation_id = TRY(require_string(json, "correlationId"));
  if (json.contains("ended")) grant.ended = TRY(require_time(json, "ended"));
  return grant;
}

}  // namespace merlon::grant

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

std::string active_key(std::string_view kind, std::string_view of) {
  return std::string(kind) + " " + std::string(of);
}

Result<void> index_active_grants(store::Transaction& tx, const TenantId& tenant,
                                 const std::function<std::string(const JsonObject& data)>& group_of) {
  for (Grant grant : TRY(store::scan_all<Grant>(tx, tenant))) {
    if (grant.state != State::active) continue;
    grant.group = group_of(grant.data);
    TRY(store::put(tx, tenant, grant));
  }
  return {};
}

const store::TableSpec& Grant::table() {
  static const store::TableSpec spec{"grants",
                                     {{"subject", store::Unique::no},
                                      {"active_deadline", store::Unique::no},
                                      {"active_subject", store::Unique::no},
                                      {"active_group", store::Unique::no}}};
  return spec;
}

std::string Grant::key() const { return id.text(); }

std::vector<std::optional<std::string>> Grant::index_values() const {
  // Milliseconds since 1970 have thirteen digits until 2286, so they sort as text; ended grants leave this
  // index.
  if (state != State::active) return {subject, std::nullopt, std::nullopt, std::nullopt};
  return {subject, std::to_string(deadline.time_since_epoch().count()), active_key(kind, subject),
          active_key(kind, group)};
}

JsonObject Grant::to_json() const {
  JsonObject json = {{"id", id.text()},
                     {"kind", kind},
                     {"subject", subject},
                     {"group", group},
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
  grant.group = string_at(json, "group").value_or("");
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

// How machines and enrolment tokens are stored.
#include "base/text.h"
#include "base/time_text.h"
#include "machine/fields.h"
#include "machine/machines.h"
#include "machine/tokens.h"

namespace merlon::machine {
namespace {

JsonArray texts_json(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

Result<Timestamp> require_time(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("stored record has a malformed time in " + std::string(key));
  return *time;
}

Result<Uuid> require_uuid(const JsonObject& json, std::string_view key) {
  const auto uuid = Uuid::parse(TRY(require_string(json, key)));
  if (!uuid) return internal_error("stored record has a malformed uuid in " + std::string(key));
  return *uuid;
}

}  // namespace

const store::TableSpec& Machine::table() {
  static const store::TableSpec spec{"machines",
                                     {{"resource", store::Unique::yes},
                                      {"key_hash", store::Unique::yes},
                                      {"previous_key_hash", store::Unique::yes}}};
  return spec;
}

std::string Machine::key() const { return id.text(); }

std::vector<std::optional<std::string>> Machine::index_values() const {
  std::optional<std::string> resource;
  std::optional<std::string> previous;
  if (!removed) resource = ascii_lower(resource_id);
  if (!previous_key_hash.empty()) previous = previous_key_hash;
  return {resource, key_hash, previous};
}

JsonObject Machine::to_json() const {
  // The applied state is what the agent last said; it is stored in the channel's own form.
  SyncRequest said;
  said.applied = applied;
  JsonObject json = {{"id", id.text()},
                     {"name", name},
                     {"resourceId", resource_id},
                     {"keyHash", key_hash},
                     {"previousKeyHash", previous_key_hash},
                     {"facts", facts.to_json()},
                     {"mode", mode_text(mode)},
                     {"quarantined", quarantined},
                     {"removed", removed},
                     {"pastBootIds", texts_json(past_boot_ids)},
                     {"desired", desired.to_json()},
                     {"said", said.to_json()},
                     {"enrolled", to_rfc3339(enrolled)},
                     {"certificateEnd", to_rfc3339(certificate_end)}};
  if (last_seen) json["lastSeen"] = to_rfc3339(*last_seen);
  if (!quarantine_reason.empty()) json["quarantineReason"] = quarantine_reason;
  if (!recent_boots.empty()) {
    JsonArray times;
    for (const Timestamp& time : recent_boots) times.emplace_back(to_rfc3339(time));
    json["recentBoots"] = std::move(times);
  }
  return json;
}

Result<Machine> Machine::from_json(const JsonObject& json) {
  Machine machine;
  machine.id = TRY(require_uuid(json, "id"));
  machine.name = TRY(require_string(json, "name"));
  machine.resource_id = TRY(require_string(json, "resourceId"));
  machine.key_hash = TRY(require_string(json, "keyHash"));
  machine.previous_key_hash = TRY(require_string(json, "previousKeyHash"));
  machine.facts = TRY(MachineFacts::from_json(*TRY(object_field(json, "facts"))));
  machine.mode = TRY(require_string(json, "mode")) == mode_text(Mode::enforce) ? Mode::enforce : Mode::audit;
  machine.quarantined = TRY(require_bool(json, "quarantined"));
  machine.removed = TRY(require_bool(json, "removed"));
  machine.past_boot_ids = TRY(texts_field(json, "pastBootIds", 1024));
  machine.desired = TRY(DesiredState::from_json(*TRY(object_field(json, "desired"))));
  machine.applied = TRY(SyncRequest::from_json(*TRY(object_field(json, "said")))).applied;
  machine.enrolled = TRY(require_time(json, "enrolled"));
  machine.certificate_end = TRY(require_time(json, "certificateEnd"));
  if (json.contains("lastSeen")) machine.last_seen = TRY(require_time(json, "lastSeen"));
  machine.quarantine_reason = string_at(json, "quarantineReason").value_or("");
  if (json.contains("recentBoots"))
    for (const std::string& text : TRY(texts_field(json, "recentBoots", 64))) {
      const auto time = from_rfc3339(text);
      if (!time) return internal_error("stored record has a malformed time in recentBoots");
      machine.recent_boots.push_back(*time);
    }
  return machine;
}

const store::TableSpec& EnrolmentToken::table() {
  static const store::TableSpec spec{"enrolment_tokens", {}};
  return spec;
}

std::string EnrolmentToken::key() const { return id.text(); }

std::vector<std::optional<std::string>> EnrolmentToken::index_values() const { return {}; }

JsonObject EnrolmentToken::to_json() const {
  return {{"id", id.text()},         {"groupId", group_id}, {"machineName", machine_name},
          {"mode", mode_text(mode)}, {"digest", digest},    {"expires", to_rfc3339(expires)},
          {"createdBy", created_by}, {"used", used}};
}

Result<EnrolmentToken> EnrolmentToken::from_json(const JsonObject& json) {
  EnrolmentToken token;
  token.id = TRY(require_uuid(json, "id"));
  token.group_id = TRY(require_string(json, "groupId"));
  token.machine_name = TRY(require_string(json, "machineName"));
  token.mode = TRY(require_string(json, "mode")) == mode_text(Mode::enforce) ? Mode::enforce : Mode::audit;
  token.digest = TRY(require_string(json, "digest"));
  token.expires = TRY(require_time(json, "expires"));
  token.created_by = TRY(require_string(json, "createdBy"));
  token.used = TRY(require_bool(json, "used"));
  return token;
}

}  // namespace merlon::machine

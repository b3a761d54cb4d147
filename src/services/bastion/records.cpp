// Rows of the bastion.
#include "services/bastion/records.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::bastion {
namespace {

Result<Timestamp> time_at(const JsonObject& json, std::string_view key) {
  const auto time = from_rfc3339(TRY(require_string(json, key)));
  if (!time) return internal_error("a bastion row has a bad time '" + std::string(key) + "'");
  return *time;
}

Result<std::optional<Timestamp>> optional_time_at(const JsonObject& json, std::string_view key) {
  if (!json.contains(key)) return std::optional<Timestamp>();
  return std::optional<Timestamp>(TRY(time_at(json, key)));
}

Result<Uuid> uuid_at(const JsonObject& json, std::string_view key) {
  const auto id = Uuid::parse(TRY(require_string(json, key)));
  if (!id) return internal_error("a bastion row has a bad id '" + std::string(key) + "'");
  return *id;
}

Result<IpAddress> address_at(const JsonObject& json, std::string_view key) {
  const auto address = IpAddress::parse(TRY(require_string(json, key)));
  if (!address) return internal_error("a bastion row has a bad address '" + std::string(key) + "'");
  return *address;
}

std::string text_at(const JsonObject& json, std::string_view key) {
  return string_at(json, key).value_or(std::string());
}

void put_text(JsonObject& json, std::string_view key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

}  // namespace

std::string sortable(Timestamp time) { return fmt::format("{:015}", time.time_since_epoch().count()); }

const store::TableSpec& Session::table() {
  static const store::TableSpec spec{"bastion_sessions",
                                     {{"class", store::Unique::no},
                                      {"server", store::Unique::no},
                                      {"target", store::Unique::no},
                                      {"bastion", store::Unique::no},
                                      {"ended", store::Unique::no}}};
  return spec;
}

std::vector<std::optional<std::string>> Session::index_values() const {
  const std::string all = bastion + "\n" + sortable(start);
  if (ended) return {std::nullopt, std::nullopt, std::nullopt, all, sortable(*ended)};
  return {class_key(bastion, session_class), server, target, all, std::nullopt};
}

JsonObject Session::to_json() const {
  JsonObject json = {{"id", id.text()},
                     {"bastion", bastion},
                     {"bastionId", bastion_text},
                     {"class", session_class},
                     {"target", target},
                     {"targetId", target_text},
                     {"targetName", target_name},
                     {"address", address.text()},
                     {"port", port},
                     {"protocol", protocol_text(protocol)},
                     {"transport", transport_text(transport)},
                     {"person", person.text()},
                     {"isPerson", is_person},
                     {"personName", person_name},
                     {"client", client.text()},
                     {"clientPort", client_port},
                     {"start", to_rfc3339(start)},
                     {"recording", recording_text(recording)},
                     {"byAgent", by_agent},
                     {"server", server},
                     {"bytesToMachine", bytes_to_machine},
                     {"bytesToClient", bytes_to_client}};
  if (signed_in_by) json["signedInBy"] = signed_in_by_text(*signed_in_by);
  put_text(json, "login", login);
  if (logins) {
    JsonArray named;
    for (const std::string& one : *logins) named.emplace_back(one);
    json["logins"] = std::move(named);
  }
  put_text(json, "signIn", sign_in);
  put_text(json, "stamp", stamp);
  put_text(json, "userAgent", user_agent);
  put_text(json, "link", link);
  if (moderation) json["moderation"] = *moderation == Moderation::end ? "end" : "pause";
  put_text(json, "moderator", moderator);
  put_text(json, "moderatorName", moderator_name);
  if (moderator_seen) json["moderatorSeen"] = to_rfc3339(*moderator_seen);
  put_text(json, "holder", holder);
  put_text(json, "holderName", holder_name);
  if (deadline) json["deadline"] = to_rfc3339(*deadline);
  if (lasts_until) json["lastsUntil"] = to_rfc3339(*lasts_until);
  if (keep_after_grant) json["keepAfterGrant"] = true;
  if (ends_protocol) json["endsProtocol"] = true;
  json["channels"] = channels.to_json();
  put_text(json, "justification", justification);
  if (factor_age) json["factorAgeMs"] = factor_age->count();
  put_text(json, "grant", grant);
  if (grant_own) json["grantOwn"] = true;
  put_text(json, "correlation", correlation);
  put_text(json, "endAskedBy", end_asked_by);
  put_text(json, "endAskedReason", end_asked_reason);
  if (ended) json["ended"] = to_rfc3339(*ended);
  put_text(json, "endReason", end_reason);
  put_text(json, "endMessage", end_message);
  return json;
}

Result<Session> Session::from_json(const JsonObject& json) {
  Session session;
  session.id = TRY(uuid_at(json, "id"));
  session.bastion = TRY(require_string(json, "bastion"));
  session.bastion_text = TRY(require_string(json, "bastionId"));
  session.session_class = TRY(require_string(json, "class"));
  session.target = TRY(require_string(json, "target"));
  session.target_text = TRY(require_string(json, "targetId"));
  session.target_name = TRY(require_string(json, "targetName"));
  session.address = TRY(address_at(json, "address"));
  session.port = static_cast<uint16_t>(TRY(require_int(json, "port")));
  session.protocol = protocol_of(text_at(json, "protocol")).value_or(Protocol::tcp);
  session.transport = transport_of(text_at(json, "transport")).value_or(Transport::tunnel);
  session.signed_in_by = signed_in_by_of(text_at(json, "signedInBy"));
  session.login = text_at(json, "login");
  if (const JsonArray* named = array_at(json, "logins")) {
    session.logins.emplace();
    for (const Json& one : *named)
      if (one.is_string()) session.logins->emplace_back(one.get_string());
  }
  session.person = TRY(uuid_at(json, "person"));
  session.is_person = bool_at(json, "isPerson").value_or(true);
  session.person_name = TRY(require_string(json, "personName"));
  session.sign_in = text_at(json, "signIn");
  session.stamp = text_at(json, "stamp");
  session.client = TRY(address_at(json, "client"));
  session.client_port = static_cast<uint16_t>(int_at(json, "clientPort").value_or(0));
  session.user_agent = text_at(json, "userAgent");
  session.link = text_at(json, "link");
  if (json.contains("moderation"))
    session.moderation = text_at(json, "moderation") == "pause" ? Moderation::pause : Moderation::end;
  session.moderator = text_at(json, "moderator");
  session.moderator_name = text_at(json, "moderatorName");
  session.moderator_seen = TRY(optional_time_at(json, "moderatorSeen"));
  session.holder = text_at(json, "holder");
  session.holder_name = text_at(json, "holderName");
  session.start = TRY(time_at(json, "start"));
  session.deadline = TRY(optional_time_at(json, "deadline"));
  session.lasts_until = TRY(optional_time_at(json, "lastsUntil"));
  session.keep_after_grant = bool_at(json, "keepAfterGrant").value_or(false);
  session.ends_protocol = bool_at(json, "endsProtocol").value_or(false);
  if (const JsonObject* channels = object_at(json, "channels"))
    session.channels = Channels::from_json(*channels);
  session.justification = text_at(json, "justification");
  if (const auto age = int_at(json, "factorAgeMs")) session.factor_age = Duration(*age);
  session.grant = text_at(json, "grant");
  session.grant_own = bool_at(json, "grantOwn").value_or(false);
  session.by_agent = bool_at(json, "byAgent").value_or(false);
  session.recording = recording_of(text_at(json, "recording")).value_or(Recording::off);
  session.server = TRY(require_string(json, "server"));
  session.correlation = text_at(json, "correlation");
  session.end_asked_by = text_at(json, "endAskedBy");
  session.end_asked_reason = text_at(json, "endAskedReason");
  session.ended = TRY(optional_time_at(json, "ended"));
  session.end_reason = text_at(json, "endReason");
  session.end_message = text_at(json, "endMessage");
  session.bytes_to_machine = static_cast<uint64_t>(int_at(json, "bytesToMachine").value_or(0));
  session.bytes_to_client = static_cast<uint64_t>(int_at(json, "bytesToClient").value_or(0));
  return session;
}

const store::TableSpec& CarryingServer::table() {
  static const store::TableSpec spec{"bastion_servers", {}};
  return spec;
}

JsonObject CarryingServer::to_json() const { return {{"id", id}, {"seen", to_rfc3339(seen)}}; }

Result<CarryingServer> CarryingServer::from_json(const JsonObject& json) {
  return CarryingServer{.id = TRY(require_string(json, "id")), .seen = TRY(time_at(json, "seen"))};
}

const store::TableSpec& StoredPolicy::table() {
  static const store::TableSpec spec{"bastion_policies", {}};
  return spec;
}

std::string StoredPolicy::key() const { return bastion + "\n" + ascii_lower(name); }

JsonObject StoredPolicy::to_json() const {
  return {{"bastion", bastion}, {"name", name}, {"properties", properties}};
}

Result<StoredPolicy> StoredPolicy::from_json(const JsonObject& json) {
  StoredPolicy policy;
  policy.bastion = TRY(require_string(json, "bastion"));
  policy.name = TRY(require_string(json, "name"));
  if (const JsonObject* properties = object_at(json, "properties")) policy.properties = *properties;
  return policy;
}

}  // namespace merlon::bastion

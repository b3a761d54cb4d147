// The agent channel's messages in JSON, strict on both ends.
#include "machine/messages.h"

#include <algorithm>

#include "base/time_text.h"
#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr size_t kServerIdMax = 64;

JsonObject version_json(const Version& version) {
  return {{"epoch", version.epoch}, {"number", version.number}};
}

Result<Version> version_field(const JsonObject& json, std::string_view key) {
  const JsonObject* object = TRY(object_field(json, key));
  return Version{TRY(int_field(*object, "epoch", 0, INT64_MAX)),
                 TRY(int_field(*object, "number", 0, INT64_MAX))};
}

JsonArray texts_json(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

// It becomes a part of an action's name in the ledger.
bool is_kind(std::string_view kind) {
  return !kind.empty() && std::ranges::all_of(kind, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

JsonObject interface_json(const ReportedInterface& interface) {
  JsonArray addresses;
  for (const auto& [address, length] : interface.addresses)
    addresses.push_back(JsonObject{{"address", address.text()}, {"prefixLength", length}});
  return {{"name", interface.name},
          {"mac", interface.mac},
          {"addresses", std::move(addresses)},
          {"defaultRoute", interface.default_route}};
}

// As the kernel names interfaces: its dev_valid_name() lets nothing else be one.
constexpr size_t kInterfaceNameMax = 15;  // IFNAMSIZ without its end

bool is_interface_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](const char c) {
           return c == '/' || static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
         });
}

Result<ReportedInterface> read_interface(const JsonObject& json) {
  ReportedInterface interface;
  interface.name = TRY(text_field(json, "name", kInterfaceNameMax));
  if (!is_interface_name(interface.name))
    return wrong_field("name", "a name that the kernel gives to an interface");
  interface.mac = TRY(text_field_or_empty(json, "mac", 64));
  for (const JsonObject* object : TRY(objects_field(json, "addresses", 64))) {
    const IpAddress address = TRY(address_field(*object, "address"));
    const auto length = static_cast<unsigned>(TRY(int_field(*object, "prefixLength", 0, address.bits())));
    interface.addresses.emplace_back(address, length);
  }
  interface.default_route = TRY(bool_field(json, "defaultRoute"));
  return interface;
}

JsonObject applied_json(const Applied& applied) {
  return {{"version", version_json(applied.version)}, {"mode", mode_text(applied.mode)},
          {"confirmed", applied.confirmed},           {"error", applied.error},
          {"open", texts_json(applied.open)},         {"blockers", texts_json(applied.blockers)}};
}

Result<Applied> read_applied(const JsonObject& json) {
  Applied applied;
  applied.version = TRY(version_field(json, "version"));
  const std::string mode = TRY(text_field(json, "mode", 16));
  if (mode != "audit" && mode != "enforce") return wrong_field("mode", "audit or enforce");
  applied.mode = mode == "enforce" ? Mode::enforce : Mode::audit;
  applied.confirmed = TRY(bool_field(json, "confirmed"));
  applied.error = TRY(text_field_or_empty(json, "error", 4096));
  applied.open = TRY(texts_field(json, "open", 16'384));
  applied.blockers = TRY(texts_field(json, "blockers", 256));
  return applied;
}

}  // namespace

JsonObject MachineFacts::to_json() const {
  JsonArray interface_array;
  for (const ReportedInterface& interface : interfaces) interface_array.push_back(interface_json(interface));
  JsonObject json = {{"hostname", hostname},
                     {"osName", os_name},
                     {"osVersion", os_version},
                     {"kernel", kernel},
                     {"architecture", architecture},
                     {"machineIdHash", machine_id_hash},
                     {"bootId", boot_id},
                     {"cpus", cpus},
                     {"memoryBytes", memory_bytes},
                     {"interfaces", std::move(interface_array)}};
  if (ssh) json["ssh"] = ssh->to_json();
  return json;
}

Result<MachineFacts> MachineFacts::from_json(const JsonObject& json) {
  MachineFacts facts;
  facts.hostname = TRY(text_field(json, "hostname", 256));
  facts.os_name = TRY(text_field_or_empty(json, "osName", 128));
  facts.os_version = TRY(text_field_or_empty(json, "osVersion", 128));
  facts.kernel = TRY(text_field_or_empty(json, "kernel", 128));
  facts.architecture = TRY(text_field_or_empty(json, "architecture", 64));
  facts.machine_id_hash = TRY(text_field_or_empty(json, "machineIdHash", 128));
  facts.boot_id = TRY(text_field_or_empty(json, "bootId", 64));
  facts.cpus = TRY(int_field(json, "cpus", 0, 1'000'000));
  facts.memory_bytes = TRY(int_field(json, "memoryBytes", 0, INT64_MAX));
  for (const JsonObject* object : TRY(objects_field(json, "interfaces", 256)))
    facts.interfaces.push_back(TRY(read_interface(*object)));
  if (json.contains("ssh")) facts.ssh = TRY(SshFacts::from_json(*TRY(object_field(json, "ssh"))));
  return facts;
}

JsonObject EnrolRequest::to_json() const {
  return {{"token", token}, {"certificateRequest", certificate_request_pem}, {"facts", facts.to_json()}};
}

Result<EnrolRequest> EnrolRequest::from_json(const JsonObject& json) {
  EnrolRequest request;
  request.token = TRY(text_field(json, "token", 512));
  request.certificate_request_pem = TRY(text_field(json, "certificateRequest", kPemMax));
  request.facts = TRY(MachineFacts::from_json(*TRY(object_field(json, "facts"))));
  return request;
}

JsonObject EnrolAnswer::to_json() const {
  return {{"machineId", machine_id},
          {"resourceId", resource_id},
          {"certificate", certificate_pem},
          {"agentsName", agents_name},
          {"head", head}};
}

Result<EnrolAnswer> EnrolAnswer::from_json(const JsonObject& json) {
  EnrolAnswer answer;
  answer.machine_id = TRY(text_field(json, "machineId", 64));
  answer.resource_id = TRY(text_field(json, "resourceId"));
  answer.certificate_pem = TRY(text_field(json, "certificate", kPemMax));
  answer.agents_name = TRY(text_field(json, "agentsName", 256));
  answer.head = TRY(text_field_or_empty(json, "head", 4096));
  return answer;
}

JsonObject SyncRequest::to_json() const {
  JsonArray observation_array;
  for (const Observation& observation : observations)
    observation_array.push_back(JsonObject{
        {"kind", observation.kind}, {"ageMs", observation.age.count()}, {"facts", observation.facts}});
  JsonObject json = {{"nonce", nonce},
                     {"bootId", boot_id},
                     {"have", version_json(have)},
                     {"applied", applied_json(applied)},
                     {"observations", std::move(observation_array)},
                     {"head", head},
                     {"waitMs", wait_ms}};
  if (facts) json["facts"] = facts->to_json();
  if (gone) json["gone"] = true;
  return json;
}

Result<SyncRequest> SyncRequest::from_json(const JsonObject& json) {
  SyncRequest request;
  request.nonce = TRY(text_field(json, "nonce", 128));
  request.boot_id = TRY(text_field(json, "bootId", 64));
  request.have = TRY(version_field(json, "have"));
  request.applied = TRY(read_applied(*TRY(object_field(json, "applied"))));
  for (const JsonObject* object : TRY(objects_field(json, "observations", 1024))) {
    Observation observation;
    observation.kind = TRY(text_field(*object, "kind", 64));
    if (!is_kind(observation.kind)) return wrong_field("kind", "small letters, digits and hyphens");
    observation.age = Duration(TRY(int_field(*object, "ageMs", 0, 366 * kDayMs)));
    observation.facts = *TRY(object_field(*object, "facts"));
    request.observations.push_back(std::move(observation));
  }
  if (json.contains("facts")) request.facts = TRY(MachineFacts::from_json(*TRY(object_field(json, "facts"))));
  request.head = TRY(text_field_or_empty(json, "head", 4096));
  request.wait_ms = TRY(int_field(json, "waitMs", 0, 30'000));
  if (json.contains("gone")) request.gone = TRY(bool_field(json, "gone"));
  return request;
}

JsonObject SyncAnswer::to_json() const {
  JsonObject json = {{"nonce", nonce}, {"serverTime", to_rfc3339(server_time)},  {"heldMs", held.count()},
                     {"head", head},   {"consistency", texts_json(consistency)}, {"released", released}};
  if (!server.empty()) json["server"] = server;
  if (state) json["state"] = state->to_json();
  if (unheard) json["unheard"] = true;
  return json;
}

Result<SyncAnswer> SyncAnswer::from_json(const JsonObject& json) {
  SyncAnswer answer;
  answer.nonce = TRY(text_field(json, "nonce", 128));
  if (json.contains("server")) answer.server = TRY(text_field(json, "server", kServerIdMax));
  answer.server_time = TRY(time_field(json, "serverTime"));
  // A server from before there was this field holds nothing, for all that is known.
  if (json.contains("heldMs")) answer.held = Duration(TRY(int_field(json, "heldMs", 0, kDayMs)));
  answer.head = TRY(text_field_or_empty(json, "head", 4096));
  answer.consistency = TRY(texts_field(json, "consistency", 256));
  answer.released = TRY(bool_field(json, "released"));
  if (json.contains("unheard")) answer.unheard = TRY(bool_field(json, "unheard"));
  if (json.contains("state")) answer.state = TRY(DesiredState::from_json(*TRY(object_field(json, "state"))));
  return answer;
}

}  // namespace merlon::machine

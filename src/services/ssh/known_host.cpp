// Known hosts as rows.
#include "services/ssh/known_host.h"

#include "base/time_text.h"
#include "ssh/public_key.h"

namespace merlon::ssh_identity {
namespace {

JsonArray lines_json(const std::vector<std::string>& lines) { return JsonArray(lines.begin(), lines.end()); }

std::vector<std::string> lines_at(const JsonObject& json, std::string_view name) {
  std::vector<std::string> lines;
  if (const JsonArray* array = array_at(json, name))
    for (const Json& line : *array)
      if (line.is_string()) lines.emplace_back(line.get_string());
  return lines;
}

}  // namespace

JsonArray fingerprints_of(const std::vector<std::string>& lines) {
  JsonArray array;
  for (const std::string& line : lines)
    if (const auto key = ssh::PublicKey::from_line(line)) array.emplace_back(key->fingerprint());
  return array;
}

const store::TableSpec& KnownHost::table() {
  static const store::TableSpec spec{"ssh_known_hosts", {}};
  return spec;
}

JsonObject KnownHost::to_json() const {
  JsonObject json{{"machine", machine_id}, {"given", lines_json(given)}, {"reported", lines_json(reported)}};
  if (reported_at) json["reportedAt"] = to_rfc3339(*reported_at);
  return json;
}

Result<KnownHost> KnownHost::from_json(const JsonObject& json) {
  KnownHost host;
  host.machine_id = TRY(require_string(json, "machine"));
  host.given = lines_at(json, "given");
  host.reported = lines_at(json, "reported");
  if (const auto at = string_at(json, "reportedAt")) host.reported_at = from_rfc3339(*at);
  // As it was written before agents reported: a person's.
  if (json.contains("publicKeys")) host.given = lines_at(json, "publicKeys");
  return host;
}

JsonObject KnownHost::shown() const {
  JsonObject properties{{"publicKeys", lines_json(trusted())},
                        {"fingerprints", fingerprints_of(trusted())},
                        {"reportedBy", given.empty() ? "agent" : "person"},
                        {"reportedKeys", lines_json(reported)},
                        {"reportedFingerprints", fingerprints_of(reported)}};
  if (reported_at) properties["reportedAt"] = to_rfc3339(*reported_at);
  return {{"name", "default"}, {"type", "Merlon.Bastion/sshHostKeys"}, {"properties", std::move(properties)}};
}

}  // namespace merlon::ssh_identity

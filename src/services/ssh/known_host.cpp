// Known hosts as rows.
#include "services/ssh/known_host.h"

namespace merlon::ssh_identity {
namespace {

JsonArray lines_json(const std::vector<std::string>& lines) {
  JsonArray array;
  for (const std::string& line : lines) array.emplace_back(line);
  return array;
}

}  // namespace

const store::TableSpec& KnownHost::table() {
  static const store::TableSpec spec{"ssh_known_hosts", {}};
  return spec;
}

JsonObject KnownHost::to_json() const {
  return {{"machine", machine_id}, {"publicKeys", lines_json(lines)}, {"fromAgent", from_agent}};
}

Result<KnownHost> KnownHost::from_json(const JsonObject& json) {
  KnownHost host;
  host.machine_id = TRY(require_string(json, "machine"));
  host.from_agent = TRY(require_bool(json, "fromAgent"));
  if (const JsonArray* lines = array_at(json, "publicKeys"))
    for (const Json& line : *lines)
      if (line.is_string()) host.lines.emplace_back(line.get_string());
  return host;
}

JsonObject KnownHost::shown() const {
  return {
      {"name", "default"},
      {"type", "Merlon.Bastion/sshHostKeys"},
      {"properties", {{"publicKeys", lines_json(lines)}, {"reportedBy", from_agent ? "agent" : "person"}}}};
}

}  // namespace merlon::ssh_identity

// The host keys of a machine's SSH server: what the bastion must be shown there. Reported by its agent, or
// given by who may write the machine; never learnt by connecting.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/table.h"

namespace merlon::ssh_identity {

struct KnownHost {
  std::string machine_id;             // resource id, lower case
  std::vector<std::string> given;     // by a person: these alone are trusted while there are any
  std::vector<std::string> reported;  // by the agent
  std::optional<Timestamp> reported_at;
  static const store::TableSpec& table();
  std::string key() const { return machine_id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  const std::vector<std::string>& trusted() const { return given.empty() ? reported : given; }
  JsonObject to_json() const;
  static Result<KnownHost> from_json(const JsonObject& json);
  JsonObject shown() const;
};

// "SHA256:…" of each line that is a key.
JsonArray fingerprints_of(const std::vector<std::string>& lines);

}  // namespace merlon::ssh_identity

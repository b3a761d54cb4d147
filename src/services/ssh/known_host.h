// The host keys of a machine's SSH server: what the bastion must be shown there. Reported by its agent, or
// given by who may write the machine; never learnt by connecting.
#pragma once

#include <string>
#include <vector>

#include "store/table.h"

namespace merlon::ssh_identity {

struct KnownHost {
  std::string machine_id;  // resource id, lower case
  std::vector<std::string> lines;
  bool from_agent = false;
  static const store::TableSpec& table();
  std::string key() const { return machine_id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<KnownHost> from_json(const JsonObject& json);
  JsonObject shown() const;
};

}  // namespace merlon::ssh_identity

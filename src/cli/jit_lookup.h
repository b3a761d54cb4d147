// Policies and openings of just-in-time access, found by machine.
#pragma once

#include <string>
#include <vector>

#include "cli/api.h"

namespace merlon::cli {

// The path of the policy that protects the machine.
Result<std::string> policy_of(Api& api, const MachineName& machine);
// Of a group, or of everything.
Result<JsonObject> openings(Api& api, const std::string& resource_group);
bool same_id(std::string_view a, std::string_view b);

Result<std::vector<int64_t>> ports_of(const std::vector<std::string>& texts);
// "30m" as "PT30M".
Result<std::string> iso_duration(const std::string& text, const std::string& option);

}  // namespace merlon::cli

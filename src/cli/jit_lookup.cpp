// Finding them through lists, whose paths a person has a right to in their own group.
#include "cli/jit_lookup.h"

#include <charconv>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/output.h"

namespace merlon::cli {

bool same_id(std::string_view a, std::string_view b) { return ascii_iequal(a, b); }

Result<std::string> policy_of(Api& api, const MachineName& machine) {
  const JsonObject policies =
      TRY(api.list(machine.group_id + "/providers/Microsoft.Security/jitNetworkAccessPolicies", kJitVersion));
  for (const Json& value : policies.at("value").get_array()) {
    const JsonArray* machines = array_at(value.get_object(), "properties.virtualMachines");
    if (machines == nullptr) continue;
    for (const Json& protected_machine : *machines)
      if (protected_machine.is_object() &&
          same_id(text_at(protected_machine.get_object(), "id"), machine.vm_id))
        return scope_path(text_at(value.get_object(), "id"));
  }
  return fail(ErrorKind::not_found, "NoJitPolicy",
              "No just-in-time policy that you may read protects '" + machine.name +
                  "'. An owner makes one: merlon jit "
                  "policy set --machine " +
                  machine.name + " --port 22");
}

Result<JsonObject> openings(Api& api, const std::string& resource_group) {
  const std::string scope =
      resource_group.empty() ? TRY(api.subscription_id()) : TRY(api.group_id(resource_group));
  return api.list(scope + "/providers/Merlon.Jit/openings", kMerlonVersion);
}

Result<std::vector<int64_t>> ports_of(const std::vector<std::string>& texts) {
  std::vector<int64_t> ports;
  for (const std::string& text : texts)
    for (const std::string_view piece : split(text, ',')) {
      int64_t port = 0;
      const auto read = std::from_chars(piece.data(), piece.data() + piece.size(), port);
      if (read.ec != std::errc() || read.ptr != piece.data() + piece.size() || port < 1 || port > 65535)
        return wrong_usage("'" + text + "' is not a port from 1 to 65535.");
      ports.push_back(port);
    }
  return ports;
}

Result<std::string> iso_duration(const std::string& text, const std::string& option) {
  const auto duration = from_human_duration(text);
  if (!duration || duration->count() <= 0)
    return wrong_usage("'" + text + "' in " + option + " is not a time such as 90s, 30m, 1h30m or 2h.");
  return to_iso8601_duration(*duration);
}

}  // namespace merlon::cli

// A just-in-time policy as Merlon understands it: which machines, which ports, from where, for how long at
// most. Source: Azure docs, just-in-time-access-usage; azure-rest-api-specs jitNetworkAccessPolicies.json.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "machine/desired_state.h"
#include "resource/resource_id.h"
#include "schema/shape.h"

namespace merlon::jit {

inline constexpr auto kDurationMax = std::chrono::hours(24);
inline constexpr size_t kNamesMax = 56;  // policy name + machine name

struct PortPolicy {
  uint16_t number = 0;
  machine::Protocol protocol = machine::Protocol::tcp;
  std::vector<IpPrefix> allowed_sources;  // "*" is 0.0.0.0/0 and ::/0
  Duration duration_max{};
};

struct MachinePolicy {
  resource::ResourceId vm;
  std::vector<PortPolicy> ports;
  const PortPolicy* port(int64_t number) const;
};

struct Policy {
  resource::ResourceId id;
  std::vector<MachinePolicy> machines;
  const MachinePolicy* machine(const resource::ResourceId& vm) const;
};

schema::Shape policy_shape();
// `document` has passed the shape. Errors name the field.
Result<Policy> read_policy(const resource::ResourceId& id, const JsonObject& document);

// "*", an address or a CIDR prefix.
std::optional<std::vector<IpPrefix>> read_source(std::string_view text);
std::string source_text(const std::vector<IpPrefix>& source);
// The singular or the plural spelling, not both; nothing when neither is there.
Result<std::vector<std::string>> read_source_texts(const JsonObject& port, std::string_view target);
bool is_inside(const std::vector<IpPrefix>& inner, const std::vector<IpPrefix>& outer);

}  // namespace merlon::jit

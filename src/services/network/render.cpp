// base ⊕ overlay: how priorities are shared out between people's rules and just-in-time rules.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "services/network/security_group.h"

namespace merlon::network {
namespace {

using machine::Access;

struct Shown {
  Direction direction = Direction::inbound;
  int64_t priority = 0;
  JsonObject element;
};

JsonObject overlay_element(const OverlayRule& rule, int64_t priority) {
  JsonObject properties = {{"provisioningState", "Succeeded"},
                           {"description", rule.description},
                           {"protocol", machine::protocol_text(rule.protocol)},
                           {"sourcePortRange", "*"},
                           {"destinationPortRange", std::to_string(rule.port)}};
  if (rule.sources.size() == 1) {
    properties["sourceAddressPrefix"] = rule.sources.front();
  } else {
    JsonArray sources;
    for (const std::string& source : rule.sources) sources.emplace_back(source);
    properties["sourceAddressPrefixes"] = std::move(sources);
  }
  properties["destinationAddressPrefix"] = rule.destination.text();
  properties["access"] = machine::access_text(rule.access);
  properties["priority"] = priority;
  properties["direction"] = "Inbound";
  return {{"name", rule.name}, {"properties", std::move(properties)}};
}

std::unexpected<Error> no_room() {
  return fail(
      ErrorKind::conflict, "SecurityRulesLimitExceeded",
      fmt::format(
          "The network security group has no priority left between {} and {} for a just-in-time rule. Spread "
          "its rules out or remove some.",
          kPriorityMin, kPriorityMax));
}

std::vector<Shown> base_shown(const SecurityGroup& group) {
  std::vector<Shown> shown;
  for (const Json& element : group.base_rules) {
    const JsonObject& object = element.as_object();
    shown.push_back({ascii_iequal(string_at(object, "properties.direction").value_or(""), "Outbound")
                         ? Direction::outbound
                         : Direction::inbound,
                     int_at(object, "properties.priority").value_or(0), object});
  }
  std::sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) {
    return std::pair(a.direction, a.priority) < std::pair(b.direction, b.priority);
  });
  return shown;
}

// Pushes people's inbound rules up, only as far as needed, so that nothing stands before `first_free`.
Result<void> make_room(std::vector<Shown>& shown, int64_t first_free, Rendering& rendering) {
  int64_t lowest = first_free;
  for (Shown& rule : shown) {
    if (rule.direction != Direction::inbound) continue;
    if (rule.priority < lowest) {
      if (lowest > kPriorityMax) return no_room();
      rule.priority = lowest;
      JsonObject& properties = rule.element["properties"].as_object();
      properties["priority"] = rule.priority;
      rendering.shifted[string_at(rule.element, "name").value_or("")] = rule.priority;
    }
    lowest = rule.priority + 1;
  }
  return {};
}

}  // namespace

Result<Rendering> render(const SecurityGroup& group) {
  Rendering rendering;
  std::vector<Shown> shown = base_shown(group);
  const auto allows = group.overlay_rules(Access::allow);
  TRY(make_room(shown, kPriorityMin + static_cast<int64_t>(allows.size()), rendering));
  int64_t priority = kPriorityMin;
  for (const OverlayRule* rule : allows) {
    shown.push_back({Direction::inbound, priority, overlay_element(*rule, priority)});
    rendering.allows[rule->name] = rule->id;
    ++priority;
  }
  std::set<int64_t> taken;
  for (const Shown& rule : shown)
    if (rule.direction == Direction::inbound) taken.insert(rule.priority);
  int64_t lowest = kPriorityMax;
  for (const OverlayRule* rule : group.overlay_rules(Access::deny)) {
    while (taken.contains(lowest)) --lowest;
    if (lowest < kPriorityMin) return no_room();
    shown.push_back({Direction::inbound, lowest, overlay_element(*rule, lowest)});
    rendering.denies[rule->name] = rule->id;
    taken.insert(lowest);
  }
  std::sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) {
    return std::pair(a.direction, a.priority) < std::pair(b.direction, b.priority);
  });
  for (Shown& rule : shown) rendering.rules.push_back(std::move(rule.element));
  return rendering;
}

}  // namespace merlon::network

// A client's rules, read in the light of the view that it saw.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/text.h"
#include "services/network/security_group.h"

namespace merlon::network {
namespace {

using machine::Access;

bool is_jit_name(std::string_view name) { return ascii_istarts_with(name, kJitNamePrefix); }

std::set<std::string> names_of(const std::map<std::string, std::string>& rules) {
  std::set<std::string> names;
  for (const auto& [name, id] : rules) names.insert(name);
  return names;
}

const View* view_with_etag(const SecurityGroup& group, std::string_view etag) {
  if (etag.empty()) return nullptr;
  const auto found =
      std::find_if(group.views.rbegin(), group.views.rend(), [&](const View& v) { return v.etag == etag; });
  return found == group.views.rend() ? nullptr : &*found;
}

// A client that names no view but sends just-in-time rules shows by them which view it read.
const View* view_seen(const SecurityGroup& group, const std::set<std::string>& jit_names,
                      std::string_view etag) {
  if (group.views.empty()) return nullptr;
  if (const View* named = view_with_etag(group, etag)) return named;
  const View& newest = group.views.back();
  std::set<std::string> allows_sent;
  for (const ShownRule& rule : group.shown)
    if (rule.access == Access::allow && jit_names.contains(rule.name)) allows_sent.insert(rule.name);
  const auto has_sent = [&](const View& view) { return names_of(group.allows_in(view)) == allows_sent; };
  if (allows_sent.empty() || has_sent(newest)) return &newest;
  const auto seen = std::find_if(group.views.rbegin(), group.views.rend(), has_sent);
  return seen == group.views.rend() ? &newest : &*seen;
}

// A group's rules by their names, which are asked for once for each rule that a client sends.
class RulesByName {
 public:
  explicit RulesByName(const SecurityGroup& group) {
    for (const auto& [owner, rules] : group.overlay)
      for (const OverlayRule& rule : rules) overlay_.emplace(rule.name, &rule);
    for (const ShownRule& rule : group.shown) shown_.insert(rule.name);
    for (const Json& base : group.base_rules)
      base_priority_.insert_or_assign(string_at(base.as_object(), "name").value_or(""),
                                      int_at(base.as_object(), "properties.priority").value_or(0));
  }
  const OverlayRule* overlay(std::string_view name) const {
    const auto found = overlay_.find(name);
    return found == overlay_.end() ? nullptr : found->second;
  }
  bool was_shown(std::string_view name) const { return shown_.contains(name); }
  std::optional<int64_t> base_priority(const std::string& name) const {
    const auto found = base_priority_.find(name);
    return found == base_priority_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<std::string_view, const OverlayRule*> overlay_;
  std::set<std::string_view> shown_;
  std::map<std::string, int64_t> base_priority_;
};

std::unexpected<Error> not_theirs(const std::string& name, std::string_view what) {
  return fail(
      ErrorKind::invalid, "JitRuleCannotBeModified",
      fmt::format(
          "The security rule '{}' {}. Just-in-time rules come from requests alone: use 'merlon jit request', "
          "or leave the rule as it was.",
          name, what),
      fmt::format("securityRules[{}]", name));
}

// An unchanged rule says what it said when it was shown; its priority may have moved with the others.
Result<void> check_unchanged(const OverlayRule& rule, const JsonObject& element) {
  const SecurityRule sent = TRY(read_rule(element));
  const bool same = sent.direction == Direction::inbound && sent.access == rule.access &&
                    sent.protocol == rule.protocol && sent.sources == rule.sources &&
                    sent.destinations == std::vector<std::string>{rule.destination.text()} &&
                    sent.source_ports == std::vector<machine::PortRange>{{0, 65535}} &&
                    sent.destination_ports == std::vector<machine::PortRange>{{rule.port, rule.port}};
  if (!same) return not_theirs(rule.name, "was changed");
  return {};
}

JsonObject with_base_priority(const RulesByName& rules, const View* view, const JsonObject& element) {
  JsonObject out = element;
  const std::string name = string_at(element, "name").value_or("");
  if (view == nullptr || !view->shifted.contains(name)) return out;
  const auto sent = int_at(element, "properties.priority");
  if (sent != view->shifted.at(name)) return out;  // a person's own edit
  if (const auto priority = rules.base_priority(name)) out["properties"].as_object()["priority"] = *priority;
  return out;
}

}  // namespace

Result<Merge> merge(const SecurityGroup& group, const JsonArray& wanted, std::string_view etag) {
  std::set<std::string> jit_names;
  for (const Json& element : wanted)
    if (const auto name = string_at(element.as_object(), "name"); name && is_jit_name(*name))
      jit_names.insert(*name);
  const View* view = view_seen(group, jit_names, etag);
  const RulesByName rules(group);
  Merge merged;
  for (const Json& element : wanted) {
    const JsonObject& object = element.as_object();
    const std::string name = string_at(object, "name").value_or("");
    if (!is_jit_name(name)) {
      merged.base_rules.push_back(with_base_priority(rules, view, object));
    } else if (const OverlayRule* rule = rules.overlay(name)) {
      TRY(check_unchanged(*rule, object));
    } else if (!rules.was_shown(name)) {
      return not_theirs(name, "does not exist");
    }
    // What remains was shown once and has ended since: a stale copy of it opens nothing.
  }
  if (view != nullptr)
    for (const auto& [name, id] : group.allows_in(*view))
      if (!jit_names.contains(name) && rules.overlay(name) != nullptr) merged.removed_allows.push_back(id);
  return merged;
}

}  // namespace merlon::network

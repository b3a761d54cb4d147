// The record of a security group.
#include "services/network/security_group.h"

namespace merlon::network {
namespace {

JsonObject shown_json(const ShownRule& rule) {
  JsonObject json = {{"name", rule.name},
                     {"id", rule.id},
                     {"access", machine::access_text(rule.access)},
                     {"first", rule.first}};
  if (rule.last) json["last"] = *rule.last;
  return json;
}

machine::Access read_access(std::string_view text) {
  return text == machine::access_text(machine::Access::allow) ? machine::Access::allow
                                                              : machine::Access::deny;
}

Result<ShownRule> read_shown(const JsonObject& json) {
  ShownRule rule;
  rule.name = TRY(require_string(json, "name"));
  rule.id = TRY(require_string(json, "id"));
  rule.access = read_access(TRY(require_string(json, "access")));
  rule.first = TRY(require_int(json, "first"));
  rule.last = int_at(json, "last");
  return rule;
}

std::map<std::string, std::string> read_names(const JsonObject& json, std::string_view key) {
  std::map<std::string, std::string> names;
  if (const JsonObject* object = object_at(json, key))
    for (const auto& member : *object)
      if (member.value().is_string())
        names[std::string(member.key())] = std::string(member.value().get_string());
  return names;
}

std::map<std::string, int64_t> read_shifted(const JsonObject& json) {
  std::map<std::string, int64_t> shifted;
  if (const JsonObject* object = object_at(json, "shifted"))
    for (const auto& member : *object) shifted[std::string(member.key())] = member.value().as_int64();
  return shifted;
}

// Before migration 2 each view had the names of all its rules.
Rendering read_whole_view(const JsonObject& json) {
  Rendering rendering;
  rendering.allows = read_names(json, "allows");
  rendering.denies = read_names(json, "denies");
  rendering.shifted = read_shifted(json);
  return rendering;
}

Result<machine::Protocol> read_protocol(std::string_view text) {
  for (const auto protocol : {machine::Protocol::any, machine::Protocol::tcp, machine::Protocol::udp})
    if (machine::protocol_text(protocol) == text) return protocol;
  return internal_error("stored overlay rule has an unknown protocol");
}

}  // namespace

JsonObject OverlayRule::to_json() const {
  JsonArray source_array;
  for (const std::string& source : sources) source_array.emplace_back(source);
  return {{"id", id},
          {"access", machine::access_text(access)},
          {"name", name},
          {"description", description},
          {"protocol", machine::protocol_text(protocol)},
          {"sources", std::move(source_array)},
          {"destination", destination.text()},
          {"port", port}};
}

Result<OverlayRule> OverlayRule::from_json(const JsonObject& json) {
  OverlayRule rule;
  rule.id = TRY(require_string(json, "id"));
  rule.access = read_access(TRY(require_string(json, "access")));
  rule.name = TRY(require_string(json, "name"));
  rule.description = TRY(require_string(json, "description"));
  rule.protocol = TRY(read_protocol(TRY(require_string(json, "protocol"))));
  if (const JsonArray* sources = array_at(json, "sources"))
    for (const Json& source : *sources)
      if (source.is_string()) rule.sources.emplace_back(source.get_string());
  const auto destination = IpAddress::parse(TRY(require_string(json, "destination")));
  if (!destination) return internal_error("stored overlay rule has a malformed destination");
  rule.destination = *destination;
  rule.port = static_cast<uint16_t>(TRY(require_int(json, "port")));
  return rule;
}

const store::TableSpec& SecurityGroup::table() {
  static const store::TableSpec spec{"security_groups", {}};
  return spec;
}

JsonObject SecurityGroup::to_json() const {
  JsonObject owners;
  for (const auto& [owner, rules] : overlay) {
    JsonArray array;
    for (const OverlayRule& rule : rules) array.push_back(rule.to_json());
    owners[owner] = std::move(array);
  }
  JsonArray view_array;
  for (const View& view : views) {
    JsonObject shifted;
    for (const auto& [name, priority] : view.shifted) shifted[name] = priority;
    view_array.push_back(
        JsonObject{{"etag", view.etag}, {"number", view.number}, {"shifted", std::move(shifted)}});
  }
  JsonArray shown_array;
  for (const ShownRule& rule : shown) shown_array.push_back(shown_json(rule));
  return {{"id", id},
          {"base", base_rules},
          {"overlay", std::move(owners)},
          {"views", std::move(view_array)},
          {"shown", std::move(shown_array)}};
}

Result<SecurityGroup> SecurityGroup::from_json(const JsonObject& json) {
  SecurityGroup group;
  group.id = TRY(require_string(json, "id"));
  if (const JsonArray* base = array_at(json, "base")) group.base_rules = *base;
  if (const JsonObject* owners = object_at(json, "overlay"))
    for (const auto& owner : *owners)
      for (const Json& rule : owner.value().as_array())
        group.overlay[std::string(owner.key())].push_back(TRY(OverlayRule::from_json(rule.as_object())));
  if (const JsonArray* view_array = array_at(json, "views"))
    for (const Json& element : *view_array) {
      const JsonObject& object = element.as_object();
      std::string etag = TRY(require_string(object, "etag"));
      if (object.contains("allows")) {
        group.note_view(read_whole_view(object), std::move(etag));
      } else {
        group.views.push_back({std::move(etag), TRY(require_int(object, "number")), read_shifted(object)});
      }
    }
  if (const JsonArray* shown_array = array_at(json, "shown"))
    for (const Json& element : *shown_array) group.shown.push_back(TRY(read_shown(element.as_object())));
  return group;
}

std::vector<const OverlayRule*> SecurityGroup::overlay_rules(machine::Access access) const {
  std::vector<const OverlayRule*> rules;
  for (const auto& [owner, owned] : overlay)
    for (const OverlayRule& rule : owned)
      if (rule.access == access) rules.push_back(&rule);
  return rules;
}

void SecurityGroup::drop_allows() {
  for (auto& [owner, rules] : overlay)
    std::erase_if(rules, [](const OverlayRule& rule) { return rule.access == machine::Access::allow; });
}

void SecurityGroup::note_view(const Rendering& rendering, std::string etag) {
  const int64_t newest = views.empty() ? 0 : views.back().number;
  views.push_back({std::move(etag), newest + 1, rendering.shifted});
  if (views.size() > kViewsMax) views.erase(views.begin());
  auto allows = rendering.allows;
  auto denies = rendering.denies;
  for (ShownRule& rule : shown) {
    if (rule.last) continue;
    auto& now = rule.access == machine::Access::allow ? allows : denies;
    const auto still = now.find(rule.name);
    if (still != now.end() && still->second == rule.id) {
      now.erase(still);
    } else {
      rule.last = newest;
    }
  }
  for (const auto& [access, fresh] :
       {std::pair(machine::Access::allow, &allows), {machine::Access::deny, &denies}})
    for (const auto& [name, rule_id] : *fresh)
      shown.push_back({.name = name, .id = rule_id, .access = access, .first = newest + 1, .last = {}});
  const int64_t oldest = views.front().number;
  std::erase_if(shown, [&](const ShownRule& rule) { return rule.last && *rule.last < oldest; });
}

std::map<std::string, std::string> SecurityGroup::allows_in(const View& view) const {
  std::map<std::string, std::string> allows;
  for (const ShownRule& rule : shown)
    if (rule.access == machine::Access::allow && rule.in(view)) allows[rule.name] = rule.id;
  return allows;
}

const store::TableSpec& OverlayPlace::table() {
  static const store::TableSpec spec{"overlay_places", {}};
  return spec;
}

Result<OverlayPlace> OverlayPlace::from_json(const JsonObject& json) {
  return OverlayPlace{TRY(require_string(json, "owner")), TRY(require_string(json, "group"))};
}

}  // namespace merlon::network

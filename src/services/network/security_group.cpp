// The record of a security group.
#include "services/network/security_group.h"

namespace merlon::network {
namespace {

JsonObject names_json(const std::map<std::string, std::string>& names) {
  JsonObject json;
  for (const auto& [name, id] : names) json[name] = id;
  return json;
}

std::map<std::string, std::string> read_names(const JsonObject& json, std::string_view key) {
  std::map<std::string, std::string> names;
  if (const JsonObject* object = object_at(json, key))
    for (const auto& member : *object)
      if (member.value().is_string())
        names[std::string(member.key())] = std::string(member.value().get_string());
  return names;
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
  rule.access = TRY(require_string(json, "access")) == machine::access_text(machine::Access::allow)
                    ? machine::Access::allow
                    : machine::Access::deny;
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
    view_array.push_back(JsonObject{{"etag", view.etag},
                                    {"allows", names_json(view.allows)},
                                    {"denies", names_json(view.denies)},
                                    {"shifted", std::move(shifted)}});
  }
  return {{"id", id}, {"base", base_rules}, {"overlay", std::move(owners)}, {"views", std::move(view_array)}};
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
      View view;
      view.etag = TRY(require_string(object, "etag"));
      view.allows = read_names(object, "allows");
      view.denies = read_names(object, "denies");
      if (const JsonObject* shifted = object_at(object, "shifted"))
        for (const auto& member : *shifted)
          view.shifted[std::string(member.key())] = member.value().as_int64();
      group.views.push_back(std::move(view));
    }
  return group;
}

std::vector<const OverlayRule*> SecurityGroup::overlay_rules(machine::Access access) const {
  std::vector<const OverlayRule*> rules;
  for (const auto& [owner, owned] : overlay)
    for (const OverlayRule& rule : owned)
      if (rule.access == access) rules.push_back(&rule);
  return rules;
}

}  // namespace merlon::network

// Reading and keeping sets of service tags.
#include "services/network/service_tags.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/time_text.h"
#include "services/network/address_names.h"
#include "services/network/prefixes.h"

namespace merlon::network {
namespace {

constexpr size_t kTextMax = 128;

std::unexpected<Error> bad_file(std::string what, std::string target) {
  return fail(ErrorKind::invalid, "InvalidServiceTags",
              std::move(what) +
                  " Nothing was changed: load the file as Microsoft publishes it "
                  "(ServiceTags_….json), or one of your own in the same form.",
              std::move(target));
}

// Microsoft's file has numbers where its API has texts.
Result<std::string> number_text(const JsonObject& json, std::string_view key, const std::string& where) {
  const Json* value = json.if_contains(key);
  if (value == nullptr) return std::string();
  if (value->is_int64()) return std::to_string(value->get_int64());
  if (value->is_string() && value->get_string().size() <= kTextMax) return std::string(value->get_string());
  return bad_file(fmt::format("'{}{}' is not a number.", where, key), where + std::string(key));
}

Result<std::string> short_text(const JsonObject& json, std::string_view key, const std::string& where) {
  const Json* value = json.if_contains(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (value->is_string() && value->get_string().size() <= kTextMax) return std::string(value->get_string());
  return bad_file(fmt::format("'{}{}' is not a text of at most {} characters.", where, key, kTextMax),
                  where + std::string(key));
}

Result<std::vector<IpPrefix>> read_prefixes(const JsonObject& properties, const std::string& name,
                                            const std::string& where) {
  const JsonArray* texts = array_at(properties, "addressPrefixes");
  if (texts == nullptr)
    return bad_file(fmt::format("The tag '{}' has no list 'addressPrefixes'.", name), where);
  if (texts->size() > kPrefixesPerTagMax)
    return bad_file(fmt::format("The tag '{}' has {} prefixes; at most {} are accepted.", name, texts->size(),
                                kPrefixesPerTagMax),
                    where);
  std::vector<IpPrefix> prefixes;
  prefixes.reserve(texts->size());
  for (const Json& element : *texts) {
    const auto prefix = element.is_string() ? IpPrefix::parse(element.get_string()) : std::nullopt;
    if (!prefix)
      return bad_file(fmt::format("The tag '{}' has {}, which is not an IP address or CIDR prefix.", name,
                                  to_text(element).substr(0, 100)),
                      where);
    prefixes.push_back(*prefix);
  }
  return merged(std::move(prefixes));
}

Result<ServiceTag> read_tag(const Json& element, const std::string& where) {
  const JsonObject* object = element.if_object();
  const JsonObject* properties = object == nullptr ? nullptr : object_at(*object, "properties");
  if (properties == nullptr)
    return bad_file(fmt::format("'{}' is not an object with 'name' and 'properties'.", where), where);
  ServiceTag tag;
  tag.name = string_at(*object, "name").value_or("");
  if (!is_tag_name(tag.name))
    return bad_file(
        fmt::format("'{}.name' is not a name for a tag: a letter, then letters, digits, '.', '-' or '_', at "
                    "most {} characters.",
                    where, kTextMax),
        where + ".name");
  if (is_platform_tag(tag.name))
    return bad_file(fmt::format("'{}' is a tag of the platform, whose meaning no file may change.", tag.name),
                    where + ".name");
  tag.change_number = TRY(number_text(*properties, "changeNumber", where + ".properties."));
  tag.region = TRY(short_text(*properties, "region", where + ".properties."));
  tag.system_service = TRY(short_text(*properties, "systemService", where + ".properties."));
  tag.prefixes = TRY(read_prefixes(*properties, tag.name, where + ".properties.addressPrefixes"));
  return tag;
}

}  // namespace

Result<ServiceTagFile> read_service_tags(const JsonObject& file) {
  const JsonArray* values = array_at(file, "values");
  if (values == nullptr) return bad_file("The file has no list 'values'.", "values");
  if (values->size() > kTagsPerSetMax)
    return bad_file(
        fmt::format("The file has {} tags; at most {} are accepted.", values->size(), kTagsPerSetMax),
        "values");
  ServiceTagFile read;
  read.cloud = TRY(short_text(file, "cloud", ""));
  read.change_number = TRY(number_text(file, "changeNumber", ""));
  size_t prefixes = 0;
  for (size_t i = 0; i < values->size(); ++i) {
    ServiceTag tag = TRY(read_tag((*values)[i], fmt::format("values[{}]", i)));
    prefixes += tag.prefixes.size();
    if (prefixes > kPrefixesPerSetMax)
      return bad_file(fmt::format("The file has more than {} prefixes.", kPrefixesPerSetMax), "values");
    const std::string name = tag.name;
    if (!read.tags.try_emplace(ascii_lower(name), std::move(tag)).second)
      return bad_file(fmt::format("The tag '{}' is there twice.", name), fmt::format("values[{}].name", i));
  }
  return read;
}

JsonObject shown_tag(const ServiceTag& tag) {
  JsonArray prefixes;
  for (const IpPrefix& prefix : tag.prefixes)
    prefixes.emplace_back(fmt::format("{}/{}", prefix.address().text(), prefix.length()));
  JsonObject properties = {{"changeNumber", tag.change_number},
                           {"region", tag.region},
                           {"systemService", tag.system_service},
                           {"addressPrefixes", std::move(prefixes)}};
  if (tag.retired) properties["state"] = "Retired";
  return {{"name", tag.name}, {"id", tag.name}, {"properties", std::move(properties)}};
}

const store::TableSpec& ServiceTag::table() {
  static const store::TableSpec spec{"service_tags", {{"set", store::Unique::no}}};
  return spec;
}

std::string ServiceTag::key() const { return ascii_lower(name); }

JsonObject ServiceTag::to_json() const {
  JsonArray texts;
  for (const IpPrefix& prefix : prefixes) texts.emplace_back(prefix.text());
  return {{"name", name},
          {"set", set},
          {"changeNumber", change_number},
          {"region", region},
          {"systemService", system_service},
          {"prefixes", std::move(texts)},
          {"retired", retired}};
}

Result<ServiceTag> ServiceTag::from_json(const JsonObject& json) {
  ServiceTag tag;
  tag.name = TRY(require_string(json, "name"));
  tag.set = TRY(require_string(json, "set"));
  tag.change_number = TRY(require_string(json, "changeNumber"));
  tag.region = TRY(require_string(json, "region"));
  tag.system_service = TRY(require_string(json, "systemService"));
  tag.retired = TRY(require_bool(json, "retired"));
  if (const JsonArray* texts = array_at(json, "prefixes"))
    for (const Json& element : *texts) {
      const auto prefix = element.is_string() ? IpPrefix::parse(element.get_string()) : std::nullopt;
      if (!prefix) return internal_error("stored service tag '" + tag.name + "' has a malformed prefix");
      tag.prefixes.push_back(*prefix);
    }
  return tag;
}

const store::TableSpec& ServiceTagSet::table() {
  static const store::TableSpec spec{"service_tag_sets", {}};
  return spec;
}

std::string ServiceTagSet::key() const { return ascii_lower(name); }

JsonObject ServiceTagSet::to_json() const {
  return {{"name", name},
          {"cloud", cloud},
          {"changeNumber", change_number},
          {"tags", tags},
          {"loaded", to_rfc3339(loaded)},
          {"loadedBy", loaded_by}};
}

Result<ServiceTagSet> ServiceTagSet::from_json(const JsonObject& json) {
  ServiceTagSet set;
  set.name = TRY(require_string(json, "name"));
  set.cloud = TRY(require_string(json, "cloud"));
  set.change_number = TRY(require_string(json, "changeNumber"));
  set.tags = TRY(require_int(json, "tags"));
  set.loaded_by = TRY(require_string(json, "loadedBy"));
  const auto loaded = from_rfc3339(TRY(require_string(json, "loaded")));
  if (!loaded) return internal_error("stored service tag set '" + set.name + "' has a malformed time");
  set.loaded = *loaded;
  return set;
}

}  // namespace merlon::network

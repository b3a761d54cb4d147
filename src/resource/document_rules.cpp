// Numbers and alphabets are Azure's (arm-core.md, Generic resource rules).
#include "resource/document_rules.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr size_t kTagsMax = 50;
constexpr size_t kTagNameMax = 512;
constexpr size_t kTagValueMax = 256;
constexpr size_t kLocationMax = 64;
constexpr size_t kNameMax = 80;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::unexpected<Error> bad_tag(std::string_view code, const std::string& name, std::string_view what) {
  return fail(ErrorKind::invalid, code, "The tag '" + name.substr(0, 100) + "' " + std::string(what), "tags");
}

}  // namespace

std::string normal_location(std::string_view location) {
  std::string out;
  for (const char c : location) {
    if (c != ' ') out += ascii_lower(c);
  }
  return out;
}

Result<std::string> check_location(std::string_view location) {
  std::string normal = normal_location(location);
  const bool fits =
      !normal.empty() && normal.size() <= kLocationMax &&
      std::ranges::all_of(normal, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
  if (!fits) {
    return fail(ErrorKind::invalid, "LocationNotAvailableForResourceType",
                "The provided location '" + std::string(location.substr(0, 100)) +
                    "' is not a location name. Use letters, digits, '-' and '_', e.g. 'local'.",
                "location");
  }
  return normal;
}

Result<void> check_tags(const JsonObject& tags) {
  if (tags.size() > kTagsMax) {
    return fail(ErrorKind::invalid, "TooManyTags",
                "The resource has " + std::to_string(tags.size()) + " tags. At most 50 are allowed.", "tags");
  }
  std::set<std::string> names;
  for (const auto& member : tags) {
    const std::string name(member.key());
    if (name.empty() || name.size() > kTagNameMax || name.find_first_of("<>%&\\?/") != std::string::npos) {
      return bad_tag(
          "InvalidTagNameCharacters", name,
          "has a name that is empty, longer than 512 characters or contains one of <>%&\\?/. Rename it.");
    }
    if (!member.value().is_string())
      return bad_tag("InvalidTagValue", name, "has a value that is not a string.");
    if (member.value().get_string().size() > kTagValueMax) {
      return bad_tag("TagValueTooLong", name, "has a value longer than 256 characters. Shorten it.");
    }
    if (!names.insert(ascii_lower(name)).second) {
      return bad_tag("DuplicateTagName", name, "is there twice. Tag names differ in more than case.");
    }
  }
  return {};
}

Result<void> check_resource_name(std::string_view name, std::string_view type) {
  const auto fits = [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; };
  const bool good = !name.empty() && name.size() <= kNameMax && is_alphanumeric(name.front()) &&
                    (is_alphanumeric(name.back()) || name.back() == '_') && std::ranges::all_of(name, fits);
  if (good) return {};
  return fail(ErrorKind::invalid, "InvalidResourceName",
              "Resource name '" + std::string(name.substr(0, 100)) + "' is invalid for type '" +
                  std::string(type) +
                  "'. The name can be up to 80 characters long. It must begin with a letter or digit, and it "
                  "must end with "
                  "a letter, a digit or '_'. The name may contain letters, digits, '.', '-' or '_'.",
              "name");
}

}  // namespace merlon::resource

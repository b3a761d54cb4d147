// Lists of entity tags are short; they are walked as text.
#include "resource/preconditions.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::resource {
namespace {

std::vector<std::string_view> tags_of(std::string_view header) {
  std::vector<std::string_view> tags;
  for (std::string_view item : split(header, ',')) {
    item = trim(item);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item.size() >= 2 && item.front() == '"' && item.back() == '"') item = item.substr(1, item.size() - 2);
    if (!item.empty()) tags.push_back(item);
  }
  return tags;
}

bool any_matches(std::string_view header, const std::vector<std::string>& current) {
  return std::ranges::any_of(tags_of(header), [&](std::string_view tag) {
    return tag == "*" ? !current.empty() : std::ranges::find(current, tag) != current.end();
  });
}

}  // namespace

Result<void> check_preconditions(const net::Request& request, const std::vector<std::string>& current,
                                 std::string_view what) {
  const std::string* match = request.headers.find("If-Match");
  if (match != nullptr && !any_matches(*match, current)) {
    const std::string state = current.empty() ? "does not exist" : "has changed since";
    return fail(ErrorKind::precondition_failed, "PreconditionFailed",
                "The condition 'If-Match: " + match->substr(0, 200) + "' does not hold: '" +
                    std::string(what) + "' " + state +
                    ". Read it again and repeat the change on what you find.");
  }
  const std::string* none = request.headers.find("If-None-Match");
  if (none != nullptr && any_matches(*none, current)) {
    return fail(ErrorKind::precondition_failed, "PreconditionFailed",
                "The condition 'If-None-Match: " + none->substr(0, 200) + "' does not hold: '" +
                    std::string(what) + "' exists already. Leave the header out to replace it.");
  }
  return {};
}

bool is_unchanged(const net::Request& request, std::string_view etag) {
  const std::string* none = request.headers.find("If-None-Match");
  return none != nullptr && any_matches(*none, {std::string(etag)});
}

std::string entity_tag(std::string_view etag) { return "W/\"" + std::string(etag) + "\""; }

}  // namespace merlon::resource

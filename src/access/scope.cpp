// Scopes as paths. Their form is strict, since a second spelling of a scope would be a way around a deny
// assignment.
#include "access/scope.h"

#include <algorithm>

#include "access/access.h"
#include "base/text.h"

namespace merlon::access {
namespace {

constexpr size_t kScopeBytesMax = 2048;
constexpr size_t kSegmentsMax = 64;

bool is_segment(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == "..") return false;
  return std::none_of(segment.begin(), segment.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || c == '?' || c == '#' || c == '%' || c == '\\' || c == '*';
  });
}

// The segments in lower case; nothing when one of them is malformed.
std::optional<std::vector<std::string>> segments_of(std::string_view scope) {
  if (scope.empty() || scope.front() != '/' || scope.size() > kScopeBytesMax) return std::nullopt;
  scope.remove_prefix(1);
  if (scope.ends_with('/')) scope.remove_suffix(1);
  std::vector<std::string> segments;
  if (scope.empty()) return segments;
  for (const std::string_view part : split(scope, '/')) {
    if (!is_segment(part) || segments.size() == kSegmentsMax) return std::nullopt;
    segments.push_back(ascii_lower(part));
  }
  return segments;
}

std::string join_first(const std::vector<std::string>& segments, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += "/" + segments[i];
  return out;
}

// After how many segments a scope ends: pairs of type and name, where "providers" takes namespace, type and
// name.
std::vector<size_t> boundaries(const std::vector<std::string>& segments) {
  std::vector<size_t> ends;
  size_t at = 0;
  while (at < segments.size()) {
    at += segments[at] == "providers" ? 4 : 2;
    if (at <= segments.size()) ends.push_back(at);
  }
  return ends;
}

}  // namespace

std::optional<std::string> normal_question_scope(std::string_view scope) {
  if (scope == "/") return "/";
  const auto segments = segments_of(scope);
  if (!segments || segments->empty()) return std::nullopt;
  return join_first(*segments, segments->size());
}

std::optional<std::string> normal_scope(std::string_view scope) {
  const auto normal = normal_question_scope(scope);
  if (!normal || *normal == "/") return normal;
  const auto segments = segments_of(*normal);
  const std::vector<size_t> ends = boundaries(*segments);
  if (ends.empty() || ends.back() != segments->size()) return std::nullopt;
  return normal;
}

Result<std::string> require_scope(std::string_view scope) {
  auto normal = normal_scope(scope);
  if (normal) return *normal;
  return fail(
      ErrorKind::invalid, "InvalidScope",
      "The scope '" + std::string(scope.substr(0, 200)) +
          "' is not a valid scope. Give '/', a management group, a subscription, a resource group or a "
          "resource id.",
      "scope");
}

bool is_management_group(std::string_view normal) {
  return normal.starts_with("/providers/microsoft.management/managementgroups/") &&
         std::count(normal.begin(), normal.end(), '/') == 4;
}

bool is_subscription_or_below(std::string_view normal) { return normal.starts_with("/subscriptions/"); }

std::string subscription_of(std::string_view normal) {
  constexpr std::string_view kPrefix = "/subscriptions/";
  if (!normal.starts_with(kPrefix)) return {};
  return std::string(normal.substr(0, normal.find('/', kPrefix.size())));
}

bool is_at_or_below(std::string_view inner, std::string_view outer) {
  if (outer == "/" || inner == outer) return true;
  return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '/';
}

std::vector<std::string> scope_and_ancestors(std::string_view scope) {
  if (scope == "/") return {"/"};
  const auto segments = segments_of(scope);
  if (!segments || segments->empty()) return {};
  std::vector<size_t> ends = boundaries(*segments);
  if (ends.empty() || ends.back() != segments->size()) ends.push_back(segments->size());
  std::vector<std::string> scopes;
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) scopes.push_back(join_first(*segments, *end));
  scopes.emplace_back("/");
  return scopes;
}

}  // namespace merlon::access

// Scopes as paths. Their form is strict, since a second spelling of a scope would be a way around a deny
// assignment.
#include "access/scope.h"

#include <algorithm>

#include "access/access.h"
#include "base/text.h"

namespace merlon::access {
namespace {

constexpr size_t kScopeBytesMax = 2048;

// Looks at every byte, without a way out half-way: so the compiler looks at many at a time.
bool has_forbidden(std::string_view text) {
  bool found = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    found |= (byte < 0x20) | (byte == 0x7f) | (c == '?') | (c == '#') | (c == '%') | (c == '\\') | (c == '*');
  }
  return found;
}

bool is_segment(std::string_view segment) { return !segment.empty() && segment != "." && segment != ".."; }

}  // namespace

std::optional<ScopePath> ScopePath::parse(std::string_view scope) {
  ScopePath path;
  if (scope == "/") {
    path.text_ = scope;
    return path;
  }
  if (scope.ends_with('/')) scope.remove_suffix(1);
  if (scope.empty() || scope.front() != '/' || scope.size() > kScopeBytesMax) return std::nullopt;
  if (has_forbidden(scope)) return std::nullopt;
  path.text_ = ascii_lower(scope);
  size_t segments = 0;
  size_t next_end =
      0;  // segments of the next scope around it: a type and a name, or "providers" and three more
  for (size_t at = 0; at < scope.size();) {
    const size_t begin = at + 1;
    at = std::min(path.text_.find('/', begin), scope.size());
    const std::string_view segment = std::string_view(path.text_).substr(begin, at - begin);
    if (!is_segment(segment) || segments == kSegmentsMax) return std::nullopt;
    if (segments == next_end) next_end += segment == "providers" ? 4 : 2;
    if (++segments == next_end) path.ends_[path.count_++] = static_cast<uint16_t>(at);
  }
  path.collection_ = segments != next_end;
  if (path.collection_) path.ends_[path.count_++] = static_cast<uint16_t>(path.text_.size());
  return path;
}

std::optional<std::string> normal_question_scope(std::string_view scope) {
  auto path = ScopePath::parse(scope);
  if (!path) return std::nullopt;
  return path->text();
}

std::optional<std::string> normal_scope(std::string_view scope) {
  auto path = ScopePath::parse(scope);
  if (!path || path->is_collection()) return std::nullopt;
  return path->text();
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
  return normal.starts_with(kManagementGroups) &&
         normal.find('/', kManagementGroups.size()) == std::string_view::npos;
}

std::string management_group_of(std::string_view normal) {
  if (!normal.starts_with(kManagementGroups)) return {};
  normal.remove_prefix(kManagementGroups.size());
  return std::string(normal.substr(0, normal.find('/')));
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
  const auto path = ScopePath::parse(scope);
  if (!path) return {};
  std::vector<std::string> scopes;
  for (size_t i = 0; i < path->count(); ++i) scopes.emplace_back(path->nearest(i));
  scopes.emplace_back("/");
  return scopes;
}

}  // namespace merlon::access

// Scopes: "/", a management group, a subscription, a resource group, a resource, or something inside a
// resource.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace merlon::access {

// A scope read once: its normal form, and where in it each scope around it ends. May be a collection
// ("…/virtualMachines"), which has a segment more than a scope.
class ScopePath {
 public:
  // Nothing for text that is no scope. The root is "/".
  static std::optional<ScopePath> parse(std::string_view scope);
  const std::string& text() const { return text_; }
  bool is_collection() const { return collection_; }
  // The scope itself and those around it, nearest first, without management groups and the root.
  size_t count() const { return count_; }
  std::string_view nearest(size_t index) const {
    return std::string_view(text_).substr(0, ends_[count_ - 1 - index]);
  }

  static constexpr size_t kSegmentsMax = 64;

 private:
  std::string text_;
  std::array<uint16_t, kSegmentsMax / 2 + 1> ends_{};  // ascending
  size_t count_ = 0;
  bool collection_ = false;
};

// Lower case, one leading slash, none at the end. Nothing for text that is no scope: empty or dotted
// segments, control characters, a query, an odd number of segments.
std::optional<std::string> normal_scope(std::string_view scope);
Result<std::string> require_scope(std::string_view scope);  // as above; otherwise 400 InvalidScope
// For a question the scope may also be a collection ("…/virtualMachines"), which has an odd number of
// segments.
std::optional<std::string> normal_question_scope(std::string_view scope);

inline constexpr std::string_view kManagementGroups = "/providers/microsoft.management/managementgroups/";
bool is_management_group(std::string_view normal);
// The id of the management group that `normal` is or lies in; empty otherwise.
std::string management_group_of(std::string_view normal);
bool is_subscription_or_below(std::string_view normal);
// "/subscriptions/{id}" of a scope inside a subscription, empty otherwise.
std::string subscription_of(std::string_view normal);
// Whether `inner` is `outer` or lies inside it. Both in normal form.
bool is_at_or_below(std::string_view inner, std::string_view outer);

}  // namespace merlon::access

// Scopes: "/", a management group, a subscription, a resource group, a resource, or something inside a
// resource.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace merlon::access {

// Lower case, one leading slash, none at the end. Nothing for text that is no scope: empty or dotted
// segments, control characters, a query, an odd number of segments.
std::optional<std::string> normal_scope(std::string_view scope);
Result<std::string> require_scope(std::string_view scope);  // as above; otherwise 400 InvalidScope
// For a question the scope may also be a collection ("…/virtualMachines"), which has an odd number of
// segments.
std::optional<std::string> normal_question_scope(std::string_view scope);

bool is_management_group(std::string_view normal);
bool is_subscription_or_below(std::string_view normal);
// "/subscriptions/{id}" of a scope inside a subscription, empty otherwise.
std::string subscription_of(std::string_view normal);
// Whether `inner` is `outer` or lies inside it. Both in normal form.
bool is_at_or_below(std::string_view inner, std::string_view outer);

}  // namespace merlon::access

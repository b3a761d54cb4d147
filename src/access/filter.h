// The $filter of Microsoft.Authorization's lists: a few functions and comparisons joined by "and" (rbac.md,
// Operations). Anything else is an error, never a list without the filter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/uuid.h"

namespace merlon::access {

enum class Listed { role_definitions, role_assignments, deny_assignments };

struct ListFilter {
  bool at_scope = false;                   // atScope(): not what lies below
  bool at_scope_and_below = false;         // atScopeAndBelow()
  std::optional<Uuid> principal_id;        // principalId eq '…'
  std::optional<Uuid> assigned_to;         // assignedTo('…'): its groups' too
  std::optional<std::string> role_name;    // roleName eq '…'
  std::optional<std::string> role_type;    // type eq 'BuiltInRole' | 'CustomRole', in this spelling
  std::optional<std::string> denial_name;  // denyAssignmentName eq '…'
};

// Empty text is no filter. Errors are 400 InvalidFilter.
Result<ListFilter> parse_filter(std::string_view text, Listed listed);

}  // namespace merlon::access

// $filter comes from any caller. What parses must have said something.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "access/filter.h"
#include "base/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon::access;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Listed listed : {Listed::role_definitions, Listed::role_assignments, Listed::deny_assignments}) {
    const auto filter = parse_filter(text, listed);
    if (!filter) continue;
    const bool says = filter->at_scope || filter->at_scope_and_below || filter->principal_id ||
                      filter->assigned_to || filter->role_name || filter->role_type || filter->denial_name;
    if (says == merlon::trim(text).empty()) std::abort();
  }
  return 0;
}

// Rows whose key is "lower-case scope \n id", read by where they stand relative to a scope.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "access/access.h"
#include "access/scope.h"

namespace merlon::access {

template <store::Record T>
Result<std::vector<T>> scoped_rows(store::Reader& reader, const TenantId& tenant, std::string_view scope,
                                   Access::Reach reach) {
  if (reach == Access::Reach::all) return store::scan_all<T>(reader, tenant);
  const std::string normal = TRY(require_scope(scope));
  if (reach == Access::Reach::at_and_below && normal == "/") return store::scan_all<T>(reader, tenant);
  std::vector<std::string> prefixes = {normal + "\n"};
  if (reach == Access::Reach::at_and_below) prefixes.push_back(normal + "/");
  if (reach == Access::Reach::at_and_above) {
    prefixes.clear();
    for (const std::string& ancestor : scope_and_ancestors(normal)) prefixes.push_back(ancestor + "\n");
  }
  std::vector<T> records;
  for (const std::string& prefix : prefixes)
    std::ranges::move(TRY(store::scan_all<T>(reader, tenant, prefix)), std::back_inserter(records));
  return records;
}

}  // namespace merlon::access

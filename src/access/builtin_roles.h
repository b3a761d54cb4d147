// Azure's built-in roles, read once from the data that the binary carries.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "access/compiled.h"

namespace merlon::access {

class BuiltinRoles {
 public:
  static Result<BuiltinRoles> parse(std::string_view json);
  std::shared_ptr<const CompiledRole> by_id(const Uuid& id) const;           // null when there is none
  std::shared_ptr<const CompiledRole> by_name(std::string_view name) const;  // without case
  const std::vector<std::shared_ptr<const CompiledRole>>& all() const { return all_; }

 private:
  std::vector<std::shared_ptr<const CompiledRole>> all_;
  std::map<std::string, std::shared_ptr<const CompiledRole>, std::less<>> by_id_, by_lower_name_;
};

}  // namespace merlon::access

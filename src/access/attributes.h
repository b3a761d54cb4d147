// What a condition may ask about: "@Request[…]", "@Resource[…]", "@Principal[…]", "@Environment[…]" and their
// values. Three states, so that a condition never grants by ignorance: a name that was never set is unknown,
// a name set to no values is known to be absent, and otherwise it has values.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace merlon::access {

class Attributes {
 public:
  // `name` as a condition writes it: "@Request[Microsoft.Authorization/roleAssignments:PrincipalId]".
  void set(std::string_view name, std::vector<std::string> values);
  void set(std::string_view name, std::string value);
  // Null when unknown.
  const std::vector<std::string>* find(std::string_view name) const;
  bool empty() const { return values_.empty(); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

// One spelling per attribute: lower case, but for the key of a tag that Azure marks as case-sensitive,
// "tags:Project<$key_case_sensitive$>" (conditions-format.md, "Special characters").
std::string attribute_key(std::string_view name);

}  // namespace merlon::access

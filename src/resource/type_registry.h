// The declared resource types. Filled before the first request, read-only after it, so requests share it
// without a lock.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "resource/resource_type.h"

namespace merlon::resource {

class TypeRegistry {
 public:
  // The references stay valid. A type declared twice is a bug and is checked.
  const ResourceType& add(ResourceType type);
  const EmbeddedType& add(EmbeddedType type);
  // By full name, "Microsoft.Network/networkSecurityGroups", without case.
  const ResourceType* find(std::string_view full_type) const;
  const EmbeddedType* find_embedded(std::string_view full_type) const;
  std::vector<const EmbeddedType*> embedded_in(std::string_view full_parent_type) const;
  const std::vector<std::unique_ptr<ResourceType>>& types() const { return types_; }
  const std::vector<std::unique_ptr<EmbeddedType>>& embedded() const { return embedded_; }

 private:
  std::vector<std::unique_ptr<ResourceType>> types_;
  std::vector<std::unique_ptr<EmbeddedType>> embedded_;
  std::map<std::string, const ResourceType*, std::less<>> by_name_;
  std::map<std::string, const EmbeddedType*, std::less<>> embedded_by_name_;
};

template <class Declared>
std::string full_type(const Declared& type) {
  return type.provider + "/" + type.type;
}
// "Microsoft.Network/networkSecurityGroups/securityRules" → "Microsoft.Network/networkSecurityGroups".
std::string parent_type(std::string_view full_type);

}  // namespace merlon::resource

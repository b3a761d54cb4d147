// Types by lower-case name. Location and tags are the Resource Manager's own members: their shape comes from
// here, whatever a service declared, so that they obey one rule everywhere.
#include "resource/type_registry.h"

#include <algorithm>

#include "base/text.h"

namespace merlon::resource {

const ResourceType& TypeRegistry::add(ResourceType type) {
  std::erase_if(type.shape.members, [](const schema::Member& m) {
    return m.name == "location" || m.name == "tags" || m.name == "id" || m.name == "name" ||
           m.name == "type" || m.name == "etag";
  });
  if (type.tracked) {
    std::vector<schema::Member> own{
        schema::optional("location", schema::text().describe("Where the resource is; fixed once it exists.")),
        schema::optional("tags", schema::map_of(schema::text()).describe("Names and values of your own."))};
    type.shape.members.insert(type.shape.members.begin(), own.begin(), own.end());
  }
  type.shape.kind = schema::Kind::object;
  types_.push_back(std::make_unique<ResourceType>(std::move(type)));
  const ResourceType& added = *types_.back();
  const bool is_new = by_name_.emplace(ascii_lower(full_type(added)), &added).second;
  MERLON_CHECK(is_new);
  return added;
}

const EmbeddedType& TypeRegistry::add(EmbeddedType type) {
  embedded_.push_back(std::make_unique<EmbeddedType>(std::move(type)));
  const EmbeddedType& added = *embedded_.back();
  const bool is_new = embedded_by_name_.emplace(ascii_lower(full_type(added)), &added).second;
  MERLON_CHECK(is_new && find(parent_type(full_type(added))) != nullptr);
  return added;
}

const ResourceType* TypeRegistry::find(std::string_view full_type) const {
  const auto at = by_name_.find(ascii_lower(full_type));
  return at == by_name_.end() ? nullptr : at->second;
}

const EmbeddedType* TypeRegistry::find_embedded(std::string_view full_type) const {
  const auto at = embedded_by_name_.find(ascii_lower(full_type));
  return at == embedded_by_name_.end() ? nullptr : at->second;
}

std::vector<const EmbeddedType*> TypeRegistry::embedded_in(std::string_view full_parent_type) const {
  std::vector<const EmbeddedType*> found;
  for (const auto& type : embedded_) {
    if (ascii_iequal(parent_type(full_type(*type)), full_parent_type)) found.push_back(type.get());
  }
  return found;
}

std::string parent_type(std::string_view full_type) {
  return std::string(full_type.substr(0, full_type.rfind('/')));
}

}  // namespace merlon::resource

// What a request changes: RFC 7396 merge patches, and fields that may not change.
#include "schema/shape.h"

namespace merlon::schema {
namespace {

std::string below(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

// Absent and null are the same, as in conform().
const Json* present(const JsonObject& object, std::string_view key) {
  const Json* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

class ChangeFinder {
 public:
  std::vector<std::string> take() { return std::move(changed_); }

  void object(const Shape& shape, const JsonObject& stored, const JsonObject& wanted,
              const std::string& path) {
    if (shape.members.empty() && shape.element) {
      for (const auto& entry : stored) {
        const std::string_view key(entry.key());
        if (const Json* other = present(wanted, key))
          value(*shape.element, entry.value(), *other, below(path, key));
      }
      return;
    }
    for (const Member& member : shape.members) {
      const std::string member_path = below(path, member.name);
      const Json* before = present(stored, member.name);
      const Json* after = present(wanted, member.name);
      if (member.presence == Presence::create_only) {
        const bool same = before == nullptr || after == nullptr
                              ? before == after
                              : to_canonical_text(*before) == to_canonical_text(*after);
        if (!same) changed_.push_back(member_path);
      } else if (before != nullptr && after != nullptr) {
        value(member.shape, *before, *after, member_path);
      }
    }
  }

 private:
  void value(const Shape& shape, const Json& before, const Json& after, const std::string& path) {
    if (shape.kind == Kind::object && before.is_object() && after.is_object()) {
      object(shape, before.get_object(), after.get_object(), path);
    } else if (shape.kind == Kind::array && shape.element && before.is_array() && after.is_array()) {
      array(*shape.element, before.get_array(), after.get_array(), path);
    }
  }

  // Elements are the same thing when they have the same name (Azure's rule for arrays of sub-resources);
  // without names an array has no identity to keep.
  void array(const Shape& element, const JsonArray& before, const JsonArray& after, const std::string& path) {
    for (size_t i = 0; i < after.size(); ++i) {
      const Json* name = after[i].is_object() ? present(after[i].get_object(), "name") : nullptr;
      if (name == nullptr) continue;
      for (const Json& old : before) {
        const Json* old_name = old.is_object() ? present(old.get_object(), "name") : nullptr;
        if (old_name == nullptr || *old_name != *name) continue;
        value(element, old, after[i], path + "[" + std::to_string(i) + "]");
        break;
      }
    }
  }

  std::vector<std::string> changed_;
};

}  // namespace

std::vector<std::string> changed_create_only(const Shape& shape, const JsonObject& stored,
                                             const JsonObject& wanted) {
  ChangeFinder finder;
  finder.object(shape, stored, wanted, "");
  return finder.take();
}

// Section 2's MergePatch for a patch that is an object. Depth is that of the patch, which the parser bounds.
void merge_patch(JsonObject& target, const JsonObject& patch) {
  for (const auto& entry : patch) {
    const auto name = entry.key();
    const Json& value = entry.value();
    if (value.is_null()) {
      // Plain erase() would move the last member into the gap.
      if (const auto found = target.find(name); found != target.end()) target.stable_erase(found);
      continue;
    }
    Json& member = target[name];
    if (!value.is_object()) {
      member = value;
      continue;
    }
    if (!member.is_object()) member = JsonObject();
    merge_patch(member.get_object(), value.get_object());
  }
}

}  // namespace merlon::schema

// A network security group as it is kept: the base that people edit, the overlay that services own, and the
// recent views that clients may still hold. render() shows base ⊕ overlay; merge() maps what a client sends
// back to the base.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "services/network/api.h"
#include "services/network/security_rule.h"
#include "store/table.h"

namespace merlon::network {

inline constexpr std::string_view kJitNamePrefix = "SecurityCenter-JITRule";
inline constexpr size_t kViewsMax = 64;

// What one rendering showed beyond the base: enough to read a client's PUT in its light.
struct View {
  std::string etag;                           // of the document as shown
  std::map<std::string, std::string> allows;  // shown name of an overlay allow rule → its id
  std::map<std::string, std::string> denies;
  std::map<std::string, int64_t> shifted;  // name of a person's rule → the priority that was shown for it
};

struct SecurityGroup {
  std::string id;                                           // lower-case resource id
  JsonArray base_rules;                                     // {name, properties} as people wrote them
  std::map<std::string, std::vector<OverlayRule>> overlay;  // by owner
  std::vector<View> views;                                  // newest last, bounded
  static const store::TableSpec& table();
  std::string key() const { return id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<SecurityGroup> from_json(const JsonObject& json);

  std::vector<const OverlayRule*> overlay_rules(machine::Access access) const;
};

struct Rendering {
  JsonArray rules;  // {name, properties} in the order of priority, direction by direction
  View view;        // without its etag
};

// Azure's order of priorities for just-in-time rules: allow rules from 100 upward, people's rules shifted out
// of their way as little as needed, deny rules from 4096 downward in the first free places. No room left is a
// Conflict.
Result<Rendering> render(const SecurityGroup& group);

struct Merge {
  JsonArray base_rules;
  std::vector<std::string> removed_allows;  // ids of overlay allow rules that the client left out
};

// Reads a client's rules in the light of the view that it saw: `etag` when it names a kept one, else the
// newest, unless the rules contain just-in-time rules that only an older view had. A changed or invented
// just-in-time rule is refused.
Result<Merge> merge(const SecurityGroup& group, const JsonArray& wanted, std::string_view etag);

}  // namespace merlon::network

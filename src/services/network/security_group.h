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

struct Rendering {
  JsonArray rules;  // {name, properties} in the order of priority, direction by direction
  std::map<std::string, std::string> allows;  // shown name of an overlay allow rule → its id
  std::map<std::string, std::string> denies;
  std::map<std::string, int64_t> shifted;  // name of a person's rule → the priority that is shown for it
};

// What one rendering showed beyond the base: enough to read a client's PUT in its light. Its just-in-time
// rules stand in SecurityGroup::shown.
struct View {
  std::string etag;                        // of the document as shown
  int64_t number = 0;                      // each has the next one
  std::map<std::string, int64_t> shifted;  // as in its Rendering
};

// A just-in-time rule in the views that are kept: once, however many views showed it.
struct ShownRule {
  std::string name, id;
  machine::Access access = machine::Access::deny;
  int64_t first = 0;            // number of the first view that showed it
  std::optional<int64_t> last;  // and of the last one; nothing while the newest shows it
  bool in(const View& view) const { return first <= view.number && (!last || view.number <= *last); }
};

struct SecurityGroup {
  std::string id;                                           // lower-case resource id
  JsonArray base_rules;                                     // {name, properties} as people wrote them
  std::map<std::string, std::vector<OverlayRule>> overlay;  // by owner
  std::vector<View> views;                                  // newest last, bounded
  std::vector<ShownRule> shown;                             // in any of these views
  static const store::TableSpec& table();
  std::string key() const { return id; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const;
  static Result<SecurityGroup> from_json(const JsonObject& json);

  std::vector<const OverlayRule*> overlay_rules(machine::Access access) const;
  // The group without what just-in-time access lets in: what a machine's filter is made of.
  void drop_allows();
  // Keeps what was shown under this etag, and forgets the oldest view for it.
  void note_view(const Rendering& rendering, std::string etag);
  // Shown names of the allow rules of a view → their ids.
  std::map<std::string, std::string> allows_in(const View& view) const;
};

// Which groups hold overlay rules of an owner, so that nobody has to read all groups to know.
struct OverlayPlace {
  std::string owner, group;
  static const store::TableSpec& table();
  static std::string prefix(std::string_view owner) { return std::string(owner) + "\n"; }
  std::string key() const { return prefix(owner) + group; }
  std::vector<std::optional<std::string>> index_values() const { return {}; }
  JsonObject to_json() const { return {{"owner", owner}, {"group", group}}; }
  static Result<OverlayPlace> from_json(const JsonObject& json);
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

// Everything that decisions depend on, in memory and arranged by what a question knows: who, and where. What
// a question costs depends on the principal's groups and on the depth of the scope, not on how much there is.
//
// An index is what one snapshot says. It is brought to a later snapshot by the changes between them
// (identity::decision_changes()); access_state.h has the rule of when it may answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "access/decide.h"
#include "access/hierarchy.h"
#include "access/scope.h"
#include "access/text_table.h"

namespace merlon::access {

// What to put in place of what the index has. A value of null or nothing takes away.
struct IndexChanges {
  struct Assignment {
    Uuid id;
    std::optional<CompiledGrant> grant;
  };
  struct Denial {
    std::string normal_scope;
    Uuid id;
    std::optional<CompiledDenial> denial;
  };
  struct Membership {
    Uuid member;
    std::vector<Uuid> groups;  // direct
  };
  struct Role {
    Uuid id;
    std::shared_ptr<const CompiledRole> role;
  };
  std::vector<Assignment> assignments;
  std::vector<Denial> denials;
  std::vector<Membership> memberships;
  std::vector<Role> roles;
  std::optional<HierarchyFacts> hierarchy;
};

class Index {
 public:
  explicit Index(std::string root_group);
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  void apply(IndexChanges changes);
  Verdict judge(const Question& question, const ScopePath& scope, const Uuid& principal, Timestamp now,
                const std::function<void(const Asked&, const Verdict&)>& use) const;

 private:
  struct Place {                          // a scope at which there is something
    std::vector<CompiledDenial> denials;  // ascending by id
    size_t grants = 0;
    uint32_t number = 0;
  };
  // The places of grants apart from the grants: a decision searches the numbers of many, close together, and
  // looks at few grants.
  struct Subject {
    Uuid id;
    std::vector<uint32_t> places;                        // of the grants, each by its number; ascending
    std::vector<std::unique_ptr<CompiledGrant>> grants;  // of one place ascending by id
    std::vector<Subject*> groups;                        // direct
    std::vector<Subject*> members;                       // direct
    std::vector<const Subject*> all_groups;              // transitive
    bool is_current = true;                              // all_groups
  };
  struct Around {  // a scope at or above a question's
    std::string_view text;
    uint64_t hash;
  };

  void apply(IndexChanges::Assignment change);
  void apply(IndexChanges::Denial change);
  void apply(const std::vector<IndexChanges::Membership>& changes);
  void apply(const HierarchyFacts& facts);
  void take_grant(const Uuid& id);
  Subject& subject(const Uuid& id);
  void drop_if_unused(Subject& subject);
  Place& place(const std::string& normal_scope);
  void drop_if_unused(const std::string& normal_scope);
  static void bring_up_to_date(Subject& subject);
  std::vector<Around> scopes_around(const ScopePath& scope) const;
  static std::vector<const Subject*> holders_of(const Subject* self);

  TextTable<Place> places_;
  uint32_t places_made_ = 0;
  std::vector<uint32_t> free_numbers_;  // of places that are gone
  TextTable<Subject> subjects_;
  TextTable<Subject*> holders_;  // of each assignment, by its id
  std::string root_scope_;
  TextTable<std::vector<std::string>>
      above_;  // groups around a group or a placed subscription, nearest first
};

}  // namespace merlon::access

// The index: how it is changed, and how it answers.
#include "access/index.h"

#include <algorithm>
#include <deque>
#include <set>

#include "base/text.h"

namespace merlon::access {
namespace {

template <class T>
void insert_unique(std::vector<T>& values, T value) {
  if (std::ranges::find(values, value) == values.end()) values.push_back(value);
}

}  // namespace

Index::Index(std::string root_group)
    : root_scope_(std::string(kManagementGroups) + ascii_lower(root_group)) {}

Index::Subject& Index::subject(const Uuid& id) {
  const auto [subject, made] = subjects_.try_emplace(id.text());
  if (made) subject.id = id;
  return subject;
}

void Index::drop_if_unused(Subject& subject) {
  if (!subject.grants.empty() || !subject.groups.empty() || !subject.members.empty()) return;
  const std::string key = subject.id.text();
  subjects_.erase(key);
}

void Index::drop_if_unused(const std::string& normal_scope) {
  const Place* place = places_.find(normal_scope);
  if (place == nullptr || place->grants != 0 || !place->denials.empty()) return;
  free_numbers_.push_back(place->number);
  places_.erase(normal_scope);
}

Index::Place& Index::place(const std::string& normal_scope) {
  const auto [place, made] = places_.try_emplace(normal_scope);
  if (!made) return place;
  if (free_numbers_.empty()) {
    place.number = places_made_++;
  } else {
    place.number = free_numbers_.back();
    free_numbers_.pop_back();
  }
  return place;
}

void Index::take_grant(const Uuid& id) {
  Subject* const* holder = holders_.find(id.text());
  if (holder == nullptr) return;
  Subject& subject = **holder;
  holders_.erase(id.text());
  const auto at = std::ranges::find_if(subject.grants, [&](const auto& grant) { return grant->id == id; });
  MERLON_CHECK(at != subject.grants.end());
  const std::string scope = (*at)->normal_scope;
  subject.places.erase(subject.places.begin() + (at - subject.grants.begin()));
  subject.grants.erase(at);
  --places_.find(scope)->grants;
  drop_if_unused(scope);
  drop_if_unused(subject);
}

void Index::apply(IndexChanges::Assignment change) {
  take_grant(change.id);
  if (!change.grant || change.grant->principal_id.is_nil()) return;
  Place& at_scope = place(change.grant->normal_scope);
  ++at_scope.grants;
  Subject& holder = subject(change.grant->principal_id);
  holders_.try_emplace(change.id.text()).first = &holder;
  const auto [first, end] = std::ranges::equal_range(holder.places, at_scope.number);
  auto at = first - holder.places.begin();
  while (at < end - holder.places.begin() && holder.grants[static_cast<size_t>(at)]->id < change.id) ++at;
  holder.places.insert(holder.places.begin() + at, at_scope.number);
  holder.grants.insert(holder.grants.begin() + at, std::make_unique<CompiledGrant>(*std::move(change.grant)));
}

void Index::apply(IndexChanges::Denial change) {
  std::vector<CompiledDenial>& denials = place(change.normal_scope).denials;
  const auto at = std::ranges::lower_bound(
      denials, change.id, {}, [](const CompiledDenial& denial) -> const Uuid& { return denial.id; });
  const bool there = at != denials.end() && at->id == change.id;
  if (there && change.denial)
    *at = *std::move(change.denial);
  else if (there)
    denials.erase(at);
  else if (change.denial)
    denials.insert(at, *std::move(change.denial));
  drop_if_unused(change.normal_scope);
}

void Index::bring_up_to_date(Subject& subject) {
  if (subject.is_current) return;
  subject.is_current = true;
  subject.all_groups.clear();
  for (Subject* group : subject.groups) {
    bring_up_to_date(*group);
    subject.all_groups.push_back(group);
    subject.all_groups.insert(subject.all_groups.end(), group->all_groups.begin(), group->all_groups.end());
  }
  std::ranges::sort(subject.all_groups, std::less<>());
  const auto doubled = std::ranges::unique(subject.all_groups);
  subject.all_groups.erase(doubled.begin(), doubled.end());
}

void Index::apply(const std::vector<IndexChanges::Membership>& changes) {
  std::vector<Subject*> stale;
  std::set<Subject*> touched;
  for (const IndexChanges::Membership& change : changes) {
    Subject& member = subject(change.member);
    touched.insert(&member);
    for (Subject* group : member.groups) {
      std::erase(group->members, &member);
      touched.insert(group);
    }
    member.groups.clear();
    for (const Uuid& id : change.groups) {
      Subject& group = subject(id);
      insert_unique(member.groups, &group);
      group.members.push_back(&member);
    }
    if (member.is_current) stale.push_back(&member);
    member.is_current = false;
  }
  // Everything below what changed.
  for (size_t i = 0; i < stale.size(); ++i) {
    for (Subject* member : stale[i]->members) {
      if (member->is_current) stale.push_back(member);
      member->is_current = false;
    }
  }
  for (Subject* subject : stale) bring_up_to_date(*subject);
  for (Subject* subject : touched) drop_if_unused(*subject);
}

void Index::apply(const HierarchyFacts& facts) {
  above_.clear();
  TextTable<std::string> parents;
  for (const ManagementGroup& group : facts.groups) parents.try_emplace(group.key()).first = group.parent;
  const std::string root = root_scope_.substr(kManagementGroups.size());
  const auto chain_from = [&](std::string group) {
    std::vector<std::string> chain;
    while (!group.empty() && group != root && chain.size() <= Hierarchy::kLevelsMax) {
      chain.push_back(std::string(kManagementGroups) + group);
      const std::string* parent = parents.find(group);
      group = parent == nullptr ? std::string() : *parent;
    }
    chain.push_back(root_scope_);
    return chain;
  };
  for (const ManagementGroup& group : facts.groups)
    if (group.key() != root)
      above_.try_emplace(std::string(kManagementGroups) + group.key()).first = chain_from(group.parent);
  for (const SubscriptionPlace& place : facts.places)
    above_.try_emplace("/subscriptions/" + place.subscription).first = chain_from(place.parent);
}

void Index::apply(IndexChanges changes) {
  for (auto& change : changes.assignments) apply(std::move(change));
  for (auto& change : changes.denials) apply(std::move(change));
  if (!changes.memberships.empty()) apply(changes.memberships);
  if (changes.hierarchy) apply(*changes.hierarchy);
  if (changes.roles.empty()) return;
  subjects_.for_each([&](Subject& subject) {
    for (const auto& grant : subject.grants)
      for (const IndexChanges::Role& role : changes.roles)
        if (grant->role_id == role.id) grant->role = role.role;
  });
}

// Nearest first, as Access::scopes_around has them; where each is looked for is being fetched.
std::vector<Index::Around> Index::scopes_around(const ScopePath& scope) const {
  std::vector<Around> around;
  around.reserve(16);
  const auto add = [&](std::string_view text) {
    around.push_back({text, TextTable<Place>::hash(text)});
    places_.prefetch(around.back().hash);
  };
  for (size_t i = 0; i < scope.count(); ++i) add(scope.nearest(i));
  if (scope.count() > 0) {
    const std::string_view outermost = scope.nearest(scope.count() - 1);
    const bool is_group = is_management_group(outermost);
    if (is_group || outermost.starts_with("/subscriptions/")) {
      if (const auto* above = above_.find(outermost))
        for (const std::string& group : *above) add(group);
      else if (outermost != root_scope_)
        add(root_scope_);
    }
  }
  add("/");
  return around;
}

// The principal and its groups, those of them that hold anything. Their memory is asked for before it is
// needed: waiting for one after the other is most of what a decision would cost.
std::vector<const Index::Subject*> Index::holders_of(const Subject* self) {
  std::vector<const Subject*> holders;
  if (self == nullptr) return holders;
  for (const Subject* group : self->all_groups) __builtin_prefetch(&group->places);
  holders.reserve(self->all_groups.size() + 1);
  const auto add = [&](const Subject* subject) {
    if (subject->places.empty()) return;
    __builtin_prefetch(&subject->places[subject->places.size() / 2]);
    holders.push_back(subject);
  };
  add(self);
  for (const Subject* group : self->all_groups) add(group);
  return holders;
}

Verdict Index::judge(const Question& question, const ScopePath& scope, const Uuid& principal, Timestamp now,
                     const std::function<void(const Asked&, const Verdict&)>& use) const {
  const auto whose = TextTable<Subject>::hash(principal.text());
  subjects_.prefetch(whose);
  const std::vector<Around> around = scopes_around(scope);
  subjects_.prefetch_behind(whose);
  for (const Around& at : around) places_.prefetch_behind(at.hash);
  const Subject* self = subjects_.find(whose, principal.text());
  const std::vector<const Subject*> holders = holders_of(self);
  Candidates candidates;
  candidates.grants.reserve(16);
  for (const Around& here : around) {
    const Place* place = places_.find(here.hash, here.text);
    if (place == nullptr) continue;
    for (const CompiledDenial& denial : place->denials) candidates.denials.push_back(&denial);
    if (place->grants == 0) continue;
    const size_t first = candidates.grants.size();
    for (const Subject* holder : holders) {
      const std::vector<uint32_t>& places = holder->places;
      for (auto at = std::ranges::lower_bound(places, place->number);
           at != places.end() && *at == place->number; ++at) {
        candidates.grants.push_back(holder->grants[static_cast<size_t>(at - places.begin())].get());
        __builtin_prefetch(&candidates.grants.back()->role);
      }
    }
    if (candidates.grants.size() > first + 1)
      std::ranges::sort(candidates.grants.begin() + static_cast<std::ptrdiff_t>(first),
                        candidates.grants.end(), {},
                        [](const CompiledGrant* grant) -> const Uuid& { return grant->id; });
  }
  const std::function<bool(const Uuid&)> is_held = [&](const Uuid& id) {
    if (id == principal) return true;
    return self != nullptr &&
           std::ranges::any_of(self->all_groups, [&](const Subject* group) { return group->id == id; });
  };
  const std::string lower_action = ascii_lower(question.action);
  const Asked asked{.question = question,
                    .lower_action = lower_action,
                    .scope = scope.text(),
                    .object_id = principal,
                    .is_held = is_held,
                    .now = now};
  const Verdict verdict = access::judge(asked, candidates);
  if (use) use(asked, verdict);
  return verdict;
}

}  // namespace merlon::access

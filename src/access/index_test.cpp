// The index against the rows and against a slow, obvious evaluator that knows neither, over thousands of
// random histories: groups in groups, management groups, custom roles, conditions, deny assignments, and each
// of them taken away again.
#include "access/index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "access/access_fixture.h"
#include "base/text.h"

namespace merlon::access {
namespace {

// What the test itself remembers of what it made.
struct Model {
  std::map<std::string, std::set<std::string>> groups_of;  // direct, by member id
  std::map<std::string, std::string> parent_of;            // of management groups and subscriptions
  std::map<std::string, RoleAssignment> assignments;
  std::map<std::string, DenyAssignment> denials;
  std::map<std::string, RoleDefinition> roles;
};

bool obvious_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*')
    return obvious_match(pattern.substr(1), text) ||
           (!text.empty() && obvious_match(pattern, text.substr(1)));
  return !text.empty() && ascii_lower(pattern.front()) == ascii_lower(text.front()) &&
         obvious_match(pattern.substr(1), text.substr(1));
}

bool any_match(const std::vector<std::string>& patterns, const std::string& action) {
  for (const std::string& pattern : patterns)
    if (obvious_match(pattern, action)) return true;
  return false;
}

bool lists(const Permission& p, const Question& q) {
  if (q.kind == ActionKind::data)
    return any_match(p.data_actions, q.action) && !any_match(p.not_data_actions, q.action);
  return any_match(p.actions, q.action) && !any_match(p.not_actions, q.action);
}

// The only conditions of this test: "@Resource[x] StringEquals 'v'", with and without NOT around it.
Truth obvious_condition(const std::string& text, const Question& q) {
  if (text.empty()) return Truth::yes;
  const auto* value = q.attributes.find("@Resource[x]");
  if (value == nullptr) return Truth::unknown;
  const bool equal = text.find("'" + value->front() + "'") != std::string::npos;
  return equal != text.starts_with("NOT") ? Truth::yes : Truth::no;
}

std::set<std::string> held_by(const Model& model, const std::string& id) {
  std::set<std::string> all = {id};
  for (size_t before = 0; before != all.size();) {
    before = all.size();
    for (const std::string& one : std::set<std::string>(all))
      if (const auto groups = model.groups_of.find(one); groups != model.groups_of.end())
        all.insert(groups->second.begin(), groups->second.end());
  }
  return all;
}

std::set<std::string> scopes_at_or_above(const Model& model, const std::string& scope) {
  std::set<std::string> all = {"/"};
  std::string at = ascii_lower(scope);
  while (!at.empty() && at != "/") {
    all.insert(at);
    if (const auto parent = model.parent_of.find(at); parent != model.parent_of.end())
      at = parent->second;
    else
      at = at.substr(0, at.rfind('/'));
  }
  return all;
}

bool obvious(const Model& model, const Uuid& who, const Question& q) {
  const auto held = held_by(model, who.text());
  const auto around = scopes_at_or_above(model, q.scope);
  for (const auto& [id, denial] : model.denials) {
    if (!around.contains(ascii_lower(denial.scope))) continue;
    if (denial.do_not_apply_to_child_scopes && !ascii_iequal(denial.scope, q.scope)) continue;
    bool named = false;
    bool excluded = false;
    for (const DenyPrincipal& p : denial.principals) named |= p.id.is_nil() || held.contains(p.id.text());
    for (const DenyPrincipal& p : denial.exclude_principals) excluded |= held.contains(p.id.text());
    if (named && !excluded && lists(denial.permissions[0], q) &&
        obvious_condition(denial.condition, q) != Truth::no)
      return false;
  }
  for (const auto& [id, assignment] : model.assignments) {
    const auto role = model.roles.find(assignment.role_definition_id.text());
    if (role == model.roles.end() || !held.contains(assignment.principal_id.text()) ||
        !around.contains(ascii_lower(assignment.scope)))
      continue;
    for (const Permission& permission : role->second.permissions)
      if (lists(permission, q) && obvious_condition(permission.condition, q) == Truth::yes &&
          obvious_condition(assignment.condition, q) == Truth::yes)
        return true;
  }
  return false;
}

class IndexTest : public AccessFixture {
 protected:
  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(engine_); }
  bool chance(size_t one_in) { return below(one_in) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

  void SetUp() override {
    for (int i = 0; i < 4; ++i) users_.push_back(new_user("user" + std::to_string(i)));
    for (int i = 0; i < 5; ++i) groups_.push_back(new_group("group" + std::to_string(i)));
    const std::string root = std::string(kManagementGroups) + directory_.tenant().text();
    model_.parent_of[root] = "/";
    scopes_ = {"/", root};
    for (const char* id : {"Corp", "web", "Lab"}) {
      move_group(id, directory_.tenant().text());
      scopes_.push_back("/providers/Microsoft.Management/managementGroups/" + std::string(id));
    }
    for (const char* last : {"1", "2"}) {
      const std::string subscription =
          "/subscriptions/5f1c0000-0000-0000-0000-00000000000" + std::string(last);
      model_.parent_of[subscription] = root;
      subscriptions_.push_back(subscription);
      scopes_.push_back(subscription);
      for (const char* name : {"RG", "rg2"}) {
        const std::string group = subscription + "/resourceGroups/" + name;
        link(group, subscription);
        const std::string vm = group + "/providers/Microsoft.Compute/virtualMachines/vm";
        link(vm, group);
        link(vm + "/extensions/e", vm);
        for (const std::string& scope : {group, vm, vm + "/extensions/e"}) scopes_.push_back(scope);
      }
    }
  }
  void link(const std::string& inner, const std::string& outer) {
    model_.parent_of[ascii_lower(inner)] = ascii_lower(outer);
  }

  bool move_group(const std::string& id, const std::string& parent) {
    const auto moved = store_->write([&](store::Transaction& tx) -> Result<void> {
      TRY(access_.hierarchy().put(tx, {.id = id, .display_name = {}, .parent = parent, .actor = "t"}));
      return {};
    });
    if (moved) link(std::string(kManagementGroups) + id, std::string(kManagementGroups) + parent);
    return moved.has_value();
  }

  // A few random changes in one transaction, in the store and in the model. Some are undone in the store, and
  // the model must not have them.
  void change() {
    const Model before = model_;
    const bool then_fail = chance(6);
    const auto done = store_->write([&](store::Transaction& tx) -> Result<void> {
      for (int i = 0; i < 4; ++i) {
        // What breaks a rule has changed nothing.
        if (change_in(tx)) compare(tx, 1);  // inside the transaction, with its own changes
      }
      if (then_fail) return fail(ErrorKind::conflict, "Undo", "The test undoes it.");
      return {};
    });
    if (!done) model_ = before;
  }

  Result<void> change_in(store::Transaction& tx) {
    switch (below(8)) {
      case 0:
        return put_role(tx);
      case 1:
        return change_group(tx);
      case 2:
        return change_hierarchy(tx);
      case 3:
        return change_denial(tx);
      case 4:
        return unassign(tx);
      case 5:
        if (chance(6)) return forget(tx);
        return assign_one(tx);
      default:
        return assign_one(tx);
    }
  }

  std::string word() { return one_of(std::vector<std::string>{"a", "B", "c"}); }
  std::string pattern() {
    std::string out;
    for (int i = 0; i < 3; ++i) out += (i > 0 ? "/" : "") + (chance(3) ? std::string("*") : word());
    return chance(8) ? "*" : out;
  }
  std::vector<std::string> patterns(size_t most) {
    std::vector<std::string> out;
    for (size_t i = below(most + 1); i > 0; --i) out.push_back(pattern());
    return out;
  }
  std::string condition() {
    if (!chance(4)) return {};
    const std::string plain = "@Resource[x] StringEquals '" + word() + "'";
    return chance(3) ? "NOT (" + plain + ")" : plain;
  }
  Permission permission() {
    return {.actions = patterns(3),
            .not_actions = patterns(1),
            .data_actions = patterns(2),
            .not_data_actions = patterns(1),
            .condition = condition()};
  }

  Result<void> put_role(store::Transaction& tx) {
    RoleDefinition role;
    const bool new_one = model_.roles.size() < 5;
    role.id = new_one ? Uuid::generate(random_) : std::next(model_.roles.begin(), 2)->second.id;
    role.name = "role " + role.id.text();
    role.permissions.resize(1 + below(2));
    for (Permission& one : role.permissions) one = permission();
    role.permissions[0].actions.push_back(pattern());
    role.assignable_scopes = {scopes_[1], subscriptions_[0], subscriptions_[1]};
    TRY(access_.put_role(tx, role));
    model_.roles[role.id.text()] = role;
    return {};
  }

  Uuid principal() { return chance(2) ? one_of(users_) : one_of(groups_); }

  Result<void> assign_one(store::Transaction& tx) {
    if (model_.roles.empty()) return {};
    RoleAssignment assignment = new_assignment(
        principal(),
        std::next(model_.roles.begin(), static_cast<std::ptrdiff_t>(below(model_.roles.size())))->second.id,
        one_of(scopes_));
    if (!model_.assignments.empty() && chance(3)) assignment = model_.assignments.begin()->second;
    assignment.condition = condition();
    auto made = TRY(access_.assign(tx, assignment));
    model_.assignments[made.id.text()] = made;
    return {};
  }

  Result<void> unassign(store::Transaction& tx) {
    if (model_.assignments.empty()) return {};
    const auto at =
        std::next(model_.assignments.begin(), static_cast<std::ptrdiff_t>(below(model_.assignments.size())));
    TRY(access_.unassign(tx, at->second.scope, at->second.id));
    model_.assignments.erase(at);
    return {};
  }

  Result<void> forget(store::Transaction& tx) {
    const std::string scope = scopes_[7 + below(scopes_.size() - 7)];
    TRY(access_.forget_scope(tx, scope));
    const auto inside = [&](const auto& entry) {
      return is_at_or_below(ascii_lower(entry.second.scope), ascii_lower(scope));
    };
    std::erase_if(model_.assignments, inside);
    std::erase_if(model_.denials, inside);
    return {};
  }

  Result<void> change_group(store::Transaction& tx) {
    const Uuid group = one_of(groups_);
    const Uuid member = principal();
    auto& groups = model_.groups_of[member.text()];
    if (groups.contains(group.text())) {
      TRY(directory_.remove_member(tx, group, member));
      groups.erase(group.text());
    } else {
      TRY(directory_.add_member(tx, group, member));  // refuses cycles
      groups.insert(group.text());
    }
    return {};
  }

  Result<void> change_hierarchy(store::Transaction& tx) {
    const std::string parent = chance(3) ? directory_.tenant().text() : word_group();
    if (chance(2)) {
      const std::string subscription = one_of(subscriptions_);
      TRY(access_.hierarchy().place(tx, *Uuid::parse(subscription.substr(15)), parent));
      link(subscription, std::string(kManagementGroups) + parent);
    } else {
      const std::string id = word_group();
      TRY(access_.hierarchy().put(tx, {.id = id, .display_name = {}, .parent = parent, .actor = "t"}));
      link(std::string(kManagementGroups) + id, std::string(kManagementGroups) + parent);
    }
    return {};
  }
  std::string word_group() { return one_of(std::vector<std::string>{"corp", "WEB", "lab"}); }

  Result<void> change_denial(store::Transaction& tx) {
    if (!model_.denials.empty() && chance(2)) {
      const DenyAssignment gone = model_.denials.begin()->second;
      TRY(access_.undeny(tx, gone.scope, gone.id));
      model_.denials.erase(gone.id.text());
      return {};
    }
    DenyAssignment denial;
    denial.id = Uuid::generate(random_);
    denial.name = "d";
    denial.scope = one_of(scopes_);
    denial.permissions = {permission()};
    denial.permissions[0].condition.clear();
    denial.do_not_apply_to_child_scopes = chance(3);
    denial.principals = {{chance(2) ? Uuid() : principal(), "x"}};
    if (chance(2)) denial.exclude_principals = {{principal(), "x"}};
    denial.condition = condition();
    TRY(access_.deny(tx, denial));
    model_.denials[denial.id.text()] = denial;
    return {};
  }

  Question question() {
    Question q{.action = word() + "/" + word() + "/" + word(),
               .scope = one_of(scopes_),
               .kind = chance(3) ? ActionKind::data : ActionKind::control};
    if (chance(2)) q.attributes.set("@Resource[x]", word());
    return q;
  }

  void compare(store::Reader& reader, int questions) {
    auto view = access_.view(reader);
    ASSERT_TRUE(view);
    for (int i = 0; i < questions; ++i) {
      identity::Principal who;
      who.object_id = one_of(users_);
      const Question q = question();
      const auto decision = view->check(who, q);
      ASSERT_TRUE(decision);
      ASSERT_EQ(decision->allowed, *view->allows(who, q));
      ASSERT_EQ(decision->allowed, obvious(model_, who.object_id, q))
          << q.action << " at " << q.scope << ": " << decision->reason;
      (decision->allowed ? allowed_ : refused_) += 1;
      if (!chance(4)) continue;
      const auto afresh = access_.check_afresh(reader, who, q);
      ASSERT_TRUE(afresh);
      ASSERT_EQ(decision->allowed, afresh->allowed);
      ASSERT_EQ(decision->reason, afresh->reason);
      ASSERT_EQ(decision->assignment_id + decision->nearest_assignment_id,
                afresh->assignment_id + afresh->nearest_assignment_id);
    }
  }

  std::mt19937 engine_{20260301};
  Model model_;
  std::vector<Uuid> users_, groups_;
  std::vector<std::string> scopes_, subscriptions_;
  size_t allowed_ = 0;
  size_t refused_ = 0;
};

TEST_F(IndexTest, AgreesWithTheRowsAndWithTheObvious) {
  for (int round = 0; round < 120 && !HasFatalFailure(); ++round) {
    change();
    ASSERT_TRUE(store_->read([&](store::Reader& reader) -> Result<void> {
      compare(reader, 25);
      return {};
    }));
  }
  EXPECT_GT(allowed_, 400U);
  EXPECT_GT(refused_, 400U);
}

// A snapshot that is older than the index, and one that is newer, in turn: each is answered as of itself.
TEST_F(IndexTest, EachSnapshotIsAnsweredAsOfItself) {
  const Uuid ada = users_[0];
  identity::Principal who;
  who.object_id = ada;
  const Question q{.action = "a/b/read", .scope = kVm};
  const RoleAssignment made = assign(ada, kReader, kSubscription);
  ASSERT_TRUE(store_->read([&](store::Reader& old) -> Result<void> {
    EXPECT_TRUE(TRY(access_.check(old, who, q)).allowed);
    TRY(store_->write([&](store::Transaction& tx) -> Result<void> {
      TRY(access_.unassign(tx, kSubscription, made.id));
      EXPECT_FALSE(TRY(access_.check(tx, who, q)).allowed);
      return {};
    }));
    EXPECT_FALSE(ask(ada, q).allowed);  // a new snapshot brings the index forward
    EXPECT_TRUE(TRY(access_.check(old, who, q)).allowed);
    EXPECT_FALSE(ask(ada, q).allowed);
    return {};
  }));
}

// Two servers on one database: what one changes, the other's index knows at its next snapshot.
TEST_F(IndexTest, AnotherServerSeesTheChange) {
  Access other(directory_, clock_, random_);
  const Uuid ada = users_[0];
  identity::Principal who;
  who.object_id = ada;
  const Question q{.action = "a/b/read", .scope = kVm};
  const auto ask_other = [&] {
    return read<Decision>([&](auto& reader) { return other.check(reader, who, q); }).allowed;
  };
  const RoleAssignment made = assign(ada, kReader, kSubscription);
  EXPECT_TRUE(ask_other());
  wrote<std::optional<RoleAssignment>>(
      [&](auto& tx) { return access_.unassign(tx, kSubscription, made.id); });
  EXPECT_FALSE(ask_other());
  join(groups_[0], ada);
  assign(groups_[0], kReader, kGroup);
  EXPECT_TRUE(ask_other());
}

}  // namespace
}  // namespace merlon::access

// A directory and roles over a store of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "access/access.h"
#include "crypto/system_random.h"

namespace merlon::access {

inline Uuid uuid(const char* text) { return *Uuid::parse(text); }
inline const Uuid kOwner = uuid("8e3af657-a8ff-443c-a75c-2fe8c4bcb635");
inline const Uuid kContributor = uuid("b24988ac-6180-42a0-ab88-20f7382dd24c");
inline const Uuid kReader = uuid("acdd72a7-3385-48ef-bd42-f606fba81ae7");
inline const std::string kSubscription = "/subscriptions/5f1c0000-0000-0000-0000-000000000001";
inline const std::string kGroup = kSubscription + "/resourceGroups/Prod";
inline const std::string kVm = kGroup + "/providers/Microsoft.Compute/virtualMachines/web1";

class AccessFixture : public testing::Test {
 protected:
  AccessFixture() : path_((std::filesystem::temp_directory_path() / "merlon-access-XXXXXX").string()) {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
    store::Schema schema;
    for (const auto* tables : {&identity::tables(), &access::tables()})
      schema.tables.insert(schema.tables.end(), tables->begin(), tables->end());
    auto opened = store::open_sqlite(path_, schema);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    store_ = *std::move(opened);
  }
  ~AccessFixture() override {
    store_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  template <class T>
  T wrote(const std::function<Result<T>(store::Transaction&)>& work) {
    auto value = store::write_value<T>(*store_, work);
    EXPECT_TRUE(value) << (value ? "" : value.error().message + value.error().cause);
    return value ? *std::move(value) : T();
  }
  template <class T>
  T read(const std::function<Result<T>(store::Reader&)>& work) {
    auto value = store::read_value<T>(*store_, work);
    EXPECT_TRUE(value) << (value ? "" : value.error().message + value.error().cause);
    return value ? *std::move(value) : T();
  }

  Uuid new_user(const std::string& name) {
    identity::User user;
    user.user_principal_name = name + "@merlon.localhost";
    user.display_name = name;
    return wrote<identity::User>([&](auto& tx) { return directory_.create_user(tx, user); }).id;
  }
  Uuid new_group(const std::string& name) {
    identity::Group group;
    group.display_name = name;
    return wrote<identity::Group>([&](auto& tx) { return directory_.create_group(tx, group); }).id;
  }
  void join(const Uuid& group, const Uuid& member) {
    const auto done =
        store_->write([&](store::Transaction& tx) { return directory_.add_member(tx, group, member); });
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
  }

  RoleAssignment new_assignment(const Uuid& principal, const Uuid& role, const std::string& scope) {
    RoleAssignment assignment;
    assignment.id = Uuid::generate(random_);
    assignment.scope = scope;
    assignment.principal_id = principal;
    assignment.role_definition_id = role;
    assignment.created_by = "tester";
    return assignment;
  }
  Result<RoleAssignment> try_assign(const RoleAssignment& assignment) {
    return store::write_value<RoleAssignment>(*store_,
                                              [&](auto& tx) { return access_.assign(tx, assignment); });
  }
  RoleAssignment assign(const Uuid& principal, const Uuid& role, const std::string& scope) {
    auto made = try_assign(new_assignment(principal, role, scope));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made ? *std::move(made) : RoleAssignment();
  }
  Decision ask(const Uuid& who, const Question& question) {
    identity::Principal principal;
    principal.object_id = who;
    return read<Decision>([&](auto& reader) { return access_.check(reader, principal, question); });
  }
  bool may(const Uuid& who, const std::string& action, const std::string& scope = kVm) {
    return ask(who, {.action = action, .scope = scope}).allowed;
  }

  std::string path_;
  std::unique_ptr<store::Store> store_;
  ManualClock clock_;
  crypto::SystemRandom random_;
  identity::Directory directory_{TenantId{uuid("0f0f0f0f-0000-0000-0000-000000000001")}, clock_, random_};
  Access access_{directory_, clock_, random_};
};

}  // namespace merlon::access

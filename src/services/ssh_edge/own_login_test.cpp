// People of several domains, one of whom comes to log in.
#include "services/ssh_edge/own_login.h"

#include "identity/test_world.h"

namespace merlon::ssh_edge {
namespace {

class OwnLoginTest : public ::testing::Test {
 protected:
  identity::Principal person(const std::string& name) {
    identity::User user;
    user.user_principal_name = name;
    user.display_name = name;
    user = world_.write<identity::User>(
        [&](store::Transaction& tx) { return world_.directory->create_user(tx, user); });
    identity::Principal made;
    made.object_id = user.id;
    made.name = name;
    return made;
  }
  std::string shares(const identity::Principal& caller) {
    return world_
        .read<std::optional<std::string>>([&](store::Reader& reader) {
          return shares_login(reader, world_.tenant, caller, [&](const identity::User& user) -> Result<bool> {
            return user.user_principal_name != may_not_;
          });
        })
        .value_or("nobody");
  }
  identity::World world_;
  std::string may_not_;
};

TEST_F(OwnLoginTest, OneAccountIsNotForTwoPeople) {
  const auto alice = person("Alice@a.example");
  person("alice2@a.example");
  person("malice@b.example");
  EXPECT_EQ(own_login(alice), "Alice");
  EXPECT_EQ(shares(alice), "nobody");
  const auto other = person("alice@b.example");
  EXPECT_EQ(shares(alice), "alice@b.example");
  EXPECT_EQ(shares(other), "Alice@a.example");
  may_not_ = "alice@b.example";
  EXPECT_EQ(shares(alice), "nobody") << "who may not log in there takes nobody's account";
}

TEST_F(OwnLoginTest, AnApplicationHasNoLoginOfItsOwn) {
  identity::Principal program = person("admin@a.example");
  EXPECT_EQ(own_login(program), "admin");
  program.kind = identity::PrincipalKind::service_principal;
  EXPECT_EQ(own_login(program), "");
  program.name = "admin";
  EXPECT_EQ(own_login(program), "") << "its owners call it as they like";
}

}  // namespace
}  // namespace merlon::ssh_edge

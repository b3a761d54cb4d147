// The directory's rules: names, groups without cycles, roles, credentials, and what is left after removal
// (nothing).
#include "identity/directory.h"

#include "identity/test_world.h"

namespace merlon::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class DirectoryTest : public ::testing::Test {
 protected:
  Result<User> try_user(const std::string& name, const std::string& display = "Somebody") {
    User user;
    user.user_principal_name = name;
    user.display_name = display;
    return store::write_value<User>(
        *world.store, [&](store::Transaction& tx) { return world.directory->create_user(tx, user); });
  }
  Uuid group(const std::string& name) {
    Group group;
    group.display_name = name;
    return world
        .write<Group>([&](store::Transaction& tx) { return world.directory->create_group(tx, group); })
        .id;
  }
  Result<void> add(const Uuid& owner, const Uuid& member) {
    return world.store->write(
        [&](store::Transaction& tx) { return world.directory->add_member(tx, owner, member); });
  }
  std::vector<Uuid> groups_of(const Uuid& id) {
    return world.read<std::vector<Uuid>>(
        [&](store::Reader& reader) { return world.directory->transitive_groups(reader, id); });
  }
  World world;
};

TEST_F(DirectoryTest, UserNamesAreUniqueWithoutCase) {
  ASSERT_TRUE(try_user("Alice@merlon.localhost"));
  const auto again = try_user("alice@MERLON.localhost");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "Request_BadRequest");
  EXPECT_EQ(again.error().target, "userPrincipalName");
  const auto found = world.read<std::optional<User>>(
      [&](store::Reader& reader) { return world.directory->user_by_name(reader, "ALICE@merlon.LOCALHOST"); });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->user_principal_name, "Alice@merlon.localhost");
}

TEST_F(DirectoryTest, MalformedNamesAreRefused) {
  for (const std::string name :
       {"", "alice", "@merlon.localhost", "alice@", "a@b@c", "al ice@merlon.localhost", "alice@-x",
        "alice@x..y", ".alice@merlon.localhost", "alice\n@merlon.localhost", "\xc3\xa4@merlon.localhost"})
    EXPECT_FALSE(try_user(name)) << name;
  EXPECT_FALSE(try_user(std::string(65, 'a') + "@merlon.localhost"));
  EXPECT_FALSE(try_user("bob@merlon.localhost", ""));
  EXPECT_FALSE(try_user("bob@merlon.localhost", "  "));
  EXPECT_FALSE(try_user("bob@merlon.localhost", "two\nlines"));
  EXPECT_FALSE(try_user("bob@merlon.localhost", std::string(257, 'x')));
  EXPECT_TRUE(try_user("bob@merlon.localhost",
                       "B\xc3\xb6"
                       "b"));
}

TEST_F(DirectoryTest, GroupsNestButNeverInCircles) {
  const Uuid user = world.make_user("alice@merlon.localhost").id;
  const Uuid a = group("a"), b = group("b"), c = group("c");
  ASSERT_TRUE(add(a, b));
  ASSERT_TRUE(add(b, c));
  ASSERT_TRUE(add(c, user));
  EXPECT_THAT(groups_of(user), UnorderedElementsAre(a, b, c));
  for (const Uuid& owner : {b, c}) {
    const auto circle = add(owner, a);
    ASSERT_FALSE(circle);
    EXPECT_EQ(circle.error().code, "Request_BadRequest");
  }
  EXPECT_FALSE(add(a, a));
  const auto twice = add(c, user);
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("already exist"));
  EXPECT_EQ(add(a, Uuid::generate(world.random)).error().kind, ErrorKind::not_found);
  EXPECT_EQ(add(Uuid::generate(world.random), user).error().kind, ErrorKind::not_found);
}

TEST_F(DirectoryTest, NestingIsBoundedAt64) {
  std::vector<Uuid> chain{group("g0")};
  for (int depth = 1; depth <= 64; ++depth) {
    chain.push_back(group("g" + std::to_string(depth)));
    ASSERT_TRUE(add(chain[chain.size() - 2], chain.back())) << depth;
  }
  const Uuid deeper = group("deeper");
  EXPECT_FALSE(add(chain.back(), deeper));
  EXPECT_FALSE(add(deeper, chain.front()));
  EXPECT_EQ(groups_of(chain.back()).size(), 64U);
}

TEST_F(DirectoryTest, RemovedObjectsLeaveNoRelations) {
  const Uuid user = world.make_user("alice@merlon.localhost").id;
  const Uuid a = group("a"), b = group("b");
  ASSERT_TRUE(add(a, b));
  ASSERT_TRUE(add(b, user));
  world.write([&](store::Transaction& tx) { return world.directory->erase_group(tx, b); });
  EXPECT_TRUE(groups_of(user).empty());
  const auto members = world.read<std::vector<Uuid>>(
      [&](store::Reader& reader) { return world.directory->members(reader, a); });
  EXPECT_TRUE(members.empty());

  const Uuid role = *Uuid::parse(kGlobalAdministrator);
  world.write([&](store::Transaction& tx) { return world.directory->add_directory_role(tx, role, user); });
  world.write([&](store::Transaction& tx) { return world.directory->erase_user(tx, user); });
  EXPECT_FALSE(world.read<bool>(
      [&](store::Reader& reader) { return world.directory->has_directory_role(reader, role, user); }));
}

TEST_F(DirectoryTest, DirectoryRolesAreForPrincipalsThatExist) {
  const Uuid role = *Uuid::parse(kDirectoryReaders);
  const auto give = [&](const Uuid& id) {
    return world.store->write(
        [&](store::Transaction& tx) { return world.directory->add_directory_role(tx, role, id); });
  };
  EXPECT_FALSE(give(Uuid::generate(world.random)));
  EXPECT_FALSE(give(group("g")));
  const Uuid user = world.make_user("alice@merlon.localhost").id;
  EXPECT_TRUE(give(user));
  EXPECT_TRUE(give(user));  // idempotent
  EXPECT_FALSE(world.read<bool>([&](store::Reader& reader) {
    return world.directory->has_directory_role(reader, *Uuid::parse(kGlobalAdministrator), user);
  }));
}

// What scanners for leaked Azure secrets look for; and `az login --password SECRET` takes no leading '-'.
TEST_F(DirectoryTest, SecretsHaveTheFormOfAzures) {
  for (int i = 0; i < 40; ++i)
    EXPECT_THAT(world.make_app("app" + std::to_string(i)).secret,
                testing::ContainsRegex("^[a-zA-Z0-9]{3}8Q~[a-zA-Z0-9_-]{34}$"));
}

TEST_F(DirectoryTest, SecretsAreStoredSaltedAndCheckedInTime) {
  const World::App app = world.make_app("app", std::chrono::hours(1));
  const auto stored = world.read<std::optional<Application>>([&](store::Reader& reader) {
    return world.directory->application_by_app_id(reader, app.application.app_id);
  });
  ASSERT_TRUE(stored);
  ASSERT_EQ(stored->passwords.size(), 1U);
  EXPECT_EQ(to_text(stored->to_json()).find(app.secret), std::string::npos);
  EXPECT_EQ(stored->passwords[0].hint, app.secret.substr(0, 3));
  const Secret right(app.secret), wrong(app.secret + "x");
  const Timestamp now = world.clock.now();
  EXPECT_EQ(check_secret(*stored, right, now).match, SecretMatch::valid);
  EXPECT_EQ(check_secret(*stored, right, now).credential_id, stored->passwords[0].id);
  EXPECT_EQ(check_secret(*stored, wrong, now).match, SecretMatch::none);
  EXPECT_EQ(check_secret(*stored, Secret(), now).match, SecretMatch::none);
  EXPECT_EQ(check_secret(*stored, right, now + std::chrono::hours(1)).match, SecretMatch::expired);
  EXPECT_EQ(check_secret(*stored, right, now - std::chrono::hours(1)).match, SecretMatch::expired);
}

TEST_F(DirectoryTest, SecretsHaveLimits) {
  const World::App app = world.make_app("app");
  const auto add_secret = [&](Duration lifetime) {
    return world.store->write([&](store::Transaction& tx) -> Result<void> {
      TRY(world.directory->add_secret(tx, app.application.id, "", lifetime));
      return {};
    });
  };
  EXPECT_FALSE(add_secret(Duration(0)));
  EXPECT_FALSE(add_secret(Duration(-1)));
  EXPECT_FALSE(add_secret(std::chrono::hours(24) * 365 * 200));
  for (int i = 1; i < 64; ++i) ASSERT_TRUE(add_secret(std::chrono::hours(1))) << i;
  EXPECT_FALSE(add_secret(std::chrono::hours(1)));
}

TEST_F(DirectoryTest, CertificatesMustBeRsaValidAndNew) {
  const World::App app = world.make_app("app");
  const auto certificate = [&](crypto::KeyKind kind, unsigned bits, Duration lifetime) {
    const auto key = must(crypto::PrivateKey::generate(kind, bits));
    return must(crypto::make_self_signed({.common_name = "app",
                                          .dns_names = {},
                                          .addresses = {},
                                          .use = crypto::LeafUse::tls_client,
                                          .not_before = world.clock.now() - std::chrono::hours(48),
                                          .not_after = world.clock.now() + lifetime},
                                         key, world.random));
  };
  const auto add_certificate = [&](const std::string& pem) {
    return world.store->write([&](store::Transaction& tx) -> Result<void> {
      TRY(world.directory->add_certificate(tx, app.application.id, pem));
      return {};
    });
  };
  const std::string good = certificate(crypto::KeyKind::rsa, 2048, std::chrono::hours(24));
  EXPECT_TRUE(add_certificate(good));
  EXPECT_FALSE(add_certificate(good));
  EXPECT_FALSE(add_certificate(certificate(crypto::KeyKind::ec_p256, 0, std::chrono::hours(24))));
  EXPECT_FALSE(add_certificate(certificate(crypto::KeyKind::rsa, 2048, -std::chrono::hours(1))));
  EXPECT_FALSE(add_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_FALSE(add_certificate(""));
}

TEST_F(DirectoryTest, IdentifierUrisNameOneApplicationAndNoBuiltInApi) {
  const auto make = [&](const std::string& uri) {
    return store::write_value<Application>(*world.store, [&](store::Transaction& tx) {
      Application application;
      application.display_name = "api";
      application.identifier_uris = {uri};
      return world.directory->register_application(tx, application);
    });
  };
  const auto first = make("api://orders");
  ASSERT_TRUE(first);
  EXPECT_FALSE(make("API://Orders"));
  for (const std::string uri : {"https://management.azure.com", "https://Graph.microsoft.com", "api://",
                                "http://x", "orders", "api://a b", "https://orders.example/"})
    EXPECT_FALSE(make(uri)) << uri;
  world.write([&](store::Transaction& tx) { return world.directory->erase_application(tx, first->id); });
  EXPECT_TRUE(make("api://orders"));
}

// Who asks for it by its appId takes api://{appId} for it as well.
TEST_F(DirectoryTest, NobodyClaimsAnotherApplicationsId) {
  const World::App payroll = world.make_app("payroll");
  World::App other = world.make_app("other");
  const auto claim = [&](const std::string& uri) {
    other.application.identifier_uris = {uri};
    return world.store->write(
        [&](store::Transaction& tx) { return world.directory->update_application(tx, other.application); });
  };
  const std::string foreign = payroll.application.app_id.text();
  const std::string tenant = world.directory->tenant().text();
  std::string upper = foreign;
  for (char& c : upper)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  EXPECT_FALSE(claim("api://" + foreign));
  EXPECT_FALSE(claim("API://" + upper + "/orders"));
  EXPECT_FALSE(claim("api://" + tenant + "/" + foreign));
  EXPECT_FALSE(claim("api://00000000-1111-4222-8333-444444444444"));
  EXPECT_TRUE(claim("api://" + other.application.app_id.text()));
  EXPECT_TRUE(claim("api://" + tenant + "/orders"));
}

TEST_F(DirectoryTest, PasswordsHaveToBeGoodEnough) {
  for (const std::string& weak :
       {std::string(), std::string("short1A"), std::string("alllowercase"), std::string("lower1234"),
        std::string("Alice-2026xyz"), std::string(257, 'a') + "A1"})
    EXPECT_TRUE(password_weakness(weak, "alice@merlon.localhost")) << weak;
  EXPECT_FALSE(password_weakness("correct Horse 7", "alice@merlon.localhost"));
  EXPECT_TRUE(password_weakness(std::string("Aa1-\0xyz", 8), "x@y"));
}

}  // namespace
}  // namespace merlon::identity

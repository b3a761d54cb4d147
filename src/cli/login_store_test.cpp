// Where the credential is kept, who can read it, and where it may go.
#include "cli/login_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/private_files.h"
#include "cli/test_world.h"

namespace merlon::cli {
namespace {

using test::World;
using testing::HasSubstr;

mode_t mode_of(const std::string& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_mode & 0777 : 0;
}

Secret secret(std::string_view text) { return Secret(text); }

Login application() {
  Login login;
  login.endpoint = "https://merlon.example:8443";
  login.tenant = "tenant";
  login.client_id = "app";
  login.client_secret = secret("s3cret");
  return login;
}

CachedToken token_until(Timestamp end) {
  CachedToken token;
  token.access_token = secret("t");
  token.expires = end;
  return token;
}

TEST(LoginStore, KeepsTheLoginForItsOwnerAlone) {
  World world;
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  EXPECT_EQ(mode_of(world.directory + "/.merlon"), 0700U);
  EXPECT_EQ(mode_of(world.directory + "/.merlon/config.json"), 0600U);
  const auto login = current_login(world.context);
  ASSERT_TRUE(login.has_value());
  EXPECT_EQ(login->client_id, "app");
  EXPECT_EQ(login->client_secret.expose_text(), "s3cret");
}

TEST(LoginStore, ReplacesALooseFileByATightOne) {
  World world;
  std::filesystem::create_directory(world.directory + "/.merlon");
  const std::string path = world.write(".merlon/config.json", "{}");
  ::chmod(path.c_str(), 0666);
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  EXPECT_EQ(mode_of(path), 0600U);
}

TEST(LoginStore, RefusesAFileThatOthersCanReadOrWrite) {
  World world;
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  for (const mode_t mode : {0640U, 0604U, 0602U}) {
    ::chmod((world.directory + "/.merlon/config.json").c_str(), mode);
    const auto login = current_login(world.context);
    ASSERT_FALSE(login.has_value());
    EXPECT_EQ(login.error().code, "FileTooOpen");
    EXPECT_THAT(login.error().message, HasSubstr("chmod 600"));
  }
}

TEST(LoginStore, ConfigDirectoryCanBeElsewhere) {
  World world;
  world.environment["MERLON_CONFIG_DIR"] = world.directory + "/a/b";
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  EXPECT_EQ(mode_of(world.directory + "/a/b/config.json"), 0600U);
  EXPECT_EQ(mode_of(world.directory + "/a"), 0700U);
}

TEST(LoginStore, TheEnvironmentOverridesPartByPart) {
  World world;
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  world.environment["MERLON_CLIENT_SECRET"] = "other";
  const auto login = current_login(world.context);
  ASSERT_TRUE(login.has_value());
  EXPECT_EQ(login->client_secret.expose_text(), "other");
  EXPECT_EQ(login->client_id, "app");
}

TEST(LoginStore, AStoredSecretGoesToNoOtherServerTenantOrApplication) {
  World world;
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  for (const auto& [name, value] :
       {std::pair{"MERLON_ENDPOINT", "https://evil.example:8443"}, std::pair{"MERLON_TENANT", "other"},
        std::pair{"MERLON_CLIENT_ID", "other"}}) {
    world.environment[name] = value;
    const auto login = current_login(world.context);
    ASSERT_FALSE(login.has_value()) << name;
    EXPECT_EQ(login.error().code, "NotSignedIn");
    world.environment.erase(name);
  }
  world.environment["MERLON_ENDPOINT"] = "https://MERLON.example:8443/";  // the same, spelled otherwise
  EXPECT_TRUE(current_login(world.context).has_value());
}

TEST(LoginStore, TheEnvironmentAloneIsEnough) {
  World world;
  EXPECT_EQ(current_login(world.context).error().code, "NotSignedIn");
  world.environment["MERLON_ENDPOINT"] = "https://localhost:8443";
  world.environment["MERLON_CLIENT_ID"] = "app";
  world.environment["MERLON_CLIENT_SECRET"] = "s";
  EXPECT_EQ(current_login(world.context).error().code, "NotSignedIn");
  world.environment["MERLON_TENANT"] = "t";
  EXPECT_TRUE(current_login(world.context).has_value());
  world.environment.erase("HOME");
  EXPECT_TRUE(current_login(world.context).has_value());
  world.environment["MERLON_CA"] = world.directory + "/none.pem";
  EXPECT_EQ(current_login(world.context).error().code, "FileError");
}

TEST(LoginStore, AConfigThatDoesNotReadIsSaid) {
  for (const char* text : {"", "[]", "{\"endpoint\":5}", "{\"endpoint\":\"http://x\"}"}) {
    World world;
    std::filesystem::create_directory(world.directory + "/.merlon");
    ::chmod(world.write(".merlon/config.json", text).c_str(), 0600);
    EXPECT_EQ(current_login(world.context).error().code, "LoginUnreadable") << text;
  }
}

TEST(Endpoint, HasOneSpelling) {
  EXPECT_EQ(normal_endpoint("https://Merlon.Example:8443/").value(), "https://merlon.example:8443");
  EXPECT_EQ(normal_endpoint("https://merlon.example:443").value(), "https://merlon.example");
  EXPECT_EQ(normal_endpoint("https://[::1]:8443").value(), "https://[::1]:8443");
  for (const char* wrong : {"", "merlon.example", "http://merlon.example", "https://merlon.example/path"})
    EXPECT_TRUE(is_wrong_usage(normal_endpoint(wrong).error())) << wrong;
}

TEST(TokenCache, IsUsedUntilShortlyBeforeItsEnd) {
  World world;
  const Login login = application();
  EXPECT_FALSE(cached_token(world.context, login).has_value());
  const Timestamp start = world.clock.now();
  ASSERT_TRUE(cache_token(world.context, login, token_until(start + std::chrono::minutes(10))).has_value());
  EXPECT_EQ(mode_of(token_path(world.directory + "/.merlon", login)), 0600U);
  const auto read = cached_token(world.context, login);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->access_token.expose_text(), "t");
  EXPECT_TRUE(is_fresh(*read, start));
  EXPECT_TRUE(is_fresh(*read, start + std::chrono::minutes(8)));
  EXPECT_FALSE(is_fresh(*read, start + std::chrono::minutes(9)));
  CachedToken empty = token_until(start + std::chrono::minutes(10));
  empty.access_token = Secret();
  EXPECT_FALSE(is_fresh(empty, start));
}

TEST(TokenCache, EachLoginHasItsOwn) {
  const std::string path = token_path("/d", application());
  Login other = application();
  other.client_secret = secret("other");
  EXPECT_NE(token_path("/d", other), path);
  other = application();
  other.endpoint = "https://merlon.example";
  EXPECT_NE(token_path("/d", other), path);
  other = application();
  other.tenant = "tenantapp";
  other.client_id = "";
  EXPECT_NE(token_path("/d", other), path);
  EXPECT_EQ(token_path("/d", application()), path);
  EXPECT_THAT(path, testing::Not(HasSubstr("s3cret")));
}

TEST(TokenCache, OneThatOthersCouldHaveWrittenOrThatDoesNotReadIsNotUsed) {
  World world;
  const Login login = application();
  const Timestamp end = world.clock.now() + std::chrono::hours(1);
  ASSERT_TRUE(cache_token(world.context, login, token_until(end)).has_value());
  const std::string path = token_path(world.directory + "/.merlon", login);
  ::chmod(path.c_str(), 0666);
  EXPECT_FALSE(cached_token(world.context, login).has_value());
  ASSERT_TRUE(write_private_file(path, "{\"expires\":\"yesterday\"}").has_value());
  EXPECT_FALSE(cached_token(world.context, login).has_value());
}

TEST(Logout, ForgetsEverything) {
  World world;
  EXPECT_FALSE(forget_login(world.context).value());
  ASSERT_TRUE(store_login(world.context, application()).has_value());
  const Timestamp end = world.clock.now() + std::chrono::hours(1);
  ASSERT_TRUE(cache_token(world.context, application(), token_until(end)).has_value());
  EXPECT_TRUE(forget_login(world.context).value());
  EXPECT_FALSE(stored_login(world.context)->has_value());
  EXPECT_FALSE(cached_token(world.context, application()).has_value());
  EXPECT_FALSE(forget_login(world.context).value());
}

TEST(NamedFile, IsBounded) {
  World world;
  const std::string path = world.write("big", std::string(100, 'x'));
  EXPECT_EQ(read_named_file(path, 100)->size(), 100U);
  EXPECT_EQ(read_named_file(path, 99).error().code, "FileTooLarge");
}

}  // namespace
}  // namespace merlon::cli

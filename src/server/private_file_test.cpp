// Files in a directory that somebody else may write.
#include "server/private_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace merlon::server {
namespace {

TEST(PrivateFile, IsGivenToItsOwnerAndALinkInItsPlaceLeadsNowhere) {
  std::string pattern = (std::filesystem::temp_directory_path() / "merlon-private-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::string other = pattern + "/other";
  const std::string path = pattern + "/note.json";
  std::ofstream(other) << "another's";
  ASSERT_EQ(::symlink(other.c_str(), path.c_str()), 0);
  // Only root gives files away; anybody may give one to themselves.
  const FileOwner owner = ::geteuid() == 0 ? FileOwner{65'534, 65'533} : FileOwner{::geteuid(), ::getegid()};
  ASSERT_TRUE(write_private_file(path, "text", FileReaders::owner, owner));
  struct stat made{};
  ASSERT_EQ(::lstat(path.c_str(), &made), 0);
  EXPECT_TRUE(S_ISREG(made.st_mode));
  EXPECT_EQ(made.st_mode & 0777U, 0600U);
  EXPECT_EQ(made.st_uid, owner.user);
  EXPECT_EQ(made.st_gid, owner.group);
  struct stat left{};
  ASSERT_EQ(::lstat(other.c_str(), &left), 0);
  EXPECT_EQ(left.st_uid, ::geteuid());
  std::ifstream file(other);
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, "another's");
  std::filesystem::remove_all(pattern);
}

}  // namespace
}  // namespace merlon::server

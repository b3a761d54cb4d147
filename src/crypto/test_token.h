// A SoftHSM token of a test's own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace merlon::crypto {

inline pid_t spawn_quietly(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = -1;
  EXPECT_EQ(::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ), 0) << words[0];
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

inline bool run_quietly(std::vector<std::string> words) {
  int status = -1;
  const pid_t child = spawn_quietly(std::move(words));
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class TestToken {
 public:
  explicit TestToken(std::filesystem::path directory) : path_(std::move(directory)) {
    std::filesystem::create_directories(path_ / "tokens");
    write("softhsm2.conf", "directories.tokendir = " + (path_ / "tokens").string() +
                               "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n");
    write("pin", "1234\n");
    ::setenv("SOFTHSM2_CONF", (path_ / "softhsm2.conf").c_str(), 1);
    EXPECT_TRUE(make("merlon"));
  }
  static bool make(const std::string& label) {
    return run_quietly(
        {"softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678"});
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    EXPECT_EQ(::chmod((path_ / name).c_str(), 0600), 0);
  }
  std::string uri(const std::string& token = "merlon", const std::string& object = {}) const {
    return "pkcs11:token=" + token + (object.empty() ? "" : ";object=" + object) +
           "?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:" + (path_ / "pin").string();
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace merlon::crypto

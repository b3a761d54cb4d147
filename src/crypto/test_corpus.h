// Test vectors that others wrote, outside the repository: MERLON_CORPUS, by default ../shared/data beside the
// checkout. A test that finds none says so and passes; one that finds some says how many it ran.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "base/json.h"

namespace merlon::crypto::testing {

inline std::filesystem::path corpus_root() {
  const char* root = std::getenv("MERLON_CORPUS");
  return root != nullptr ? std::filesystem::path(root)
                         : std::filesystem::path(MERLON_SOURCE_DIR) / "../shared/data";
}

inline void say_absent(const std::filesystem::path& path) {
  std::printf("[ CORPUS   ] absent: %s; set MERLON_CORPUS to run these vectors\n", path.c_str());
}
inline void say_ran(const std::string& name, int count) {
  std::printf("[ CORPUS   ] %s: %d cases\n", name.c_str(), count);
}

inline std::optional<Json> read_json_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto json = parse_json(text);
  if (!json) return std::nullopt;
  return *std::move(json);
}

// One file of wycheproof.tar.zst, unpacked by tar(1) into a temporary folder; nothing when archive or tar is
// absent.
inline std::optional<Json> read_wycheproof(const std::string& name) {
  const std::filesystem::path archive = corpus_root() / "wycheproof/wycheproof.tar.zst";
  if (!std::filesystem::exists(archive)) {
    say_absent(archive);
    return std::nullopt;
  }
  std::string folder =
      (std::filesystem::temp_directory_path() / "merlon_wycheproof_").string() + std::string(6, 'X');
  if (::mkdtemp(folder.data()) == nullptr) return std::nullopt;
  const std::string archive_text = archive.string();
  const std::string member = "./" + name + ".json";
  const char* arguments[] = {"tar", "--zstd",       "-xf",          archive_text.c_str(),
                             "-C",  folder.c_str(), member.c_str(), nullptr};
  pid_t child = 0;
  int status = 1;
  if (::posix_spawnp(&child, "tar", nullptr, nullptr, const_cast<char**>(arguments), environ) == 0)
    ::waitpid(child, &status, 0);
  auto json = read_json_file(std::filesystem::path(folder) / (name + ".json"));
  std::filesystem::remove_all(folder);
  if (!json) say_absent(archive / name);
  return json;
}

}  // namespace merlon::crypto::testing

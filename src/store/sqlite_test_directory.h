// A state directory of a test's own, and a child process of it: for the tests of the embedded store.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "store/store_contract.h"

namespace merlon::store {

class TestDirectory {
 public:
  TestDirectory()
      : path_((std::filesystem::temp_directory_path() / "merlon-store-").string() + std::string(6, 'X')) {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class SqliteBackend final : public StoreBackend {
 public:
  Result<std::unique_ptr<Store>> open(const Schema& schema) override {
    return open_sqlite(directory_.path(), schema);
  }

 private:
  TestDirectory directory_;
};

// Forked while this process has one thread: no store may be open. The child ends with what `body` returns.
inline pid_t start_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  EXPECT_GT(child, 0);
  return child;
}

// The exit status, or 128 plus the signal.
inline int wait_for_child(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline Result<void> write_note(Store& store, const std::string& key, const std::string& body,
                               bool urgent = false) {
  return store.write([&](Transaction& tx) -> Result<void> {
    if (urgent) tx.urgent();
    return tx.put(contract_notes(), contract_tenant(1), {key, body, {}});
  });
}

inline std::optional<std::string> read_note(Store& store, const std::string& key) {
  auto row = read_value<std::optional<Row>>(
      store, [&](Reader& reader) { return reader.get(contract_notes(), contract_tenant(1), key); });
  EXPECT_TRUE(row);
  if (!row || !*row) return std::nullopt;
  return (*row)->body;
}

}  // namespace merlon::store

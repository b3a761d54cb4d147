// The agent's state directory: small files, replaced whole (write, fsync, rename, fsync), readable by root
// alone. What it holds: key, enrolment, certificate, local cap, last confirmed rules, openings, newest ledger
// head, whom sshd is to trust, and the mark of a local release.
#pragma once

#include <string>

#include "base/json.h"
#include "store/state_directory.h"

namespace merlon::agent {

namespace file {
inline constexpr std::string_view kKey = "agent.key";
inline constexpr std::string_view kEnrolment = "enrolment.json";
inline constexpr std::string_view kCertificate = "certificate.pem";
inline constexpr std::string_view kLocalCap = "local.json";
inline constexpr std::string_view kRules = "rules.json";
inline constexpr std::string_view kOpenings = "openings.json";
inline constexpr std::string_view kHead = "head.json";
inline constexpr std::string_view kSsh = "ssh.json";
inline constexpr std::string_view kReleased = "released.json";
inline constexpr std::string_view kReleaseReported = "released.reported";
}  // namespace file

class StateFiles {
 public:
  // Refuses a directory that others may write to or that belongs to somebody else.
  static Result<StateFiles> open(const std::string& path);
  static Result<StateFiles> create(const std::string& path);  // makes it, 0700, when it is missing
  const std::string& path() const { return path_; }

  bool has(std::string_view name) const;
  Result<std::string> read(std::string_view name) const;  // not_found when missing; at most 16 MiB
  Result<JsonObject> read_json(std::string_view name) const;
  Result<void> write(std::string_view name, std::string_view content) const;
  Result<void> write_json(std::string_view name, const JsonObject& json) const;
  Result<void> remove(std::string_view name) const;  // fine when missing

  // Held until the process ends: one agent on one directory. False when another process has it.
  Result<bool> take_lock();
  // In a forked child: the lock is the parent's, and ends with it.
  void drop_lock() { lock_ = store::FileDescriptor(); }

 private:
  explicit StateFiles(std::string path) : path_(std::move(path)) {}
  std::string place(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string path_;
  store::FileDescriptor lock_;
};

}  // namespace merlon::agent

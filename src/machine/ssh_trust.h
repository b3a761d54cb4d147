// What the server and an agent tell each other of the machine's SSH server: which authority it is to trust (a
// part of the desired state), which host keys it shows, and whether it trusts (a part of the facts).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace merlon::machine {

inline constexpr size_t kSshKeyLineMax = 1024;
inline constexpr size_t kSshHostKeysMax = 16;

// Whose certificates the machine's sshd is to let in, each for the one login and machine that it names.
struct SshTrust {
  std::string authority;  // "ssh-ed25519 AAAA…"; empty: the server says nothing of it
  bool empty() const { return authority.empty(); }
  bool operator==(const SshTrust&) const = default;
  JsonObject to_json() const;
  static Result<SshTrust> from_json(const JsonObject& json);  // strict: it becomes a file of root's
};

// As the agent sees it.
struct SshFacts {
  std::vector<std::string> host_keys;  // "ssh-ed25519 AAAA…", without comments
  std::string trust;                   // kTrust…, below
  std::string message;                 // why it does not trust, and what to do
  bool operator==(const SshFacts&) const = default;
  JsonObject to_json() const;
  static Result<SshFacts> from_json(const JsonObject& json);
};

inline constexpr std::string_view kTrustNoServer = "NoServer";    // there is no sshd
inline constexpr std::string_view kTrustOff = "Off";              // the machine's owner has not asked for it
inline constexpr std::string_view kTrustPending = "Pending";      // the server has not said yet what to trust
inline constexpr std::string_view kTrustInstalled = "Installed";  // sshd lets Merlon's certificates in
inline constexpr std::string_view kTrustRefused = "Refused";      // something stands against it: the message

// "KIND BASE64" and nothing else: no comment, no option, no second line.
bool is_ssh_key_line(std::string_view line);

}  // namespace merlon::machine

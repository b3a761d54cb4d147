// Where the root key lies: what --root-key says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/secret.h"

namespace merlon::seal {

enum class RootKind {
  file,        // the key itself, in a file that only Merlon's user reads
  passphrase,  // wrapped by a passphrase: the server starts sealed, and a person unseals it
  token,       // wrapped by a key inside a PKCS#11 token
  tpm,         // sealed by this machine's TPM 2.0
};

struct RootPlace {
  RootPlace(std::string path = {}) : detail(std::move(path)) {}  // a file
  // "passphrase:", "pkcs11:…" (crypto/pkcs11.h), "tpm:…" (crypto/tpm2.h), else a file's path; nothing is
  // DIR/root.key.
  static Result<RootPlace> parse(std::string_view text, const std::string& state_dir);

  RootKind kind = RootKind::file;
  std::string detail;  // the path, the whole URI, or the TPM's options
  // What a person typed: the passphrase, or the recovery key where token or TPM refuse.
  std::optional<Secret> typed{};
};

std::string_view kind_text(RootKind kind);  // "passphrase", in records and answers
std::optional<RootKind> parse_kind(std::string_view text);

// As messages name it: "the passphrase", "the file /var/lib/merlon/root.key".
std::string describe(const RootPlace& place);

}  // namespace merlon::seal

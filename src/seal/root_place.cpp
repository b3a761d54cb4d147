// Reads --root-key: a scheme and its options, or a path.
#include "seal/root_place.h"

#include <algorithm>
#include <array>

#include "crypto/tpm2.h"

namespace merlon::seal {
namespace {

constexpr std::array<std::string_view, 4> kKindTexts{"file", "passphrase", "token", "tpm"};

}  // namespace

std::string_view kind_text(RootKind kind) { return kKindTexts.at(static_cast<size_t>(kind)); }

std::optional<RootKind> parse_kind(std::string_view text) {
  const auto* const known = std::find(kKindTexts.begin(), kKindTexts.end(), text);
  if (known == kKindTexts.end()) return std::nullopt;
  return static_cast<RootKind>(known - kKindTexts.begin());
}

Result<RootPlace> RootPlace::parse(std::string_view text, const std::string& state_dir) {
  RootPlace place(std::string(text.empty() ? state_dir + "/root.key" : text));
  if (text.starts_with("pkcs11:")) {
    place.kind = RootKind::token;
  } else if (text.starts_with("tpm:")) {
    place.kind = RootKind::tpm;
    place.detail = text.substr(4);
    TRY(crypto::parse_tpm_place(place.detail));
  } else if (text.starts_with("passphrase:")) {
    if (text != "passphrase:")
      return fail(
          ErrorKind::invalid, "InvalidRootKey",
          "--root-key passphrase: takes nothing after the colon: a passphrase on a command line is seen "
          "by every user of the machine. Type it into 'merlon unseal'.");
    place.kind = RootKind::passphrase;
    place.detail.clear();
  }
  return place;
}

std::string describe(const RootPlace& place) {
  switch (place.kind) {
    case RootKind::passphrase:
      return "the passphrase";
    case RootKind::token:
      return "the PKCS#11 token";
    case RootKind::tpm:
      return "the TPM of this machine";
    case RootKind::file:
      break;
  }
  return "the file " + place.detail;
}

}  // namespace merlon::seal

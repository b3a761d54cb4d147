// A PKCS#11 token by its URI (RFC 7512), read by p11-kit: the module loaded, the slot found, sessions logged
// in. Not for other rooms: they see pkcs11.h (Merlon's root key) and hsm.h (keys of vaults).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/p11_kit.h"

namespace merlon::crypto {

struct FreeUri {
  void operator()(P11KitUri* uri) const noexcept { p11_kit().uri_free(uri); }
};
using UriHandle = std::unique_ptr<P11KitUri, FreeUri>;

struct ReleaseModule {
  // C_Finalize here, and not at the process's exit: SoftHSM's own clean-up races OpenSSL's there.
  void operator()(CK_FUNCTION_LIST* module) const noexcept {
    p11_kit().module_finalize(module);
    p11_kit().module_release(module);
  }
};
using ModuleHandle = std::unique_ptr<CK_FUNCTION_LIST, ReleaseModule>;

// TokenRefused: "The PKCS#11 token <why>". The second one names the token's own code.
std::unexpected<Error> token_refused(std::string why, std::string cause = {});
std::unexpected<Error> token_refused(const std::string& doing, CK_RV code);

// Errors: InvalidTokenUri: what is no such URI, names no module, holds the PIN itself, or names no object
// where one is needed (`object`) or one where none is meant.
enum class UriObject { needed, none };
Result<UriHandle> parse_token_uri(const std::string& text, UriObject object);

// A token whose module is loaded. p11-kit counts who has initialised it: several of these may be open at
// once.
// What pin-source holds now. Errors: TokenRefused.
Result<Secret> read_pin(P11KitUri* uri);

class OpenToken {
 public:
  // Errors: TokenRefused: no such module or token.
  static Result<OpenToken> open(P11KitUri* uri);
  // Logged in with the PIN of pin-source, when the URI names one. Errors: TokenRefused; its cause is
  // "PIN" when the token does not take it: trying again would lock the token.
  Result<CK_SESSION_HANDLE> open_session() const;
  CK_FUNCTION_LIST& functions() const { return *module_; }

 private:
  OpenToken() = default;
  Result<CK_SLOT_ID> find_slot() const;
  Result<void> log_in(CK_SESSION_HANDLE session) const;

  P11KitUri* uri_ = nullptr;
  ModuleHandle module_;  // finalising it ends its sessions
  CK_SLOT_ID slot_ = 0;
};

}  // namespace merlon::crypto

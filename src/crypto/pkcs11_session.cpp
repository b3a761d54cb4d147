// From a URI to a session.
#include "crypto/pkcs11_session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace merlon::crypto {
namespace {

constexpr size_t kPinBytesMax = 256;

std::unexpected<Error> bad_uri(std::string why) {
  return fail(ErrorKind::invalid, "InvalidTokenUri", std::move(why));
}

}  // namespace

const P11Kit& p11_kit() {
  static const P11Kit library;
  return library;
}

std::unexpected<Error> token_refused(std::string why, std::string cause) {
  auto error = fail(ErrorKind::unavailable, "TokenRefused", "The PKCS#11 token " + std::move(why));
  error.error().cause = std::move(cause);
  return error;
}

std::unexpected<Error> token_refused(const std::string& doing, CK_RV code) {
  return token_refused("could not " + doing + ": " + p11_kit().strerror(code) +
                           ". See that it is plugged in, and what its own tool says of it.",
                       "CK_RV " + std::to_string(code));
}

Result<Secret> read_pin(P11KitUri* uri) {
  const char* source = p11_kit().uri_get_pin_source(uri);
  std::string_view path = source == nullptr ? "" : source;
  if (path.starts_with("file:")) path.remove_prefix(5);
  if (path.starts_with("//")) path.remove_prefix(2);
  const int file = ::open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file < 0)
    return token_refused("needs its PIN, and the file " + std::string(path) +
                         " cannot be opened: " + std::strerror(errno) + ". Correct pin-source in the URI.");
  Bytes bytes(kPinBytesMax + 1);
  const ssize_t got = ::read(file, bytes.data(), bytes.size());
  ::close(file);
  Secret pin(
      std::string_view(reinterpret_cast<const char*>(bytes.data()), got > 0 ? static_cast<size_t>(got) : 0));
  ::explicit_bzero(bytes.data(), bytes.size());
  std::string_view text = pin.expose_text();
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.empty() || text.size() > kPinBytesMax)
    return token_refused("needs its PIN, and the file " + std::string(path) +
                         " does not hold one of up to 256 bytes.");
  return Secret(text);
}

Result<UriHandle> parse_token_uri(const std::string& text, UriObject object) {
  TRY(p11_kit().loaded());
  const bool needed = object == UriObject::needed;
  UriHandle uri(p11_kit().uri_new());
  if (p11_kit().uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get()) != P11_KIT_URI_OK ||
      p11_kit().uri_any_unrecognized(uri.get()) != 0)
    return bad_uri(
        "This is no PKCS#11 URI (RFC 7512) that Merlon understands. Write it as 'pkcs11:token=NAME" +
        std::string(needed ? ";object=KEY" : "") +
        "?module-path=/path/of/module.so&pin-source=file:/path/of/pin'.");
  if (p11_kit().uri_get_module_path(uri.get()) == nullptr)
    return bad_uri(
        "The PKCS#11 URI names no module. Add '?module-path=/path/of/module.so' for the token's library.");
  const bool named = p11_kit().uri_get_attribute(uri.get(), CKA_LABEL) != nullptr;
  if (needed && !named)
    return bad_uri("The PKCS#11 URI names no object. Add ';object=KEY' for the key's label.");
  if (!needed && named)
    return bad_uri("The PKCS#11 URI names one object, and the vaults' keys are many. Leave ';object=' out.");
  if (p11_kit().uri_get_pin_value(uri.get()) != nullptr)
    return bad_uri(
        "The PKCS#11 URI holds the PIN itself, which every user of this machine sees among the running "
        "commands. Put it into a file of mode 0600, and name that with pin-source=file:/path.");
  return uri;
}

Result<OpenToken> OpenToken::open(P11KitUri* uri) {
  OpenToken token;
  token.uri_ = uri;
  const std::string path = p11_kit().uri_get_module_path(uri);
  CK_FUNCTION_LIST* module = p11_kit().module_load(path.c_str(), 0);
  if (module == nullptr)
    return token_refused("has no module: " + path + " could not be loaded (" + p11_kit().message() +
                         "). Correct module-path in the URI.");
  if (const CK_RV code = p11_kit().module_initialize(module); code != CKR_OK) {
    p11_kit().module_release(module);
    return token_refused("initialise itself", code);
  }
  token.module_.reset(module);
  token.slot_ = TRY(token.find_slot());
  return token;
}

Result<CK_SESSION_HANDLE> OpenToken::open_session() const {
  CK_SESSION_HANDLE session = 0;
  if (const CK_RV code =
          module_->C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session);
      code != CKR_OK)
    return token_refused("open a session", code);
  if (auto done = log_in(session); !done) {
    module_->C_CloseSession(session);
    return std::unexpected(std::move(done).error());
  }
  return session;
}

Result<void> OpenToken::log_in(CK_SESSION_HANDLE session) const {
  if (p11_kit().uri_get_pin_source(uri_) == nullptr) return {};
  const Secret pin = TRY(read_pin(uri_));
  Bytes copy(pin.expose().begin(), pin.expose().end());
  const CK_RV code = module_->C_Login(session, CKU_USER, copy.data(), copy.size());
  ::explicit_bzero(copy.data(), copy.size());
  if (code == CKR_PIN_INCORRECT || code == CKR_PIN_LOCKED)
    return token_refused(
        "does not accept the PIN of pin-source. Correct it before trying again: a token locks "
        "itself after a few wrong ones.",
        "PIN");
  if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return token_refused("log in", code);
  return {};
}

// The first token that the URI matches.
Result<CK_SLOT_ID> OpenToken::find_slot() const {
  CK_ULONG count = 0;
  if (const CK_RV code = module_->C_GetSlotList(CK_TRUE, nullptr, &count); code != CKR_OK)
    return token_refused("list its slots", code);
  std::vector<CK_SLOT_ID> slots(count);
  if (const CK_RV code = module_->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
    return token_refused("list its slots", code);
  slots.resize(count);
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (module_->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
    if ((info.flags & CKF_TOKEN_INITIALIZED) != 0 && p11_kit().uri_match_token_info(uri_, &info) != 0)
      return slot;
  }
  return token_refused(
      "of the URI is not there. Initialise it (softhsm2-util --init-token), plug it in, or correct "
      "'token=' in the URI.");
}

}  // namespace merlon::crypto

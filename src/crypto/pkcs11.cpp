// AES-256-GCM by C_Encrypt and C_Decrypt (PKCS #11 v2.40, section 2.12.3), the one authenticated mechanism
// that HSMs and SoftHSM share. The module is loaded for the call alone: a session that idles for months is
// closed by some HSMs.
#include "crypto/pkcs11.h"

#include <fcntl.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

namespace merlon::crypto {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr CK_ULONG kKeyBytes = 32;
constexpr size_t kPinBytesMax = 256;
constexpr size_t kWrappedBytesMax = 4096;

struct FreeUri {
  void operator()(P11KitUri* uri) const noexcept { p11_kit_uri_free(uri); }
};
using UriHandle = std::unique_ptr<P11KitUri, FreeUri>;

struct ReleaseModule {
  // C_Finalize here, and not at the process's exit: SoftHSM's own clean-up races OpenSSL's there.
  void operator()(CK_FUNCTION_LIST* module) const noexcept {
    p11_kit_module_finalize(module);
    p11_kit_module_release(module);
  }
};
using ModuleHandle = std::unique_ptr<CK_FUNCTION_LIST, ReleaseModule>;

std::unexpected<Error> refused(std::string why, std::string cause = {}) {
  auto error = fail(ErrorKind::unavailable, "TokenRefused", "The PKCS#11 token " + std::move(why));
  error.error().cause = std::move(cause);
  return error;
}

std::unexpected<Error> refused_by_token(const std::string& doing, CK_RV code) {
  return refused("could not " + doing + ": " + p11_kit_strerror(code) +
                     ". See that it is plugged in, and what its own tool says of it.",
                 "CK_RV " + std::to_string(code));
}

Result<UriHandle> parse(const std::string& text) {
  UriHandle uri(p11_kit_uri_new());
  if (p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, uri.get()) != P11_KIT_URI_OK ||
      p11_kit_uri_any_unrecognized(uri.get()) != 0)
    return fail(
        ErrorKind::invalid, "InvalidTokenUri",
        "This is no PKCS#11 URI (RFC 7512) that Merlon understands. Write it as "
        "'pkcs11:token=NAME;object=KEY?module-path=/path/of/module.so&pin-source=file:/path/of/pin'.");
  if (p11_kit_uri_get_module_path(uri.get()) == nullptr ||
      p11_kit_uri_get_attribute(uri.get(), CKA_LABEL) == nullptr)
    return fail(
        ErrorKind::invalid, "InvalidTokenUri",
        "The PKCS#11 URI names no object, or no module-path. Add ';object=KEY' for the key's label and "
        "'?module-path=/path/of/module.so' for the token's library.");
  if (p11_kit_uri_get_pin_value(uri.get()) != nullptr)
    return fail(
        ErrorKind::invalid, "InvalidTokenUri",
        "The PKCS#11 URI holds the PIN itself, which every user of this machine sees among the running "
        "commands. Put it into a file of mode 0600, and name that with pin-source=file:/path.");
  return uri;
}

Result<Secret> read_pin(const std::string& source) {
  std::string_view path = source;
  if (path.starts_with("file:")) path.remove_prefix(5);
  if (path.starts_with("//")) path.remove_prefix(2);
  const int file = ::open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file < 0)
    return refused("needs its PIN, and the file " + std::string(path) +
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
    return refused("needs its PIN, and the file " + std::string(path) +
                   " does not hold one of up to 256 bytes.");
  return Secret(text);
}

// One session, logged in, closed at the end.
class Session {
 public:
  static Result<Session> open(const TokenKey& key) {
    Session session;
    session.uri_ = TRY(parse(key.uri));
    const std::string path = p11_kit_uri_get_module_path(session.uri_.get());
    CK_FUNCTION_LIST* module = p11_kit_module_load(path.c_str(), 0);
    if (module == nullptr)
      return refused("has no module: " + path + " could not be loaded (" + p11_kit_message() +
                     "). Correct module-path in the URI.");
    if (const CK_RV code = p11_kit_module_initialize(module); code != CKR_OK) {
      p11_kit_module_release(module);
      return refused_by_token("be initialised", code);
    }
    session.module_.reset(module);
    const CK_SLOT_ID slot = TRY(session.find_slot());
    if (const CK_RV code = module->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                                 &session.handle_);
        code != CKR_OK)
      return refused_by_token("open a session", code);
    if (const char* source = p11_kit_uri_get_pin_source(session.uri_.get()); source != nullptr) {
      const Secret pin = TRY(read_pin(source));
      Bytes copy(pin.expose().begin(), pin.expose().end());
      const CK_RV code = module->C_Login(session.handle_, CKU_USER, copy.data(), copy.size());
      ::explicit_bzero(copy.data(), copy.size());
      if (code == CKR_PIN_INCORRECT || code == CKR_PIN_LOCKED)
        return refused(
            "does not accept the PIN of pin-source. Correct it before trying again: a token locks "
            "itself after a few wrong ones.");
      if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return refused_by_token("log in", code);
    }
    return session;
  }

  // Nothing when the token has no such key.
  Result<std::optional<CK_OBJECT_HANDLE>> find_key() {
    CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    std::array<CK_ATTRIBUTE, 3> wanted{{{CKA_CLASS, &kind, sizeof kind},
                                        {CKA_KEY_TYPE, &type, sizeof type},
                                        *p11_kit_uri_get_attribute(uri_.get(), CKA_LABEL)}};
    if (const CK_RV code = module_->C_FindObjectsInit(handle_, wanted.data(), wanted.size()); code != CKR_OK)
      return refused_by_token("search for its key", code);
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    const CK_RV code = module_->C_FindObjects(handle_, found.data(), found.size(), &count);
    module_->C_FindObjectsFinal(handle_);
    if (code != CKR_OK) return refused_by_token("search for its key", code);
    if (count > 1)
      return refused("holds more than one AES key of that label. Give the key of Merlon a label of its own.");
    if (count == 0) return std::optional<CK_OBJECT_HANDLE>();
    return std::optional(found[0]);
  }

  Result<CK_OBJECT_HANDLE> generate_key() {
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ULONG bytes = kKeyBytes;
    std::array<CK_ATTRIBUTE, 8> wanted{{{CKA_TOKEN, &yes, sizeof yes},
                                        {CKA_PRIVATE, &yes, sizeof yes},
                                        {CKA_SENSITIVE, &yes, sizeof yes},
                                        {CKA_EXTRACTABLE, &no, sizeof no},
                                        {CKA_ENCRYPT, &yes, sizeof yes},
                                        {CKA_DECRYPT, &yes, sizeof yes},
                                        {CKA_VALUE_LEN, &bytes, sizeof bytes},
                                        *p11_kit_uri_get_attribute(uri_.get(), CKA_LABEL)}};
    CK_OBJECT_HANDLE key = 0;
    if (const CK_RV code = module_->C_GenerateKey(handle_, &mechanism, wanted.data(), wanted.size(), &key);
        code != CKR_OK)
      return refused_by_token("generate a key", code);
    return key;
  }

  Result<Bytes> encrypt(CK_OBJECT_HANDLE key, Bytes nonce, ByteView plain, ByteView associated_data) {
    Bytes context(associated_data.begin(), associated_data.end());
    CK_GCM_PARAMS parameters = gcm(nonce, context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
    if (const CK_RV code = module_->C_EncryptInit(handle_, &mechanism, key); code != CKR_OK)
      return refused_by_token("start to encrypt by AES-GCM", code);
    Bytes input(plain.begin(), plain.end());
    Bytes out(plain.size() + kTagBytes);
    CK_ULONG size = out.size();
    const CK_RV code = module_->C_Encrypt(handle_, input.data(), input.size(), out.data(), &size);
    ::explicit_bzero(input.data(), input.size());
    if (code != CKR_OK || size != out.size()) return refused_by_token("encrypt by AES-GCM", code);
    nonce.insert(nonce.end(), out.begin(), out.end());
    return nonce;
  }

  Result<Secret> decrypt(CK_OBJECT_HANDLE key, ByteView wrapped, ByteView associated_data) {
    Bytes nonce(wrapped.begin(), wrapped.begin() + kNonceBytes);
    Bytes input(wrapped.begin() + kNonceBytes, wrapped.end());
    Bytes context(associated_data.begin(), associated_data.end());
    CK_GCM_PARAMS parameters = gcm(nonce, context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
    if (const CK_RV code = module_->C_DecryptInit(handle_, &mechanism, key); code != CKR_OK)
      return refused_by_token("start to decrypt by AES-GCM", code);
    Bytes out(input.size());
    CK_ULONG size = out.size();
    const CK_RV code = module_->C_Decrypt(handle_, input.data(), input.size(), out.data(), &size);
    if (code != CKR_OK || size > out.size()) {
      ::explicit_bzero(out.data(), out.size());
      return refused("does not open what was wrapped: it was wrapped by another key, or changed.",
                     "CK_RV " + std::to_string(code));
    }
    out.resize(size);
    return Secret(std::move(out));
  }

 private:
  static CK_GCM_PARAMS gcm(Bytes& nonce, Bytes& context) {
    CK_GCM_PARAMS parameters{};
    parameters.pIv = nonce.data();
    parameters.ulIvLen = nonce.size();
    parameters.ulIvBits = nonce.size() * 8;
    parameters.pAAD = context.data();
    parameters.ulAADLen = context.size();
    parameters.ulTagBits = kTagBytes * 8;
    return parameters;
  }

  // The first token that the URI matches.
  Result<CK_SLOT_ID> find_slot() {
    CK_ULONG count = 0;
    if (const CK_RV code = module_->C_GetSlotList(CK_TRUE, nullptr, &count); code != CKR_OK)
      return refused_by_token("list its slots", code);
    std::vector<CK_SLOT_ID> slots(count);
    if (const CK_RV code = module_->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
      return refused_by_token("list its slots", code);
    slots.resize(count);
    for (const CK_SLOT_ID slot : slots) {
      CK_TOKEN_INFO info{};
      if (module_->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
      if ((info.flags & CKF_TOKEN_INITIALIZED) != 0 && p11_kit_uri_match_token_info(uri_.get(), &info) != 0)
        return slot;
    }
    return refused(
        "of the URI is not there. Initialise it (softhsm2-util --init-token), plug it in, or correct "
        "'token=' in the URI.");
  }

  UriHandle uri_;
  ModuleHandle module_;  // finalising it ends its sessions
  CK_SESSION_HANDLE handle_ = 0;
};

}  // namespace

Result<Bytes> token_wrap(const TokenKey& key, const Secret& secret, ByteView associated_data,
                         Random& random) {
  Session session = TRY(Session::open(key));
  std::optional<CK_OBJECT_HANDLE> found = TRY(session.find_key());
  if (!found) found = TRY(session.generate_key());
  return session.encrypt(*found, random.bytes(kNonceBytes), secret.expose(), associated_data);
}

Result<Secret> token_unwrap(const TokenKey& key, ByteView wrapped, ByteView associated_data) {
  if (wrapped.size() < kNonceBytes + kTagBytes || wrapped.size() > kWrappedBytesMax)
    return refused("cannot open what was wrapped: it has not the length of a wrapped key.");
  Session session = TRY(Session::open(key));
  const std::optional<CK_OBJECT_HANDLE> found = TRY(session.find_key());
  if (!found)
    return refused(
        "has no AES key of the URI's label. Is it the token that was used before? A new key would not "
        "open what the old one wrapped.");
  return session.decrypt(*found, wrapped, associated_data);
}

}  // namespace merlon::crypto

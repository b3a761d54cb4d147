// AES-256-GCM by C_Encrypt and C_Decrypt (PKCS #11 v2.40, section 2.12.3), the one authenticated mechanism
// that HSMs and SoftHSM share. The module is loaded for the call alone: a session that idles for months is
// closed by some HSMs.
#include "crypto/pkcs11.h"

#include <array>
#include <optional>
#include <utility>

#include "crypto/pkcs11_session.h"

namespace merlon::crypto {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;
constexpr CK_ULONG kKeyBytes = 32;
constexpr size_t kWrappedBytesMax = 4096;

// One session, logged in, closed at the end.
class Session {
 public:
  static Result<Session> open(const TokenKey& key) {
    UriHandle uri = TRY(parse_token_uri(key.uri, UriObject::needed));
    OpenToken token = TRY(OpenToken::open(uri.get()));
    const CK_SESSION_HANDLE handle = TRY(token.open_session());
    return Session(std::move(uri), std::move(token), handle);
  }

  // Nothing when the token has no such key.
  Result<std::optional<CK_OBJECT_HANDLE>> find_key() {
    CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    std::array<CK_ATTRIBUTE, 3> wanted{{{CKA_CLASS, &kind, sizeof kind},
                                        {CKA_KEY_TYPE, &type, sizeof type},
                                        *p11_kit().uri_get_attribute(uri_.get(), CKA_LABEL)}};
    if (const CK_RV code = module_->C_FindObjectsInit(handle_, wanted.data(), wanted.size()); code != CKR_OK)
      return token_refused("search for its key", code);
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    const CK_RV code = module_->C_FindObjects(handle_, found.data(), found.size(), &count);
    module_->C_FindObjectsFinal(handle_);
    if (code != CKR_OK) return token_refused("search for its key", code);
    if (count > 1)
      return token_refused(
          "holds more than one AES key of that label. Give the key of Merlon a label of its own.");
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
                                        *p11_kit().uri_get_attribute(uri_.get(), CKA_LABEL)}};
    CK_OBJECT_HANDLE key = 0;
    if (const CK_RV code = module_->C_GenerateKey(handle_, &mechanism, wanted.data(), wanted.size(), &key);
        code != CKR_OK)
      return token_refused("generate a key", code);
    return key;
  }

  Result<Bytes> encrypt(CK_OBJECT_HANDLE key, Bytes nonce, ByteView plain, ByteView associated_data) {
    Bytes context(associated_data.begin(), associated_data.end());
    CK_GCM_PARAMS parameters = gcm(nonce, context);
    CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof parameters};
    if (const CK_RV code = module_->C_EncryptInit(handle_, &mechanism, key); code != CKR_OK)
      return token_refused("start to encrypt by AES-GCM", code);
    Bytes input(plain.begin(), plain.end());
    Bytes out(plain.size() + kTagBytes);
    CK_ULONG size = out.size();
    const CK_RV code = module_->C_Encrypt(handle_, input.data(), input.size(), out.data(), &size);
    ::explicit_bzero(input.data(), input.size());
    if (code != CKR_OK || size != out.size()) return token_refused("encrypt by AES-GCM", code);
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
      return token_refused("start to decrypt by AES-GCM", code);
    Bytes out(input.size());
    CK_ULONG size = out.size();
    const CK_RV code = module_->C_Decrypt(handle_, input.data(), input.size(), out.data(), &size);
    if (code != CKR_OK || size > out.size()) {
      ::explicit_bzero(out.data(), out.size());
      return token_refused("does not open what was wrapped: it was wrapped by another key, or changed.",
                           "CK_RV " + std::to_string(code));
    }
    out.resize(size);
    return Secret(std::move(out));
  }

 private:
  Session(UriHandle uri, OpenToken token, CK_SESSION_HANDLE handle)
      : uri_(std::move(uri)), token_(std::move(token)), module_(&token_.functions()), handle_(handle) {}

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

  UriHandle uri_;
  OpenToken token_;  // its end ends its sessions
  CK_FUNCTION_LIST* module_;
  CK_SESSION_HANDLE handle_;
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
    return token_refused("cannot open what was wrapped: it has not the length of a wrapped key.");
  Session session = TRY(Session::open(key));
  const std::optional<CK_OBJECT_HANDLE> found = TRY(session.find_key());
  if (!found)
    return token_refused(
        "has no AES key of the URI's label. Is it the token that was used before? A new key would not "
        "open what the old one wrapped.");
  return session.decrypt(*found, wrapped, associated_data);
}

}  // namespace merlon::crypto

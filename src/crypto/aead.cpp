// AES-256-GCM over EVP.
#include "crypto/aead.h"

#include <climits>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

const EVP_CIPHER* aes_256_gcm() {
  static const CipherHandle cipher(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  MERLON_CHECK(cipher != nullptr);
  return cipher.get();
}

// EVP reads a null input as "end of data", and an empty view may hold a null pointer.
bool update(EVP_CIPHER_CTX* context, uint8_t* out, ByteView in) {
  int size = 0;
  return in.empty() || EVP_CipherUpdate(context, out, &size, in.data(), static_cast<int>(in.size())) == 1;
}

// Holds plaintext that has not been verified: whatever way the function ends, it is wiped unless handed over.
Secret wiped(Bytes&& bytes) { return Secret(std::move(bytes)); }

}  // namespace

Bytes aead_seal(const Secret& key, ByteView plaintext, ByteView associated_data, Random& random) {
  MERLON_CHECK(key.size() == kAes256KeyBytes);
  MERLON_CHECK(plaintext.size() <= INT_MAX - kNonceBytes - kTagBytes && associated_data.size() <= INT_MAX);
  const ErrorQueue errors;
  Bytes out(kNonceBytes + plaintext.size() + kTagBytes);
  const std::span<uint8_t> nonce(out.data(), kNonceBytes);
  random.fill(nonce);
  const CipherContextHandle context(EVP_CIPHER_CTX_new());
  MERLON_CHECK(context != nullptr);
  uint8_t* ciphertext = out.data() + kNonceBytes;
  uint8_t* tag = ciphertext + plaintext.size();
  int rest = 0;
  MERLON_CHECK(
      EVP_CipherInit_ex2(context.get(), aes_256_gcm(), key.expose().data(), nonce.data(), 1, nullptr) == 1);
  MERLON_CHECK(update(context.get(), nullptr, associated_data));
  MERLON_CHECK(update(context.get(), ciphertext, plaintext));
  MERLON_CHECK(EVP_CipherFinal_ex(context.get(), tag, &rest) == 1 && rest == 0);
  MERLON_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1);
  return out;
}

Result<Secret> aead_open(const Secret& key, ByteView sealed, ByteView associated_data) {
  MERLON_CHECK(key.size() == kAes256KeyBytes);
  const auto refused = [] {
    return fail(
        ErrorKind::invalid, "DecryptionFailed",
        "The sealed data does not verify: it was changed, cut, or sealed with another key or for another "
        "place. Restore it from a backup.");
  };
  if (sealed.size() < kNonceBytes + kTagBytes || sealed.size() > INT_MAX || associated_data.size() > INT_MAX)
    return refused();
  const ErrorQueue errors;
  const ByteView nonce = sealed.first(kNonceBytes);
  const ByteView ciphertext = sealed.subspan(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  Bytes tag(sealed.end() - kTagBytes, sealed.end());
  const CipherContextHandle context(EVP_CIPHER_CTX_new());
  MERLON_CHECK(context != nullptr);
  MERLON_CHECK(
      EVP_CipherInit_ex2(context.get(), aes_256_gcm(), key.expose().data(), nonce.data(), 0, nullptr) == 1);
  MERLON_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1);
  Bytes plaintext(ciphertext.size());
  uint8_t none[EVP_MAX_BLOCK_LENGTH];
  int rest = 0;
  const bool read =
      update(context.get(), nullptr, associated_data) && update(context.get(), plaintext.data(), ciphertext);
  Secret opened = wiped(std::move(plaintext));
  if (!read || EVP_CipherFinal_ex(context.get(), none, &rest) != 1) return refused();
  return opened;
}

}  // namespace merlon::crypto

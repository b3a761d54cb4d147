// GCM (NIST SP 800-38D), CBC (SP 800-38A, with or without PKCS#7 padding), key wrap (RFC 3394, RFC 5649).
#include "crypto/aes_modes.h"

#include <array>
#include <climits>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

constexpr size_t kBlock = kAesBlockBytes;
constexpr size_t kGcmNonce = kGcmNonceBytes;
constexpr size_t kGcmTag = kGcmTagBytes;
constexpr size_t kInputMax = 64 * 1024;

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

using Ciphers = std::array<CipherHandle, 3>;  // of keys of 16, 24 and 32 bytes

Ciphers fetch(const std::string& mode) {
  const auto of = [&](const char* bits) {
    return CipherHandle(EVP_CIPHER_fetch(nullptr, ("AES-" + std::string(bits) + mode).c_str(), nullptr));
  };
  return {of("128"), of("192"), of("256")};
}

// Fetched once, as digests are (openssl_handles.cpp).
const EVP_CIPHER* cipher_of(AesMode mode, size_t key_bytes) {
  static const std::array<Ciphers, 4> fetched = {fetch("-GCM"), fetch("-CBC"), fetch("-WRAP"),
                                                 fetch("-WRAP-PAD")};
  const size_t size = key_bytes == 16 ? 0 : key_bytes == 24 ? 1 : 2;
  switch (mode) {
    case AesMode::gcm:
      return fetched[0][size].get();
    case AesMode::cbc:
    case AesMode::cbc_pad:
      return fetched[1][size].get();
    case AesMode::key_wrap:
      return fetched[2][size].get();
    case AesMode::key_wrap_pad:
      return fetched[3][size].get();
  }
  return nullptr;
}

Result<CipherContextHandle> start(AesMode mode, const Secret& key, ByteView iv, bool encrypting,
                                  const ErrorQueue& errors) {
  const size_t size = key.size();
  if (size != 16 && size != 24 && size != 32)
    return bad("AES takes a symmetric key of 128, 192 or 256 bits.");
  const EVP_CIPHER* cipher = cipher_of(mode, size);
  CipherContextHandle context(EVP_CIPHER_CTX_new());
  if (cipher == nullptr || !context) return errors.failure("cannot prepare AES");
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (EVP_CipherInit_ex2(context.get(), cipher, key.expose().data(), iv.empty() ? nullptr : iv.data(),
                         encrypting ? 1 : 0, nullptr) != 1)
    return errors.failure("cannot prepare AES");
  EVP_CIPHER_CTX_set_padding(context.get(), mode == AesMode::cbc_pad ? 1 : 0);
  return context;
}

// Null input means "end of data" to EVP.
bool update(EVP_CIPHER_CTX* context, uint8_t* out, ByteView in, int& size) {
  size = 0;
  return in.empty() || EVP_CipherUpdate(context, out, &size, in.data(), static_cast<int>(in.size())) == 1;
}

// The whole of it; nothing when EVP says no. A Secret, since it may be plaintext, verified or not.
std::optional<Secret> run(EVP_CIPHER_CTX* context, ByteView in) {
  Bytes out(in.size() + 2 * kBlock);
  int first = 0;
  int rest = 0;
  const bool done =
      update(context, out.data(), in, first) && EVP_CipherFinal_ex(context, out.data() + first, &rest) == 1;
  // Cut by copying into a Secret of the right length: what lies behind it is wiped too.
  const Secret whole(std::move(out));
  if (!done) return std::nullopt;
  const ByteView view = whole.expose().first(static_cast<size_t>(first + rest));
  return Secret(Bytes(view.begin(), view.end()));
}

bool add_aad(EVP_CIPHER_CTX* context, ByteView aad) {
  int size = 0;
  return update(context, nullptr, aad, size);
}

Bytes plain(const Secret& secret) { return {secret.expose().begin(), secret.expose().end()}; }

}  // namespace

std::unexpected<Error> decryption_failed() {
  return bad(
      "The value cannot be decrypted: it was not made with this key and algorithm, or it was changed.");
}

std::optional<AesAlgorithm> aes_algorithm(std::string_view name) {
  if (name == "CKM_AES_KEY_WRAP") return AesAlgorithm{AesMode::key_wrap, 0};
  if (name == "CKM_AES_KEY_WRAP_PAD") return AesAlgorithm{AesMode::key_wrap_pad, 0};
  struct Row {
    std::string_view prefix;
    size_t key_bytes;
  };
  for (const Row& row : {Row{"A128", 16}, Row{"A192", 24}, Row{"A256", 32}}) {
    if (!name.starts_with(row.prefix)) continue;
    const std::string_view mode = name.substr(row.prefix.size());
    if (mode == "GCM") return AesAlgorithm{AesMode::gcm, row.key_bytes};
    if (mode == "CBC") return AesAlgorithm{AesMode::cbc, row.key_bytes};
    if (mode == "CBCPAD") return AesAlgorithm{AesMode::cbc_pad, row.key_bytes};
    if (mode == "KW") return AesAlgorithm{AesMode::key_wrap, row.key_bytes};
  }
  return std::nullopt;
}

Result<void> check_aes_encrypt(AesMode mode, const EncryptParameters& parameters, ByteView plaintext) {
  const bool gcm = mode == AesMode::gcm;
  if (mode == AesMode::key_wrap || mode == AesMode::key_wrap_pad)
    return bad("Key wrap algorithms wrap keys: use wrapkey.");
  if (plaintext.size() > kInputMax) return bad("The value exceeds 64 KiB.");
  if (gcm && !parameters.iv.empty())
    return bad("AES-GCM takes no iv for encryption: one is made for each value, and comes with the answer.");
  if (!gcm && !parameters.aad.empty()) return bad("AES-CBC has no additional authenticated data.");
  if (!gcm && !parameters.iv.empty() && parameters.iv.size() != kBlock)
    return bad("The iv must have 16 bytes.");
  if (mode == AesMode::cbc && plaintext.size() % kBlock != 0)
    return bad(
        "AES-CBC without padding takes whole blocks of 16 bytes. Use the algorithm that ends in CBCPAD.");
  return {};
}

Result<Encrypted> aes_encrypt(AesMode mode, const Secret& key, const EncryptParameters& parameters,
                              ByteView plaintext, Random& random) {
  TRY(check_aes_encrypt(mode, parameters, plaintext));
  const bool gcm = mode == AesMode::gcm;
  const ErrorQueue errors;
  Encrypted out;
  out.iv = parameters.iv.empty() ? random.bytes(gcm ? kGcmNonce : kBlock) : parameters.iv;
  const auto context = TRY(start(mode, key, out.iv, true, errors));
  if (gcm && !add_aad(context.get(), parameters.aad)) return errors.failure("AES-GCM does not encrypt");
  const auto value = run(context.get(), plaintext);
  if (!value) return errors.failure("AES does not encrypt");
  out.value = plain(*value);
  if (!gcm) return out;
  out.tag.resize(kGcmTag);
  if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTag, out.tag.data()) != 1)
    return errors.failure("AES-GCM gives no tag");
  return out;
}

Result<void> check_aes_decrypt(AesMode mode, const DecryptParameters& parameters, ByteView ciphertext) {
  const bool gcm = mode == AesMode::gcm;
  if (mode == AesMode::key_wrap || mode == AesMode::key_wrap_pad)
    return bad("Key wrap algorithms unwrap keys: use unwrapkey.");
  if (ciphertext.size() > kInputMax + kBlock) return bad("The value exceeds 64 KiB.");
  if (parameters.iv.size() != (gcm ? kGcmNonce : kBlock))
    return bad(gcm ? "AES-GCM needs the iv of 12 bytes that encryption answered."
                   : "AES-CBC needs the iv of 16 bytes that encryption answered.");
  if (gcm && parameters.tag.size() != kGcmTag)
    return bad("AES-GCM needs the tag of 16 bytes that encryption answered.");
  if (!gcm && (!parameters.aad.empty() || !parameters.tag.empty()))
    return bad("AES-CBC has neither a tag nor additional authenticated data.");
  return {};
}

Result<Secret> aes_decrypt(AesMode mode, const Secret& key, const DecryptParameters& parameters,
                           ByteView ciphertext) {
  TRY(check_aes_decrypt(mode, parameters, ciphertext));
  const bool gcm = mode == AesMode::gcm;
  const ErrorQueue errors;
  const auto context = TRY(start(mode, key, parameters.iv, false, errors));
  if (gcm) {
    Bytes tag = parameters.tag;
    if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTag, tag.data()) != 1 ||
        !add_aad(context.get(), parameters.aad))
      return decryption_failed();
  } else if (ciphertext.size() % kBlock != 0) {
    return decryption_failed();
  }
  auto value = run(context.get(), ciphertext);
  if (!value) return decryption_failed();
  return *std::move(value);
}

Result<void> check_aes_wrap(AesMode mode, ByteView secret) {
  if (mode != AesMode::key_wrap && mode != AesMode::key_wrap_pad)
    return bad("Only the key wrap algorithms (A128KW, A192KW, A256KW) wrap keys.");
  if (secret.empty() || secret.size() > kInputMax) return bad("A key to be wrapped has 1 byte to 64 KiB.");
  if (mode == AesMode::key_wrap && (secret.size() % 8 != 0 || secret.size() < 16))
    return bad("AES key wrap takes keys of at least 16 bytes, in whole groups of 8 (RFC 3394).");
  return {};
}

Result<Bytes> aes_wrap(AesMode mode, const Secret& key, ByteView secret) {
  TRY(check_aes_wrap(mode, secret));
  const ErrorQueue errors;
  const auto context = TRY(start(mode, key, {}, true, errors));
  const auto wrapped = run(context.get(), secret);
  if (!wrapped) return errors.failure("AES does not wrap");
  return plain(*wrapped);
}

Result<void> check_aes_unwrap(AesMode mode, ByteView wrapped) {
  if (mode != AesMode::key_wrap && mode != AesMode::key_wrap_pad)
    return bad("Only the key wrap algorithms (A128KW, A192KW, A256KW) unwrap keys.");
  // RFC 3394 section 2.2.2: at least three groups; RFC 5649 section 4.2: two.
  const size_t least = mode == AesMode::key_wrap ? 24 : 16;
  if (wrapped.size() % 8 != 0 || wrapped.size() < least || wrapped.size() > kInputMax + kBlock)
    return decryption_failed();
  return {};
}

Result<Secret> aes_unwrap(AesMode mode, const Secret& key, ByteView wrapped) {
  TRY(check_aes_unwrap(mode, wrapped));
  const ErrorQueue errors;
  const auto context = TRY(start(mode, key, {}, false, errors));
  auto secret = run(context.get(), wrapped);
  if (!secret || secret->empty()) return decryption_failed();
  return *std::move(secret);
}

}  // namespace merlon::crypto

// What the token's keys do. Parameters are judged first, by the same rules as those of keys in memory.
#include <openssl/rsa.h>

#include <array>

#include "crypto/hsm.h"
#include "crypto/hsm_sessions.h"
#include "crypto/key_algorithms.h"

namespace merlon::crypto {
namespace {

constexpr size_t kRandomBytesMax = 1024;

KeyShape shape_of(const HsmKey& key) { return {key.kind, key.bits, key.curve}; }

CK_OBJECT_CLASS class_of(const HsmKey& key) {
  return key.kind == MaterialKind::oct ? CKO_SECRET_KEY : CKO_PRIVATE_KEY;
}

// A key or a token that does not do this is the caller's mistake; anything else is the token's.
std::unexpected<Error> not_done(const std::string& doing, CK_RV code) {
  const bool cannot = code == CKR_MECHANISM_INVALID || code == CKR_MECHANISM_PARAM_INVALID ||
                      code == CKR_KEY_SIZE_RANGE || code == CKR_KEY_TYPE_INCONSISTENT ||
                      code == CKR_KEY_FUNCTION_NOT_PERMITTED || code == CKR_DATA_LEN_RANGE ||
                      code == CKR_KEY_NOT_WRAPPABLE || code == CKR_KEY_UNEXTRACTABLE;
  if (cannot)
    return fail(ErrorKind::invalid, "BadParameter",
                "The server's hardware token does not " + doing + " with this key and algorithm (" +
                    std::string(p11_kit().strerror(code)) + ").");
  return token_refused(doing, code);
}

// Tokens disagree on what to call a ciphertext that is none. All of these are the one answer that tells
// nothing.
bool is_bad_ciphertext(CK_RV code) {
  return code == CKR_ENCRYPTED_DATA_INVALID || code == CKR_ENCRYPTED_DATA_LEN_RANGE ||
         code == CKR_WRAPPED_KEY_INVALID || code == CKR_WRAPPED_KEY_LEN_RANGE || code == CKR_GENERAL_ERROR ||
         code == CKR_FUNCTION_FAILED || code == CKR_DATA_INVALID || code == CKR_SIGNATURE_INVALID;
}

struct HashRow {
  DigestAlgorithm digest;
  CK_MECHANISM_TYPE hash, mac;
  CK_RSA_PKCS_MGF_TYPE mgf;
  std::array<uint8_t, 19> prefix;  // of DigestInfo (RFC 8017 section 9.2, note 1)
};
constexpr std::array<HashRow, 3> kHashes = {{{DigestAlgorithm::sha256,
                                              CKM_SHA256,
                                              CKM_SHA256_HMAC,
                                              CKG_MGF1_SHA256,
                                              {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                               0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}},
                                             {DigestAlgorithm::sha384,
                                              CKM_SHA384,
                                              CKM_SHA384_HMAC,
                                              CKG_MGF1_SHA384,
                                              {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                               0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30}},
                                             {DigestAlgorithm::sha512,
                                              CKM_SHA512,
                                              CKM_SHA512_HMAC,
                                              CKG_MGF1_SHA512,
                                              {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                               0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40}}}};

const HashRow& hash_of(DigestAlgorithm digest) {
  for (const HashRow& row : kHashes)
    if (row.digest == digest) return row;
  return kHashes.front();
}

CK_RV sign_with(const TokenSession& session, CK_OBJECT_HANDLE key, CK_MECHANISM mechanism, Bytes& input,
                Bytes& out) {
  if (const CK_RV code = session.functions.C_SignInit(session.handle, &mechanism, key); code != CKR_OK)
    return code;
  CK_ULONG size = out.size();
  const CK_RV code = session.functions.C_Sign(session.handle, input.data(), input.size(), out.data(), &size);
  out.resize(code == CKR_OK ? size : 0);
  return code;
}

CK_RV encrypt_with(const TokenSession& session, CK_OBJECT_HANDLE key, CK_MECHANISM mechanism, Bytes& input,
                   Bytes& out) {
  if (const CK_RV code = session.functions.C_EncryptInit(session.handle, &mechanism, key); code != CKR_OK)
    return code;
  CK_ULONG size = out.size();
  const CK_RV code =
      session.functions.C_Encrypt(session.handle, input.data(), input.size(), out.data(), &size);
  out.resize(code == CKR_OK ? size : 0);
  return code;
}

CK_RV decrypt_with(const TokenSession& session, CK_OBJECT_HANDLE key, CK_MECHANISM mechanism, Bytes& input,
                   Secret& out) {
  if (const CK_RV code = session.functions.C_DecryptInit(session.handle, &mechanism, key); code != CKR_OK)
    return code;
  Bytes plain(input.size() + kAesBlockBytes);
  CK_ULONG size = plain.size();
  const CK_RV code =
      session.functions.C_Decrypt(session.handle, input.data(), input.size(), plain.data(), &size);
  const Secret whole(std::move(plain));
  if (code != CKR_OK) return code;
  const ByteView view = whole.expose().first(size);
  out = Secret(Bytes(view.begin(), view.end()));
  return code;
}

CK_GCM_PARAMS gcm(Bytes& iv, Bytes& aad) {
  CK_GCM_PARAMS parameters{};
  parameters.pIv = iv.data();
  parameters.ulIvLen = iv.size();
  parameters.ulIvBits = iv.size() * 8;
  parameters.pAAD = aad.data();
  parameters.ulAADLen = aad.size();
  parameters.ulTagBits = kGcmTagBytes * 8;
  return parameters;
}

CK_MECHANISM cbc(AesMode mode, Bytes& iv) {
  return {mode == AesMode::cbc_pad ? CKM_AES_CBC_PAD : CKM_AES_CBC, iv.data(), iv.size()};
}

// RFC 3394 alone: SoftHSM gives back what RFC 5649 padded with the padding, and no token says which it is.
Result<void> check_wrap_mode(AesMode mode) {
  if (mode != AesMode::key_wrap_pad) return {};
  return fail(ErrorKind::invalid, "BadParameter",
              "Keys in a hardware token wrap without padding. Use A128KW, A192KW or A256KW, or a key in "
              "memory (oct).");
}

// SoftHSM, and some HSMs, have OAEP with SHA-1 alone. The token then does the part that takes the key, and
// OpenSSL takes the padding off in constant time (RSA_padding_check_PKCS1_OAEP_mgf1(3)).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // EVP has no padding without its key
std::optional<Secret> oaep_decode(const Secret& block, size_t modulus, DigestAlgorithm digest) {
  const ErrorQueue errors;
  Bytes out(modulus);
  const EVP_MD* md = digest_algorithm(digest);
  const int size = RSA_padding_check_PKCS1_OAEP_mgf1(out.data(), static_cast<int>(out.size()),
                                                     block.expose().data(), static_cast<int>(block.size()),
                                                     static_cast<int>(modulus), nullptr, 0, md, md);
  const Secret whole(std::move(out));
  if (size < 0) return std::nullopt;
  const ByteView view = whole.expose().first(static_cast<size_t>(size));
  return Secret(Bytes(view.begin(), view.end()));
}
#pragma GCC diagnostic pop

CK_RV rsa_decrypt(const TokenSession& session, CK_OBJECT_HANDLE key, const CryptAlgorithm& row, Bytes& input,
                  Secret& out) {
  if (row.padding == RsaPadding::pkcs1)
    return decrypt_with(session, key, {CKM_RSA_PKCS, nullptr, 0}, input, out);
  const bool sha1 = row.digest == DigestAlgorithm::sha1;
  CK_RSA_PKCS_OAEP_PARAMS oaep{};
  oaep.hashAlg = sha1 ? CKM_SHA_1 : CKM_SHA256;
  oaep.mgf = sha1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256;
  oaep.source = CKZ_DATA_SPECIFIED;
  const CK_RV code = decrypt_with(session, key, {CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}, input, out);
  if (code != CKR_ARGUMENTS_BAD && code != CKR_MECHANISM_PARAM_INVALID) return code;
  Secret block;
  const CK_RV raw = decrypt_with(session, key, {CKM_RSA_X_509, nullptr, 0}, input, block);
  if (raw != CKR_OK) return raw;
  auto plain = oaep_decode(block, input.size(), row.digest);
  if (!plain) return CKR_ENCRYPTED_DATA_INVALID;
  out = *std::move(plain);
  return CKR_OK;
}

// Key wrap takes and makes objects. What is wrapped is one for the length of the call.
CK_RV wrap_with(const TokenSession& session, CK_OBJECT_HANDLE key, Bytes& secret, Bytes& out) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  std::array<CK_ATTRIBUTE, 6> facts{{{CKA_CLASS, &kind, sizeof kind},
                                     {CKA_KEY_TYPE, &type, sizeof type},
                                     {CKA_TOKEN, &no, sizeof no},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_EXTRACTABLE, &yes, sizeof yes},
                                     {CKA_VALUE, secret.data(), secret.size()}}};
  CK_OBJECT_HANDLE object = 0;
  CK_RV code = session.functions.C_CreateObject(session.handle, facts.data(), facts.size(), &object);
  if (code != CKR_OK) return code;
  CK_MECHANISM mechanism{CKM_AES_KEY_WRAP, nullptr, 0};
  CK_ULONG size = out.size();
  code = session.functions.C_WrapKey(session.handle, &mechanism, key, object, out.data(), &size);
  out.resize(code == CKR_OK ? size : 0);
  session.functions.C_DestroyObject(session.handle, object);
  return code;
}

CK_RV unwrap_with(const TokenSession& session, CK_OBJECT_HANDLE key, Bytes& wrapped, Secret& out) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  std::array<CK_ATTRIBUTE, 6> facts{{{CKA_CLASS, &kind, sizeof kind},
                                     {CKA_KEY_TYPE, &type, sizeof type},
                                     {CKA_TOKEN, &no, sizeof no},
                                     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, &no, sizeof no},
                                     {CKA_EXTRACTABLE, &yes, sizeof yes}}};
  CK_MECHANISM mechanism{CKM_AES_KEY_WRAP, nullptr, 0};
  CK_OBJECT_HANDLE object = 0;
  CK_RV code = session.functions.C_UnwrapKey(session.handle, &mechanism, key, wrapped.data(), wrapped.size(),
                                             facts.data(), facts.size(), &object);
  if (code != CKR_OK) return code;
  Bytes value(wrapped.size());
  CK_ATTRIBUTE asked{CKA_VALUE, value.data(), value.size()};
  code = session.functions.C_GetAttributeValue(session.handle, object, &asked, 1);
  session.functions.C_DestroyObject(session.handle, object);
  const Secret whole(std::move(value));
  if (code != CKR_OK) return code;
  const ByteView view = whole.expose().first(asked.ulValueLen);
  out = Secret(Bytes(view.begin(), view.end()));
  return code;
}

struct WipedInput {
  explicit WipedInput(ByteView view) : bytes(view.begin(), view.end()) {}
  WipedInput(const WipedInput&) = delete;
  WipedInput& operator=(const WipedInput&) = delete;
  ~WipedInput() { ::explicit_bzero(bytes.data(), bytes.size()); }
  Bytes bytes;
};

}  // namespace

Result<Bytes> Hsm::sign(const HsmKey& key, std::string_view algorithm, ByteView digest) {
  const SignAlgorithm& row = *TRY(sign_algorithm(algorithm, shape_of(key), digest));
  const HashRow& hash = hash_of(row.digest);
  Bytes input(digest.begin(), digest.end());
  Bytes out(row.family == SignFamily::hmac    ? row.digest_bytes
            : row.family == SignFamily::ecdsa ? 2 * scalar_bytes(key.curve)
                                              : key.bits / 8);
  CK_RSA_PKCS_PSS_PARAMS pss{hash.hash, hash.mgf, row.digest_bytes};
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  if (row.family == SignFamily::hmac) mechanism.mechanism = hash.mac;
  if (row.family == SignFamily::rsa_pkcs1) {
    mechanism.mechanism = CKM_RSA_PKCS;
    input.insert(input.begin(), hash.prefix.begin(), hash.prefix.end());
  }
  if (row.family == SignFamily::rsa_pss) mechanism = {CKM_RSA_PKCS_PSS, &pss, sizeof pss};
  const CK_RV code = TRY(
      sessions_->run_with(class_of(key), key.id, [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
        return sign_with(session, handle, mechanism, input, out);
      }));
  if (code != CKR_OK) return not_done("sign", code);
  return out;
}

Result<bool> Hsm::verify_mac(const HsmKey& key, std::string_view algorithm, ByteView value, ByteView mac) {
  return constant_time_equal(TRY(sign(key, algorithm, value)), mac);
}

Result<Encrypted> Hsm::encrypt(const HsmKey& key, const EncryptParameters& parameters, ByteView plaintext,
                               Random& random) {
  const AesMode mode = TRY(aes_mode(parameters.algorithm, shape_of(key)));
  TRY(check_aes_encrypt(mode, parameters, plaintext));
  const bool is_gcm = mode == AesMode::gcm;
  Encrypted out;
  out.iv = parameters.iv.empty() ? random.bytes(is_gcm ? kGcmNonceBytes : kAesBlockBytes) : parameters.iv;
  out.value.resize(plaintext.size() + kAesBlockBytes);
  Bytes iv = out.iv;
  Bytes aad = parameters.aad;
  CK_GCM_PARAMS gcm_parameters = gcm(iv, aad);
  const CK_MECHANISM mechanism =
      is_gcm ? CK_MECHANISM{CKM_AES_GCM, &gcm_parameters, sizeof gcm_parameters} : cbc(mode, iv);
  WipedInput input(plaintext);
  const CK_RV code = TRY(
      sessions_->run_with(CKO_SECRET_KEY, key.id, [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
        return encrypt_with(session, handle, mechanism, input.bytes, out.value);
      }));
  if (code != CKR_OK) return not_done("encrypt", code);
  if (!is_gcm) return out;
  if (out.value.size() != plaintext.size() + kGcmTagBytes)
    return token_refused("encrypts by AES-GCM with a tag of another length.");
  out.tag.assign(out.value.end() - kGcmTagBytes, out.value.end());
  out.value.resize(plaintext.size());
  return out;
}

Result<Secret> Hsm::decrypt(const HsmKey& key, const DecryptParameters& parameters, ByteView ciphertext) {
  Secret out;
  Bytes input(ciphertext.begin(), ciphertext.end());
  const auto decide = [&](CK_RV code) -> Result<Secret> {
    if (code == CKR_OK) return std::move(out);
    if (is_bad_ciphertext(code)) return decryption_failed();
    return not_done("decrypt", code);
  };
  if (key.kind != MaterialKind::oct) {
    const CryptAlgorithm& row = *TRY(crypt_algorithm(parameters.algorithm, shape_of(key)));
    if (!parameters.iv.empty() || !parameters.aad.empty() || !parameters.tag.empty())
      return fail(ErrorKind::invalid, "BadParameter", "RSA takes neither iv nor aad nor tag.");
    if (ciphertext.size() != key.bits / 8) return decryption_failed();
    return decide(TRY(sessions_->run_with(CKO_PRIVATE_KEY, key.id,
                                          [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
                                            return rsa_decrypt(session, handle, row, input, out);
                                          })));
  }
  const AesMode mode = TRY(aes_mode(parameters.algorithm, shape_of(key)));
  TRY(check_aes_decrypt(mode, parameters, ciphertext));
  Bytes iv = parameters.iv;
  Bytes aad = parameters.aad;
  CK_GCM_PARAMS gcm_parameters = gcm(iv, aad);
  const bool is_gcm = mode == AesMode::gcm;
  if (is_gcm) {
    input.insert(input.end(), parameters.tag.begin(), parameters.tag.end());
  } else if (input.empty() || input.size() % kAesBlockBytes != 0) {
    return decryption_failed();
  }
  const CK_MECHANISM mechanism =
      is_gcm ? CK_MECHANISM{CKM_AES_GCM, &gcm_parameters, sizeof gcm_parameters} : cbc(mode, iv);
  return decide(TRY(
      sessions_->run_with(CKO_SECRET_KEY, key.id, [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
        return decrypt_with(session, handle, mechanism, input, out);
      })));
}

Result<Bytes> Hsm::wrap(const HsmKey& key, std::string_view algorithm, ByteView secret) {
  const AesMode mode = TRY(aes_mode(algorithm, shape_of(key)));
  TRY(check_wrap_mode(mode));
  TRY(check_aes_wrap(mode, secret));
  WipedInput input(secret);
  Bytes out(secret.size() + 2 * kAesBlockBytes);
  const CK_RV code = TRY(
      sessions_->run_with(CKO_SECRET_KEY, key.id, [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
        return wrap_with(session, handle, input.bytes, out);
      }));
  if (code != CKR_OK) return not_done("wrap", code);
  return out;
}

Result<Secret> Hsm::unwrap(const HsmKey& key, std::string_view algorithm, ByteView wrapped) {
  if (key.kind != MaterialKind::oct)
    return decrypt(key, {.algorithm = std::string(algorithm), .iv = {}, .aad = {}, .tag = {}}, wrapped);
  const AesMode mode = TRY(aes_mode(algorithm, shape_of(key)));
  TRY(check_wrap_mode(mode));
  TRY(check_aes_unwrap(mode, wrapped));
  Bytes input(wrapped.begin(), wrapped.end());
  Secret out;
  const CK_RV code = TRY(
      sessions_->run_with(CKO_SECRET_KEY, key.id, [&](const TokenSession& session, CK_OBJECT_HANDLE handle) {
        return unwrap_with(session, handle, input, out);
      }));
  if (is_bad_ciphertext(code)) return decryption_failed();
  if (code != CKR_OK) return not_done("unwrap", code);
  return out;
}

Result<Secret> Hsm::random_bytes(size_t count) {
  Bytes out(std::min(count, kRandomBytesMax));
  const CK_RV code = TRY(sessions_->run([&](const TokenSession& session) {
    return session.functions.C_GenerateRandom(session.handle, out.data(), out.size());
  }));
  if (code != CKR_OK) return token_refused("make random bytes", code);
  return Secret(std::move(out));
}

}  // namespace merlon::crypto

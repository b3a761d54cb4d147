// Making, reading and writing keys.
#include "crypto/key_material.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include <array>

#include "crypto/key_contexts.h"
#include "crypto/key_numbers.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

using SecretNumber = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;

struct CurveRow {
  std::string_view jose;
  const char* openssl;
  const char* group;  // as EVP names it back
  size_t bytes;
};
constexpr std::array<CurveRow, 4> kCurves = {{{"P-256", "P-256", "prime256v1", 32},
                                              {"P-384", "P-384", "secp384r1", 48},
                                              {"P-521", "P-521", "secp521r1", 66},
                                              {"P-256K", "secp256k1", "secp256k1", 32}}};

constexpr uint8_t kOctetsMark = 0;  // first byte of what is stored: how to read the rest
constexpr uint8_t kPairMark = 1;
constexpr uint8_t kPublicMark = 2;
constexpr size_t kStoredMax = 16 * 1024;

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

const CurveRow* curve_of(const EVP_PKEY* key) {
  std::array<char, 64> group{};
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) != 1)
    return nullptr;
  const std::string_view name(group.data(), size);
  for (const CurveRow& curve : kCurves)
    if (name == curve.group || name == curve.openssl) return &curve;
  return nullptr;
}

bool is_rsa_size(int64_t bits) { return bits == 2048 || bits == 3072 || bits == 4096; }
bool is_oct_size(int64_t bits) {
  return bits == 128 || bits == 192 || bits == 256 || bits == 384 || bits == 512;
}

// base64url without padding, in any width: clients pad numbers with leading zeros, or do not.
Result<SecretNumber> number_in(const JsonObject& jwk, std::string_view name) {
  const auto text = string_at(jwk, name);
  const Secret bytes(text ? from_base64url(*text).value_or(Bytes()) : Bytes());
  if (bytes.empty() || bytes.size() > 1024)
    return bad("The JSON Web Key needs '" + std::string(name) + "', a number in base64url.");
  SecretNumber number(BN_secure_new());
  if (!number || BN_bin2bn(bytes.expose().data(), static_cast<int>(bytes.size()), number.get()) == nullptr)
    return internal_error("cannot read a number");
  return number;
}

enum class Half { public_only, both };
Half half_of(const JsonObject& jwk) { return jwk.contains("d") ? Half::both : Half::public_only; }

Result<KeyHandle> key_of(const char* type, OSSL_PARAM_BLD* builder, Half half) {
  const ParamsHandle params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  const int selection = half == Half::both ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, selection, params.get()) != 1)
    return bad("The JSON Web Key's numbers are not those of a key.");
  KeyHandle key(made);
  const KeyContextHandle check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!check || (half == Half::both && !has_sound_numbers(key.get())) ||
      EVP_PKEY_public_check(check.get()) != 1 ||
      (half == Half::both &&
       (EVP_PKEY_private_check(check.get()) != 1 || EVP_PKEY_pairwise_check(check.get()) != 1)))
    return bad("The JSON Web Key's numbers are not those of a key.");
  return key;
}

Result<KeyHandle> rsa_key(const JsonObject& jwk) {
  struct Member {
    const char* jose;
    const char* openssl;
  };
  static constexpr std::array<Member, 8> members = {{{"n", OSSL_PKEY_PARAM_RSA_N},
                                                     {"e", OSSL_PKEY_PARAM_RSA_E},
                                                     {"d", OSSL_PKEY_PARAM_RSA_D},
                                                     {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                                                     {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
                                                     {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                                                     {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
                                                     {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}}};
  const ParamBuilderHandle builder(OSSL_PARAM_BLD_new());
  std::vector<SecretNumber> numbers;  // the builder holds no copies
  const Half half = half_of(jwk);
  for (const Member& member : members) {
    if (half == Half::public_only && numbers.size() == 2) break;
    numbers.push_back(TRY(number_in(jwk, member.jose)));
    if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), member.openssl, numbers.back().get()) != 1)
      return internal_error("cannot build an RSA key");
  }
  if (!is_rsa_size(BN_num_bits(numbers.front().get()))) return bad("An RSA key has 2048, 3072 or 4096 bits.");
  return key_of("RSA", builder.get(), half);
}

// Fixed width, from whatever width a client writes.
Result<Secret> scalar_in(const JsonObject& jwk, std::string_view name, size_t width) {
  const SecretNumber number = TRY(number_in(jwk, name));
  Bytes bytes(width);
  if (BN_num_bytes(number.get()) > static_cast<int>(width) ||
      BN_bn2binpad(number.get(), bytes.data(), static_cast<int>(width)) < 0)
    return bad("'" + std::string(name) + "' is longer than the curve's numbers.");
  return Secret(std::move(bytes));
}

Result<KeyHandle> ec_key(const JsonObject& jwk) {
  const auto name = string_at(jwk, "crv");
  for (const CurveRow& curve : kCurves) {
    if (name != curve.jose && !(name == "SECP256K1" && curve.jose == "P-256K")) continue;
    const Secret x = TRY(scalar_in(jwk, "x", curve.bytes));
    const Secret y = TRY(scalar_in(jwk, "y", curve.bytes));
    const Half half = half_of(jwk);
    const SecretNumber d = half == Half::both ? TRY(number_in(jwk, "d")) : SecretNumber();
    Bytes point = {4};  // uncompressed (SEC 1 section 2.3.3)
    point.insert(point.end(), x.expose().begin(), x.expose().end());
    point.insert(point.end(), y.expose().begin(), y.expose().end());
    const ParamBuilderHandle builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.openssl, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1 ||
        (d && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) != 1))
      return internal_error("cannot build an EC key");
    return key_of("EC", builder.get(), half);
  }
  return bad("crv must be P-256, P-384, P-521 or P-256K.");
}

std::string number_text(const EVP_PKEY* key, const char* name, size_t width) {
  BIGNUM* raw = nullptr;
  MERLON_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BignumHandle number(raw);
  Bytes bytes(width == 0 ? static_cast<size_t>(BN_num_bytes(number.get())) : width);
  MERLON_CHECK(BN_bn2binpad(number.get(), bytes.data(), static_cast<int>(bytes.size())) ==
               static_cast<int>(bytes.size()));
  return to_base64url(bytes);
}

}  // namespace

KeyMaterial::KeyMaterial(MaterialKind kind, std::shared_ptr<EVP_PKEY> pair, bool is_private)
    : kind_(kind),
      private_(is_private),
      bits_(static_cast<unsigned>(EVP_PKEY_get_bits(pair.get()))),
      pair_(std::move(pair)),
      contexts_(std::make_shared<KeyContexts>()) {
  const CurveRow* row = kind_ == MaterialKind::ec ? curve_of(pair_.get()) : nullptr;
  if (row != nullptr) curve_ = row->jose;
}

KeyMaterial::KeyMaterial(Secret octets)
    : kind_(MaterialKind::oct), bits_(static_cast<unsigned>(octets.size() * 8)), octets_(std::move(octets)) {}

Result<KeyMaterial> KeyMaterial::generate_rsa(int64_t bits, int64_t exponent) {
  if (!is_rsa_size(bits)) return bad("An RSA key has 2048, 3072 or 4096 bits.");
  if (exponent <= 65536 || exponent > INT32_MAX || exponent % 2 == 0)
    return bad("public_exponent must be an odd number above 65536, such as 65537.");
  const ErrorQueue errors;
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  const BignumHandle e(BN_new());
  EVP_PKEY* made = nullptr;
  if (!context || !e || BN_set_word(e.get(), static_cast<BN_ULONG>(exponent)) != 1 ||
      EVP_PKEY_keygen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_keygen_bits(context.get(), static_cast<int>(bits)) != 1 ||
      EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context.get(), e.get()) != 1 ||
      EVP_PKEY_generate(context.get(), &made) != 1)
    return errors.failure("cannot make an RSA key");
  return KeyMaterial(MaterialKind::rsa, KeyHandle(made), true);
}

Result<KeyMaterial> KeyMaterial::generate_ec(std::string_view curve) {
  const ErrorQueue errors;
  for (const CurveRow& row : kCurves) {
    if (row.jose != curve) continue;
    KeyHandle key(EVP_EC_gen(row.openssl));
    if (!key) return errors.failure("cannot make an EC key");
    return KeyMaterial(MaterialKind::ec, std::move(key), true);
  }
  return bad("crv must be P-256, P-384, P-521 or P-256K.");
}

Result<KeyMaterial> KeyMaterial::generate_oct(int64_t bits, Random& random) {
  if (!is_oct_size(bits)) return bad("A symmetric key has 128, 192, 256, 384 or 512 bits.");
  return KeyMaterial(Secret(random.bytes(static_cast<size_t>(bits) / 8)));
}

Result<KeyMaterial> KeyMaterial::from_jwk(const JsonObject& jwk) {
  const ErrorQueue errors;
  std::string type = string_at(jwk, "kty").value_or("");
  if (type.ends_with("-HSM")) type.resize(type.size() - 4);
  const bool is_private = half_of(jwk) == Half::both;
  if (type == "RSA") return KeyMaterial(MaterialKind::rsa, TRY(rsa_key(jwk)), is_private);
  if (type == "EC") return KeyMaterial(MaterialKind::ec, TRY(ec_key(jwk)), is_private);
  if (type != "oct") return bad("kty must be RSA, EC or oct.");
  const auto text = string_at(jwk, "k");
  Secret octets(text ? from_base64url(*text).value_or(Bytes()) : Bytes());
  if (!is_oct_size(static_cast<int64_t>(octets.size()) * 8))
    return bad("A symmetric key needs 'k' in base64url, with 128, 192, 256, 384 or 512 bits.");
  return KeyMaterial(std::move(octets));
}

Result<KeyMaterial> KeyMaterial::load(const Secret& stored) {
  const ErrorQueue errors;
  const ByteView bytes = stored.expose();
  if (bytes.size() < 2 || bytes.size() > kStoredMax)
    return internal_error("stored key material is malformed");
  const ByteView rest = bytes.subspan(1);
  if (bytes[0] == kOctetsMark) return KeyMaterial(Secret(Bytes(rest.begin(), rest.end())));
  const uint8_t* cursor = rest.data();
  const long size = static_cast<long>(rest.size());
  KeyHandle key;
  if (bytes[0] == kPublicMark) {
    key.reset(d2i_PUBKEY_ex(nullptr, &cursor, size, nullptr, nullptr));
  } else if (bytes[0] == kPairMark) {
    const Pkcs8Handle info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &cursor, size));
    if (info) key.reset(EVP_PKCS82PKEY_ex(info.get(), nullptr, nullptr));
  }
  if (!key) return internal_error("stored key material does not read: " + errors.take());
  const bool rsa = EVP_PKEY_is_a(key.get(), "RSA") == 1;
  return KeyMaterial(rsa ? MaterialKind::rsa : MaterialKind::ec, std::move(key), bytes[0] == kPairMark);
}

Secret KeyMaterial::store() const {
  const ErrorQueue errors;
  if (kind_ == MaterialKind::oct) {
    Bytes out = {kOctetsMark};
    out.reserve(1 + octets_.size());
    out.insert(out.end(), octets_.expose().begin(), octets_.expose().end());
    return Secret(std::move(out));
  }
  if (!private_) {
    const int length = i2d_PUBKEY(pair_.get(), nullptr);
    MERLON_CHECK(length > 0);
    Bytes out(1 + static_cast<size_t>(length));
    out[0] = kPublicMark;
    uint8_t* cursor = out.data() + 1;
    MERLON_CHECK(i2d_PUBKEY(pair_.get(), &cursor) == length);
    return Secret(std::move(out));
  }
  const Pkcs8Handle info(EVP_PKEY2PKCS8(pair_.get()));
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr) : 0;
  MERLON_CHECK(size > 0);
  Bytes out(1 + static_cast<size_t>(size));
  out[0] = kPairMark;
  uint8_t* cursor = out.data() + 1;
  MERLON_CHECK(i2d_PKCS8_PRIV_KEY_INFO(info.get(), &cursor) == size);
  return Secret(std::move(out));
}

JsonObject KeyMaterial::public_jwk() const {
  const ErrorQueue errors;
  if (kind_ == MaterialKind::oct) return {{"kty", "oct"}};
  if (kind_ == MaterialKind::rsa)
    return {{"kty", "RSA"},
            {"n", number_text(pair_.get(), OSSL_PKEY_PARAM_RSA_N, 0)},
            {"e", number_text(pair_.get(), OSSL_PKEY_PARAM_RSA_E, 0)}};
  const CurveRow* row = curve_of(pair_.get());
  MERLON_CHECK(row != nullptr);
  return {{"kty", "EC"},
          {"crv", row->jose},
          {"x", number_text(pair_.get(), OSSL_PKEY_PARAM_EC_PUB_X, row->bytes)},
          {"y", number_text(pair_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, row->bytes)}};
}

}  // namespace merlon::crypto

// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), public halves only.
#include <openssl/core_names.h>

#include "crypto/digest.h"
#include "crypto/jose.h"
#include "crypto/openssl_handles.h"

namespace merlon::crypto {
namespace {

struct CurveRow {
  KeyKind kind;
  const char* name;  // the same in JOSE and in OpenSSL
  size_t coordinate_bytes;
};
constexpr CurveRow kCurves[] = {
    {KeyKind::ec_p256, "P-256", 32}, {KeyKind::ec_p384, "P-384", 48}, {KeyKind::ec_p521, "P-521", 66}};

constexpr size_t kEd25519Bytes = 32;

std::unexpected<Error> bad_jwk(std::string_view why) {
  return fail(ErrorKind::invalid, "BadParameter",
              "The JSON Web Key cannot be used: " + std::string(why) + ".");
}

std::string number_param(const EVP_PKEY* key, const char* name, size_t width) {
  BIGNUM* raw = nullptr;
  MERLON_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BignumHandle number(raw);
  Bytes bytes(width == 0 ? static_cast<size_t>(BN_num_bytes(number.get())) : width);
  const int size = static_cast<int>(bytes.size());
  MERLON_CHECK(BN_bn2binpad(number.get(), bytes.data(), size) == size);
  return to_base64url(bytes);
}

// RFC 7518 section 2, Base64urlUInt: no leading zero octets.
std::optional<Bytes> unsigned_at(const JsonObject& jwk, std::string_view name) {
  const auto text = string_at(jwk, name);
  if (!text) return std::nullopt;
  auto bytes = from_base64url(*text);
  if (!bytes || bytes->empty() || bytes->front() == 0 || bytes->size() > 2048) return std::nullopt;
  return bytes;
}

std::optional<Bytes> octets_at(const JsonObject& jwk, std::string_view name, size_t width) {
  const auto text = string_at(jwk, name);
  if (!text) return std::nullopt;
  auto bytes = from_base64url(*text);
  if (!bytes || bytes->size() != width) return std::nullopt;
  return bytes;
}

KeyHandle key_of_params(const char* type, OSSL_PARAM_BLD* builder) {
  const ParamsHandle params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContextHandle context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return KeyHandle(key);
}

Result<KeyHandle> rsa_of_jwk(const JsonObject& jwk) {
  const auto modulus = unsigned_at(jwk, "n");
  const auto exponent = unsigned_at(jwk, "e");
  if (!modulus || !exponent) return bad_jwk("n and e must be base64url numbers without leading zeros");
  const BignumHandle n(BN_bin2bn(modulus->data(), static_cast<int>(modulus->size()), nullptr));
  const BignumHandle e(BN_bin2bn(exponent->data(), static_cast<int>(exponent->size()), nullptr));
  const ParamBuilderHandle builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return bad_jwk("n and e are not an RSA key");
  return key_of_params("RSA", builder.get());
}

Result<KeyHandle> ec_of_jwk(const JsonObject& jwk) {
  const auto name = string_at(jwk, "crv");
  for (const CurveRow& curve : kCurves) {
    if (name != curve.name) continue;
    const auto x = octets_at(jwk, "x", curve.coordinate_bytes);
    const auto y = octets_at(jwk, "y", curve.coordinate_bytes);
    if (!x || !y) return bad_jwk("x and y must be base64url coordinates of the curve's full width");
    Bytes point = {4};  // uncompressed (SEC 1 section 2.3.3)
    point.insert(point.end(), x->begin(), x->end());
    point.insert(point.end(), y->begin(), y->end());
    const ParamBuilderHandle builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
      return bad_jwk("x and y are not a point");
    return key_of_params("EC", builder.get());
  }
  return bad_jwk("crv must be P-256, P-384 or P-521");
}

Result<KeyHandle> okp_of_jwk(const JsonObject& jwk) {
  if (string_at(jwk, "crv") != "Ed25519") return bad_jwk("crv must be Ed25519");
  const auto x = octets_at(jwk, "x", kEd25519Bytes);
  if (!x) return bad_jwk("x must be 32 bytes in base64url");
  return KeyHandle(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x->data(), x->size()));
}

}  // namespace

JsonObject to_jwk(const PublicKey& key) {
  const ErrorQueue errors;
  JsonObject jwk;
  const KeyKind kind = key.kind();
  if (kind == KeyKind::rsa) {
    jwk["kty"] = "RSA";
    jwk["n"] = number_param(key.handle(), OSSL_PKEY_PARAM_RSA_N, 0);
    jwk["e"] = number_param(key.handle(), OSSL_PKEY_PARAM_RSA_E, 0);
    return jwk;
  }
  if (kind == KeyKind::ed25519) {
    Bytes raw(kEd25519Bytes);
    size_t size = raw.size();
    MERLON_CHECK(EVP_PKEY_get_raw_public_key(key.handle(), raw.data(), &size) == 1 && size == raw.size());
    jwk["kty"] = "OKP";
    jwk["crv"] = "Ed25519";
    jwk["x"] = to_base64url(raw);
    return jwk;
  }
  for (const CurveRow& curve : kCurves) {
    if (curve.kind != kind) continue;
    jwk["kty"] = "EC";
    jwk["crv"] = curve.name;
    jwk["x"] = number_param(key.handle(), OSSL_PKEY_PARAM_EC_PUB_X, curve.coordinate_bytes);
    jwk["y"] = number_param(key.handle(), OSSL_PKEY_PARAM_EC_PUB_Y, curve.coordinate_bytes);
  }
  return jwk;
}

Result<PublicKey> from_jwk(const JsonObject& jwk) {
  const ErrorQueue errors;
  // RFC 7518 section 6: "d" is the private half of every asymmetric key, "k" a symmetric one.
  if (jwk.contains("d") || jwk.contains("k"))
    return bad_jwk("it holds a secret key; send the public key alone, and replace that secret key");
  const auto type = string_at(jwk, "kty");
  KeyHandle key;
  if (type == "RSA") {
    key = TRY(rsa_of_jwk(jwk));
  } else if (type == "EC") {
    key = TRY(ec_of_jwk(jwk));
  } else if (type == "OKP") {
    key = TRY(okp_of_jwk(jwk));
  } else {
    return bad_jwk("kty must be RSA, EC or OKP");
  }
  if (!key) return bad_jwk("its numbers are not those of a key");
  return adopt_public_key(std::move(key), "The JSON Web Key");
}

// RFC 7638 section 3: the required members alone, sorted, without white space; to_jwk gives exactly these.
std::string jwk_thumbprint(const PublicKey& key) {
  return to_base64url(sha256(as_bytes(to_canonical_text(Json(to_jwk(key))))));
}

}  // namespace merlon::crypto

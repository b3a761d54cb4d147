// See key_numbers.h.
#include "crypto/key_numbers.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

namespace merlon::crypto {
namespace {

using SecretNumber = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;
using NumberContext = std::unique_ptr<BN_CTX, FreeWith<BN_CTX_free>>;

constexpr int kExponentBitsMax = 64;  // what OpenSSL itself takes for moduli above 3072 bits

SecretNumber number_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  ERR_set_mark();
  const bool there = EVP_PKEY_get_bn_param(key, name, &number) == 1;
  ERR_pop_to_mark();
  return SecretNumber(there ? number : nullptr);
}

bool is_product(const BIGNUM* n, const BIGNUM* p, const BIGNUM* q) {
  const NumberContext context(BN_CTX_secure_new());
  const SecretNumber product(BN_secure_new());
  MERLON_CHECK(context && product);
  return BN_mul(product.get(), p, q, context.get()) == 1 && BN_cmp(product.get(), n) == 0;
}

}  // namespace

bool has_sound_numbers(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") != 1) return true;
  const SecretNumber n = number_of(key, OSSL_PKEY_PARAM_RSA_N);
  const SecretNumber e = number_of(key, OSSL_PKEY_PARAM_RSA_E);
  const SecretNumber p = number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  const SecretNumber q = number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  if (!n || !e || !p || !q || BN_num_bits(e.get()) > kExponentBitsMax) return false;
  const int bits = BN_num_bits(n.get());
  const int half = (bits + 1) / 2;
  const auto is_half = [&](const SecretNumber& prime) {
    return BN_num_bits(prime.get()) >= bits / 2 && BN_num_bits(prime.get()) <= half;
  };
  if (!is_half(p) || !is_half(q)) return false;
  if (const SecretNumber third = number_of(key, OSSL_PKEY_PARAM_RSA_FACTOR3)) return false;
  struct Bound {
    const char* name;
    int bits_max;
  };
  for (const Bound& bound :
       {Bound{OSSL_PKEY_PARAM_RSA_D, bits}, Bound{OSSL_PKEY_PARAM_RSA_EXPONENT1, half},
        Bound{OSSL_PKEY_PARAM_RSA_EXPONENT2, half}, Bound{OSSL_PKEY_PARAM_RSA_COEFFICIENT1, half}}) {
    const SecretNumber number = number_of(key, bound.name);
    if (!number || BN_num_bits(number.get()) > bound.bits_max) return false;
  }
  return is_product(n.get(), p.get(), q.get());
}

}  // namespace merlon::crypto

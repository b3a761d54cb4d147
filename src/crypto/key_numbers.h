// Whether the numbers of an RSA key from outside have the sizes that such a key has. Not for other rooms.
#pragma once

#include "crypto/openssl_handles.h"

namespace merlon::crypto {

// To be asked before OpenSSL is asked to check a private key: it tests the primes before anything else
// (OpenSSL 3.0, rsa_validate_keypair_multiprime), and one round of that with a "prime" of a million bits
// takes days. True of keys of other kinds. Cheap.
bool has_sound_numbers(const EVP_PKEY* key);

}  // namespace merlon::crypto

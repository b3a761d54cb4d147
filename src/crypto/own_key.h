// Keys that this program made and keeps itself.
#pragma once

#include "crypto/key.h"

namespace merlon::crypto {

// What PrivateKey::pkcs8_der() gave, back from under a seal that authenticates it. Without the proofs that a
// key from outside needs: testing the primes of an RSA key anew takes tens of milliseconds at each start.
Result<PrivateKey> read_own_key(const Secret& pkcs8_der);

}  // namespace merlon::crypto

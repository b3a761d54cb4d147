// How much work a PFX asks for, found out before it is done. Not for other rooms.
#pragma once

#include <openssl/pkcs12.h>

#include "crypto/openssl_handles.h"

namespace merlon::crypto {

// Each encrypted content and each shrouded key of a PFX says how often its password is to be hashed, and
// OpenSSL hashes as often as it says: 2^31 times, some hundred times in a file. Whether all of them together,
// and the MAC, ask for no more than two million rounds (a second), of kinds that count rounds, in a file of
// an ordinary shape. What is encrypted is opened for that, once it is known what that costs.
bool asks_for_bounded_work(const PKCS12* pfx, const char* password);

}  // namespace merlon::crypto

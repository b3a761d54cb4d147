// An AES key inside a PKCS#11 token (an HSM, a smart card, SoftHSM) that wraps a few bytes: Merlon's root
// key. The key never leaves the token; whoever has the token and its PIN opens what was wrapped.
//
// The token is named by a URI (RFC 7512), read by p11-kit:
//   pkcs11:token=merlon;object=merlon-root?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/merlon/pin
// module-path is a library that is loaded into this process: take the URI from the operator, never from a
// record.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace merlon::crypto {

struct TokenKey {
  std::string uri;
};

// The key is generated in the token, never extractable, where the URI's object is not there yet. Each call
// opens and closes a session of its own. Not thread-safe: one call at a time in a process.
Result<Bytes> token_wrap(const TokenKey& key, const Secret& secret, ByteView associated_data, Random& random);
// Refused when the key is not in the token, or when anything was changed.
Result<Secret> token_unwrap(const TokenKey& key, ByteView wrapped, ByteView associated_data);

}  // namespace merlon::crypto

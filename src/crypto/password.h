// Argon2id password hashes (RFC 9106) in libsodium's self-describing text form. Slow by intent (64 MiB each):
// call them from a gather step, never inside a transaction.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace merlon::crypto {

Result<std::string> hash_password(const Secret& password);
bool verify_password(const Secret& password, const std::string& hash);

}  // namespace merlon::crypto

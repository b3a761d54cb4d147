// What is freed is wiped (decision 0040), in a program that calls this: operator delete is replaced there,
// and OpenSSL told to.
#pragma once

namespace merlon::crypto {

// First of all, before OpenSSL is used; false when it was.
bool wipe_what_is_freed();

}  // namespace merlon::crypto

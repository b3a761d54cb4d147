// What OpenSSL frees is wiped: TLS records, keys and numbers of which it keeps copies that nobody else
// reaches.
#pragma once

namespace merlon::crypto {

// Before anything else uses OpenSSL in this process: false when something did, and nothing was changed
// (CRYPTO_set_mem_functions(3)).
bool wipe_what_openssl_frees();

}  // namespace merlon::crypto

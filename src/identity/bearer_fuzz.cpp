// Arbitrary Authorization headers against the verification of tokens: no input is accepted, none crashes.
#include <cstdlib>

#include "identity/bearer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  // A key of this run: nothing in a corpus can have been signed by it.
  static const std::vector<identity::SigningKey> keys = [] {
    auto key = crypto::PrivateKey::generate(crypto::KeyKind::rsa);
    crypto::PublicKey half = key->public_key();
    std::vector<identity::SigningKey> made;
    made.push_back({.id = "the-key",
                    .certificate_pem = {},
                    .x5t = {},
                    .created = {},
                    .signs_from = {},
                    .key = *std::move(key),
                    .public_half = std::move(half)});
    return made;
  }();
  const auto token = identity::bearer_token({reinterpret_cast<const char*>(data), size});
  if (!token) return 0;
  const TenantId tenant{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  if (identity::verify_token(*token, keys, tenant, Timestamp(std::chrono::hours(24 * 365 * 56))))
    std::abort();
  return 0;
}

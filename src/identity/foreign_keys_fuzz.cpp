// Arbitrary bytes as the key set of a foreign issuer: whatever is read from them is a public key with a name,
// and nothing crashes.
#include <cstdlib>

#include "identity/foreign_issuer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const auto keys = identity::parse_foreign_keys({reinterpret_cast<const char*>(data), size});
  if (!keys) return 0;
  if (keys->size() > 64) std::abort();
  for (const identity::ForeignKey& key : *keys)
    if (key.key.spki_der().empty()) std::abort();
  return 0;
}

// What an authenticator is said to have made: read or refused, whatever the bytes are. The first byte chooses
// what they are taken for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "identity/cbor.h"
#include "identity/webauthn.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  if (size == 0) return 0;
  const ByteView rest(data + 1, size - 1);
  constexpr const char* kRp = "merlon.localhost";
  switch (data[0] % 4) {
    case 0: {
      const auto inside = identity::authenticator_data_of(rest);
      if (!inside) return 0;
      const auto made = identity::parse_authenticator_data(*inside, identity::Ceremony::registration, kRp);
      if (made && (!made->key || made->credential_id.empty())) std::abort();
      return 0;
    }
    case 1: {
      const auto made = identity::parse_authenticator_data(rest, identity::Ceremony::registration, kRp);
      if (made && (!made->key || made->credential_id.size() > identity::kCredentialIdMax)) std::abort();
      return 0;
    }
    case 2: {
      const auto made = identity::parse_authenticator_data(rest, identity::Ceremony::assertion, kRp);
      if (made && made->key) std::abort();
      return 0;
    }
    default: {
      identity::CborReader reader(rest);
      while (!reader.at_end()) {
        const size_t before = reader.rest().size();
        if (!reader.skip()) return 0;
        if (reader.rest().size() >= before) std::abort();
      }
      return 0;
    }
  }
}

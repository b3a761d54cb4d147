// Whatever somebody sends to a machine whose flows are logged.
#include <cstddef>
#include <cstdint>

#include "agent/logged_packet.h"
#include "base/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto key = merlon::agent::read_packet_head({data, size});
  if (!key) return 0;
  MERLON_CHECK(key->source.is_v4() == ((data[0] >> 4) == 4));
  MERLON_CHECK(key->source.family() == key->destination.family());
  return 0;
}

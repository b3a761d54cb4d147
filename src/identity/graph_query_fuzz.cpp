// Arbitrary $filter texts: parsed or refused, and applied to an object without harm.
#include "identity/graph_query.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const auto terms = identity::parse_graph_filter({reinterpret_cast<const char*>(data), size});
  if (!terms) return 0;
  const JsonObject object{{"displayName", "web"}, {"accountEnabled", true}, {"names", JsonArray{"a", "b"}}};
  static_cast<void>(identity::matches(*terms, object));
  return 0;
}

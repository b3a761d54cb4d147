// Arbitrary texts as sealed form values: none is accepted, none crashes.
#include <cstdlib>

#include "identity/form_seal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  // A corpus cannot hold what a key that it does not know has signed.
  const identity::FormSeal seal(Secret(std::string_view("a key of the fuzzer's own, 32 long")));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (seal.open("sign-in", "browser", text, Timestamp{})) std::abort();
  return 0;
}

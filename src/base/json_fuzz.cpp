// JSON from anybody: what parses must be written and read back to the same value, in every layout.
#include <cstdlib>

#include "base/bytes.h"
#include "base/json.h"
#include "base/text.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = parse_json(as_text({data, size}));
  if (!json) {
    if (json.error().code.empty() || json.error().message.empty()) std::abort();
    return 0;
  }
  const std::string canonical = to_canonical_text(*json);
  for (const std::string& text : {to_text(*json), to_pretty_text(*json), canonical}) {
    if (!is_utf8(text)) std::abort();
    // Writing may be longer than reading (numbers in full): no size limit on the way back.
    const auto again = parse_json(text, {.bytes_max = text.size()});
    if (!again || to_canonical_text(*again) != canonical) std::abort();
  }
  return 0;
}

// Times and durations from anybody: what parses must be written and read back to the same value.
#include <cstdlib>

#include "base/bytes.h"
#include "base/time_text.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto time = from_rfc3339(text)) {
    if (from_rfc3339(to_rfc3339(*time)) != time) std::abort();
    if (to_http_date(*time).size() != 29) std::abort();
  }
  if (const auto duration = from_iso8601_duration(text)) {
    if (*duration < Duration(0) || from_iso8601_duration(to_iso8601_duration(*duration)) != duration)
      std::abort();
  }
  if (const auto duration = from_human_duration(text)) {
    if (*duration < Duration(0) || to_human_duration(*duration).empty()) std::abort();
  }
  return 0;
}

// Arbitrary Cookie headers: a value that is found has exactly our form, and stands in the header.
#include <cstdlib>

#include "identity/cookies.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const std::string text(reinterpret_cast<const char*>(data), size);
  net::Headers headers;
  headers.add("Cookie", text);
  const auto value = identity::read_cookie(headers, identity::kSessionCookie);
  if (!value) return 0;
  if (value->size() != 43 ||
      text.find(std::string(identity::kSessionCookie) + "=" + *value) == std::string::npos)
    std::abort();
  headers.add("Cookie", std::string(identity::kSessionCookie) + "=" + std::string(43, 'x'));
  if (*value != std::string(43, 'x') && identity::read_cookie(headers, identity::kSessionCookie))
    std::abort();
  return 0;
}

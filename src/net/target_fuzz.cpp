// Any bytes as a request target and as a form. What is accepted must hold the promises of http.h.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/text.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto target = net::parse_target(text)) {
    MERLON_CHECK(target->path.starts_with('/') && is_utf8(target->path));
    MERLON_CHECK(target->path.find_first_of(std::string_view("\0\\\r\n", 4)) == std::string::npos);
    for (const std::string_view piece : split(target->path, '/')) MERLON_CHECK(piece != "." && piece != "..");
    for (const std::string& segment : target->segments) MERLON_CHECK(!segment.empty());
    // Encoding what was understood must be understood as the same.
    std::string again = "/";
    for (const std::string& segment : target->segments) again += net::percent_encode(segment) + "/";
    const auto second = net::parse_target(again);
    MERLON_CHECK(second && second->segments == target->segments && second->path == target->path);
  }
  if (const auto form = net::parse_form(text)) {
    for (const auto& [name, value] : form->items) {
      MERLON_CHECK(is_utf8(name) && is_utf8(value) && form->find(name) == &value);
    }
  }
  return 0;
}

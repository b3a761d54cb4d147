// What a server sends to a machine: read with bounds, and compiled for the kernel without a word of it
// getting into the text of a command.
#include <cstddef>
#include <cstdint>

#include "agent/firewall_compile.h"
#include "agent/http_exchange.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto answer = merlon::agent::read_sync_answer(body);
  if (!answer || !answer->state) return 0;
  const std::string text = merlon::agent::rules_text(*answer->state, {}, {}, {});
  // Addresses, numbers, and our own words: nothing that could end a command or quote one.
  MERLON_CHECK(text.find_first_of("\"';#$\\`") == std::string::npos);
  return 0;
}

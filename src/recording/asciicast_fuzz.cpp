// Anybody's asciicast file, line by line, as it is imported, converted and played.
#include "recording/asciicast.h"
#include "recording/terminal_guard.h"
#include "recording/visible_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  using namespace merlon::recording;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  CastV2 v2;
  TerminalGuard guard;
  TerminalGuard by_byte;
  VisibleText visible;
  Utf8Stream text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    static_cast<void>(parse_header(line));
    static_cast<void>(v2.convert(line));
    const auto event = parse_event(line);
    const std::string bytes = event && *event ? (*event)->data : std::string(line);
    std::string one;
    for (const char c : bytes) one += by_byte.pass({&c, 1});
    MERLON_CHECK(guard.pass(bytes) == one);
    for (size_t i = 0; i + 1 < one.size(); ++i)
      MERLON_CHECK(one[i] != '\x1b' || one[i + 1] != ']');  // no OSC gets through
    visible.feed(bytes, [](std::string_view) {});
    MERLON_CHECK(visible.unfinished().size() <= 4096);
    std::string out;
    append_event(out, Duration(1), 'o', text.push(bytes).text);
    MERLON_CHECK(parse_event(std::string_view(out).substr(0, out.size() - 1)).has_value());
  }
  return 0;
}

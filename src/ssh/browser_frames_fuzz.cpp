// What a page, or anybody with its cookie, may send into a session: cut anywhere, frames come out within
// their bounds or the stream is over, and what they say is read without a word of it believed.
#include <cstdlib>

#include "base/bytes.h"
#include "ssh/browser_frames.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = as_text({data, size});
  ssh::BrowserFrameBuffer whole, cut;
  whole.add(bytes);
  cut.add(bytes.substr(0, size / 3));
  size_t frames = 0;
  for (;;) {
    const auto frame = whole.next();
    if (!frame || !*frame) break;
    ++frames;
    if ((*frame)->payload.size() > ssh::kBrowserPayloadMax) std::abort();
    const auto wish = ssh::read_wish((*frame)->payload);
    if (wish && (wish->size.columns < 1 || wish->size.rows < 1)) std::abort();
    static_cast<void>(ssh::read_size((*frame)->payload));
    static_cast<void>(ssh::read_taken((*frame)->payload));
    // What is read is what would be written.
    const std::string again = ssh::encode(**frame);
    if (bytes.find(again) == std::string_view::npos) std::abort();
  }
  size_t in_parts = 0;
  const auto drain = [&] {
    for (;;) {
      const auto frame = cut.next();
      if (!frame || !*frame) return frame.has_value();
      ++in_parts;
    }
  };
  if (drain()) {
    cut.add(bytes.substr(size / 3));
    drain();
  }
  if (in_parts != frames) std::abort();
  return 0;
}

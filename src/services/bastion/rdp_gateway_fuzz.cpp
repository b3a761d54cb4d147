// A Remote Desktop client's packets, cut wherever the input says: nothing reaches the machine before the
// gateway has said that it is there, and what is asked for is named in plain characters.
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "services/bastion/rdp_gateway.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  if (size == 0) return 0;
  const size_t piece = data[0] == 0 ? size : data[0];  // bytes at once
  const std::string all(as_text({data + 1, size - 1}));
  bool opened = false;
  bastion::RdpGatewayDialog dialog([](const bastion::RdpGatewayWish& wish) -> Result<net::TunnelPlan> {
    for (const std::string* text : {&wish.token, &wish.target})
      for (const char c : *text) MERLON_CHECK(c > ' ' && c < 0x7F);
    MERLON_CHECK(!wish.token.empty() && !wish.target.empty());
    return net::TunnelPlan{};
  });
  for (size_t at = 0; at < all.size(); at += piece) {
    const auto step = dialog.take(std::string_view(all).substr(at, piece));
    if (!step) return 0;
    MERLON_CHECK(opened || step->to_target.empty());
    MERLON_CHECK(step->to_target.size() <= all.size());
    if (step->asks) {
      MERLON_CHECK(!opened && dialog.open());
      dialog.opened(nullptr);
      opened = true;
    }
    if (step->over) return 0;
  }
  return 0;
}

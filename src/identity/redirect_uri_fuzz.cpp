// Arbitrary texts as redirect URIs: whatever matches a registered one goes to the same host, has no user
// information and no fragment, and can stand in a header.
#include <cstdlib>

#include "identity/redirect_uri.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon::identity;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parts = parse_redirect_uri(text);
  if (parts) {
    for (const char c : text)
      if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\' || c == '"') std::abort();
    if (!parts->host.empty() && parts->host.find('@') != std::string::npos) std::abort();
  }
  const RedirectUri web{"https://app.example/callback", RedirectKind::web};
  if (redirect_uri_matches(web, text) && text != web.uri) std::abort();
  const RedirectUri native{"http://localhost", RedirectKind::public_client};
  if (redirect_uri_matches(native, text) && (!parts || parts->host != "localhost")) std::abort();
  static_cast<void>(redirect_uri_problem({std::string(text), RedirectKind::public_client}));
  return 0;
}

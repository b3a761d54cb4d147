// The pages' files, which the binary carries, and the policy under which a browser runs them.
#include <array>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "services/terminal/service.h"
#include "services/terminal/web/addon_fit_js.h"
#include "services/terminal/web/dom_js.h"
#include "services/terminal/web/files_js.h"
#include "services/terminal/web/guard_js.h"
#include "services/terminal/web/index_html.h"
#include "services/terminal/web/link_js.h"
#include "services/terminal/web/machines_js.h"
#include "services/terminal/web/names_js.h"
#include "services/terminal/web/page_css.h"
#include "services/terminal/web/page_js.h"
#include "services/terminal/web/player_js.h"
#include "services/terminal/web/recordings_js.h"
#include "services/terminal/web/sftp_js.h"
#include "services/terminal/web/stream_js.h"
#include "services/terminal/web/styles_js.h"
#include "services/terminal/web/terminal_js.h"
#include "services/terminal/web/xterm_css.h"
#include "services/terminal/web/xterm_js.h"
#include "services/terminal/web/xterm_licence_txt.h"

namespace merlon::terminal {
namespace {

struct File {
  std::string_view name;  // below /assets/
  std::string_view type;
  std::string_view (*bytes)();
};

constexpr std::string_view kScript = "text/javascript; charset=utf-8";
constexpr std::string_view kStyle = "text/css; charset=utf-8";
constexpr std::string_view kText = "text/plain; charset=utf-8";

constexpr std::array kFiles = {File{"index.html", "text/html; charset=utf-8", web::index_html},
                               File{"addon-fit.js", kScript, web::addon_fit_js},
                               File{"dom.js", kScript, web::dom_js},
                               File{"files.js", kScript, web::files_js},
                               File{"guard.js", kScript, web::guard_js},
                               File{"link.js", kScript, web::link_js},
                               File{"machines.js", kScript, web::machines_js},
                               File{"names.js", kScript, web::names_js},
                               File{"page.js", kScript, web::page_js},
                               File{"player.js", kScript, web::player_js},
                               File{"recordings.js", kScript, web::recordings_js},
                               File{"sftp.js", kScript, web::sftp_js},
                               File{"stream.js", kScript, web::stream_js},
                               File{"styles.js", kScript, web::styles_js},
                               File{"terminal.js", kScript, web::terminal_js},
                               File{"xterm.js", kScript, web::xterm_js},
                               File{"page.css", kStyle, web::page_css},
                               File{"xterm.css", kStyle, web::xterm_css},
                               File{"xterm-licence.txt", kText, web::xterm_licence_txt}};

// Everything comes from this very origin, and nothing is written into the page (Content Security Policy 3;
// Trusted Types): no script but the files above, no style but theirs, no frame around, no form, no image.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string tag_of(std::string_view bytes) {
  return "\"" + to_base64url(crypto::sha256(as_bytes(bytes))).substr(0, 22) + "\"";
}

}  // namespace

void harden(net::Response& response) {
  const auto set = [&](std::string_view name, std::string_view value) {
    if (response.headers.find(name) == nullptr) response.headers.set(name, std::string(value));
  };
  set("Content-Security-Policy", kPolicy);
  set("X-Frame-Options", "DENY");
  set("X-Content-Type-Options", "nosniff");
  set("Referrer-Policy", "no-referrer");
  set("Cross-Origin-Opener-Policy", "same-origin");
  set("Cross-Origin-Resource-Policy", "same-origin");
  set("Cache-Control", "no-store");
}

std::optional<net::Response> asset(const net::Request& request) {
  const auto& segments = request.segments;
  const bool is_page = segments.empty();
  if (!is_page && (segments.size() != 2 || segments[0] != "assets")) return std::nullopt;
  for (const File& file : kFiles) {
    if (is_page ? file.name != "index.html" : file.name != segments[1]) continue;
    net::Response response;
    response.headers.set("Content-Type", std::string(file.type));
    response.headers.set("Cache-Control", "no-cache");
    const std::string tag = tag_of(file.bytes());
    response.headers.set("ETag", tag);
    if (request.headers.value_or("If-None-Match", "") == tag)
      response.status = 304;
    else
      response.body = file.bytes();
    return response;
  }
  return std::nullopt;
}

}  // namespace merlon::terminal

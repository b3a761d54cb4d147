// HTML, its one stylesheet and its one script.
#include "identity/page.h"

#include "base/bytes.h"
#include "crypto/digest.h"

namespace merlon::identity {
namespace {

// One column, the system's font, both colour schemes, contrast above 4.5:1 (WCAG 2.1 AA), focus that is seen.
constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--back:#f3f4f6;--line:#8c959f;--go:#0b5cad;
--go-ink:#fff;--bad:#a40e26;--bad-back:#fff0f1}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9ea7b3;--paper:#161b22;--back:#0d1117;--line:#6e7681;
--go:#4493f8;--go-ink:#0d1117;--bad:#ff9492;--bad-back:#3c1618}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:26rem;margin:8vh auto 2rem;padding:2rem;background:var(--paper);border:1px solid var(--line);
border-radius:.5rem}
header{font-weight:600;color:var(--soft);letter-spacing:.02em}
h1{margin:.25rem 0 1rem;font-size:1.5rem;line-height:1.25}
p{margin:0 0 1rem}
label{display:block;margin:0 0 .25rem;font-weight:600}
input{width:100%;margin:0 0 1rem;padding:.6rem .7rem;font:inherit;color:inherit;background:var(--paper);
border:1px solid var(--line);border-radius:.3rem}
.note{margin:-.75rem 0 1rem;color:var(--soft);font-size:.875rem}
button{padding:.6rem 1.4rem;margin:0 .5rem .5rem 0;font:inherit;font-weight:600;border-radius:.3rem;cursor:pointer;
border:1px solid var(--line);background:var(--paper);color:inherit}
button.go{background:var(--go);border-color:var(--go);color:var(--go-ink)}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
.alert{padding:.75rem 1rem;margin:0 0 1rem;border-left:4px solid var(--bad);background:var(--bad-back);
color:var(--bad)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0 0 1rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;font-weight:600}
@media(max-width:30rem){main{margin:0;min-height:100vh;border:0;border-radius:0}}
)";
constexpr std::string_view kScript = "document.forms[0].submit()";

std::string source_of(std::string_view text) {
  return "'sha256-" + to_base64(crypto::sha256(as_bytes(text))) + "'";
}

std::string policy_of(const Page& page) {
  static const std::string style = source_of(kStyle);
  static const std::string script = source_of(kScript);
  std::string policy = "default-src 'none'; style-src " + style;
  if (page.submits_itself) policy += "; script-src " + script;
  if (!page.script.empty()) policy += "; script-src " + source_of(page.script);
  policy += "; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
  // Browsers apply form-action to what a form's answer redirects to as well (CSP 3, section 6.4.1).
  for (const std::string& source : page.form_sources) policy += " " + source;
  return policy;
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

net::Response page_reply(const Page& page) {
  net::Response response;
  response.status = page.status;
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  response.headers.set("Cache-Control", "no-store");
  response.headers.set("Pragma", "no-cache");
  response.headers.set("Content-Security-Policy", policy_of(page));
  response.headers.set("X-Frame-Options", "DENY");
  // Not no-referrer: then browsers send "Origin: null" with our own forms.
  response.headers.set("Referrer-Policy", "same-origin");
  response.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  response.body =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta name=\"robots\" content=\"noindex\"><title>" +
      html(page.title) + " - Merlon</title><style>" + std::string(kStyle) +
      "</style></head>\n<body><main><header>Merlon</header>\n<h1>" + html(page.title) + "</h1>\n" +
      page.content;
  if (page.submits_itself) response.body += "<script>" + std::string(kScript) + "</script>";
  if (!page.script.empty()) response.body += "<script>" + std::string(page.script) + "</script>";
  response.body += "</main></body></html>\n";
  return response;
}

std::string page_form(std::string_view action, const HiddenFields& hidden, std::string_view content) {
  std::string form = "<form method=\"post\" action=\"" + html(action) + "\">\n";
  for (const auto& [name, value] : hidden)
    form += "<input type=\"hidden\" name=\"" + html(name) + "\" value=\"" + html(value) + "\">\n";
  return form + std::string(content) + "</form>\n";
}

std::string page_paragraph(std::string_view text) { return "<p>" + html(text) + "</p>\n"; }

std::string page_alert(std::string_view text) {
  if (text.empty()) return {};
  return "<p class=\"alert\" role=\"alert\">" + html(text) + "</p>\n";
}

std::string page_facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string list = "<dl>\n";
  for (const auto& [name, value] : facts) list += "<dt>" + html(name) + "</dt><dd>" + html(value) + "</dd>\n";
  return list + "</dl>\n";
}

std::string page_field(const PageField& field) {
  const std::string id = "field-" + html(field.name);
  std::string out = "<label for=\"" + id + "\">" + html(field.label) + "</label>\n<input id=\"" + id +
                    "\" name=\"" + html(field.name) + "\" type=\"" + html(field.type) + "\" autocomplete=\"" +
                    html(field.autocomplete) + "\" value=\"" + html(field.value) +
                    "\" maxlength=\"1024\" autocapitalize=\"none\" spellcheck=\"false\" required";
  if (!field.note.empty()) out += " aria-describedby=\"" + id + "-note\"";
  if (field.focus) out += " autofocus";
  out += ">\n";
  if (!field.note.empty()) out += "<p class=\"note\" id=\"" + id + "-note\">" + html(field.note) + "</p>\n";
  return out;
}

std::string page_script_button(std::string_view label) {
  return "<button type=\"button\" id=\"go\" class=\"go\">" + html(label) +
         "</button>\n<p id=\"said\" role=\"status\"></p>\n<noscript>" +
         page_paragraph("This takes a browser that runs scripts.") + "</noscript>\n";
}

std::string page_button(std::string_view label, std::string_view value, bool primary) {
  // A button that is not meant must work with empty fields.
  return std::string("<button name=\"do\" value=\"") + html(value) + "\"" +
         (primary ? " class=\"go\"" : " formnovalidate") + ">" + html(label) + "</button>\n";
}

}  // namespace merlon::identity

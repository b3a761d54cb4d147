// Request targets and forms as values. Decoding happens once and refuses what two readers could read in two
// ways: a path that means one thing to the access check and another to the handler is the classic way around
// the former.
#include <algorithm>

#include "base/text.h"
#include "net/http.h"

namespace merlon::net {
namespace {

constexpr size_t kItemsMax = 512;  // of a query or a form; more is an attack on whoever loops over them

std::unexpected<Error> refuse(std::string message) {
  return fail(ErrorKind::invalid, "InvalidRequestUri", std::move(message));
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  if (text.find('%') == std::string_view::npos &&
      (!plus_is_space || text.find('+') == std::string_view::npos)) {
    out = text;
    if (is_utf8(out)) return out;
  }
  out.clear();
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) c = ' ';
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return refuse("The percent-encoding at byte " + std::to_string(i) +
                      " of a part of the request is not '%' and two hexadecimal digits. Encode a literal '%' "
                      "as '%25'.");
      }
      c = static_cast<char>(high * 16 + low);
      if (c == '\0') return refuse("The request contains an encoded NUL byte ('%00'). Remove it.");
      i += 2;
    }
    out += c;
  }
  if (!is_utf8(out)) return refuse("A part of the request is not UTF-8 once percent-decoded. Send UTF-8.");
  return out;
}

Result<Query> parse_items(std::string_view text) {
  Query query;
  for (const std::string_view item : split(text, '&')) {
    if (item.empty()) continue;
    if (query.items.size() == kItemsMax) {
      return refuse("The request has more than " + std::to_string(kItemsMax) + " parameters. Send fewer.");
    }
    const size_t equals = item.find('=');
    // Azure's servers (ASP.NET) read '+' as a space in queries too; Python's urlencode writes it that way.
    std::string name = TRY(percent_decode(item.substr(0, equals), true));
    std::string value =
        equals == std::string_view::npos ? std::string() : TRY(percent_decode(item.substr(equals + 1), true));
    query.items.emplace_back(std::move(name), std::move(value));
  }
  return query;
}

Result<void> append_segment(std::string_view raw, std::vector<std::string>& segments) {
  if (raw.empty()) return {};
  if (raw.find('%') == std::string_view::npos && raw.front() != '.') {
    // As it came, and so without what parse_target() has refused already.
    segments.push_back(TRY(percent_decode(raw, false)));
    return {};
  }
  std::string segment = TRY(percent_decode(raw, false));
  if (std::ranges::any_of(segment, is_control) || segment.find('\\') != std::string::npos) {
    return refuse("The path contains a control character or a backslash. Remove it.");
  }
  // An encoded slash may not smuggle a dot segment in: whoever joins the segments again would see it.
  for (const std::string_view piece : split(segment, '/')) {
    if (piece == "." || piece == "..") {
      return refuse("The path contains a dot segment ('.' or '..'). Send the path it stands for.");
    }
  }
  segments.push_back(std::move(segment));
  return {};
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (target.empty() || target.front() != '/') {
    return refuse(
        "The request target must be a path that begins with '/'. Absolute URLs, '*' and host:port are not "
        "served.");
  }
  bool has_refused = false;  // all are looked at: many at a time
  for (const char c : target) has_refused |= is_control(c) | (c == ' ') | (c == '\\') | (c == '#');
  if (has_refused) {
    return refuse(
        "The request target contains a space, a control character, a backslash or '#'. Percent-encode it.");
  }
  const size_t question = target.find('?');
  Target out;
  const auto parts = split(target.substr(0, question), '/');
  out.segments.reserve(parts.size());
  for (const std::string_view raw : parts) TRY(append_segment(raw, out.segments));
  out.path.reserve(target.size());
  for (const std::string& segment : out.segments) out.path.append("/").append(segment);
  if (out.segments.empty()) out.path = "/";
  if (question != std::string_view::npos) out.query = TRY(parse_items(target.substr(question + 1)));
  return out;
}

Result<Query> parse_form(std::string_view body) {
  for (const char c : body) {
    if (is_control(c) || c == ' ') {
      return fail(
          ErrorKind::invalid, "InvalidRequestContent",
          "The form contains a raw space or control character. Send application/x-www-form-urlencoded.");
    }
  }
  Query form = TRY(parse_items(body));
  std::vector<std::string> names;
  names.reserve(form.items.size());
  for (const auto& [name, value] : form.items) names.push_back(ascii_lower(name));
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) {
    return fail(ErrorKind::invalid, "InvalidRequestContent",
                "The form gives the parameter '" + *twice + "' more than once. Send it once.", *twice);
  }
  return form;
}

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                            c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace merlon::net

// See edge.h. Section numbers are those of RFC 9112 (HTTP/1.1) unless named otherwise.
#include "net/edge.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace merlon::net {
namespace {

Rejection bad(std::string message) { return {400, "InvalidHeader", std::move(message)}; }

bool is_token_char(char c) {  // RFC 9110 section 5.6.2
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }

bool is_value_char(char c) {
  return (static_cast<int>(c == '\t') |
          (static_cast<int>(static_cast<unsigned char>(c) >= 0x20) & static_cast<int>(c != 0x7f))) != 0;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> values(const Headers& headers, std::string_view name) {
  std::vector<std::string_view> out;
  for (const auto& [field, value] : headers.all()) {
    if (ascii_iequal(field, name)) out.push_back(value);
  }
  return out;
}

std::optional<Rejection> check_line(std::string_view line, bool request_line) {
  // All of it, without a way out half-way: so the compiler looks at many bytes at a time, and a line holds a
  // token of a thousand.
  bool has_control = false;
  for (const char c : line) has_control |= !is_value_char(c);
  if (has_control) {
    return bad(
        "The request's head contains a control character or a line that does not end in CRLF. Remove it.");
  }
  if (request_line) return std::nullopt;
  if (line.front() == ' ' || line.front() == '\t') {
    return bad(
        "A header is folded over two lines, which RFC 9112 section 5.2 obsoletes. Send it on one line.");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return bad("A header line is not 'Name: value' with a token as its name and no space before the colon.");
  }
  return std::nullopt;
}

std::optional<Rejection> check_method(const Head& head) {
  const bool upper =
      std::ranges::all_of(head.method, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
  if (head.method.empty() || head.method.size() > 20 || !upper) {
    return Rejection{400, "InvalidHttpVerb",
                     "The request's method is not a word of capital letters, such as GET."};
  }
  if (head.method == "CONNECT" || head.method == "TRACE") {
    return Rejection{405, "MethodNotAllowed", "The method " + head.method + " is not served at any address."};
  }
  if (head.target.empty() || head.target.front() != '/') {
    return Rejection{
        400, "InvalidRequestUri",
        "The request target must be a path that begins with '/'. Absolute URLs (proxy requests), '*' and "
        "host:port are not served; send the host in the Host header."};
  }
  return std::nullopt;
}

// Section 6.3, less lenient: anything that two programs could measure in two ways is refused.
std::expected<bool, Rejection> check_framing(const Head& head, size_t body_bytes_max) {
  const auto lengths = values(head.headers, "Content-Length");
  const auto encodings = values(head.headers, "Transfer-Encoding");
  if (!lengths.empty() && !encodings.empty()) {
    return std::unexpected(
        bad("The request has both Content-Length and Transfer-Encoding. Send one of them."));
  }
  if (lengths.size() > 1 || encodings.size() > 1) {
    return std::unexpected(
        bad("The request has more than one Content-Length or Transfer-Encoding. Send one."));
  }
  if (!encodings.empty()) {
    if (head.version < 11)
      return std::unexpected(bad("Transfer-Encoding does not exist in HTTP/1.0. Use HTTP/1.1."));
    if (!ascii_iequal(encodings.front(),
                      "chunked")) {  // section 6.1: 501 for a coding that we do not understand
      return std::unexpected(
          Rejection{501, "NotImplemented", "The only Transfer-Encoding that is served is 'chunked'."});
    }
    return true;
  }
  if (lengths.empty()) return false;
  if (!is_digits(lengths.front())) {
    return std::unexpected(bad("Content-Length must be one decimal number."));
  }
  uint64_t length = 0;
  std::from_chars(lengths.front().data(), lengths.front().data() + lengths.front().size(), length);
  if (length > body_bytes_max) {
    return std::unexpected(Rejection{413, "RequestEntityTooLarge",
                                     "The request's body is larger than the " +
                                         std::to_string(body_bytes_max) +
                                         " bytes that are accepted. Send less at a time."});
  }
  return length > 0;
}

}  // namespace

std::optional<Rejection> check_raw_head(std::string_view head) {
  if (!head.ends_with("\r\n\r\n")) return bad("The request's head does not end in an empty line.");
  head.remove_suffix(2);
  bool request_line = true;
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    if (line.empty()) return bad("The request begins with an empty line or has one inside its head.");
    if (auto rejection = check_line(line, request_line)) return rejection;
    request_line = false;
    head.remove_prefix(end + 2);
  }
  return std::nullopt;
}

std::expected<Framing, Rejection> check_head(const Head& head, size_t body_bytes_max) {
  if (auto rejection = check_method(head)) return std::unexpected(std::move(*rejection));
  Framing framing;
  const auto hosts = values(head.headers, "Host");
  auto host = hosts.size() == 1 ? parse_host(hosts.front()) : std::nullopt;
  if (!host) {  // section 3.2; HTTP/1.0 without Host is refused as well
    return std::unexpected(
        bad("The request must have exactly one Host header, and it must be a name or an address with "
            "an optional port."));
  }
  framing.host = ascii_lower(hosts.front());
  framing.host_name = *std::move(host);
  const auto has_body = check_framing(head, body_bytes_max);
  if (!has_body) return std::unexpected(has_body.error());
  framing.has_body = *has_body;
  for (const std::string_view expectation : values(head.headers, "Expect")) {
    if (!ascii_iequal(expectation, "100-continue")) {  // RFC 9110 section 10.1.1
      return std::unexpected(
          Rejection{417, "ExpectationFailed",
                    "The only expectation that is met is '100-continue'. Drop the Expect header."});
    }
    framing.expects_continue = head.version >= 11;
  }
  return framing;
}

std::optional<HostName> parse_host(std::string_view host) {
  HostName out;
  std::string_view name = host;
  std::string_view port;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    name = host.substr(1, end - 1);
    port = host.substr(end + 1);
    out.address = IpAddress::parse(name);
    if (!out.address || name.find(':') == std::string_view::npos) return std::nullopt;
  } else {
    const size_t colon = host.find(':');
    name = host.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : host.substr(colon);
    const bool plain = std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '.' || c == '_';
    });
    if (name.empty() || name.size() > 253 || !plain) return std::nullopt;
    out.address = IpAddress::parse(name);
  }
  out.name = ascii_lower(name);
  if (port.empty()) return out;
  uint16_t number = 0;
  const char* last = port.data() + port.size();
  const auto parsed = std::from_chars(port.data() + 1, last, number);
  if (port.front() != ':' || port.size() > 6 || parsed.ec != std::errc() || parsed.ptr != last ||
      number == 0) {
    return std::nullopt;
  }
  out.port = number;
  return out;
}

std::optional<Rejection> check_served(const ServedNames& served, const HostName& host, Plane plane,
                                      const IpAddress& local) {
  const bool names_agents = !served.agents_name.empty() && host.name == served.agents_name;
  if (names_agents != (plane == Plane::agents)) {
    return Rejection{
        421, "MisdirectedRequest",
        "The request's Host and the name that the TLS connection was made for belong to different planes "
        "of this server. Open a connection for '" +
            host.name + "' of its own."};
  }
  if (plane == Plane::agents || host.name == "localhost") return std::nullopt;
  if (host.address) {
    if (*host.address == local ||
        std::ranges::find(served.addresses, *host.address) != served.addresses.end()) {
      return std::nullopt;
    }
  }
  for (const std::string& name : served.names) {
    if (host.name == name) return std::nullopt;
    if (!name.starts_with("*.")) continue;
    const size_t dot = host.name.find('.');
    if (dot != std::string::npos && dot > 0 &&
        std::string_view(host.name).substr(dot) == std::string_view(name).substr(1)) {
      return std::nullopt;
    }
  }
  return Rejection{421, "MisdirectedRequest",
                   "The host '" + host.name +
                       "' is not served here. Use one of the server's names; the operator adds "
                       "names with the server's --domain."};
}

}  // namespace merlon::net

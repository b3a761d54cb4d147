// See head_parser.h.
#include "net/head_parser.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>

#include "base/text.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kPlainVersion = " HTTP/1.1";
// What says how long a message is, or how the connection goes on.
constexpr std::array<std::string_view, 9> kNotPlain = {
    "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Connection",
    "Keep-Alive",     "Upgrade",           "Trailer",    "TE",
    "Expect"};

// Most clients say what HTTP/1.1 means anyway.
bool says_nothing(std::string_view name, std::string_view value) {
  return ascii_iequal(name, "Connection") && ascii_iequal(value, "keep-alive");
}

bool is_plain_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return false;
  bool plain = true;
  for (const char c : target) plain &= (c > 0x20) & (c < 0x7f) & (c != '"') & (c != '#');
  return plain;
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find(kLineEnd);
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + kLineEnd.size());
  return line;
}

}  // namespace

std::optional<Head> plain_head(std::string_view raw) {
  std::string_view line = take_line(raw);
  if (!line.ends_with(kPlainVersion)) return std::nullopt;
  line.remove_suffix(kPlainVersion.size());
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  const std::string_view method = line.substr(0, space);
  const std::string_view target = line.substr(space + 1);
  const bool plain_method = std::ranges::all_of(method, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!plain_method || !is_plain_target(target)) return std::nullopt;
  Head head;
  head.method = method;
  head.target = target;
  while (raw != kLineEnd) {
    line = take_line(raw);
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    const auto is_name = [name](std::string_view other) {
      return name.size() == other.size() && ascii_iequal(name, other);
    };
    if (std::ranges::any_of(kNotPlain, is_name) && !says_nothing(name, value)) return std::nullopt;
    head.headers.add(name, std::string(value));
  }
  return head;
}

Rejection body_rejection(const beast::error_code& error, const HeadLimits& limits) {
  if (error == http::error::body_limit) {
    return {413, "RequestEntityTooLarge",
            "The request's body is larger than the " + std::to_string(limits.body_bytes_max) +
                " bytes that are accepted. Send less at a time."};
  }
  return {400, "InvalidRequestContent",
          "The request's body is not framed as its headers say: " + error.message() + "."};
}

// The raw bytes are checked before Beast's more lenient parser reads them. Headers are taken now: trailers of
// a chunked body, which the parser would append to them, never count.
std::expected<Framing, Rejection> parse_head(std::string_view raw, const HeadLimits& limits,
                                             std::optional<RequestParser>& made, Head& head) {
  if (auto rejection = check_raw_head(raw)) return std::unexpected(std::move(*rejection));
  if (auto plain = plain_head(raw)) {
    head = *std::move(plain);
    return check_head(head, limits.body_bytes_max);
  }
  RequestParser& parser = made.emplace();
  parser.eager(false);
  parser.header_limit(static_cast<uint32_t>(limits.header_bytes_max + 4));
  parser.body_limit(
      boost::none);  // ours is checked below, with a message of its own; the parser's is set afterwards
  beast::error_code error;
  while (!raw.empty() && !error && !parser.is_header_done()) {
    const size_t used = parser.put(asio::buffer(raw.data(), raw.size()), error);
    raw.remove_prefix(used);
    if (used == 0) break;
  }
  if (error == http::error::bad_version) {
    return std::unexpected(
        Rejection{505, "HttpVersionNotSupported", "The request is not HTTP/1.1 or HTTP/1.0. Use HTTP/1.1."});
  }
  const auto& message = parser.get();
  head.method = std::string(message.method_string());
  if (error || !parser.is_header_done()) {
    return std::unexpected(
        Rejection{400, "InvalidHeader", "The request's head is not HTTP/1.1: " + error.message() + "."});
  }
  head.target = std::string(message.target());
  head.version = message.version();
  for (const auto& field : message) head.headers.add(field.name_string(), std::string(field.value()));
  auto framing = check_head(head, limits.body_bytes_max);
  if (!framing) return framing;
  // Both readers must agree on where the message ends.
  if (framing->has_body == parser.is_done() || !raw.empty()) {
    return std::unexpected(Rejection{
        400, "InvalidHeader", "The length of the request's body is not clear. Send one Content-Length."});
  }
  parser.body_limit(limits.body_bytes_max);
  return framing;
}

}  // namespace merlon::net

// See head_parser.h.
#include "net/head_parser.h"

#include <boost/asio/buffer.hpp>

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

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
                                             RequestParser& parser, Head& head) {
  if (auto rejection = check_raw_head(raw)) return std::unexpected(std::move(*rejection));
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

// Any bytes as a request's head. A head that our checks accept must mean to Beast's parser what it means to
// us: two readers that disagree about where a message ends are what request smuggling lives on.
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/head_parser.h"
#include "net/tls.h"

namespace {

// What is taken without Beast is what Beast would have given.
void check_plain(std::string_view raw, const merlon::net::Head& plain) {
  merlon::net::RequestParser parser;
  parser.eager(false);
  parser.header_limit(64 * 1024);
  boost::beast::error_code error;
  while (!raw.empty() && !error && !parser.is_header_done()) {
    const size_t used = parser.put(boost::asio::buffer(raw.data(), raw.size()), error);
    raw.remove_prefix(used);
    if (used == 0) break;
  }
  MERLON_CHECK(!error && raw.empty() && parser.is_header_done() && parser.is_done() && parser.keep_alive());
  const auto& message = parser.get();
  MERLON_CHECK(message.version() == plain.version && message.method_string() == plain.method &&
               message.target() == plain.target);
  auto field = message.begin();
  for (const auto& [name, value] : plain.headers.all()) {
    MERLON_CHECK(field != message.end() && field->name_string() == name && field->value() == value);
    ++field;
  }
  MERLON_CHECK(field == message.end());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  static_cast<void>(net::parse_server_name({data, size}));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(net::parse_host(text));
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  net::HeadLimits limits;
  limits.header_bytes_max = 32 * 1024;
  limits.body_bytes_max = 1024;
  if (end + 4 > limits.header_bytes_max) return 0;
  const std::string_view raw = text.substr(0, end + 4);
  if (!net::check_raw_head(raw))
    if (const auto plain = net::plain_head(raw)) check_plain(raw, *plain);
  std::optional<net::RequestParser> made;
  net::Head head;
  const auto framing = net::parse_head(raw, limits, made, head);
  if (!framing) {
    MERLON_CHECK(framing.error().status >= 400 && !framing.error().code.empty());
    return 0;
  }
  MERLON_CHECK(head.target.starts_with('/') && net::parse_host(framing->host));
  for (const auto& [name, value] : head.headers.all()) {
    MERLON_CHECK(name.find_first_of(" :\r\n") == std::string::npos &&
                 value.find_first_of("\r\n") == std::string::npos);
  }
  if (!made) {
    MERLON_CHECK(!framing->has_body && !framing->expects_continue);
    return 0;
  }
  net::RequestParser& parser = *made;
  MERLON_CHECK(parser.is_header_done() && parser.is_done() == !framing->has_body);
  MERLON_CHECK(!(parser.chunked() && parser.content_length()));
  // The rest is the body; whatever it is, it stays within the limit.
  std::string_view rest = text.substr(end + 4);
  boost::beast::error_code error;
  parser.eager(true);
  while (!rest.empty() && !parser.is_done() && !error) {
    const size_t used = parser.put(boost::asio::buffer(rest.data(), rest.size()), error);
    rest.remove_prefix(used);
    if (used == 0) break;
  }
  MERLON_CHECK(parser.get().body().size() <= limits.body_bytes_max);
  return 0;
}

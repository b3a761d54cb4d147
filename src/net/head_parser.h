// From the raw bytes of a request's head to what the edge knows about it: our own checks around Beast's
// parser, which goes on to read the body. Apart from the connection so that it can be fuzzed without one.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <expected>
#include <optional>
#include <string_view>

#include "net/edge.h"

namespace merlon::net {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

struct HeadLimits {
  size_t header_bytes_max = 0;
  size_t body_bytes_max = 0;
};

// A head that leaves nothing to interpret, as most are: a method and a path in plain characters, HTTP/1.1,
// and no header about framing, the connection (but "keep-alive") or an upgrade. There Beast would find
// exactly these parts (http_edge_fuzz.cpp compares them) and no body. `raw` has passed check_raw_head().
// Nothing for every other head: Beast reads that.
std::optional<Head> plain_head(std::string_view raw);

// `raw` ends with the empty line; `parser` is empty, and is made where there is more to read than a plain
// head. `head` is filled as far as it could be read, also upon rejection.
std::expected<Framing, Rejection> parse_head(std::string_view raw, const HeadLimits& limits,
                                             std::optional<RequestParser>& parser, Head& head);

Rejection body_rejection(const boost::beast::error_code& error, const HeadLimits& limits);

}  // namespace merlon::net

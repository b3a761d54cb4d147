// From the raw bytes of a request's head to what the edge knows about it: our own checks around Beast's
// parser, which goes on to read the body. Apart from the connection so that it can be fuzzed without one.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <expected>
#include <string_view>

#include "net/edge.h"

namespace merlon::net {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

struct HeadLimits {
  size_t header_bytes_max = 0;
  size_t body_bytes_max = 0;
};

// `raw` ends with the empty line; `parser` is fresh. `head` is filled as far as it could be read, also upon
// rejection.
std::expected<Framing, Rejection> parse_head(std::string_view raw, const HeadLimits& limits,
                                             RequestParser& parser, Head& head);

Rejection body_rejection(const boost::beast::error_code& error, const HeadLimits& limits);

}  // namespace merlon::net

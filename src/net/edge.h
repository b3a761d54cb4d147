// The edge: what a request's bytes must look like before anything else in Merlon sees them. Stricter than RFC
// 9112 where leniency has been used to make two programs see two different requests. No sockets here: fuzzed
// as it is.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace merlon::net {

struct Rejection {
  int status = 400;
  std::string code;  // Azure's error code
  std::string message;
};

// The raw bytes from the request line through the empty line: only CRLF line ends, no folding, no controls.
std::optional<Rejection> check_raw_head(std::string_view head);

struct Head {
  std::string method;
  std::string target;
  unsigned version = 11;  // 10 or 11
  Headers headers;
};

// "name", "name:port", "192.0.2.1:port", "[::1]:port", nothing else. The name comes out lower case, without
// brackets.
struct HostName {
  std::string name;
  std::optional<uint16_t> port;
  std::optional<IpAddress> address;  // when the name is one
};
std::optional<HostName> parse_host(std::string_view host);

// What the checks learned from the headers.
struct Framing {
  std::string host;    // lower case, with the port when one was given
  HostName host_name;  // the same, taken apart
  bool has_body = false;
  bool expects_continue = false;
};
std::expected<Framing, Rejection> check_head(const Head& head, size_t body_bytes_max);

// RFC 9110 section 15.5.20. `local` is the address that the connection came in on.
struct ServedNames {
  std::vector<std::string> names;  // exact, or "*.suffix" for one label
  std::string agents_name;
  std::vector<IpAddress> addresses;
};
std::optional<Rejection> check_served(const ServedNames& served, const HostName& host, Plane plane,
                                      const IpAddress& local);

// {"error":{"code":…,"message":…}}, as Azure answers.
Response error_response(const Rejection& rejection);

// The bytes of a response's head, with room for `body_bytes` more. Header names or values that could split it
// turn it into a 500.
struct ResponseContext {
  std::string_view request_id;
  bool head_only = false;  // answer to HEAD
  bool close = false;
};
std::string response_head(Response& response, const ResponseContext& context);

}  // namespace merlon::net

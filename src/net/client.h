// The HTTPS client: blocking, one connection kept alive, TLS 1.2+ with the server's name verified against
// given authorities only. Used by the agent and the command line. Not thread-safe: one client per thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "net/http.h"

namespace merlon::net {

struct Url {
  std::string host;    // lower case, without brackets
  std::string port;    // "443" when not given
  std::string target;  // path and query, at least "/"
};
Result<Url> parse_https_url(std::string_view url);

struct ClientParameters {
  std::string host;  // name or address to connect to
  std::string port;
  std::string server_name;      // SNI and verified name; host when empty. An address host is verified as one.
  std::string authorities_pem;  // the only trust; empty = the system's store
  std::string certificate_pem;  // client certificate, may be empty
  Secret private_key_pem;
  // Asked about each address that the host resolves to, right before it is connected to; empty = all.
  std::function<bool(const IpAddress&)> may_connect_to;
  uint32_t socket_mark = 0;  // SO_MARK on the connection, 0 = none (needs CAP_NET_ADMIN)
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};
  size_t response_bytes_max = 64 * 1024 * 1024;
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  Headers headers;  // Host and Content-Length are set by the client
  std::string body;
  std::optional<std::chrono::milliseconds> timeout;  // else the parameters'
  // When this can be read while the answer is awaited, the request is given up with the code RequestStopped.
  int stop_fd = -1;
};

class Client {
 public:
  static std::unique_ptr<Client> make(ClientParameters parameters);  // connects at the first request
  virtual ~Client() = default;
  // Errors are `unavailable` (no connection, time out) or `internal`; an HTTP error status is a response. A
  // request that is safe to repeat (GET, HEAD, PUT, DELETE) is sent once more when a kept connection turns
  // out closed.
  virtual Result<Response> send(const ClientRequest& request) = 0;
  virtual void close() = 0;
  // The address the last connection went to, for firewall rules about ourselves.
  virtual std::optional<IpAddress> remote_address() const = 0;
};

}  // namespace merlon::net

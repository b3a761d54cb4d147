// The other end of tunnel.h: a program of a person's machine that joins local connections, or two
// descriptors, to WebSockets of a server. TLS as for Client: the name verified against given authorities
// only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace merlon::net {

// One WebSocket to connect to.
struct TunnelTarget {
  std::string host;  // name or address to connect to
  std::string port;
  std::string server_name;           // SNI and verified name
  std::string authorities_pem;       // the only trust; empty = the system's store
  std::string path;                  // "/webtunnelv2/…"
  std::string token;                 // the caller's own mark, given back to `closed`
  std::string certificate_pem = {};  // client certificate, may be empty
  Secret private_key_pem = {};
};

// Carries bytes between two open descriptors and a WebSocket until one side ends; takes both over. What the
// server said at the end, empty when it closed without a word. Errors: `unavailable`, or what the server
// answered instead of a WebSocket.
Result<std::string> carry_tunnel(const TunnelTarget& target, int in, int out);

struct TunnelListenerParameters {
  uint16_t port = 0;  // on 127.0.0.1; 0 = any free
  // On workers, for each connection that is accepted: where it goes to.
  std::function<Result<TunnelTarget>()> open;
  // On workers, once for each that was opened.
  std::function<void(const TunnelTarget& target, const Result<std::string>& how)> closed;
  // On workers: `open` said no.
  std::function<void(const Error& error)> refused;
};

class TunnelListener {
 public:
  static Result<std::unique_ptr<TunnelListener>> start(TunnelListenerParameters parameters);
  virtual ~TunnelListener() = default;  // cuts what runs
  virtual uint16_t port() const = 0;
};

}  // namespace merlon::net

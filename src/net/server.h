// The HTTPS server: HTTP/1.1 over TLS 1.2+ on any number of addresses. Handlers run on a bounded worker pool
// and may answer later, from any thread. Slow, oversized, smuggling and malformed requests never reach a
// handler.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "net/http.h"
#include "net/tunnel.h"

namespace merlon::net {

struct TlsIdentity {
  std::string certificate_chain_pem;
  Secret private_key_pem;
};

struct ServerLimits {
  size_t header_bytes_max = 32 * 1024;
  size_t body_bytes_max = 4 * 1024 * 1024;
  size_t connections_max = 16'384;  // fewer when the process may not have as many descriptors
  size_t connections_per_peer_max = 1024;
  size_t connections_per_certificate_max = 16;  // of an agent, wherever it comes from
  std::chrono::milliseconds handshake_timeout{10'000};
  std::chrono::milliseconds request_timeout{30'000};   // from first byte to the last of headers and body
  std::chrono::milliseconds idle_timeout{75'000};      // keep-alive, between requests
  std::chrono::milliseconds response_timeout{60'000};  // writing
  size_t queue_max = 1024;  // requests waiting for a worker; more are 503 with Retry-After
  unsigned io_threads = 2;
  unsigned workers = 64;  // a write waits in one for its commit: as many share an fsync
};

// Takes what makes an answer, from any thread, once; it is made on the connection's own thread. Not at all
// when the connection has gone.
using MakeAnswer = std::function<Response()>;
using LateAnswer = std::function<void(MakeAnswer)>;
// Whether a request is being answered without a worker. What is not begun is as it was.
using BeginHandler = std::function<bool(const std::shared_ptr<const Request>&, const LateAnswer&)>;

struct ServerParameters {
  std::vector<std::string> listen;  // "127.0.0.1:8443", "[::1]:8443"; port 0 = any free
  TlsIdentity identity;
  // Names served on the control plane (exact, or "*.vault.example.org"); other Host values get 421. Addresses
  // that are listened on and "localhost" are always served.
  std::vector<std::string> names;
  std::string agents_name;           // the SNI that asks for a client certificate; same identity unless given
  std::string agents_authority_pem;  // whom agents' certificates must chain to
  ServerLimits limits;
  // Asked first, on the thread that reads from all connections: an answer that waits for nothing, or nothing,
  // and then the handler is asked on a worker. Optional.
  QuickHandler answer_at_once;
  // Asked next, on the same thread, and must not wait either: begins what will be answered later. Optional.
  BeginHandler begin_at_once{};
  // Asked instead of the handler when the control plane is asked for a WebSocket. Optional.
  UpgradeHandler upgrade{};
  Handler handler;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerParameters parameters);
  virtual ~Server() = default;                              // stops
  virtual std::vector<std::string> addresses() const = 0;   // "127.0.0.1:8443" with the port really bound
  virtual void replace_identity(TlsIdentity identity) = 0;  // new connections use it
  virtual void stop() = 0;  // no new connections; running requests have 5 s; idempotent
};

}  // namespace merlon::net

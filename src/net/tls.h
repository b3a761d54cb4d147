// OpenSSL contexts for both ends: what is negotiated, whom we trust, and how the name that a client asks for
// (SNI) decides whether it must show a certificate.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "net/client.h"
#include "net/server.h"

namespace merlon::net {

struct SslContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextDeleter>;

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPointer = std::unique_ptr<SSL, SslDeleter>;

// Both planes of one identity. A connection keeps the one that it began with.
struct ServerTls {
  SslContext control;
  SslContext agents;        // null without an agents' name
  std::string agents_name;  // lower case

  SslPointer make_ssl() const;  // begins as control; the client's hello may make it agents
  Plane plane_of(const SSL* ssl) const;
};

Result<std::shared_ptr<const ServerTls>> make_server_tls(const TlsIdentity& identity,
                                                         const std::string& agents_name,
                                                         const std::string& agents_authority_pem);

Result<SslContext> make_client_context(const ClientParameters& parameters);
// One connection's SSL: SNI and the name to verify, or the address.
Result<SslPointer> make_client_ssl(SSL_CTX* context, const std::string& name);

// The contents of a server_name extension (RFC 6066 section 3); nothing when malformed.
std::optional<std::string> parse_server_name(ByteView extension);

// The peer's leaf certificate, empty when it showed none.
std::string peer_certificate_pem(const SSL* ssl);
std::string peer_certificate_digest(const SSL* ssl);  // SHA-256, 32 bytes

// Empties OpenSSL's queue for this thread: a stale entry would be reported as the next operation's.
std::string drain_tls_errors();

}  // namespace merlon::net

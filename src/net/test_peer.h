// Test only: a TLS client that sends exactly the bytes it is told to, which the product's client never would;
// and a server with test certificates to send them to.
#pragma once

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>

#include "net/client.h"
#include "net/server.h"
#include "net/test_certificates.h"

namespace merlon::net::test {

inline const std::string kDomain = "merlon.test";
inline const std::string kAgents = "agents.merlon.test";

struct Certificates {
  Authority authority{"Test Authority"};
  Authority agents_authority{"Test Agents"};
  Issued server = authority.issue("server",
                                  "DNS:merlon.test,DNS:*.vault.merlon.test,DNS:agents.merlon.test,"
                                  "DNS:localhost,IP:127.0.0.1,IP:::1");
  TlsIdentity identity() const { return {server.certificate_pem, Secret(std::string_view(server.key_pem))}; }
};

inline ServerParameters server_parameters(const Certificates& certificates, Handler handler) {
  ServerParameters parameters;
  parameters.listen = {"127.0.0.1:0"};
  parameters.identity = certificates.identity();
  parameters.names = {kDomain, "*.vault.merlon.test"};
  parameters.agents_name = kAgents;
  parameters.agents_authority_pem = certificates.agents_authority.certificate_pem();
  parameters.handler = std::move(handler);
  return parameters;
}

inline std::string port_of(const Server& server, size_t index = 0) {
  const std::string address = server.addresses().at(index);
  return address.substr(address.rfind(':') + 1);
}

inline ClientParameters client_parameters(const Certificates& certificates, const Server& server) {
  ClientParameters parameters;
  parameters.host = "127.0.0.1";
  parameters.port = port_of(server);
  parameters.server_name = kDomain;
  parameters.authorities_pem = certificates.authority.certificate_pem();
  return parameters;
}

inline int connect_to_port(const std::string& port) {
  std::signal(
      SIGPIPE,
      SIG_IGN);  // OpenSSL's own socket writes raise it; the product's go through Asio, which does not
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  timeval timeout{10, 0};  // a test that hangs is a test that fails
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  return fd;
}

class RawTls {
 public:
  // `session`: what an earlier connection's take_session() gave, to try to resume it.
  RawTls(const std::string& port, const std::string& server_name, const Issued* certificate = nullptr,
         SSL_SESSION* session = nullptr, const std::string& protocols = {}, int version_max = 0)
      : context_(SSL_CTX_new(TLS_client_method())), fd_(connect_to_port(port)) {
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_max_proto_version(context_, version_max);  // 0: the newest
    if (certificate != nullptr) use(*certificate);
    ssl_ = SSL_new(context_);
    if (!server_name.empty()) SSL_set_tlsext_host_name(ssl_, server_name.c_str());
    if (session != nullptr) SSL_set_session(ssl_, session);
    if (!protocols.empty()) {
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size()));
    }
    SSL_set_fd(ssl_, fd_);
    connected_ = fd_ >= 0 && SSL_connect(ssl_) == 1;
  }
  ~RawTls() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    if (fd_ >= 0) ::close(fd_);
  }
  RawTls(const RawTls&) = delete;
  RawTls& operator=(const RawTls&) = delete;

  bool connected() const { return connected_; }
  SSL* ssl() { return ssl_; }
  bool write(std::string_view bytes) {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }
  std::string read_some() {
    char buffer[16384];
    const int count = SSL_read(ssl_, buffer, sizeof buffer);
    return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : std::string();
  }
  std::string read_to_end() {
    std::string out;
    for (std::string part = read_some(); !part.empty(); part = read_some()) out += part;
    return out;
  }
  // Reads until `count` responses with a Content-Length are complete.
  std::string read_responses(int count);
  // Sends a request and reads until the server closes.
  std::string converse(std::string_view bytes) {
    if (!write(bytes)) return "(not written)";
    return read_to_end();
  }
  SSL_SESSION* take_session() { return SSL_get1_session(ssl_); }

 private:
  void use(const Issued& certificate) {
    const auto bio = [](const std::string& pem) {
      return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    };
    BIO* certificate_bio = bio(certificate.certificate_pem);
    BIO* key_bio = bio(certificate.key_pem);
    X509* x509 = PEM_read_bio_X509(certificate_bio, nullptr, nullptr, nullptr);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_, x509);
    SSL_CTX_use_PrivateKey(context_, key);
    X509_free(x509);
    EVP_PKEY_free(key);
    BIO_free(certificate_bio);
    BIO_free(key_bio);
  }
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  int fd_;
  bool connected_ = false;
};

inline std::string RawTls::read_responses(int count) {
  std::string all;
  size_t at = 0;
  while (count > 0) {
    const size_t end = all.find("\r\n\r\n", at);
    const size_t length_at = end == std::string::npos ? end : all.find("Content-Length: ", at);
    if (length_at != std::string::npos && length_at < end) {
      const size_t size = std::stoul(all.substr(length_at + 16));
      if (all.size() >= end + 4 + size) {
        at = end + 4 + size;
        --count;
        continue;
      }
    }
    const std::string part = read_some();
    if (part.empty()) return all;
    all += part;
  }
  return all;
}

}  // namespace merlon::net::test

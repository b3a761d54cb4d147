// See tls.h. The agents plane asks for certificates by SNI, so nothing may carry a session from the control
// plane into it: resumption would skip the certificate (CVE-2025-23419 was this in nginx). Hence the choice
// is made in the client hello callback, before OpenSSL looks at tickets, and the agents plane has no sessions
// to resume at all.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/text.h"

namespace merlon::net {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using BioPointer = std::unique_ptr<BIO, BioDeleter>;
struct X509Deleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using X509Pointer = std::unique_ptr<X509, X509Deleter>;
struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using KeyPointer = std::unique_ptr<EVP_PKEY, KeyDeleter>;

constexpr unsigned char kControlSessions[] = "merlon-control";
constexpr unsigned char kAgentSessions[] = "merlon-agents";

std::unexpected<Error> invalid(std::string message) {
  const std::string reason = drain_tls_errors();
  if (!reason.empty()) message += " (" + reason + ")";
  return fail(ErrorKind::invalid, "InvalidTlsConfiguration", std::move(message));
}

BioPointer read_only(std::string_view text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<X509Pointer> read_certificates(std::string_view pem) {
  std::vector<X509Pointer> out;
  const BioPointer bio = read_only(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    out.emplace_back(certificate);
  ERR_clear_error();  // the end of the text is reported as an error
  return out;
}

// Never asks on a terminal: an encrypted key is an error.
int no_passphrase(char*, int, int, void*) { return -1; }

Result<void> use_identity(SSL_CTX* context, std::string_view chain_pem, const Secret& key_pem) {
  const auto chain = read_certificates(chain_pem);
  if (chain.empty())
    return invalid("The TLS certificate is not PEM. Give the certificate and its chain as PEM.");
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
    return invalid("OpenSSL does not accept the TLS certificate. Issue another one.");
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
      return invalid("OpenSSL does not accept a certificate of the TLS chain. Issue the chain again.");
    }
  }
  const BioPointer bio = read_only(key_pem.expose_text());
  const KeyPointer key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return invalid("The TLS private key is not an unencrypted PEM key. Give it as PKCS #8 PEM.");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return invalid(
        "The TLS private key does not belong to the certificate. Give the two that were made together.");
  }
  return {};
}

Result<void> trust_only(SSL_CTX* context, std::string_view authorities_pem, bool name_them) {
  const auto authorities = read_certificates(authorities_pem);
  if (authorities.empty())
    return invalid("The authorities to trust hold no PEM certificate. Give at least one.");
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  // What is given is trusted as it is, also when it is an intermediate.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  for (const X509Pointer& authority : authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) {
      return invalid("OpenSSL does not accept an authority's certificate. Check the file of authorities.");
    }
    if (name_them) SSL_CTX_add_client_CA(context, authority.get());
  }
  return {};
}

Result<SslContext> make_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method));
  if (!context) return internal_error("SSL_CTX_new: " + drain_tls_errors());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). 1.3 has nothing else.
  if (SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") != 1) {
    return internal_error("SSL_CTX_set_cipher_list: " + drain_tls_errors());
  }
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  return context;
}

// RFC 7301: we speak HTTP/1.1, and say so rather than guess.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned in_size, void*) {
  static constexpr std::string_view kOurs = "http/1.1";
  for (unsigned at = 0; at < in_size; at += 1u + in[at]) {
    const unsigned size = in[at];
    if (at + 1 + size > in_size) break;
    if (std::string_view(reinterpret_cast<const char*>(in + at + 1), size) != kOurs) continue;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// An enrolled agent that was off for long may come back with an expired certificate to renew it; the handler
// looks at the date. Nothing else is tolerated, and not in an authority's certificate.
int tolerate_expired_leaf(int verified, X509_STORE_CTX* store) {
  if (verified == 1) return 1;
  if (X509_STORE_CTX_get_error(store) != X509_V_ERR_CERT_HAS_EXPIRED ||
      X509_STORE_CTX_get_error_depth(store) != 0)
    return 0;
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

// SSL_set_SSL_CTX takes over the certificate and the trust store, but neither options nor the verify mode.
bool become_agents(SSL* ssl, const ServerTls& tls) {
  if (SSL_set_SSL_CTX(ssl, tls.agents.get()) == nullptr) return false;
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  if (SSL_set_num_tickets(ssl, 0) != 1) return false;
  if (SSL_set_session_id_context(ssl, kAgentSessions, sizeof kAgentSessions - 1) != 1) return false;
  SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tolerate_expired_leaf);
  return X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

int on_client_hello(SSL* ssl, int* alert, void* argument) {
  const auto& tls = *static_cast<const ServerTls*>(argument);
  const unsigned char* extension = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) != 1)
    return SSL_CLIENT_HELLO_SUCCESS;
  const auto name = parse_server_name({extension, size});
  if (!name) {
    *alert = SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (!tls.agents || ascii_lower(*name) != tls.agents_name || become_agents(ssl, tls))
    return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

}  // namespace

std::optional<std::string> parse_server_name(ByteView extension) {
  // ServerNameList: length(2), then one entry: type(1) = host_name(0), length(2), name.
  const auto u16 = [&](size_t at) { return static_cast<size_t>(extension[at] << 8 | extension[at + 1]); };
  if (extension.size() < 6 || u16(0) != extension.size() - 2 || extension[2] != 0) return std::nullopt;
  if (u16(3) != extension.size() - 5) return std::nullopt;
  std::string name(as_text(extension.subspan(5)));
  if (name.size() > 255 || name.find('\0') != std::string::npos) return std::nullopt;
  return name;
}

SslPointer ServerTls::make_ssl() const { return SslPointer(SSL_new(control.get())); }

Plane ServerTls::plane_of(const SSL* ssl) const {
  return agents && SSL_get_SSL_CTX(ssl) == agents.get() ? Plane::agents : Plane::control;
}

Result<std::shared_ptr<const ServerTls>> make_server_tls(const TlsIdentity& identity,
                                                         const std::string& agents_name,
                                                         const std::string& agents_authority_pem) {
  auto tls = std::make_shared<ServerTls>();
  tls->agents_name = ascii_lower(agents_name);
  tls->control = TRY(make_context(TLS_server_method()));
  TRY(use_identity(tls->control.get(), identity.certificate_chain_pem, identity.private_key_pem));
  SSL_CTX_set_alpn_select_cb(tls->control.get(), choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(tls->control.get(), kControlSessions, sizeof kControlSessions - 1);
  if (agents_name.empty()) return tls;
  tls->agents = TRY(make_context(TLS_server_method()));
  TRY(use_identity(tls->agents.get(), identity.certificate_chain_pem, identity.private_key_pem));
  TRY(trust_only(tls->agents.get(), agents_authority_pem, true));
  SSL_CTX_set_alpn_select_cb(tls->agents.get(), choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(tls->agents.get(), kAgentSessions, sizeof kAgentSessions - 1);
  SSL_CTX_set_client_hello_cb(tls->control.get(), on_client_hello, tls.get());
  return tls;
}

Result<SslContext> make_client_context(const ClientParameters& parameters) {
  SslContext context = TRY(make_context(TLS_client_method()));
  // A connection that waits keeps no record buffers. (The server's give theirs back when they have been quiet
  // for a while: to do so after each record costs a busy one more than the record.)
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (!parameters.authorities_pem.empty()) {
    TRY(trust_only(context.get(), parameters.authorities_pem, false));
  } else if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    return internal_error("SSL_CTX_set_default_verify_paths: " + drain_tls_errors());
  }
  if (!parameters.certificate_pem.empty()) {
    TRY(use_identity(context.get(), parameters.certificate_pem, parameters.private_key_pem));
  }
  return context;
}

Result<SslPointer> make_client_ssl(SSL_CTX* context, const std::string& name) {
  SslPointer ssl(SSL_new(context));
  if (!ssl) return internal_error("SSL_new: " + drain_tls_errors());
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  bool set = false;
  if (IpAddress::parse(name)) {
    set = X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) == 1;  // RFC 6066: no SNI for addresses
  } else {
    X509_VERIFY_PARAM_set_hostflags(
        verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    set = X509_VERIFY_PARAM_set1_host(verify, name.c_str(), name.size()) == 1 &&
          SSL_set_tlsext_host_name(ssl.get(), name.c_str()) == 1;
  }
  if (!set)
    return invalid("The server's name '" + name + "' is not a name that TLS can verify. Check the address.");
  return ssl;
}

std::string peer_certificate_pem(const SSL* ssl) {
  const X509Pointer certificate(SSL_get1_peer_certificate(ssl));
  const BioPointer bio(BIO_new(BIO_s_mem()));
  if (!certificate || !bio || PEM_write_bio_X509(bio.get(), certificate.get()) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string peer_certificate_digest(const SSL* ssl) {
  const X509Pointer certificate(SSL_get1_peer_certificate(ssl));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string drain_tls_errors() {
  std::string out;
  while (const unsigned long code = ERR_get_error()) {
    char text[256];
    ERR_error_string_n(code, text, sizeof text);
    if (!out.empty()) out += "; ";
    out += text;
  }
  return out;
}

}  // namespace merlon::net

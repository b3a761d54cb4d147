// Issuing the server's certificate.
#include "server/certificate.h"

#include "crypto/x509.h"

namespace merlon::server {
namespace {

constexpr auto kLeafLifetime = std::chrono::hours(24 * 90);
constexpr auto kClockSkew = std::chrono::hours(1);

// "127.0.0.1:8443" → 127.0.0.1; "[::1]:8443" → ::1. Wildcards name no address.
std::optional<IpAddress> listen_address(std::string_view listen) {
  std::string_view host = listen.substr(0, listen.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address || address->is_unspecified()) return std::nullopt;
  return address;
}

}  // namespace

std::vector<std::string> served_names(const std::string& domain) {
  return {domain, "*.vault." + domain, "*.azurecr." + domain, "*.bastion." + domain, "localhost"};
}

std::string agents_name(const std::string& domain) { return "agents." + domain; }

Result<net::TlsIdentity> issue_server_identity(const Settings& settings,
                                               const std::vector<std::string>& listen, const Clock& clock,
                                               Random& random) {
  crypto::LeafParameters leaf;
  leaf.common_name = settings.domain;
  leaf.dns_names = served_names(settings.domain);
  leaf.dns_names.push_back(agents_name(settings.domain));
  leaf.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("::1")};
  for (const std::string& address : listen)
    if (const auto parsed = listen_address(address); parsed && !parsed->is_loopback())
      leaf.addresses.push_back(*parsed);
  leaf.use = crypto::LeafUse::tls_server;
  leaf.not_before = clock.now() - kClockSkew;
  leaf.not_after = clock.now() + kLeafLifetime;
  const auto authority_key = TRY(crypto::PrivateKey::from_pkcs8_der(settings.authority_key_der));
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  const std::string pem =
      TRY(crypto::issue_leaf(leaf, key.public_key(), settings.authority_pem, authority_key, random));
  return net::TlsIdentity{pem + settings.authority_pem, key.pem()};
}

}  // namespace merlon::server

// Issuing the server's certificate.
#include "server/certificate.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>

#include "crypto/x509.h"

namespace merlon::server {
namespace {

constexpr auto kLeafLifetime = std::chrono::hours(24 * 90);
constexpr auto kClockSkew = std::chrono::hours(1);

// "127.0.0.1:8443" → 127.0.0.1; "[::1]:8443" → ::1.
std::optional<IpAddress> listen_address(std::string_view listen) {
  std::string_view host = listen.substr(0, listen.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return IpAddress::parse(host);
}

// What a wildcard stands for: every address of this machine at the moment, of that family.
std::vector<IpAddress> own_addresses(IpFamily family) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, &freeifaddrs);
  std::vector<IpAddress> addresses;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (family == IpFamily::v4 && entry->ifa_addr->sa_family == AF_INET) {
      sockaddr_in socket_address{};
      std::memcpy(&socket_address, entry->ifa_addr, sizeof(socket_address));
      addresses.push_back(IpAddress::from_v4(ntohl(socket_address.sin_addr.s_addr)));
    } else if (family == IpFamily::v6 && entry->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 socket_address{};
      std::memcpy(&socket_address, entry->ifa_addr, sizeof(socket_address));
      std::array<uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &socket_address.sin6_addr, bytes.size());
      addresses.push_back(IpAddress::from_v6(bytes));
    }
  }
  return addresses;
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
  for (const std::string& address : listen) {
    const auto parsed = listen_address(address);
    if (!parsed) continue;
    for (const IpAddress& own :
         parsed->is_unspecified() ? own_addresses(parsed->family()) : std::vector{*parsed})
      if (!own.is_loopback() && !own.is_link_local()) leaf.addresses.push_back(own);
  }
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

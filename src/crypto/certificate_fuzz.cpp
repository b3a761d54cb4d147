// Certificates and requests from anybody, as PEM and as DER. What reads must be well formed, and never chain
// to an authority that did not sign it.
#include <cstdlib>

#include "base/text.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"

using namespace merlon;
using namespace merlon::crypto;

namespace {

const Timestamp kStart{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};

std::string new_authority() {
  SystemRandom random;
  const auto key = PrivateKey::generate(KeyKind::ec_p256);
  const auto authority = make_authority({.common_name = "authority",
                                         .not_before = kStart,
                                         .not_after = kStart + std::chrono::hours(1),
                                         .permitted_dns = {}},
                                        *key, random);
  return *authority;
}

void judge(const std::string& pem) {
  static const std::string authority = new_authority();
  if (const auto facts = read_certificate(pem)) {
    if (!is_utf8(facts->subject_common_name) || facts->subject_common_name.find('\0') != std::string::npos)
      std::abort();
    for (const std::string& name : facts->dns_names)
      if (name.empty() || name.find('\0') != std::string::npos) std::abort();
    const auto again = read_certificate(certificate_pem(*certificate_der(pem)));
    if (!again || again->sha1_thumbprint_hex != facts->sha1_thumbprint_hex) std::abort();
  }
  if (chains_to(pem, authority, LeafUse::tls_server, kStart)) std::abort();
  static_cast<void>(chains_to(pem, pem, LeafUse::tls_client, kStart));
  static_cast<void>(verify_request(pem));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 16 * 1024) return 0;
  judge(std::string(as_text({data, size})));
  judge(certificate_pem({data, size}));
  static_cast<void>(PublicKey::from_spki_der({data, size}));
  static_cast<void>(PrivateKey::from_pkcs8_der(Secret(as_text({data, size}))));
  return 0;
}

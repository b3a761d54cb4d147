// PFX and PEM files, subjects of policies and certificates: whatever people import or write.
#include "crypto/customer_certificate.h"
#include "crypto/key_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon;
  const ByteView bytes(data, size);
  if (const auto pfx = crypto::read_pfx(bytes, Secret()); pfx && pfx->certificates_der.empty())
    __builtin_trap();
  static_cast<void>(crypto::read_pem_bundle(Secret(as_text(bytes))));
  static_cast<void>(crypto::read_customer_certificate(bytes));
  crypto::CertificateProfile profile;
  profile.subject = as_text(bytes);
  static_cast<void>(crypto::check_profile(profile));
  return 0;
}

// Between DER and raw.
#include "crypto/ecdsa_form.h"

#include "crypto/openssl_handles.h"

namespace merlon::crypto {

std::optional<Bytes> ecdsa_der_of_raw(ByteView raw, size_t scalar_bytes) {
  if (raw.size() != 2 * scalar_bytes) return std::nullopt;
  const int width = static_cast<int>(scalar_bytes);
  BignumHandle r(BN_bin2bn(raw.data(), width, nullptr));
  BignumHandle s(BN_bin2bn(raw.data() + scalar_bytes, width, nullptr));
  const EcdsaSignatureHandle signature(ECDSA_SIG_new());
  if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return std::nullopt;
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0) return std::nullopt;
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  if (i2d_ECDSA_SIG(signature.get(), &cursor) != size) return std::nullopt;
  return der;
}

std::optional<Bytes> ecdsa_raw_of_der(ByteView der, size_t scalar_bytes) {
  const uint8_t* cursor = der.data();
  const EcdsaSignatureHandle signature(d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(der.size())));
  if (!signature || cursor != der.data() + der.size()) return std::nullopt;
  Bytes raw(2 * scalar_bytes);
  const int width = static_cast<int>(scalar_bytes);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), width) != width ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + scalar_bytes, width) != width)
    return std::nullopt;
  return raw;
}

}  // namespace merlon::crypto

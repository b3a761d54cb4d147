// A private key with its certificates in one file: PKCS #12 (RFC 7292) and PEM, as people import and export
// them.
#pragma once

#include <vector>

#include "crypto/key_material.h"

namespace merlon::crypto {

struct KeyBundle {
  KeyMaterial key;
  std::vector<Bytes> certificates_der;  // the key's own first
};

// BadParameter: not a bundle, a wrong password, no key, no certificate that is for the key, or a key of a
// kind that Merlon does not use.
Result<KeyBundle> read_pfx(ByteView der, const Secret& password);
Result<KeyBundle> read_pem_bundle(const Secret& pem);
// Certificates in PEM or DER, the leaf first; at least one.
Result<std::vector<Bytes>> read_pem_certificates(std::string_view pem);

// `no`: the certificates alone, for a key that does not leave.
enum class KeyInBundle { yes, no };
// Without a password, as Azure's secrets of certificates are.
Result<Secret> write_pfx(const KeyBundle& bundle, KeyInBundle key = KeyInBundle::yes);
Secret write_pem_bundle(const KeyBundle& bundle, KeyInBundle key = KeyInBundle::yes);

}  // namespace merlon::crypto

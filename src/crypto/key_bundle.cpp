// OpenSSL's PKCS #12 and PEM readers, with limits around them: what people import is hostile until it is
// read.
#include "crypto/key_bundle.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include <algorithm>
#include <semaphore>

#include "crypto/certificate_parts.h"
#include "crypto/key_numbers.h"
#include "crypto/pfx_work.h"

namespace merlon::crypto {
namespace {

constexpr size_t kBundleBytesMax = 256 * 1024;
constexpr size_t kCertificatesMax = 20;

using Pkcs12Handle = std::unique_ptr<PKCS12, FreeWith<PKCS12_free>>;

struct FreeCertificates {
  void operator()(STACK_OF(X509) * all) const noexcept { sk_X509_pop_free(all, X509_free); }
};
using CertificatesHandle = std::unique_ptr<STACK_OF(X509), FreeCertificates>;

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid, "BadParameter", std::move(message));
}

// The key's own certificate first; the others as they came.
Result<KeyBundle> assemble(KeyHandle key, const std::vector<X509*>& certificates) {
  if (!key) return bad("There is no private key in what was given to import.");
  if (certificates.size() > kCertificatesMax)
    return bad("There are more than 20 certificates in the bundle.");
  KeyBundle bundle{TRY(KeyMaterial::adopt(std::shared_ptr<EVP_PKEY>(std::move(key)))), {}};
  for (X509* certificate : certificates) {
    Bytes der = TRY(der_of_certificate(certificate));
    if (X509_check_private_key(certificate, bundle.key.handle()) == 1)
      bundle.certificates_der.insert(bundle.certificates_der.begin(), std::move(der));
    else
      bundle.certificates_der.push_back(std::move(der));
  }
  if (certificates.empty() || !std::ranges::any_of(certificates, [&](X509* certificate) {
        return X509_check_private_key(certificate, bundle.key.handle()) == 1;
      }))
    return bad("None of the certificates that were given is for the private key.");
  return bundle;
}

// A PFX takes up to some seconds of a processor, and the thread that its import has: of all that serve, two.
class PfxSlot {
 public:
  PfxSlot() : held_(slots().try_acquire()) {}
  PfxSlot(const PfxSlot&) = delete;
  PfxSlot& operator=(const PfxSlot&) = delete;
  ~PfxSlot() {
    if (held_) slots().release();
  }
  bool held() const { return held_; }

 private:
  static std::counting_semaphore<2>& slots() {
    static std::counting_semaphore<2> all(2);
    return all;
  }
  const bool held_;
};

}  // namespace

Result<KeyMaterial> KeyMaterial::adopt(std::shared_ptr<EVP_PKEY> pair) {
  const ErrorQueue errors;
  const bool rsa = EVP_PKEY_is_a(pair.get(), "RSA") == 1;
  if (!rsa && EVP_PKEY_is_a(pair.get(), "EC") != 1)
    return bad("The private key is neither an RSA nor an EC key.");
  KeyMaterial material(rsa ? MaterialKind::rsa : MaterialKind::ec, pair, true);
  if (rsa && material.bits() != 2048 && material.bits() != 3072 && material.bits() != 4096)
    return bad("The RSA key has " + std::to_string(material.bits()) +
               " bits. It must have 2048, 3072 or 4096.");
  if (!rsa && material.curve().empty())
    return bad("The EC key is on a curve other than P-256, P-384, P-521 and P-256K.");
  if (!has_sound_numbers(pair.get()))
    return bad("The private key's numbers are not those of an RSA key with two primes of the same size.");
  const KeyContextHandle check(EVP_PKEY_CTX_new_from_pkey(nullptr, pair.get(), nullptr));
  if (!check || EVP_PKEY_pairwise_check(check.get()) != 1)
    return bad("The private key's numbers do not fit together.");
  return material;
}

Result<KeyBundle> read_pfx(ByteView der, const Secret& password) {
  const ErrorQueue errors;
  const uint8_t* cursor = der.data();
  if (der.empty() || der.size() > kBundleBytesMax) return bad("The PFX is empty or longer than 256 KiB.");
  const Pkcs12Handle pfx(d2i_PKCS12(nullptr, &cursor, static_cast<long>(der.size())));
  if (!pfx) return bad("What was given is not a PFX (PKCS #12) file.");
  const PfxSlot slot;
  if (!slot.held())
    return fail(ErrorKind::throttled, "TooManyRequests",
                "Too many PFX files are being imported at this moment. Try again in a few seconds.");
  const std::string text(password.expose_text());
  if (!asks_for_bounded_work(pfx.get(), text.c_str()))
    return bad(
        "The PFX asks for more than two million iterations to open it, or is encrypted in a way that does "
        "not "
        "count any, or holds more than one key and its certificates. Export it anew with PBKDF2.");
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* others = nullptr;
  const int opened = PKCS12_parse(pfx.get(), text.c_str(), &key, &leaf, &others);
  const KeyHandle owned_key(key);
  const CertificateHandle owned_leaf(leaf);
  const CertificatesHandle owned_others(others);
  if (opened != 1)
    return bad(
        "The PFX does not open: the password is wrong, or it is encrypted in a way that is "
        "no longer safe (RC2). Export it anew with AES-256.");
  std::vector<X509*> certificates;
  if (leaf != nullptr) certificates.push_back(leaf);
  for (int i = 0; others != nullptr && i < sk_X509_num(others); ++i)
    certificates.push_back(sk_X509_value(others, i));
  if (key != nullptr) EVP_PKEY_up_ref(key);
  return assemble(KeyHandle(key), certificates);
}

Result<KeyBundle> read_pem_bundle(const Secret& pem) {
  const ErrorQueue errors;
  const BioHandle keys = reader_of(pem.expose_text(), kBundleBytesMax);
  if (!keys) return bad("The PEM text is longer than 256 KiB.");
  KeyHandle key(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_passphrase, nullptr));
  const BioHandle rest = reader_of(pem.expose_text(), kBundleBytesMax);
  std::vector<CertificateHandle> owned;
  std::vector<X509*> certificates;
  while (X509* certificate = PEM_read_bio_X509(rest.get(), nullptr, no_passphrase, nullptr)) {
    owned.emplace_back(certificate);
    certificates.push_back(certificate);
    if (owned.size() > kCertificatesMax) break;
  }
  return assemble(std::move(key), certificates);
}

Result<std::vector<Bytes>> read_pem_certificates(std::string_view pem) {
  const ErrorQueue errors;
  const BioHandle bio = reader_of(pem, kBundleBytesMax);
  std::vector<Bytes> all;
  while (bio && all.size() <= kCertificatesMax) {
    const CertificateHandle certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) break;
    all.push_back(TRY(der_of_certificate(certificate.get())));
  }
  if (all.empty() || all.size() > kCertificatesMax)
    return bad("There is no certificate in the PEM text, or there are more than 20.");
  return all;
}

Result<Secret> write_pfx(const KeyBundle& bundle, KeyInBundle key) {
  const ErrorQueue errors;
  std::vector<CertificateHandle> owned;
  const CertificatesHandle others(sk_X509_new_null());
  for (const Bytes& der : bundle.certificates_der) {
    const uint8_t* cursor = der.data();
    owned.emplace_back(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
    if (!owned.back()) return errors.failure("a stored certificate does not read");
    if (owned.size() == 1) continue;
    X509_up_ref(owned.back().get());
    if (!others || sk_X509_push(others.get(), owned.back().get()) <= 0)
      return errors.failure("cannot build a PFX");
  }
  // Azure's own secrets of certificates open with an empty password; its MAC is what readers expect to be
  // there.
  const Pkcs12Handle pfx(PKCS12_create("", nullptr, key == KeyInBundle::yes ? bundle.key.handle() : nullptr,
                                       owned.empty() ? nullptr : owned[0].get(), others.get(), NID_undef,
                                       NID_undef, 0, 0, 0));
  const int size = pfx ? i2d_PKCS12(pfx.get(), nullptr) : 0;
  if (size <= 0) return errors.failure("cannot write a PFX");
  Bytes der(static_cast<size_t>(size));
  uint8_t* cursor = der.data();
  i2d_PKCS12(pfx.get(), &cursor);
  return Secret(std::move(der));
}

Secret write_pem_bundle(const KeyBundle& bundle, KeyInBundle key) {
  const BioHandle bio(BIO_new(BIO_s_secmem()));
  MERLON_CHECK(bio != nullptr);
  if (key == KeyInBundle::yes)
    MERLON_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), bundle.key.handle(), nullptr, nullptr, 0, nullptr,
                                               nullptr) == 1);
  for (const Bytes& der : bundle.certificates_der) {
    const std::string pem = certificate_pem(der);
    MERLON_CHECK(BIO_write(bio.get(), pem.data(), static_cast<int>(pem.size())) ==
                 static_cast<int>(pem.size()));
  }
  return Secret(take_bytes(bio.get()));
}

}  // namespace merlon::crypto

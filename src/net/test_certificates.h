// Test only: a certificate authority in memory, so that the tests of this room run real TLS without a file or
// a tool.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace merlon::net::test {

struct Issued {
  std::string certificate_pem;
  std::string key_pem;
};

class Authority {
 public:
  explicit Authority(const std::string& name) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    fill(certificate_.get(), key_.get(), name, -86400, 86400);
    X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
    extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(certificate_.get(), NID_key_usage, "critical,keyCertSign");
    sign(certificate_.get());
  }

  // `names`: "DNS:localhost,IP:127.0.0.1". Seconds are from now.
  Issued issue(const std::string& subject, const std::string& names, long from = -86400,
               long to = 86400) const {
    const std::unique_ptr<EVP_PKEY, KeyDeleter> key(EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, X509Deleter> certificate(X509_new());
    fill(certificate.get(), key.get(), subject, from, to);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
    if (!names.empty()) extend(certificate.get(), NID_subject_alt_name, names);
    sign(certificate.get());
    Issued out;
    out.certificate_pem = pem(certificate.get());
    const std::unique_ptr<BIO, BioDeleter> bio(BIO_new(BIO_s_mem()));
    MERLON_CHECK(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    out.key_pem = text(bio.get());
    return out;
  }

  std::string certificate_pem() const { return pem(certificate_.get()); }

 private:
  struct KeyDeleter {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  struct X509Deleter {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free_all(bio); }
  };

  static void fill(X509* certificate, EVP_PKEY* key, const std::string& name, long from, long to) {
    static long serial = 1;
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to);
    X509_set_pubkey(certificate, key);
    const auto* common_name = reinterpret_cast<const unsigned char*>(name.c_str());
    MERLON_CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                            common_name, -1, -1, 0) == 1);
  }
  static void extend(X509* certificate, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    MERLON_CHECK(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void sign(X509* certificate) const { MERLON_CHECK(X509_sign(certificate, key_.get(), EVP_sha256()) > 0); }
  static std::string text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<size_t>(size)};
  }
  static std::string pem(X509* certificate) {
    const std::unique_ptr<BIO, BioDeleter> bio(BIO_new(BIO_s_mem()));
    MERLON_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
    return text(bio.get());
  }

  std::unique_ptr<EVP_PKEY, KeyDeleter> key_;
  std::unique_ptr<X509, X509Deleter> certificate_;
};

}  // namespace merlon::net::test

// Certificates: making and changing them. Each version of one is three things of the same name and version:
// the certificate, its managed key, and a managed secret that holds both (Microsoft Learn, "About Azure Key
// Vault certificates").
#pragma once

#include "crypto/customer_certificate.h"
#include "services/vault/certificate_policy.h"
#include "services/vault/objects.h"

namespace merlon::vault {

// A key, and whether it may leave the vault where a policy lets it: of one that is used again, that is as
// when it was made, whatever the policy says by now.
struct CertificateKey {
  crypto::KeyMaterial material;
  bool exportable = true;
};

// What a new version is made of, before any transaction: making an RSA key takes its time.
struct MadeCertificate {
  CertificateKey key;
  std::vector<Bytes> chain;  // of an imported one, its own first
  JsonObject policy;
};

// What makes a version: `facts` says whether it is enabled, and its tags.
struct NewCertificate {
  std::string version;
  Facts facts;
  CertificateKey key;
  std::vector<Bytes> chain;
};

class Certificates {
 public:
  explicit Certificates(const resource::Core& core) : objects_(core) {}

  Result<void> make(Asked& asked) const;  // gather of create
  Result<Answer> create(Asked& asked, store::Transaction& tx) const;
  Result<void> take(Asked& asked) const;  // gather of import
  Result<Answer> import(Asked& asked, store::Transaction& tx) const;
  Result<Answer> get(Asked& asked, store::Reader& reader) const;
  Result<Answer> update(Asked& asked, store::Transaction& tx) const;
  Result<Answer> policy(Asked& asked, store::Reader& reader) const;
  Result<Answer> set_policy(Asked& asked, store::Transaction& tx) const;

  // Requests under way (certificate_requests.cpp).
  Result<Answer> pending(Asked& asked, store::Reader& reader) const;
  Result<Answer> cancel(Asked& asked, store::Transaction& tx) const;
  Result<Answer> forget(Asked& asked, store::Transaction& tx) const;
  Result<Answer> merge(Asked& asked, store::Transaction& tx) const;

  // The newest version's key, when the policy says that it is used again. BadParameter when the policy lets a
  // key out that was made to stay.
  Result<std::optional<CertificateKey>> key_to_reuse(store::Reader& reader, const Vault& vault,
                                                     const ObjectName& name, const JsonObject& policy) const;
  // A new one as the policy wants it. With no snapshot open: it may take seconds.
  Result<CertificateKey> new_key(const JsonObject& policy) const;
  // The certificate that the policy's issuer gives, with those above it.
  Result<std::vector<Bytes>> sign(store::Reader& reader, const Vault& vault, const JsonObject& policy,
                                  const crypto::KeyMaterial& material, Timestamp now) const;
  // Makes it the newest version, with its key and secret, and says when the policy is next to act.
  Result<Version> complete(store::Transaction& tx, const Vault& vault, const Certificate& certificate,
                           NewCertificate made) const;
  Result<void> schedule(store::Transaction& tx, const Certificate& certificate) const;
  Result<Certificate> require(store::Reader& reader, const ObjectName& name) const;
  const Objects& objects() const { return objects_; }

 private:
  Result<void> require_names_free(store::Reader& reader, const ObjectName& name) const;
  Result<void> require_issuer(const Asked& asked, store::Reader& reader, const JsonObject& policy) const;
  Result<Certificate> to_change(Asked& asked, store::Transaction& tx, JsonObject policy) const;
  Result<void> wait_for_merge(store::Transaction& tx, const Vault& vault, Certificate& certificate,
                              const CertificateKey& key) const;
  Objects objects_;
};

JsonObject shown_operation(const Asked& asked, const Certificate& certificate);
JsonObject shown_policy(const Asked& asked, const Certificate& certificate);

void add_issuer_operations(const resource::Core& core, const AddOperation& add);  // and contacts
// The authority certificate behind an issuer of the vault, with its key. Errors: BadParameter.
Result<crypto::CertificateIssuer> issuer_named(const Objects& objects, store::Reader& reader,
                                               const Vault& vault, std::string_view name, Timestamp now);

}  // namespace merlon::vault

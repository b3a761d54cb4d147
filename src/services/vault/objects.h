// Secrets, keys and certificates as named things with versions: what they have in common.
#pragma once

#include "services/vault/plane.h"

namespace merlon::vault {

class Objects {
 public:
  explicit Objects(const resource::Core& core) : core_(core) {}

  // 404 SecretNotFound, KeyNotFound or CertificateNotFound.
  Result<Object> require(store::Reader& reader, const ObjectName& name) const;
  // The newest version when `id` is empty.
  Result<Version> require_version(store::Reader& reader, const ObjectName& name, const std::string& id) const;
  Result<Object> require_deleted(store::Reader& reader, const ObjectName& name) const;
  // 409 while a deleted object holds the name.
  Result<void> require_free(store::Reader& reader, const ObjectName& name) const;
  // And no certificate that waits for its issuer will have a key or a secret of this name.
  Result<void> require_own_name(store::Reader& reader, const ObjectName& name) const;
  // The live object, when there is one.
  Result<std::optional<Object>> find(store::Reader& reader, const ObjectName& name) const;

  std::string new_version_id() const;
  // Makes `version` the newest. What the object has beyond its versions is kept.
  Result<Object> add_version(store::Transaction& tx, const Version& version) const;
  Result<void> change_version(store::Transaction& tx, const Version& version) const;
  // The object and all its versions, and the roles that were given there; of a certificate its policy too.
  Result<void> destroy(store::Transaction& tx, const Object& object) const;

  Keyring keyring(const Vault& vault) const { return Keyring(core_.seal, vault.uid, vault.keks); }
  const resource::Core& core() const { return core_; }

 private:
  Result<void> forget_rights(store::Transaction& tx, const ObjectName& name) const;
  const resource::Core& core_;
};

// What is read again and again: a version by its name, decoded once for each state of the vaults.
class KnownVersions {
 public:
  explicit KnownVersions(const resource::Core& core) : core_(core) {}
  // As Objects::require_version().
  Result<std::shared_ptr<const Version>> require(store::Reader& reader, const ObjectName& name,
                                                 const std::string& id);

 private:
  const resource::Core& core_;
  store::KnownRecords<Object> objects_;
  store::KnownRecords<Version> versions_;
};

// 403 for the key and the secret of a certificate: they change with it, and only with it.
Result<void> require_unmanaged(const Object& object, std::string_view operation);
Result<void> require_unmanaged(const std::optional<Object>& object, std::string_view operation);

// Attributes, tags and content type of a body, over what was there. Errors: BadParameter.
Result<Facts> read_facts(const JsonObject& body, Facts facts, Timestamp now);
JsonObject shown_attributes(const Vault& vault, const Facts& facts);
// What GET of a version shows, without what is secret.
JsonObject shown_version(const Asked& asked, const Version& version);
// With a certificate's policy and request (certificate_requests.cpp).
Result<JsonObject> shown_whole(const resource::Core& core, const Asked& asked, store::Reader& reader,
                               const Version& version);
// Of a list: without a version for the newest.
JsonObject shown_item(const Asked& asked, const ObjectName& name, const std::string& version,
                      const Facts& facts);
JsonObject shown_deleted(const Asked& asked, const Object& object, JsonObject shown);
std::string object_url(const Asked& asked, const ObjectName& name, const std::string& version);

// Lists by key range, at most 25 a page.
using ShowRow = std::function<Result<std::optional<JsonObject>>(const store::Row&)>;
Result<Answer> list_rows(const resource::Core& core, const Asked& asked, store::Reader& reader,
                         const store::TableSpec& table, const std::string& prefix, const ShowRow& show);

Result<std::string> required_text(const JsonObject& body, std::string_view key);

}  // namespace merlon::vault

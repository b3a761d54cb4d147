// The directory: users, groups, applications, service principals and their credentials. Plain rules on a
// transaction; the protocol faces are token_endpoint.h (OAuth) and graph.h (the part of Microsoft Graph that
// tools call).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "identity/principal.h"
#include "identity/redirect_uri.h"
#include "store/table.h"

namespace merlon::identity {

const std::vector<store::TableSpec>& tables();

struct User {
  Uuid id;
  std::string user_principal_name;  // unique without case
  std::string display_name;
  bool enabled = true;
  std::string password_hash;  // Argon2id text; empty = cannot sign in with a password
  bool must_change_password = false;
  Timestamp created;
  std::string mail_nickname = {};  // empty = what stands before the @
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<User> from_json(const JsonObject& json);
};

struct Group {
  Uuid id;
  std::string display_name;
  std::string description;
  std::string mail_nickname = {};  // az looks groups up by it
  Timestamp created;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Group> from_json(const JsonObject& json);
};

struct PasswordCredential {
  Uuid id;
  std::string display_name;
  std::string hint;    // the first three characters, as Azure shows
  std::string digest;  // salted SHA-256, hex: the secret has 256 random bits, so no slow hash is needed
  std::string salt;
  Timestamp start, end;
};

struct CertificateCredential {
  Uuid id;
  std::string display_name;
  std::string certificate_pem;
  std::string sha1_thumbprint_hex;
  Timestamp start, end;
};

struct Application {
  Uuid id;      // object id
  Uuid app_id;  // client id
  std::string display_name;
  std::vector<PasswordCredential> passwords;
  std::vector<CertificateCredential> certificates;
  std::vector<std::string> identifier_uris;
  std::vector<RedirectUri> redirect_uris;
  bool public_client = false;  // may use code, device code and password grants without a secret
  Timestamp created;
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Application> from_json(const JsonObject& json);
};

struct ServicePrincipal {
  Uuid id;
  Uuid app_id;
  std::string display_name;
  bool enabled = true;
  bool acts_for_users = false;  // an administrator has consented to user_impersonation, for everybody
  Timestamp created;
  std::string resource_id = {};  // a managed identity's: the resource that it belongs to
  static const store::TableSpec& table();
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<ServicePrincipal> from_json(const JsonObject& json);
};

struct NewSecret {
  PasswordCredential credential;
  Secret text;  // shown once
};

enum class SecretMatch { none, expired, valid };
struct SecretCheck {
  SecretMatch match = SecretMatch::none;
  Uuid credential_id;
};
// Compares with every credential of the application, the same work whether one fits or none.
SecretCheck check_secret(const Application& application, const Secret& secret, Timestamp now);

// What is wrong with a password that a person wants to set, or nothing: 8 to 256 characters of three kinds,
// and not the name of the account in it (Entra's password policy).
std::optional<std::string> password_weakness(std::string_view password, std::string_view user_principal_name);

// Rules. Each runs in the caller's transaction and enters nothing in the ledger: the route that calls it
// does.
class Directory {
 public:
  Directory(TenantId tenant, const Clock& clock, Random& random)
      : tenant_(std::move(tenant)), clock_(clock), random_(random) {}

  Result<User> create_user(store::Transaction& tx, User user);  // id and created are set here
  Result<Group> create_group(store::Transaction& tx, Group group);
  // An application and its service principal, as `az ad sp create` and `merlon app create` want them.
  Result<std::pair<Application, ServicePrincipal>> create_application(store::Transaction& tx,
                                                                      Application application);
  // The two halves by themselves, as Microsoft Graph has them.
  Result<Application> register_application(store::Transaction& tx, Application application);
  Result<ServicePrincipal> create_service_principal(store::Transaction& tx, const Uuid& app_id);
  // A service principal without an application, which no secret can sign in.
  Result<ServicePrincipal> create_managed_identity(store::Transaction& tx, std::string display_name,
                                                   std::string resource_id);
  Result<void> update_user(store::Transaction& tx,
                           const User& user);  // names; not enabled, not password
  Result<void> update_group(store::Transaction& tx, const Group& group);
  Result<void> update_application(store::Transaction& tx,
                                  const Application& application);  // not its credentials
  // Sets the Argon2id text and ends the user's sessions.
  Result<void> set_password(store::Transaction& tx, const Uuid& user_id, std::string password_hash,
                            bool must_change);
  Result<void> set_must_change_password(store::Transaction& tx, const Uuid& user_id, bool must_change);
  // Removes the object, its relations and its sessions; with an application its service principal too.
  Result<void> erase_user(store::Transaction& tx, const Uuid& id);
  Result<void> erase_group(store::Transaction& tx, const Uuid& id);
  Result<void> erase_application(store::Transaction& tx, const Uuid& id);
  Result<void> erase_service_principal(store::Transaction& tx, const Uuid& id);
  Result<NewSecret> add_secret(store::Transaction& tx, const Uuid& application_id, std::string display_name,
                               Duration lifetime);
  Result<CertificateCredential> add_certificate(store::Transaction& tx, const Uuid& application_id,
                                                std::string pem);
  Result<void> remove_credential(store::Transaction& tx, const Uuid& application_id,
                                 const Uuid& credential_id);
  Result<void> set_enabled(store::Transaction& tx, const Uuid& principal_id,
                           bool enabled);  // user or service principal
  // Consent for everybody, or its end.
  Result<void> set_acts_for_users(store::Transaction& tx, const Uuid& principal_id, bool acts);
  Result<void> add_member(store::Transaction& tx, const Uuid& group_id, const Uuid& member_id);  // no cycles
  Result<void> remove_member(store::Transaction& tx, const Uuid& group_id, const Uuid& member_id);
  Result<std::vector<Uuid>> members(store::Reader& reader, const Uuid& group_id);
  Result<std::vector<Uuid>> direct_groups(store::Reader& reader, const Uuid& id);
  // Every group that holds `id`, directly or through groups. Bounded: cycles cannot arise, depth is capped
  // at 64.
  Result<std::vector<Uuid>> transitive_groups(store::Reader& reader, const Uuid& id);
  // Every user, service principal and group in `group_id`, directly or through groups; bounded likewise.
  Result<std::vector<Uuid>> transitive_members(store::Reader& reader, const Uuid& group_id);
  // Owners of a group or an application may write it. Users and service principals can be owners.
  Result<void> add_owner(store::Transaction& tx, const Uuid& object_id, const Uuid& owner_id);
  Result<void> remove_owner(store::Transaction& tx, const Uuid& object_id, const Uuid& owner_id);
  Result<std::vector<Uuid>> owners(store::Reader& reader, const Uuid& object_id);
  Result<std::vector<Uuid>> owned(store::Reader& reader, const Uuid& owner_id);
  // Directory roles: Global Administrator may write the directory, Directory Readers may read it.
  Result<void> add_directory_role(store::Transaction& tx, const Uuid& role_template_id,
                                  const Uuid& principal_id);
  Result<bool> has_directory_role(store::Reader& reader, const Uuid& role_template_id,
                                  const Uuid& principal_id);
  Result<void> remove_directory_role(store::Transaction& tx, const Uuid& role_template_id,
                                     const Uuid& principal_id);
  Result<std::vector<Uuid>> directory_role_members(store::Reader& reader, const Uuid& role_template_id);
  // "User", "Group", "ServicePrincipal" and a display name for an object id; nothing when there is none.
  struct Found {
    std::string type;
    std::string display_name;
    bool enabled = true;
  };
  Result<std::optional<Found>> find_object(store::Reader& reader, const Uuid& id);
  Result<std::optional<Application>> application_by_app_id(store::Reader& reader, const Uuid& app_id);
  Result<std::optional<ServicePrincipal>> service_principal_by_app_id(store::Reader& reader,
                                                                      const Uuid& app_id);
  Result<std::optional<Application>> application_by_identifier(store::Reader& reader, std::string_view uri);
  Result<std::optional<User>> user_by_name(store::Reader& reader, std::string_view user_principal_name);
  const TenantId& tenant() const { return tenant_; }

 private:
  Result<void> check_application(store::Reader& reader, const Application& application);
  Result<void> forget_relations(store::Transaction& tx, const Uuid& id);
  Result<void> forget_owners(store::Transaction& tx, const Uuid& id);
  Result<void> claim_identifiers(store::Transaction& tx, const Application& application);

  TenantId tenant_;
  const Clock& clock_;
  Random& random_;
};

extern const char* const kGlobalAdministrator;  // 62e90394-69f5-4237-9190-012177145e10
extern const char* const kDirectoryReaders;     // 88d8e3e3-8f55-4a1e-953a-9b9898b8876b

}  // namespace merlon::identity

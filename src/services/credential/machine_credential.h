// A machine credential as it is stored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/principal.h"
#include "services/vault/api.h"
#include "store/table.h"

namespace merlon::credential {

enum class Kind : uint8_t { password, private_key };
std::string_view kind_text(Kind kind);  // "Password", "PrivateKey"
std::optional<Kind> kind_of(std::string_view text);

struct MachineCredential {
  std::string scope;  // of a machine, a group or the subscription, as its maker spelled it
  std::string name;
  std::string login;
  Kind kind = Kind::password;
  vault::SecretName secret;
  std::optional<vault::SecretName> passphrase;
  // Who lends it: its use is by their right, as it is then.
  Uuid lender;
  bool lender_is_person = true;
  std::string lender_name;
  Uuid lender_app;  // by which they lent it: access policies may name the two together
  Timestamp set;
  // Of a password: lines of the host keys that were known of the machine then. It is sent to no other.
  std::vector<std::string> host_keys;

  // Index "login" (unique): scope, '\n', login.
  static const store::TableSpec& table();
  static std::string key_of(std::string_view scope, std::string_view name);
  static std::string login_key(std::string_view scope, std::string_view login);
  std::string key() const { return key_of(scope, name); }
  std::vector<std::optional<std::string>> index_values() const { return {login_key(scope, login)}; }
  JsonObject to_json() const;
  static Result<MachineCredential> from_json(const JsonObject& json);

  std::string id() const { return scope + "/providers/Merlon.Bastion/machineCredentials/" + name; }
  std::string etag() const;
  identity::Principal lender_principal() const;
  // `vaults`: what stands behind a vault's name, ".vault.merlon.localhost:8443".
  JsonObject shown(const std::string& vaults) const;
};

}  // namespace merlon::credential

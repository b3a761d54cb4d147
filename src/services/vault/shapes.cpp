// Source: azure-rest-api-specs, Microsoft.KeyVault, keyvault.json.
#include "services/vault/shapes.h"

#include "base/ip.h"
#include "base/uuid.h"

namespace merlon::vault {
namespace {

using schema::anything;
using schema::array_of;
using schema::boolean;
using schema::integer;
using schema::object;
using schema::optional;
using schema::read_only;
using schema::required;
using schema::text;
using schema::text_of;

std::optional<std::string> check_uuid(std::string_view value) {
  if (Uuid::parse(value)) return std::nullopt;
  return "is not a UUID";
}

std::optional<std::string> check_address(std::string_view value) {
  if (IpPrefix::parse(value)) return std::nullopt;
  return "is not an IP address or CIDR prefix";
}

schema::Shape permissions() {
  const auto words = [](std::string_view kind) {
    return optional(std::string(kind), array_of(text_of(permission_words(kind))));
  };
  return object({words("keys"), words("secrets"), words("certificates"), words("storage")});
}

schema::Shape access_policies() {
  return array_of(object({required("tenantId", text().with_check(check_uuid)),
                          required("objectId", text().with_check(check_uuid)),
                          optional("applicationId", text().with_check(check_uuid)),
                          required("permissions", permissions())}))
      .with_range(0, 1024);
}

schema::Shape network_rules() {
  return object(
      {optional("bypass", text_of({"AzureServices", "None"})),
       optional("defaultAction", text_of({"Allow", "Deny"})),
       optional("ipRules",
                array_of(object({required("value", text().with_check(check_address))})).with_range(0, 1000)),
       optional(
           "virtualNetworkRules",
           array_of(object({required("id", text()), optional("ignoreMissingVnetServiceEndpoint", boolean())}))
               .with_range(0, 200))});
}

}  // namespace

const std::vector<std::string>& permission_words(std::string_view kind) {
  static const std::vector<std::string> keys = {"all",
                                                "get",
                                                "list",
                                                "update",
                                                "create",
                                                "import",
                                                "delete",
                                                "recover",
                                                "backup",
                                                "restore",
                                                "decrypt",
                                                "encrypt",
                                                "unwrapKey",
                                                "wrapKey",
                                                "verify",
                                                "sign",
                                                "purge",
                                                "release",
                                                "rotate",
                                                "getrotationpolicy",
                                                "setrotationpolicy"};
  static const std::vector<std::string> secrets = {"all",     "get",    "list",    "set",  "delete",
                                                   "recover", "backup", "restore", "purge"};
  static const std::vector<std::string> certificates = {
      "all",        "get",         "list",       "update",        "create",         "import",
      "delete",     "recover",     "backup",     "restore",       "managecontacts", "manageissuers",
      "getissuers", "listissuers", "setissuers", "deleteissuers", "purge"};
  static const std::vector<std::string> storage = {
      "all",   "get",    "list",    "delete", "set",     "update", "regeneratekey", "recover",
      "purge", "backup", "restore", "setsas", "listsas", "getsas", "deletesas"};
  if (kind == "keys") return keys;
  if (kind == "secrets") return secrets;
  return kind == "certificates" ? certificates : storage;
}

// What a vault must have is asked for by the service: a vault that is recovered has it already.
schema::Shape vault_shape() {
  return object({required(
      "properties",
      object({optional("tenantId", text().with_check(check_uuid)),
              optional("sku", object({optional("family", text_of({"A"})),
                                      required("name", text_of({"standard", "premium"}))})),
              optional("accessPolicies", access_policies()), read_only("vaultUri", text()),
              optional("enabledForDeployment", boolean()), optional("enabledForDiskEncryption", boolean()),
              optional("enabledForTemplateDeployment", boolean()), optional("enableSoftDelete", boolean()),
              optional("softDeleteRetentionInDays", integer().with_range(7, 90)),
              optional("enableRbacAuthorization", boolean()),
              optional("createMode", text_of({"default", "recover"})),
              optional("enablePurgeProtection", boolean()), optional("networkAcls", network_rules()),
              optional("publicNetworkAccess", text_of({"Enabled", "Disabled"})),
              read_only("provisioningState", text()), read_only("hsmPoolResourceId", text()),
              read_only("privateEndpointConnections", anything())}))});
}

schema::Shape access_policies_shape() {
  return object({required("properties", object({required("accessPolicies", access_policies())}))});
}

schema::Shape name_availability_shape() {
  return object({required("name", text()), required("type", text_of({"Microsoft.KeyVault/vaults"}))});
}

}  // namespace merlon::vault

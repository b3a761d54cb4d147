// Microsoft.KeyVault/vaults: creation, change, soft delete, recovery, purge.
#include "services/vault/service.h"

#include "base/text.h"
#include "base/time_text.h"
#include "services/vault/shapes.h"
#include "services/vault/subnet_rules.h"

namespace merlon::vault {
namespace {

using resource::ResourceId;
using resource::WriteContext;

// From this version on a new vault asks roles unless it is told otherwise (contract, Control plane).
constexpr std::string_view kRolesByDefaultSince = "2026-02-01";

std::unexpected<Error> bad(std::string message, std::string target) {
  return fail(ErrorKind::invalid, "BadRequest", std::move(message), std::move(target));
}

std::string port_of(const std::string& origin) {
  const size_t host = origin.find("//") + 2;
  const size_t bracket = origin.find(']', host);
  const size_t colon = origin.find(':', bracket == std::string::npos ? host : bracket);
  return colon == std::string::npos ? std::string() : origin.substr(colon);
}

void put_default(JsonObject& properties, std::string_view key, Json value) {
  if (!properties.contains(key)) properties[key] = std::move(value);
}

// Soft delete cannot be turned off, purge protection not be taken back, retention not be changed.
Result<void> check_promises(const JsonObject& properties, const JsonObject* before) {
  if (!bool_at(properties, "enableSoftDelete").value_or(true))
    return bad("The property \"enableSoftDelete\" cannot be set to false: every vault keeps what is deleted.",
               "properties.enableSoftDelete");
  const auto protect = bool_at(properties, "enablePurgeProtection");
  if (protect && !*protect)
    return bad(
        "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a "
        "vault is an "
        "irreversible action. Leave the property out.",
        "properties.enablePurgeProtection");
  const auto days = int_at(properties, "softDeleteRetentionInDays");
  if (before != nullptr && days && days != int_at(*before, "softDeleteRetentionInDays"))
    return bad("The property \"softDeleteRetentionInDays\" has been set already and it can't be modified.",
               "properties.softDeleteRetentionInDays");
  return {};
}

Result<void> check_tenant(const JsonObject& properties, const TenantId& tenant) {
  const auto own = [&](const std::optional<std::string>& text) {
    return text && ascii_iequal(*text, tenant.text());
  };
  if (!own(string_at(properties, "tenantId")))
    return bad("The property \"tenantId\" must be this server's tenant, '" + tenant.text() + "'.",
               "properties.tenantId");
  if (const JsonArray* policies = array_at(properties, "accessPolicies"))
    for (const Json& policy : *policies)
      if (!own(string_at(policy.as_object(), "tenantId")))
        return bad("An access policy is for another tenant than '" + tenant.text() + "'.",
                   "properties.accessPolicies");
  return {};
}

void settle(JsonObject& properties, const JsonObject* before) {
  properties.erase("createMode");
  if (before != nullptr)
    for (const std::string_view kept : {"enablePurgeProtection", "softDeleteRetentionInDays"})
      if (const Json* value = before->if_contains(kept)) put_default(properties, kept, *value);
  Json& sku = properties["sku"];
  if (sku.is_object()) put_default(sku.get_object(), "family", "A");
  put_default(properties, "accessPolicies", JsonArray());
  put_default(properties, "enabledForDeployment", false);
  put_default(properties, "enableSoftDelete", true);
  put_default(properties, "softDeleteRetentionInDays", 90);
  put_default(properties, "publicNetworkAccess", "Enabled");
  if (Json* acls = properties.if_contains("networkAcls"); acls != nullptr && acls->is_object()) {
    put_default(acls->get_object(), "bypass", "AzureServices");
    put_default(acls->get_object(), "defaultAction", "Allow");
    put_default(acls->get_object(), "ipRules", JsonArray());
    put_default(acls->get_object(), "virtualNetworkRules", JsonArray());
  }
  properties["provisioningState"] = "Succeeded";
}

}  // namespace

Result<std::optional<Vault>> Service::find(store::Reader& reader, std::string_view name) {
  return store::get<Vault>(reader, platform_.core.tenant, ascii_lower(name));
}

Result<JsonObject> Service::put(WriteContext& context, const ResourceId& id,
                                const resource::Resource* existing, JsonObject wanted) {
  JsonObject& properties = wanted["properties"].as_object();
  const auto known = TRY(find(context.tx, id.name()));
  if (existing == nullptr) {
    const bool recovering = ascii_iequal(string_at(properties, "createMode").value_or(""), "recover");
    if (known && !known->deleted)
      return fail(ErrorKind::conflict, "VaultAlreadyExists",
                  "The vault name '" + id.name() +
                      "' is already in use. Vault names are unique on this server, so a vault of that name "
                      "may lie in "
                      "another resource group. Choose another name.");
    if (known && !recovering)
      return fail(ErrorKind::conflict, "ConflictError",
                  "A vault with the name '" + id.name() +
                      "' exists in deleted state. Recover it (createMode 'recover'), or purge it, or choose "
                      "another name.");
    if (recovering && !known)
      return fail(ErrorKind::not_found, "VaultNotFound",
                  "There is no deleted vault '" + id.name() + "' to recover.");
    return recovering ? recover(context, id, std::move(wanted), *known)
                      : create(context, id, std::move(wanted));
  }
  if (!known) return internal_error("vault " + id.text() + " has no record");
  const JsonObject& before = *object_at(existing->body, "properties");
  TRY(check_promises(properties, &before));
  for (const std::string_view kept : {"tenantId", "sku", "enableRbacAuthorization"})
    if (const Json* value = before.if_contains(kept)) put_default(properties, kept, *value);
  TRY(check_tenant(properties, platform_.core.tenant));
  settle(properties, &before);
  properties["vaultUri"] = before.at("vaultUri");
  // Who turns a vault over to roles, or away from them, decides anew who may use it (Microsoft Learn, "Azure
  // role-based access control vs. access policies").
  if (bool_at(properties, "enableRbacAuthorization") != bool_at(before, "enableRbacAuthorization"))
    TRY(context.require("Microsoft.Authorization/roleAssignments/write", id.text()));
  return wanted;
}

Result<JsonObject> Service::create(WriteContext& context, const ResourceId& id, JsonObject wanted) {
  JsonObject& properties = wanted["properties"].as_object();
  if (!object_at(properties, "sku")) return bad("The property \"sku\" is required.", "properties.sku");
  TRY(check_promises(properties, nullptr));
  TRY(check_tenant(properties, platform_.core.tenant));
  put_default(properties, "enableRbacAuthorization", context.call.api_version >= kRolesByDefaultSince);
  settle(properties, nullptr);
  properties["vaultUri"] = "https://" + ascii_lower(id.name()) + ".vault." + platform_.core.domain +
                           port_of(context.call.origin) + "/";
  Vault vault;
  vault.name = id.name();
  vault.uid = Uuid::generate(context.core.random);
  vault.resource_id = id.text();
  vault.keks.push_back(make_kek(platform_.core.seal, vault.uid, context.core.random));
  TRY(store::put(context.tx, platform_.core.tenant, vault));
  return wanted;
}

// The vault comes back as it was: what else the request says about it is not looked at (Azure's rule).
Result<JsonObject> Service::recover(WriteContext& context, const ResourceId& id, JsonObject wanted,
                                    Vault vault) {
  TRY(context.require("Microsoft.KeyVault/locations/deletedVaults/read",
                      "/subscriptions/" + id.subscription()));
  const auto before = ResourceId::parse(vault.resource_id);
  if (!before || !(*before == id))
    return fail(
        ErrorKind::conflict, "ConflictError",
        "The deleted vault '" + vault.name + "' belongs to " + vault.resource_id + ". Recover it there.");
  if (string_at(wanted, "location") != vault.location)
    return fail(
        ErrorKind::conflict, "InvalidResourceLocation",
        "The deleted vault '" + vault.name + "' is in location '" + vault.location + "'. Recover it there.",
        "location");
  wanted["properties"] = vault.properties;
  wanted["tags"] = vault.tags;
  if (vault.tags.empty()) wanted.erase("tags");
  vault.deleted.reset();
  vault.purge_due.reset();
  TRY(store::put(context.tx, platform_.core.tenant, vault));
  context.details["recovered"] = true;
  return wanted;
}

// The data plane reads the record, never the document.
Result<void> Service::changed(WriteContext& context, const ResourceId& id) {
  const auto document = TRY(platform_.resources.get(context.tx, id));
  auto vault = TRY(find(context.tx, id.name()));
  if (!document || !vault) return internal_error("vault " + id.text() + " is not there after its own write");
  vault->location = string_at(document->body, "location").value_or("");
  vault->properties = *object_at(document->body, "properties");
  const JsonObject* tags = object_at(document->body, "tags");
  vault->tags = tags == nullptr ? JsonObject() : *tags;
  TRY(note_subnet_ranges(platform_, context.tx, *vault));
  if (!vault->subnet_ranges.empty()) context.details["subnetRanges"] = shown_ranges(vault->subnet_ranges);
  return store::put(context.tx, platform_.core.tenant, *vault);
}

Result<void> Service::remove(WriteContext& context, const resource::Resource& existing) {
  auto vault = TRY(find(context.tx, existing.id.name()));
  if (!vault) return internal_error("vault " + existing.id.text() + " has no record");
  vault->deleted = context.call.now;
  vault->purge_due = context.call.now + std::chrono::hours(24 * vault->retention_days());
  return store::put(context.tx, platform_.core.tenant, *vault);
}

Result<JsonObject> Service::change_policies(WriteContext& context, const ResourceId& id,
                                            std::string_view operation) {
  const auto document = TRY(platform_.resources.get(context.tx, id));
  if (!document)
    return fail(ErrorKind::not_found, "ResourceNotFound",
                "The Resource 'Microsoft.KeyVault/vaults/" + id.name() + "' under resource group '" +
                    id.resource_group() + "' was not found.");
  JsonObject body = document->body;
  JsonObject& properties = body["properties"].as_object();
  JsonArray& policies = properties["accessPolicies"].as_array();
  const JsonArray& given = *array_at(context.call.body, "properties.accessPolicies");
  const auto same_holder = [](const Json& a, const Json& b) {
    const auto at = [](const Json& policy, std::string_view key) {
      return ascii_lower(string_at(policy.as_object(), key).value_or(""));
    };
    return at(a, "objectId") == at(b, "objectId") && at(a, "applicationId") == at(b, "applicationId");
  };
  if (ascii_iequal(operation, "replace")) {
    policies = given;
  } else {
    const bool add = ascii_iequal(operation, "add");
    if (!add && !ascii_iequal(operation, "remove"))
      return bad(
          "The operation '" + std::string(operation.substr(0, 50)) + "' is not add, replace or remove.",
          "operationKind");
    for (const Json& policy : given) {
      auto at = std::ranges::find_if(policies, [&](const Json& held) { return same_holder(held, policy); });
      if (!add && at != policies.end()) policies.erase(at);
      if (!add) continue;
      if (at == policies.end()) {
        policies.push_back(policy);
        continue;
      }
      // Words are added to those that the holder has.
      JsonObject& held = at->as_object()["permissions"].as_object();
      for (const auto& [kind, words] : policy.as_object().at("permissions").as_object()) {
        Json& list = held[kind];
        if (!list.is_array()) list = JsonArray();
        for (const Json& word : words.as_array())
          if (std::ranges::find(list.get_array(), word) == list.get_array().end())
            list.get_array().push_back(word);
      }
    }
  }
  if (policies.size() > 1024)
    return bad("A vault has at most 1024 access policies.", "properties.accessPolicies");
  TRY(check_tenant(properties, platform_.core.tenant));
  context.details["accessPolicies"] = policies;
  const auto stored = TRY(platform_.resources.store_document(context, id, std::move(body)));
  return JsonObject{
      {"id", stored.id.text() + "/accessPolicies/"},
      {"type", "Microsoft.KeyVault/vaults/accessPolicies"},
      {"location", *string_at(stored.body, "location")},
      {"properties", {{"accessPolicies", *array_at(stored.body, "properties.accessPolicies")}}}};
}

// 3 to 24 letters, digits and hyphens; a letter first, no hyphen last, none doubled (Microsoft Learn, "Naming
// rules and restrictions for Azure resources").
std::optional<std::string> vault_name_problem(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  if (name.size() < 3 || name.size() > 24) return "must have 3 to 24 characters";
  if (!std::ranges::all_of(name, allowed)) return "may hold letters, digits and hyphens only";
  if (!letter(name.front())) return "must begin with a letter";
  if (name.back() == '-' || name.find("--") != std::string_view::npos)
    return "must not end in a hyphen, nor hold two in a row";
  return std::nullopt;
}

Result<JsonObject> Service::name_availability(store::Reader& reader, const std::string& name) {
  if (const auto problem = vault_name_problem(name))
    return JsonObject{{"nameAvailable", false},
                      {"reason", "AccountNameInvalid"},
                      {"message", "The vault name '" + name.substr(0, 100) + "' " + *problem + "."}};
  if (const auto vault = TRY(find(reader, name)))
    return JsonObject{
        {"nameAvailable", false},
        {"reason", "AlreadyExists"},
        {"message", "The vault name '" + name + "' is in use" +
                        (vault->deleted ? ": a deleted vault holds it until it is purged." : ".")}};
  return JsonObject{{"nameAvailable", true}};
}

JsonObject Service::shown_deleted(const Vault& vault) const {
  JsonObject properties{{"vaultId", vault.resource_id},
                        {"location", vault.location},
                        {"tags", vault.tags},
                        {"deletionDate", to_rfc3339(*vault.deleted)},
                        {"scheduledPurgeDate", to_rfc3339(*vault.purge_due)}};
  if (vault.is_purge_protected()) properties["purgeProtectionEnabled"] = true;
  return {{"id", "/subscriptions/" + platform_.core.subscription.text() +
                     "/providers/Microsoft.KeyVault/locations/" + vault.location + "/deletedVaults/" +
                     vault.name},
          {"name", vault.name},
          {"type", "Microsoft.KeyVault/deletedVaults"},
          {"properties", std::move(properties)}};
}

Result<Vault> Service::require_deleted(store::Reader& reader, const std::string& location,
                                       const std::string& name) {
  const auto vault = TRY(find(reader, name));
  if (vault && vault->deleted && ascii_iequal(vault->location, location)) return *vault;
  return fail(ErrorKind::not_found, "VaultNotFound",
              "There is no deleted vault '" + name.substr(0, 100) + "' in location '" +
                  location.substr(0, 100) + "'.");
}

Result<JsonObject> Service::deleted_vault(store::Reader& reader, const std::string& location,
                                          const std::string& name) {
  return shown_deleted(TRY(require_deleted(reader, location, name)));
}

Result<void> Service::destroy(store::Transaction& tx, const Vault& vault) {
  TRY(store::erase<Vault>(tx, platform_.core.tenant, vault.key()));
  TRY(platform_.core.access.forget_scope(tx, vault.resource_id));
  return store::put(tx, platform_.core.tenant, Leftover{vault.uid});
}

Result<Vault> Service::purge(WriteContext& context, const std::string& location, const std::string& name) {
  Vault vault = TRY(require_deleted(context.tx, location, name));
  if (vault.is_purge_protected())
    return fail(ErrorKind::forbidden, "Forbidden",
                "The vault '" + vault.name + "' is protected against purging. It is purged by itself on " +
                    to_rfc3339(*vault.purge_due) + ", and by nobody before.");
  TRY(destroy(context.tx, vault));
  context.details["vault"] = vault.resource_id;
  return vault;
}

}  // namespace merlon::vault

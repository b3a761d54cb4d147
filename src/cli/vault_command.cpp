// merlon vault: where secrets and keys are kept.
#include "cli/output.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string name, resource_group, retention, sku = "standard";
  bool purge_protection = false;
  bool access_policies = false;
};

Result<int> create(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  JsonObject properties{{"tenantId", api.session().login().tenant},
                        {"sku", {{"family", "A"}, {"name", options.sku}}},
                        {"enableRbacAuthorization", !options.access_policies}};
  if (options.purge_protection) properties["enablePurgeProtection"] = true;
  if (!options.retention.empty()) {
    if (options.retention.size() > 2 ||
        options.retention.find_first_not_of("0123456789") != std::string::npos)
      return wrong_usage("--retention-days is a number from 7 to 90.");
    properties["softDeleteRetentionInDays"] = std::stoi(options.retention);
  }
  const std::string path = TRY(vault_path(api, options.name, options.resource_group));
  // PUT would change one that is there.
  net::Headers headers;
  headers.set("If-None-Match", "*");
  const Answer made = TRY(
      api.put(path, kVaultVersion, {{"location", "local"}, {"properties", std::move(properties)}}, headers));
  show(context, made.body,
       facts_text(
           {{"Vault", text_at(made.body, "name")}, {"Address", text_at(made.body, "properties.vaultUri")}}) +
           (options.access_policies ? std::string("Nobody may use it yet: add access policies.\n")
                                    : "Nobody may use it yet: merlon role assign --assignee WHO --role 'Key "
                                      "Vault Secrets Officer' --scope " +
                                          text_at(made.body, "id") + "\n"));
  return kDone;
}

struct ListOptions {
  std::string resource_group;
  bool deleted = false;
};

Result<int> list(Context& context, const ListOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string scope =
      options.resource_group.empty() ? TRY(api.subscription_id()) : TRY(api.group_id(options.resource_group));
  if (options.deleted && !options.resource_group.empty())
    return wrong_usage("Deleted vaults are in no group: leave out --resource-group.");
  const JsonObject known =
      TRY(api.list(scope + "/providers/Microsoft.KeyVault/" + (options.deleted ? "deletedVaults" : "vaults"),
                   kVaultVersion));
  Table table(options.deleted ? std::vector<std::string>{"NAME", "DELETED", "PURGED ON"}
                              : std::vector<std::string>{"NAME", "GROUP", "ADDRESS", "RIGHTS BY"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& vault = value.get_object();
    if (options.deleted)
      table.add({text_at(vault, "name"), text_at(vault, "properties.deletionDate"),
                 text_at(vault, "properties.scheduledPurgeDate")});
    else
      table.add({text_at(vault, "name"), group_in(text_at(vault, "id")),
                 text_at(vault, "properties.vaultUri"),
                 bool_at(vault, "properties.enableRbacAuthorization").value_or(false) ? "roles"
                                                                                      : "access policies"});
  }
  show(context, known,
       table.size() == 0 ? "There are none. 'merlon vault create' makes one.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string name, resource_group;
};

Result<int> remove(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(TRY(vault_path(api, options.name, options.resource_group)), kVaultVersion));
  show(context, {{"name", options.name}, {"deleted", true}},
       printable(options.name) + " is deleted. 'merlon vault recover' brings it back until it is purged.\n");
  return kDone;
}

Result<JsonObject> deleted_vault(Api& api, const std::string& name) {
  const JsonObject known = TRY(
      api.list(TRY(api.subscription_id()) + "/providers/Microsoft.KeyVault/deletedVaults", kVaultVersion));
  for (const Json& value : known.at("value").get_array())
    if (text_at(value.get_object(), "name") == name) return value.get_object();
  return fail(
      ErrorKind::not_found, "VaultNotFound",
      "There is no deleted vault '" + name + "'. 'merlon vault list --deleted' shows those that there are.");
}

Result<int> recover(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject vault = TRY(deleted_vault(api, options.name));
  const Answer made = TRY(api.put(
      TRY(scope_path(text_at(vault, "properties.vaultId"))), kVaultVersion,
      {{"location", text_at(vault, "properties.location")}, {"properties", {{"createMode", "recover"}}}}));
  show(context, made.body,
       printable(options.name) + " is back. Roles that were given at it are not: give them again.\n");
  return kDone;
}

Result<int> purge(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject vault = TRY(deleted_vault(api, options.name));
  TRY(api.post(TRY(scope_path(text_at(vault, "id"))) + "/purge", kVaultVersion));
  show(context, {{"name", options.name}, {"purged", true}},
       printable(options.name) + " and all that was in it is destroyed.\n");
  return kDone;
}

}  // namespace

std::vector<Command> vault_commands() {
  const auto name = [](Command& command, NameOptions& options) {
    command.text("--name,-n", options.name, "Name of the vault").required();
  };
  return {
      make_command(
          "vault create", "Make a vault for secrets and keys", "merlon vault create -n kv-web -g web", create,
          [](Command& command, CreateOptions& options) {
            command.text("--name,-n", options.name, "3 to 24 letters, digits and hyphens, a letter first")
                .required()
                .text("--resource-group,-g", options.resource_group, "Where it belongs")
                .required()
                .choice("--sku", options.sku, {"standard", "premium"},
                        "standard (when not given); premium may hold keys in the server's hardware token")
                .text("--retention-days", options.retention,
                      "How long what is deleted can be recovered: 7 to 90 (when not given)")
                .flag("--purge-protection", options.purge_protection,
                      "Nobody purges anything before its time; this cannot be taken back")
                .flag("--access-policies", options.access_policies,
                      "Rights by access policies of the vault, not by roles");
          }),
      make_command("vault list", "The vaults", "merlon vault list", list,
                   [](Command& command, ListOptions& options) {
                     command.text("--resource-group,-g", options.resource_group, "Only this group's")
                         .flag("--deleted", options.deleted, "Those that are deleted and not yet purged");
                   }),
      make_command("vault delete", "Delete a vault; it can be recovered for a while",
                   "merlon vault delete -n kv-web", remove,
                   [](Command& command, NameOptions& options) {
                     command.text("--name,-n", options.name, "Name of the vault").required();
                     command.text("--resource-group,-g", options.resource_group, "Where it belongs");
                   }),
      make_command("vault recover", "Bring a deleted vault back", "merlon vault recover -n kv-web", recover,
                   name),
      make_command("vault purge", "Destroy a deleted vault for good", "merlon vault purge -n kv-web", purge,
                   name)};
}

}  // namespace merlon::cli

// merlon bastion credential: which secret of a vault a login is signed in with at a machine, by the bastion.
#include "base/text.h"
#include "cli/bastion_tunnel.h"
#include "cli/output.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

struct CredentialOptions {
  std::string name, machine, resource_group, scope, login, password, key, passphrase;
};

// A machine, by name or id; a group; whatever scope is given; else the subscription.
Result<std::string> scope_of(Api& api, const CredentialOptions& options) {
  if (!options.scope.empty()) {
    if (!options.machine.empty() || !options.resource_group.empty())
      return wrong_usage("Give --scope, or --machine, or --resource-group.");
    return scope_path(options.scope);
  }
  if (options.machine.starts_with('/')) return scope_path(options.machine);
  if (!options.machine.empty()) return TRY(api.machine(options.machine, options.resource_group)).vm_id;
  if (!options.resource_group.empty()) return api.group_id(options.resource_group);
  return api.subscription_id();
}

Result<std::string> path_of(Api& api, const CredentialOptions& options) {
  return TRY(scope_of(api, options)) + "/providers/Merlon.Bastion/machineCredentials/" + part(options.name);
}

// "kv-web/web-1-admin", with a version behind it, or the whole id.
Result<std::string> secret_id(Api& api, const std::string& text, const std::string& option) {
  if (text.starts_with("https://")) return text;
  const auto parts = split(text, '/');
  const bool whole = (parts.size() == 2 || parts.size() == 3) &&
                     std::ranges::none_of(parts, [](std::string_view each) { return each.empty(); });
  if (!whole)
    return wrong_usage(option + " is VAULT/SECRET, such as kv-web/web-1-admin, or the secret's id.");
  std::string id = "https://" + TRY(vault_host(api, std::string(parts[0]))) + "/secrets/" + part(parts[1]);
  if (parts.size() == 3) id += "/" + part(parts[2]);
  return id;
}

std::string facts_of(const JsonObject& credential) {
  return facts_text({{"Credential", text_at(credential, "name")},
                     {"Login", text_at(credential, "properties.login")},
                     {"Signs in by", text_at(credential, "properties.kind")},
                     {"Secret", text_at(credential, "properties.secretId")},
                     {"Its passphrase", text_at(credential, "properties.passphraseSecretId")},
                     {"Where", text_at(credential, "properties.scope")},
                     {"Set by", text_at(credential, "properties.setBy")},
                     {"Since", text_at(credential, "properties.setAt")},
                     {"Sent to", joined_at(credential, "properties.hostKeyFingerprints")},
                     {"State", text_at(credential, "properties.state")},
                     {"Because", text_at(credential, "properties.stateMessage")}});
}

Result<int> set(Context& context, const CredentialOptions& options) {
  if (options.password.empty() == options.key.empty())
    return wrong_usage("Give --password-from or --key-from: the secret that the login is signed in with.");
  if (!options.passphrase.empty() && options.key.empty())
    return wrong_usage("A --passphrase-from belongs to a --key-from.");
  Api api = TRY(Api::open(context));
  JsonObject properties{{"login", options.login}, {"kind", options.key.empty() ? "Password" : "PrivateKey"}};
  properties["secretId"] = options.key.empty() ? TRY(secret_id(api, options.password, "--password-from"))
                                               : TRY(secret_id(api, options.key, "--key-from"));
  if (!options.passphrase.empty())
    properties["passphraseSecretId"] = TRY(secret_id(api, options.passphrase, "--passphrase-from"));
  const Answer made =
      TRY(api.put(TRY(path_of(api, options)), kMerlonVersion, {{"properties", std::move(properties)}}));
  show(context, made.body, facts_of(made.body));
  return kDone;
}

Result<int> list(Context& context, const CredentialOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject known = TRY(
      api.list(TRY(scope_of(api, options)) + "/providers/Merlon.Bastion/machineCredentials", kMerlonVersion));
  Table table({"NAME", "LOGIN", "BY", "SECRET", "SET BY", "WHERE"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& credential = value.get_object();
    table.add({text_at(credential, "name"), text_at(credential, "properties.login"),
               text_at(credential, "properties.kind"), text_at(credential, "properties.secretId"),
               text_at(credential, "properties.setBy"), text_at(credential, "properties.scope")});
  }
  show(context, known,
       table.size() == 0 ? "There are none: logins are signed in by Merlon's certificate.\n" : table.text());
  return kDone;
}

Result<int> show_one(Context& context, const CredentialOptions& options) {
  Api api = TRY(Api::open(context));
  const Answer known = TRY(api.get(TRY(path_of(api, options)), kMerlonVersion));
  show(context, known.body, facts_of(known.body));
  return kDone;
}

Result<int> remove(Context& context, const CredentialOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(TRY(path_of(api, options)), kMerlonVersion));
  show(context, {{"name", options.name}, {"removed", true}},
       "Removed: the login is signed in by what is set further out, or by Merlon's certificate.\n");
  return kDone;
}

void at(Command& command, CredentialOptions& options) {
  command.text("--machine,-m", options.machine, "The machine, by name or resource id")
      .text("--resource-group,-g", options.resource_group,
            "All machines of a group; with --machine, the machine's group")
      .text("--scope", options.scope, "Where, by id; the subscription when nothing is given");
}

void named(Command& command, CredentialOptions& options) {
  command.text("name", options.name, "What the credential is called").required();
  at(command, options);
}

}  // namespace

std::vector<Command> bastion_credential_commands() {
  return {
      make_command(
          "bastion credential set", "Sign a login in at machines with a secret of a vault",
          "merlon bastion credential set deploy --machine web-1 --login deploy --password-from "
          "kv-web/web-1-deploy\n"
          "merlon bastion credential set ops -g web --login ops --key-from kv-web/ops-key --passphrase-from "
          "kv-web/ops-pass",
          set,
          [](Command& command, CredentialOptions& options) {
            named(command, options);
            command.text("--login,-l", options.login, "Who is signed in by it")
                .required()
                .text("--password-from", options.password,
                      "VAULT/SECRET with the password, for one machine; you must be able to read it")
                .text("--key-from", options.key, "VAULT/SECRET with a private key, in OpenSSH's form or PEM")
                .text("--passphrase-from", options.passphrase, "VAULT/SECRET with the key's passphrase");
          }),
      make_command("bastion credential list", "What logins are signed in with at machines",
                   "merlon bastion credential list --machine web-1", list, at),
      make_command("bastion credential show", "One credential, and whether it can be used now",
                   "merlon bastion credential show deploy --machine web-1", show_one, named),
      make_command("bastion credential delete", "Sign a login in by Merlon's certificate again",
                   "merlon bastion credential delete deploy --machine web-1", remove, named)};
}

}  // namespace merlon::cli

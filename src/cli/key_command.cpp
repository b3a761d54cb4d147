// merlon key: keys that never leave their vault.
#include "cli/output.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

struct KeyOptions {
  std::string vault, name, type = "RSA", size, curve = "P-256";
  bool deleted = false;
};

std::string key_text(const JsonObject& key) {
  return facts_text({{"Key", text_at(key, "key.kid")},
                     {"Type", text_at(key, "key.kty") + " " + text_at(key, "key.crv")},
                     {"May", joined_at(key, "key.key_ops")},
                     {"Enabled", text_at(key, "attributes.enabled")}});
}

Result<int> create(Context& context, const KeyOptions& options) {
  JsonObject body{{"kty", options.type}};
  if (options.type.starts_with("EC")) body["crv"] = options.curve;
  if (!options.size.empty()) {
    if (options.size.size() > 4 || options.size.find_first_not_of("0123456789") != std::string::npos)
      return wrong_usage("--size is a number of bits, such as 3072.");
    body["key_size"] = std::stoi(options.size);
  }
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject made = TRY(vault.call("POST", "/keys/" + part(options.name) + "/create", &body));
  show(context, made, key_text(made));
  return kDone;
}

Result<int> show_key(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject key = TRY(vault.call("GET", "/keys/" + part(options.name)));
  show(context, key, key_text(key));
  return kDone;
}

Result<int> list(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject known = TRY(vault.list(options.deleted ? "/deletedkeys" : "/keys"));
  Table table({"NAME", "ENABLED"});
  for (const Json& value : known.at("value").get_array())
    table.add({last_segment(text_at(value.get_object(), "kid")),
               text_at(value.get_object(), "attributes.enabled")});
  show(context, known, table.size() == 0 ? "There are none.\n" : table.text());
  return kDone;
}

Result<int> rotate(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject made = TRY(vault.call("POST", "/keys/" + part(options.name) + "/rotate"));
  show(context, made, key_text(made) + "What earlier versions encrypted they still decrypt.\n");
  return kDone;
}

Result<int> remove(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject gone = TRY(vault.call("DELETE", "/keys/" + part(options.name)));
  show(context, gone, printable(options.name) + " is deleted, and can be recovered until it is purged.\n");
  return kDone;
}

void in_vault(Command& command, KeyOptions& options) {
  command.text("--vault", options.vault, "Name of the vault").required();
}
void named(Command& command, KeyOptions& options) {
  in_vault(command, options);
  command.text("--name,-n", options.name, "Name of the key").required();
}

}  // namespace

std::vector<Command> key_commands() {
  return {
      make_command(
          "key create", "Make a key, as a new version",
          "merlon key create --vault kv-web -n signing --type EC", create,
          [](Command& command, KeyOptions& options) {
            named(command, options);
            command
                .choice(
                    "--type", options.type, {"RSA", "EC", "oct", "RSA-HSM", "EC-HSM", "oct-HSM"},
                    "RSA (when not given), EC or oct; with -HSM it is made in the server's hardware token, "
                    "in a premium vault")
                .text("--size", options.size, "Bits of RSA (2048 when not given) and oct (256) keys")
                .choice("--curve", options.curve, {"P-256", "P-384", "P-521", "P-256K"},
                        "Of an EC key; P-256 when not given");
          }),
      make_command("key show", "The public part of a key", "merlon key show --vault kv-web -n signing",
                   show_key, named),
      make_command("key list", "The keys of a vault", "merlon key list --vault kv-web", list,
                   [](Command& command, KeyOptions& options) {
                     in_vault(command, options);
                     command.flag("--deleted", options.deleted, "Those that are deleted and not yet purged");
                   }),
      make_command("key rotate", "Give a key new material, as a new version",
                   "merlon key rotate --vault kv-web -n signing", rotate, named),
      make_command("key delete", "Delete a key; it can be recovered for a while",
                   "merlon key delete --vault kv-web -n signing", remove, named)};
}

}  // namespace merlon::cli

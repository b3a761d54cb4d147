// merlon admin: the first administrator, the way back in, and the keys that sign tokens.
#include <ostream>

#include "cli/api.h"
#include "cli/output.h"
#include "cli/root_passphrase.h"
#include "server/server.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string username, display_name;
};

Result<int> create(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  JsonObject body = {{"userPrincipalName", options.username}};
  if (!options.display_name.empty()) body["displayName"] = options.display_name;
  const Answer answer = TRY(api.post("/providers/Merlon.Identity/administrators", kMerlonVersion, body));
  const std::string name = text_at(answer.body, "userPrincipalName");
  std::string text =
      facts_text({{"Administrator", name}, {"One-time password", text_at(answer.body, "password")}});
  text += "It is shown this once. Sign in: merlon login --server " + api.session().login().endpoint +
          " --ca FILE\n";
  if (bool_at(answer.body, "bootstrapRetired").value_or(false))
    text += "The bootstrap credential is retired with this.\n";
  show(context, answer.body, text);
  return kDone;
}

struct RecoverOptions {
  server::StateLocation location;
  std::string passphrase_file;
};

Result<int> recover(Context& context, const RecoverOptions& options) {
  TRY(server::recover(TRY(with_passphrase(options.location, options.passphrase_file))));
  const std::string file = options.location.state_dir + "/bootstrap.json";
  show(context, {{"bootstrapFile", file}},
       "A new first credential, good for a day, is in " + file +
           ".\nStart the server, then: merlon login --bootstrap " + file + "\n");
  return kDone;
}

struct RotateOptions {
  bool now = false;
  bool compromised = false;
};

Table key_table(const JsonObject& answer) {
  Table table({"KEY", "STATE", "SIGNS FROM"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& key = value.get_object();
    table.add({text_at(key, "id"), text_at(key, "state"), text_at(key, "signsFromDateTime")});
  }
  return table;
}

Result<int> rotate_signing_key(Context& context, const RotateOptions& options) {
  if (options.now && options.compromised) return wrong_usage("Give one of --now and --compromised.");
  Api api = TRY(Api::open(context));
  const std::string mode = options.compromised ? "compromised" : options.now ? "atOnce" : "announced";
  const Answer answer = TRY(api.post("/v1.0/merlon.signingKeys/rotate", {}, {{"mode", mode}}));
  show(context, answer.body,
       key_table(answer.body).text() +
           (options.compromised ? "Every token that was signed before is void, yours too: sign in again.\n"
            : options.now       ? "The new key signs from now on; older tokens stay good until they expire.\n"
                                : "The new key is published, and signs a day from now.\n"));
  return kDone;
}

struct NoOptions {};

Result<int> signing_keys(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject answer = TRY(api.list("/v1.0/merlon.signingKeys", {}));
  show(context, answer, key_table(answer).text());
  return kDone;
}

}  // namespace

std::vector<Command> admin_commands() {
  return {
      make_command("admin signing-keys", "List the keys that sign tokens", "merlon admin signing-keys",
                   signing_keys, [](Command&, NoOptions&) {}),
      make_command("admin rotate-signing-key",
                   "Put a new key in force for signing tokens; it is published a day ahead",
                   "merlon admin rotate-signing-key --now", rotate_signing_key,
                   [](Command& command, RotateOptions& options) {
                     command.flag("--now", options.now, "It signs at once; older tokens stay good")
                         .flag("--compromised", options.compromised,
                               "It signs at once, the old keys are removed, and every token is void");
                   }),
      make_command("admin create", "Make a person administrator: Owner of everything",
                   "merlon admin create --username ada@merlon.example.org", create,
                   [](Command& command, CreateOptions& options) {
                     command.text("--username", options.username, "Name to sign in with: ada@DOMAIN")
                         .required()
                         .text("--display-name", options.display_name, "Name to be shown");
                   }),
      make_command("admin recover",
                   "Make a new first credential, when every other is lost: on the server's machine, with the "
                   "server stopped",
                   "merlon admin recover --state /var/lib/merlon", recover,
                   [](Command& command, RecoverOptions& options) {
                     command.text("--state", options.location.state_dir, "State directory of the server")
                         .required()
                         .text("--store", options.location.store_url,
                               "The server's --store, when it is not the embedded one")
                         .text("--root-key", options.location.root_key_path,
                               "Where the root key is kept, as the server's --root-key says it; root.key in "
                               "the state directory when not given")
                         .text("--passphrase-file", options.passphrase_file,
                               "File that holds the root key's passphrase, '-' for standard input; asked for "
                               "when not given");
                   })};
}

}  // namespace merlon::cli

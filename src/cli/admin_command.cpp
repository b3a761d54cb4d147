// merlon admin: the first administrator, and the way back in.
#include <ostream>

#include "cli/api.h"
#include "cli/output.h"
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
  text += "It is shown this once. Sign in: merlon login --endpoint " + api.session().login().endpoint +
          " --ca FILE --username " + printable(name) + "\n";
  if (bool_at(answer.body, "bootstrapRetired").value_or(false))
    text += "The bootstrap credential is retired with this.\n";
  show(context, answer.body, text);
  return kDone;
}

struct RecoverOptions {
  server::StateLocation location;
};

Result<int> recover(Context& context, const RecoverOptions& options) {
  TRY(server::recover(options.location));
  const std::string file = options.location.state_dir + "/bootstrap.json";
  show(context, {{"bootstrapFile", file}},
       "A new first credential, good for a day, is in " + file +
           ".\nStart the server, then: merlon login --bootstrap " + file + "\n");
  return kDone;
}

}  // namespace

std::vector<Command> admin_commands() {
  return {
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
                               "File of the root key; root.key in the state directory when not given");
                   })};
}

}  // namespace merlon::cli

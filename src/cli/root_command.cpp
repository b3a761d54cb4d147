// merlon root and merlon unseal: the root key of the server on this machine. They speak to its control
// socket, so that they need no sign-in, but to be root or the server's own user.
#include <ostream>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/root_passphrase.h"
#include "server/control_socket.h"

namespace merlon::cli {
namespace {

struct RootOptions {
  std::string state_dir, to, passphrase_file;
};

Result<int> unseal(Context& context, const RootOptions& options) {
  const Secret typed = TRY(read_passphrase("Passphrase or recovery key: ", options.passphrase_file));
  const JsonObject answer = TRY(
      server::ask_server(options.state_dir, {.action = "unseal", .subject = {}, .secret = typed, .user = 0}));
  show(context, answer, "Unsealed: the server starts to serve.\n");
  return kDone;
}

Result<int> status(Context& context, const RootOptions& options) {
  const JsonObject answer = TRY(server::ask_server(
      options.state_dir, {.action = "root-status", .subject = {}, .secret = {}, .user = 0}));
  const std::string file = text_at(answer, "place.file");
  show(context, answer, facts_text({{"Root key kept by", text_at(answer, "place.kind")}, {"File", file}}));
  return kDone;
}

Result<int> rotate(Context& context, const RootOptions& options) {
  const JsonObject now = TRY(server::ask_server(
      options.state_dir, {.action = "root-status", .subject = {}, .secret = {}, .user = 0}));
  Secret passphrase;
  if (options.to == "passphrase:" || (options.to.empty() && text_at(now, "place.kind") == "passphrase"))
    passphrase = TRY(read_new_passphrase(options.passphrase_file));
  const JsonObject answer = TRY(server::ask_server(
      options.state_dir, {.action = "root-rotate", .subject = options.to, .secret = passphrase, .user = 0}));
  std::string text = "The root key is a new one, kept by " + text_at(answer, "place.kind") + "; " +
                     text_at(answer, "keys") + " key-encryption keys are wrapped by it.\n";
  if (!options.to.empty())
    text += "From now on start the server with: --root-key '" + printable(options.to) + "'\n";
  if (const std::string retired = text_at(answer, "retiredFile"); !retired.empty())
    text += "The old one is in " + printable(retired) +
            ". Backups made before need it: keep it apart from this machine, and delete it with the last of "
            "them.\n";
  if (text_at(answer, "place.kind") != "file")
    text += "A recovery key of before is void. Make a new one: merlon root recovery-key --state " +
            printable(options.state_dir) + "\n";
  show(context, answer, text);
  return kDone;
}

Result<int> recovery_key(Context& context, const RootOptions& options) {
  const JsonObject answer = TRY(server::ask_server(
      options.state_dir, {.action = "root-recovery-key", .subject = {}, .secret = {}, .user = 0}));
  show(context, answer,
       facts_text({{"Recovery key", text_at(answer, "recoveryKey")}}) +
           "It is shown this once. Write it down and lock it away: it opens the root key where passphrase, "
           "token or "
           "TPM do not ('merlon unseal').\n");
  return kDone;
}

void with_state(Command& command, RootOptions& options) {
  command.text("--state", options.state_dir, "State directory of the server").required();
}

void with_passphrase_file(Command& command, RootOptions& options) {
  command.text("--passphrase-file", options.passphrase_file,
               "File that holds the passphrase, '-' for standard input; asked for when not given");
}

}  // namespace

std::vector<Command> root_commands() {
  return {
      make_command("unseal", "Open a sealed server with its passphrase or recovery key, on its machine",
                   "merlon unseal --state /var/lib/merlon", unseal,
                   [](Command& command, RootOptions& options) {
                     with_state(command, options);
                     with_passphrase_file(command, options);
                   }),
      make_command("root status", "Tell where the root key of a running server is kept",
                   "merlon root status --state /var/lib/merlon", status, with_state),
      make_command(
          "root rotate", "Put a new root key in force while the server serves, also in another place",
          "merlon root rotate --state /var/lib/merlon --to passphrase:", rotate,
          [](Command& command, RootOptions& options) {
            with_state(command, options);
            command.text("--to", options.to,
                         "Where the new one is kept, as --root-key of 'merlon server' names it: a file, "
                         "passphrase:, pkcs11:… or tpm:…; where it is now, when not given");
            with_passphrase_file(command, options);
          }),
      make_command("root recovery-key",
                   "Make a key for paper that opens the root key when its passphrase, token or TPM is lost",
                   "merlon root recovery-key --state /var/lib/merlon", recovery_key, with_state)};
}

}  // namespace merlon::cli

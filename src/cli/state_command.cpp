// merlon state: taking a backup of a server's state, and making a state of a backup again. For who owns the
// machine that the server runs on: both need its root key.
#include <ostream>

#include "base/time_text.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/root_passphrase.h"
#include "server/server.h"

namespace merlon::cli {
namespace {

struct StateOptions {
  server::StateLocation location;
  std::string file, passphrase_file;
};

Result<int> backup(Context& context, const StateOptions& options) {
  const auto report = TRY(server::back_up(TRY(with_passphrase(options.location, options.passphrase_file)),
                                          options.file, context.clock, context.random));
  show(context,
       {{"file", report.file},
        {"backup", report.header.id.text()},
        {"created", to_rfc3339(report.header.created)},
        {"rows", report.rows},
        {"ledgerSize", report.header.ledger_size},
        {"ledgerRoot", report.header.ledger_root}},
       "The backup is in " + report.file + ": " + std::to_string(report.rows) +
           " records, the ledger up to entry " + std::to_string(report.header.ledger_size) +
           ".\nIt does not hold the root key, without which it cannot be restored: keep a copy of that, or "
           "of its "
           "recovery key, elsewhere.\n");
  return kDone;
}

Result<int> restore(Context& context, const StateOptions& options) {
  const auto report =
      TRY(server::restore_state(TRY(with_passphrase(options.location, options.passphrase_file)), options.file,
                                context.clock, context.random));
  std::string text = "Restored what the backup of " + to_rfc3339(report.header.created) +
                     " held: " + std::to_string(report.rows) + " records.\n";
  text += "Ended with it: every session and token, every enrolment token, and " +
          std::to_string(report.grants_ended) + " openings. " + std::to_string(report.machines) +
          " machines start a new epoch.\n";
  text += "Start the server: merlon server --state " + options.location.state_dir +
          "\nThe ledger goes on from entry " + std::to_string(report.header.ledger_size) +
          "; what was entered after the backup is gone from it, and a head kept from then does not verify.\n";
  show(context,
       {{"backup", report.header.id.text()},
        {"created", to_rfc3339(report.header.created)},
        {"rows", report.rows},
        {"machines", report.machines},
        {"openingsEnded", report.grants_ended},
        {"hardwareKeysLeft", report.token_keys_left},
        {"ledgerSize", report.header.ledger_size}},
       text);
  return kDone;
}

void declare(Command& command, StateOptions& options) {
  command.text("--state", options.location.state_dir, "State directory of the server")
      .required()
      .text("--store", options.location.store_url, "The server's --store, when it is not the embedded one")
      .text("--root-key", options.location.root_key_path,
            "Where the root key is kept, as the server's --root-key says it; root.key in the state directory "
            "when not given")
      .text("--passphrase-file", options.passphrase_file,
            "File that holds the root key's passphrase, '-' for standard input; asked for when not given");
}

}  // namespace

std::vector<Command> state_commands() {
  return {
      make_command(
          "state backup", "Write a backup of the server's state, while it runs or not",
          "merlon state backup /var/backups --state /var/lib/merlon", backup,
          [](Command& command, StateOptions& options) {
            command.text("file", options.file, "A new file, or a directory for a file named by the time")
                .required();
            declare(command, options);
          }),
      make_command(
          "state restore", "Make a state of a backup: every opening, session and token of before is ended",
          "merlon state restore merlon-20261126T010203Z.backup --state /var/lib/merlon-restored", restore,
          [](Command& command, StateOptions& options) {
            command.text("file", options.file, "A file that 'merlon state backup' has written").required();
            declare(command, options);
          })};
}

}  // namespace merlon::cli

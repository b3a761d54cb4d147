// From arguments to an exit code, and how an error is told.
#include "cli/cli.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>

#include "base/log.h"
#include "cli/bastion_tunnel.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/recording_lookup.h"
#include "cli/server_error.h"
#include "crypto/system_random.h"
#include "ssh/session_process.h"

namespace merlon::cli {
namespace {

void tell(Context& context, const Command& command, const Error& error) {
  context.err << "merlon: " << printable(error.message) << "\n";
  if (is_wrong_usage(error)) {
    context.err << "Run 'merlon " << command.path << " --help' for more information.\n";
    return;
  }
  if (!error.code.empty()) {
    context.err << "  code: " << printable(error.code);
    if (!error.target.empty()) context.err << " (" << printable(error.target) << ")";
    context.err << "\n";
  }
  for (const ErrorDetail& detail : error.details)
    context.err << "  - " << printable(detail.target.empty() ? detail.code : detail.target) << ": "
                << printable(detail.message) << "\n";
  if (!error.cause.empty()) context.err << "  cause: " << printable(error.cause) << "\n";
  if (const std::string hint = hint_of(error); !hint.empty()) context.err << "  hint: " << hint << "\n";
}

}  // namespace

std::vector<Command> all_commands() {
  std::vector<Command> all;
  for (auto* group : {login_commands,      status_commands,       machine_commands,
                      identity_commands,   jit_commands,          jit_approval_commands,
                      bastion_commands,    bastion_link_commands, bastion_credential_commands,
                      jit_policy_commands, jit_options_commands,  nsg_commands,
                      network_commands,    flow_log_commands,     vault_commands,
                      secret_commands,     key_commands,          cert_commands,
                      ca_commands,         run_commands,          role_commands,
                      user_commands,       group_commands,        app_commands,
                      federation_commands, session_commands,      recording_commands,
                      ssh_commands,        ssh_identity_commands, mfa_commands,
                      step_up_commands,    admin_commands,        ledger_commands,
                      state_commands,      root_commands,         server_commands,
                      agent_commands,      simulate_commands})
    for (Command& command : group()) all.push_back(std::move(command));
  return all;
}

std::unexpected<Error> wrong_usage(std::string message) {
  return fail(ErrorKind::invalid, "WrongUsage", std::move(message));
}

bool is_wrong_usage(const Error& error) { return error.code == "WrongUsage"; }

int run(std::vector<std::string> arguments, Context& context) {
  const std::vector<Command> commands = all_commands();
  const Parsed parsed = parse(commands, std::move(arguments));
  if (parsed.command == nullptr) {
    (parsed.exit_code == kDone ? context.out : context.err) << parsed.text << std::flush;
    return parsed.exit_code;
  }
  context.output = parsed.output;
  const Result<int> done = parsed.command->run(context);
  context.out.flush();
  if (!done) {
    tell(context, *parsed.command, done.error());
    return is_wrong_usage(done.error()) ? kWrongUsage : kFailed;
  }
  if (!context.out) {
    context.err << "merlon: The answer could not be written to standard output. Is the disk full?\n";
    return kFailed;
  }
  return *done;
}

int main(int argc, char** argv) {
  // Not for people: the server starts it for each SSH connection, and it must not do more than it needs to.
  if (argc == 2 && std::string_view(argv[1]) == ssh::kSessionCommand) return ssh::run_session_process();
  const SystemClock clock;
  crypto::SystemRandom random;
  Context context{.environment = [](const char* name) -> std::optional<std::string> {
                    const char* value = std::getenv(name);
                    if (value == nullptr || *value == '\0') return std::nullopt;
                    return std::string(value);
                  },
                  .out = std::cout,
                  .err = std::cerr,
                  .clock = clock,
                  .random = random,
                  .interactive = ::isatty(STDERR_FILENO) == 1};
  try {
    return run({argv + 1, argv + argc}, context);
  } catch (const std::exception& error) {
    std::cerr << "merlon: It stopped because of a fault of its own: " << error.what() << "\n";
    return kFailed;
  }
}

}  // namespace merlon::cli

// merlon agent: what runs on a protected machine.
#include "agent/agent.h"

#include <ostream>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/private_files.h"

namespace merlon::cli {
namespace {

constexpr const char* kStateHelp = "Directory of the agent's state, for instance /var/lib/merlon-agent";

struct EnrolCommand {
  agent::EnrolOptions options;
  std::string token_file;
};

Result<int> enrol(Context& context, const EnrolCommand& given) {
  agent::EnrolOptions options = given.options;
  if (options.token.empty() && !given.token_file.empty())
    options.token = TRY(read_named_file(given.token_file, 4096));
  if (options.token.empty()) options.token = context.environment("MERLON_ENROLMENT_TOKEN").value_or("");
  while (!options.token.empty() && (options.token.back() == '\n' || options.token.back() == '\r'))
    options.token.pop_back();
  if (options.token.empty())
    return wrong_usage(
        "There is no token: give --token, --token-file or MERLON_ENROLMENT_TOKEN. 'merlon machine "
        "token' makes one.");
  const auto answer = TRY(agent::enrol(options));
  context.out << "Enrolled as " << printable(answer.resource_id) << ".\nStart it: merlon agent run --state "
              << options.state_dir << "\n";
  return kDone;
}

Result<int> run_agent(Context&, const agent::RunOptions& options) {
  TRY(agent::run(options));
  return kDone;
}

struct StateOnly {
  std::string state_dir;
};

Result<int> ssh_on(Context& context, const StateOnly& given) {
  const std::string against = TRY(agent::allow_ssh(given.state_dir, true));
  context.out << (against.empty()
                      ? "The agent lets sshd trust the server's authority, within seconds where it runs.\n"
                      : "Allowed, but sshd is left as it is: " + printable(against) + "\n");
  return kDone;
}

Result<int> ssh_off(Context& context, const StateOnly& given) {
  TRY(agent::allow_ssh(given.state_dir, false));
  context.out << "sshd trusts no certificate of Merlon's any more; what it is shown is still compared.\n";
  return kDone;
}

Result<int> release(Context& context, const StateOnly& given) {
  TRY(agent::release(given.state_dir));
  context.out << "Merlon's rules are down; nothing of this machine is protected any more.\n";
  return kDone;
}

Result<int> restore(Context& context, const StateOnly& given) {
  TRY(agent::restore(given.state_dir));
  context.out << "The last known rules are in force.\n";
  return kDone;
}

}  // namespace

std::vector<Command> agent_commands() {
  const auto state = [](Command& command, StateOnly& given) {
    command.without_output().text("--state", given.state_dir, kStateHelp).required();
  };
  return {
      make_command("agent enrol", "Make this machine known to a server, once",
                   "merlon agent enrol --server https://merlon.example.org:8443 --ca ca.pem --token mrl1.… "
                   "--state /var/lib/merlon-agent",
                   enrol,
                   [](Command& command, EnrolCommand& given) {
                     command.without_output()
                         .text("--server", given.options.server_url, "https://NAME:PORT of the server")
                         .required()
                         .text("--ca", given.options.ca_file, "The server's ca.pem")
                         .required()
                         .text("--token", given.options.token,
                               "What 'merlon machine token' printed; good once, for a short time")
                         .text("--token-file", given.token_file, "File with the token; - is standard input")
                         .text("--state", given.options.state_dir, kStateHelp)
                         .required();
                     command.flag(
                         "--ssh", given.options.ssh,
                         "Let sshd trust the server's SSH authority, so that the bastion can log people in "
                         "('merlon agent ssh on' does it later)");
                   }),
      make_command("agent run", "Protect the network namespace that it runs in, until SIGTERM or SIGINT",
                   "merlon agent run --state /var/lib/merlon-agent", run_agent,
                   [](Command& command, agent::RunOptions& options) {
                     command.without_output().text("--state", options.state_dir, kStateHelp).required();
                   }),
      make_command("agent ssh on", "Let sshd on this machine trust the server's SSH authority",
                   "merlon agent ssh on --state /var/lib/merlon-agent", ssh_on, state),
      make_command("agent ssh off", "Let sshd on this machine trust no certificate of Merlon's",
                   "merlon agent ssh off --state /var/lib/merlon-agent", ssh_off, state),
      make_command("agent release", "Take Merlon's rules down on this machine, whatever the server says",
                   "merlon agent release --state /var/lib/merlon-agent", release, state),
      make_command("agent restore", "Put the last known rules in force before the network is up (at boot)",
                   "merlon agent restore --state /var/lib/merlon-agent", restore, state)};
}

}  // namespace merlon::cli

// merlon ssh MACHINE: a certificate, the port opened for as long as it takes, and OpenSSH through the
// bastion.
#include "cli/output.h"
#include "cli/ssh_certificate.h"
#include "cli/until_signal.h"
#include "net/client.h"

namespace merlon::cli {
namespace {

struct SshOptions {
  std::string machine, group, login, bastion, port = "22";
  std::vector<std::string> tail;
};

std::string own_name(const std::string& name) { return name.substr(0, name.find('@')); }

Result<int> run_ssh(Context& context, const SshOptions& options) {
  if (options.machine.empty()) return wrong_usage("Say which machine: merlon ssh web-1");
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.machine, options.group));
  const std::string login = options.login.empty() ? own_name(api.session().login().username) : options.login;
  if (login.empty()) return wrong_usage("Say as whom to log in: merlon ssh web-1 --login admin");
  const SshIdentity identity = TRY(fetch_ssh_identity(context, api, machine.vm_id, ""));
  const std::string ssh_port = TRY(bastion_ssh_port(api));
  const net::Url server = TRY(net::parse_https_url(api.session().login().endpoint));
  std::string user = login + "+" + machine.name;
  if (options.port != "22") user += ":" + options.port;
  if (!options.bastion.empty()) user += "+" + options.bastion;
  std::vector<std::string> words{"ssh",
                                 "-p",
                                 ssh_port,
                                 "-i",
                                 identity.key_path,
                                 "-o",
                                 "IdentitiesOnly=yes",
                                 "-o",
                                 "UserKnownHostsFile=" + identity.known_hosts_path,
                                 "-o",
                                 "StrictHostKeyChecking=yes",
                                 "-l",
                                 user,
                                 server.host};
  words.insert(words.end(), options.tail.begin(), options.tail.end());
  const SignalWatch signals;
  return signals.run(words);
}

}  // namespace

std::vector<Command> ssh_commands() {
  Command command = make_command(
      "ssh", "Log in to a machine through its bastion; certificates and keys for that",
      "merlon ssh web-1 -- uptime", run_ssh, [](Command& made, SshOptions& options) {
        made.without_output()
            .text("machine", options.machine, "Name of the machine")
            .text("--resource-group,-g", options.group, "Its resource group, when the name is not unique")
            .text("--login,-l", options.login, "As whom; your own name when not given")
            .text("--bastion", options.bastion, "Which bastion, when several serve the machine")
            .text("--port,-p", options.port, "The SSH server's port on the machine; 22 when not given");
        made.tail = &options.tail;
      });
  return {std::move(command)};
}

}  // namespace merlon::cli

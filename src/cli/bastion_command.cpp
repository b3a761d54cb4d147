// merlon bastion: the way in to machines without a public port; tunnels, ssh and rdp through them, sessions.
#include <unistd.h>

#include <mutex>

#include "base/text.h"
#include "base/time_text.h"
#include "cli/bastion_tunnel.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/ssh_certificate.h"

namespace merlon::cli {
namespace {

struct CreateOptions {
  std::string name, resource_group, network, public_address, sku = "Standard", units;
  std::vector<std::string> enable;
  bool no_wait = false;
};

Result<int> create(Context& context, const CreateOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string provider = TRY(api.group_id(options.resource_group)) + "/providers/Microsoft.Network/";
  const std::string network = options.network.starts_with('/')
                                  ? options.network
                                  : provider + "virtualNetworks/" + part(options.network);
  JsonObject properties;
  for (const std::string& feature : options.enable) properties["enable" + feature] = true;
  if (!options.units.empty()) {
    if (options.units.size() > 2 || options.units.find_first_not_of("0123456789") != std::string::npos)
      return wrong_usage("--scale-units is a number from 2 to 50.");
    properties["scaleUnits"] = std::stoi(options.units);
  }
  if (options.sku == "Developer") {
    properties["virtualNetwork"] = JsonObject{{"id", network}};
  } else {
    JsonObject configuration = {{"subnet", JsonObject{{"id", network + "/subnets/AzureBastionSubnet"}}}};
    if (!options.public_address.empty())
      configuration["publicIPAddress"] =
          JsonObject{{"id", options.public_address.starts_with('/')
                                ? options.public_address
                                : provider + "publicIPAddresses/" + part(options.public_address)}};
    properties["ipConfigurations"] =
        JsonArray{JsonObject{{"name", "bastion_ip_config"}, {"properties", std::move(configuration)}}};
  }
  const Answer made = TRY(api.put(provider + "bastionHosts/" + part(options.name), kBastionVersion,
                                  {{"location", "local"},
                                   {"sku", JsonObject{{"name", options.sku}}},
                                   {"properties", std::move(properties)}}));
  show(context, made.body,
       facts_text({{"Bastion", text_at(made.body, "name")},
                   {"SKU", text_at(made.body, "sku.name")},
                   {"Address", "https://" + text_at(made.body, "properties.dnsName")}}));
  return kDone;
}

struct NoOptions {};

Result<int> list(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const JsonObject known = TRY(bastions(api));
  Table table({"NAME", "GROUP", "SKU", "ADDRESS"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& host = value.get_object();
    table.add({text_at(host, "name"), group_in(text_at(host, "id")), text_at(host, "sku.name"),
               text_at(host, "properties.dnsName")});
  }
  show(context, known,
       table.size() == 0 ? "There are none. 'merlon bastion create' makes one.\n" : table.text());
  return kDone;
}

struct NameOptions {
  std::string name, resource_group, session;
};

Result<int> show_one(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject host = TRY(bastion_named(api, options.name));
  show(context, host,
       facts_text({{"Bastion", text_at(host, "name")},
                   {"Group", group_in(text_at(host, "id"))},
                   {"SKU", text_at(host, "sku.name")},
                   {"Scale units", text_at(host, "properties.scaleUnits")},
                   {"Address", "https://" + text_at(host, "properties.dnsName")},
                   {"Native clients", text_at(host, "properties.enableTunneling")},
                   {"Recording", text_at(host, "properties.enableSessionRecording")}}));
  return kDone;
}

Result<int> sessions(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject host = TRY(bastion_named(api, options.name));
  const JsonObject known = TRY(
      api.list(TRY(scope_path(text_at(host, "id"))) + "/providers/Merlon.Bastion/sessions", kBastionVersion));
  Table table({"SESSION", "WHO", "SIGNED IN BY", "MACHINE", "PROTOCOL", "FROM", "SINCE", "UNTIL", "STATE"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& session = value.get_object();
    const std::string reason = text_at(session, "properties.endReason");
    table.add({text_at(session, "name"), text_at(session, "properties.userName"),
               text_at(session, "properties.signedInBy"), text_at(session, "properties.targetHostName"),
               text_at(session, "properties.protocol"), text_at(session, "properties.clientAddress"),
               text_at(session, "properties.startTimeUtc"), text_at(session, "properties.deadlineUtc"),
               reason.empty() ? "Active" : reason});
  }
  show(context, known, table.size() == 0 ? "There are none.\n" : table.text());
  return kDone;
}

Result<int> kill(Context& context, const NameOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject host = TRY(bastion_named(api, options.name));
  const Answer answer = TRY(api.post(TRY(scope_path(text_at(host, "id"))) + "/disconnectActiveSessions",
                                     kBastionVersion, {{"sessionIds", JsonArray{Json(options.session)}}}));
  const JsonArray* value = array_at(answer.body, "value");
  if (value == nullptr || value->empty())
    return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server did not say what became of it.");
  const JsonObject& state = value->front().as_object();
  if (text_at(state, "state") != "Disconnected")
    return fail(ErrorKind::not_found, "SessionNotFound",
                text_at(state, "message") + " 'merlon bastion session list' shows what runs.");
  show(context, answer.body, "The session is being ended.\n");
  return kDone;
}

struct TunnelOptions {
  std::string machine, bastion, resource_group, port, local_port = "0", user, file;
  bool stdio = false;
  std::vector<std::string> command;
};

Result<uint16_t> read_port(const std::string& text, const std::string& option, int least) {
  const bool digits =
      !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos;
  const int number = digits ? std::stoi(text) : -1;
  if (number < least || number > 65535) return wrong_usage(option + " is a number up to 65535.");
  return static_cast<uint16_t>(number);
}

// One connection over standard input and output, as ssh's ProxyCommand wants it.
Result<int> carry_stdio(Tunnels& tunnels) {
  const net::TunnelTarget target = TRY(tunnels.open());
  const auto how = net::carry_tunnel(target, ::dup(STDIN_FILENO), ::dup(STDOUT_FILENO));
  tunnels.close(target);
  const std::string reason = TRY(how);
  if (reason.empty()) return kDone;
  return fail(ErrorKind::unavailable, "TunnelEnded", "The bastion ended the connection: " + reason);
}

Result<std::unique_ptr<net::TunnelListener>> listen(Context& context, Tunnels& tunnels, uint16_t port) {
  // Several tunnels speak at once.
  const auto mutex = std::make_shared<std::mutex>();
  const auto say = [&context, mutex](const std::string& text) {
    const std::lock_guard lock(*mutex);
    context.err << "merlon: " << printable(text) << "\n" << std::flush;
  };
  return net::TunnelListener::start(
      {.port = port,
       .open = [&tunnels] { return tunnels.open(); },
       .closed =
           [&tunnels, say](const net::TunnelTarget& target, const Result<std::string>& how) {
             tunnels.close(target);
             if (!how) say(how.error().message);
             if (how && !how->empty()) say("The bastion ended a connection: " + *how);
           },
       .refused = [say](const Error& error) { say(error.message); }});
}

Result<int> tunnel(Context& context, const TunnelOptions& options) {
  const SignalWatch signals;
  Tunnels tunnels = TRY(Tunnels::make(context, {.machine = options.machine,
                                                .bastion = options.bastion,
                                                .resource_group = options.resource_group,
                                                .port = TRY(read_port(options.port, "--resource-port", 1))}));
  if (options.stdio) return carry_stdio(tunnels);
  const auto listener = TRY(listen(context, tunnels, TRY(read_port(options.local_port, "--port", 0))));
  context.out << "Tunnel to port " << options.port << " of " << printable(options.machine)
              << " at 127.0.0.1:" << listener->port() << ". Ctrl-C closes it.\n"
              << std::flush;
  while (!signals.wait(std::chrono::hours(1))) {
  }
  return kDone;
}

using ClientCommand = std::function<Result<std::vector<std::string>>(Tunnels&, uint16_t local)>;

Result<int> run_through(Context& context, const TunnelOptions& options, uint16_t port,
                        const ClientCommand& command) {
  const SignalWatch signals;
  Tunnels tunnels = TRY(Tunnels::make(context, {.machine = options.machine,
                                                .bastion = options.bastion,
                                                .resource_group = options.resource_group,
                                                .port = port}));
  const auto listener = TRY(listen(context, tunnels, 0));
  return signals.run(TRY(command(tunnels, listener->port())));
}

// Which host key ssh has to expect.
Result<std::vector<std::string>> host_key_options(Context& context, Tunnels& tunnels,
                                                  const std::string& machine) {
  // The key is the machine's, whatever port it is reached at.
  if (!TRY(tunnels.ends_ssh())) return std::vector<std::string>{"-o", "HostKeyAlias=" + machine};
  Api api = TRY(Api::open(context));
  const SshIdentity identity = TRY(fetch_ssh_identity(context, api, tunnels.machine_id(), ""));
  return std::vector<std::string>{"-o", "UserKnownHostsFile=" + identity.known_hosts_path, "-o",
                                  "StrictHostKeyChecking=yes"};
}

Result<int> ssh(Context& context, const TunnelOptions& options) {
  const uint16_t port = TRY(read_port(options.port, "--resource-port", 1));
  return run_through(context, options, port,
                     [&](Tunnels& tunnels, uint16_t local) -> Result<std::vector<std::string>> {
                       std::vector<std::string> arguments = {"ssh", "-p", std::to_string(local)};
                       for (std::string& word : TRY(host_key_options(context, tunnels, options.machine)))
                         arguments.push_back(std::move(word));
                       if (!options.user.empty()) arguments.insert(arguments.end(), {"-l", options.user});
                       arguments.push_back("127.0.0.1");
                       arguments.insert(arguments.end(), options.command.begin(), options.command.end());
                       return arguments;
                     });
}

// For clients that are not started here, such as Windows' own.
Result<int> write_rdp_file(Context& context, const TunnelOptions& options, uint16_t port) {
  Tunnels tunnels = TRY(Tunnels::make(context, {.machine = options.machine,
                                                .bastion = options.bastion,
                                                .resource_group = options.resource_group,
                                                .port = port}));
  TRY(write_private_file(options.file, TRY(tunnels.rdp_file())));
  context.out
      << "Wrote " << printable(options.file)
      << ". Open it with a Remote Desktop client within five minutes; it is as good as a key until then.\n";
  return kDone;
}

Result<int> rdp(Context& context, const TunnelOptions& options) {
  const uint16_t port = TRY(read_port(options.port, "--resource-port", 1));
  if (!options.file.empty()) return write_rdp_file(context, options, port);
  return run_through(
      context, options, port, [&](Tunnels&, uint16_t local) -> Result<std::vector<std::string>> {
        std::vector<std::string> arguments = {"xfreerdp", "/v:127.0.0.1:" + std::to_string(local)};
        if (!options.user.empty()) arguments.push_back("/u:" + options.user);
        arguments.insert(arguments.end(), options.command.begin(), options.command.end());
        return arguments;
      });
}

void declare_way(Command& command, TunnelOptions& options, const std::string& port) {
  options.port = port;
  command.text("machine", options.machine, "The machine, by name or resource id")
      .required()
      .text("--bastion,-b", options.bastion, "The bastion to go through, when several serve the machine")
      .text("--resource-group,-g", options.resource_group, "The machine's group, when several have the name")
      .text("--resource-port", options.port, "The machine's port (" + port + ")");
}

Command host_command(std::string path, std::string summary, std::string example,
                     Result<int> (*run)(Context&, const NameOptions&)) {
  return make_command(std::move(path), std::move(summary), std::move(example), run,
                      [](Command& command, NameOptions& options) {
                        command.text("--name,-n", options.name, "The bastion").required();
                      });
}

}  // namespace

std::vector<Command> bastion_commands() {
  return {
      make_command(
          "bastion create", "Make a bastion in a virtual network",
          "merlon bastion create -n front -g web --network net --public-ip front-ip --enable Tunneling",
          create,
          [](Command& command, CreateOptions& options) {
            command.text("--name,-n", options.name, "Its name")
                .required()
                .text("--resource-group,-g", options.resource_group, "Where it belongs")
                .required()
                .text("--network", options.network, "The virtual network that it serves")
                .required()
                .text("--public-ip", options.public_address, "Its public IP address (Standard, Static)")
                .choice("--sku", options.sku, {"Developer", "Basic", "Standard", "Premium"},
                        "What it can do (Standard)")
                .text("--scale-units", options.units, "2 to 50: 20 RDP and 40 SSH sessions each")
                .texts("--enable", options.enable,
                       "Tunneling, IpConnect, ShareableLink, FileCopy, SessionRecording, PrivateOnlyBastion");
          }),
      make_command("bastion list", "The bastions", "merlon bastion list", list, [](Command&, NoOptions&) {}),
      host_command("bastion show", "One bastion", "merlon bastion show -n front", show_one),
      make_command(
          "bastion tunnel", "A local port that leads to a machine's", "merlon bastion tunnel web-1 -p 2222",
          tunnel,
          [](Command& command, TunnelOptions& options) {
            declare_way(command, options, "22");
            command.text("--port,-p", options.local_port, "The local port; any free one when not given")
                .flag("--stdio", options.stdio, "Over standard input and output, for ssh's ProxyCommand");
            command.without_output();
          }),
      make_command("bastion ssh", "ssh to a machine through a bastion",
                   "merlon bastion ssh web-1 --user admin -- uptime", ssh,
                   [](Command& command, TunnelOptions& options) {
                     declare_way(command, options, "22");
                     command.text("--user,-l", options.user, "The login on the machine");
                     command.tail = &options.command;
                     command.without_output();
                   }),
      make_command("bastion rdp", "Remote Desktop to a machine through a bastion (xfreerdp)",
                   "merlon bastion rdp desk-1 --user ada", rdp,
                   [](Command& command, TunnelOptions& options) {
                     declare_way(command, options, "3389");
                     command.text("--user,-l", options.user, "The login on the machine")
                         .text("--file", options.file,
                               "Write an .rdp file for the bastion's gateway instead of starting a client");
                     command.tail = &options.command;
                     command.without_output();
                   }),
      host_command("bastion session list", "Sessions through a bastion, newest first",
                   "merlon bastion session list -n front", sessions),
      make_command("bastion session kill", "End a session that runs",
                   "merlon bastion session kill ID -n front", kill,
                   [](Command& command, NameOptions& options) {
                     command.text("session", options.session, "Its id")
                         .required()
                         .text("--name,-n", options.name, "The bastion")
                         .required();
                   })};
}

}  // namespace merlon::cli

// merlon server, and the way back in for who owns the machine that it runs on.
#include "server/server.h"

#include "cli/command.h"

namespace merlon::cli {
namespace {

struct ServerOptions {
  server::Options options;
  std::vector<std::string> listen;
};

Result<int> run_server(Context&, const ServerOptions& given) {
  server::Options options = given.options;
  if (!given.listen.empty()) options.listen = given.listen;
  TRY(server::run(options));
  return kDone;
}

}  // namespace

std::vector<Command> server_commands() {
  return {make_command(
      "server", "Run the server until SIGTERM or SIGINT",
      "merlon server --state /var/lib/merlon --listen 192.0.2.10:8443 --domain merlon.example.org",
      run_server, [](Command& command, ServerOptions& given) {
        command.without_output()
            .text("--state", given.options.state_dir,
                  "Directory of the server's state; its first start writes bootstrap.json and ca.pem there")
            .required()
            .texts("--listen", given.listen,
                   "ADDR:PORT, as often as needed; 127.0.0.1:8443 and [::1]:8443 when not given")
            .text("--domain", given.options.domain,
                  "The server's own name; what the state says, else merlon.localhost, when not given")
            .text("--store", given.options.store_url,
                  "Where records are kept: sqlite, in the state directory, or "
                  "postgres://USER@HOST/DATABASE, which several servers may share. Keep its password in a "
                  "file (PGPASSFILE)")
            .text("--root-key", given.options.root_key_path,
                  "Where the root key that seals secrets is kept: a file (root.key in the state directory "
                  "when not "
                  "given); passphrase: (the server starts sealed, and waits for 'merlon unseal'); "
                  "'pkcs11:token=NAME;object=KEY?module-path=LIBRARY&pin-source=file:FILE'; or tpm:pcrs=7")
            .text(
                "--hsm", given.options.hsm,
                "The hardware token that vaults' keys of the types RSA-HSM, EC-HSM and oct-HSM are made in: "
                "'pkcs11:token=NAME?module-path=LIBRARY&pin-source=file:FILE'; there are no such keys when "
                "not given")
            .text("--throttle", given.options.throttle,
                  "Requests of each principal: off, azure, or "
                  "reads=250:25,writes=200:10,deletes=200:10 (at once : refilled per second); unless off, "
                  "Key Vault's own limits count in each vault too")
            .texts(
                "--private-issuer", given.options.private_issuers,
                "The exact URL of a token issuer for federated credentials that may be at a private address, "
                "as often as needed; others are asked for their keys on the internet alone")
            .texts(
                "--bastion-ssh", given.options.bastion_ssh,
                "ADDR:PORT where ssh, scp and sftp reach machines through their bastion, as often as needed")
            .texts(
                "--bastion-reaches", given.options.bastion_reaches,
                "A network (10.1.0.0/16) that bastions connect to, as often as needed: beside the addresses "
                "that agents are seen at they then connect to no other; to any when not given")
            .text(
                "--recordings", given.options.recordings,
                "What recordings may take: MiB in a second of each session and of all together, beyond which "
                "sessions are slowed down, and how many percent of the disk may be in use for a new one to "
                "begin; session=4,server=32,burst=256,disk=95 when not given")
            .text("--advertise", given.options.advertise,
                  "ADDR:PORT where agents reach this very server, when several share one database and name: "
                  "agents that ask another one for news lead its bastion sessions there")
            .flag("--keep-bootstrap", given.options.keep_bootstrap,
                  "The first credential does not expire: for tests");
      })};
}

}  // namespace merlon::cli

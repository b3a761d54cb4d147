// merlon ssh cert, key and known-hosts: what people sign in with at the bastion, and what they know it by.
#include <ostream>

#include "base/time_text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/ssh_certificate.h"

namespace merlon::cli {
namespace {

struct CertOptions {
  std::string scope, lifetime, key;
};

Result<std::string> scope_of(Api& api, const std::string& given) {
  return given.empty() ? api.subscription_id() : scope_path(given);
}

Result<int> certificate(Context& context, const CertOptions& options) {
  std::string lifetime;
  if (!options.lifetime.empty()) {
    const auto time = from_human_duration(options.lifetime);
    if (!time || time->count() <= 0)
      return wrong_usage("'" + options.lifetime + "' is not a time such as 30m or 8h.");
    lifetime = to_iso8601_duration(*time);
  }
  Api api = TRY(Api::open(context));
  const SshIdentity made =
      TRY(fetch_ssh_identity(context, api, TRY(scope_of(api, options.scope)), lifetime, options.key));
  show(context,
       {{"key", made.key_path},
        {"certificate", made.certificate_path},
        {"knownHosts", made.known_hosts_path},
        {"serial", made.serial},
        {"validTo", made.valid_to}},
       "The certificate is good until " + printable(made.valid_to) + ". With it:\n  ssh -i " +
           printable(made.key_path) + " -o UserKnownHostsFile=" + printable(made.known_hosts_path) +
           " LOGIN+MACHINE@BASTION\n");
  return kDone;
}

struct KeyOptions {
  std::string name, file, scope;
};

Result<int> add_key(Context& context, const KeyOptions& options) {
  const std::string line = TRY(read_named_file(options.file, 64 * 1024));
  Api api = TRY(Api::open(context));
  const JsonObject body{{"properties", {{"publicKey", line}}}};
  const Answer answer = TRY(
      api.put(TRY(scope_of(api, options.scope)) + "/providers/Merlon.Bastion/sshKeys/" + part(options.name),
              kMerlonVersion, body));
  show(context, answer.body,
       "You can sign in at the bastion with " + printable(text_at(answer.body, "properties.fingerprint")) +
           ".\n");
  return kDone;
}

Result<int> list_keys(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  const JsonObject answer =
      TRY(api.list(TRY(scope_of(api, options.scope)) + "/providers/Merlon.Bastion/sshKeys", kMerlonVersion));
  Table table({"NAME", "FINGERPRINT", "SECURITY KEY", "REGISTERED"});
  for (const Json& value : answer.at("value").get_array()) {
    const JsonObject& key = value.get_object();
    table.add({text_at(key, "name"), text_at(key, "properties.fingerprint"),
               text_at(key, "properties.securityKey"), text_at(key, "properties.created")});
  }
  show(context, answer, table.size() == 0 ? "You have registered no key.\n" : table.text());
  return kDone;
}

Result<int> remove_key(Context& context, const KeyOptions& options) {
  Api api = TRY(Api::open(context));
  TRY(api.remove(
      TRY(scope_of(api, options.scope)) + "/providers/Merlon.Bastion/sshKeys/" + part(options.name),
      kMerlonVersion));
  show(context, {{"name", options.name}, {"removed", true}},
       printable(options.name) + " lets nobody in any more.\n");
  return kDone;
}

struct HostsOptions {
  std::string pattern = "*";
};

Result<int> known_hosts(Context& context, const HostsOptions& options) {
  Api api = TRY(Api::open(context));
  const std::string text = TRY(ssh_authorities_text(api, options.pattern));
  show(context, {{"knownHosts", text}}, text);
  return kDone;
}

struct NoOptions {};

struct HostKeysOptions {
  std::string name, group;
  std::vector<std::string> files;
  bool as_reported = false;
};

std::string host_keys_text(const JsonObject& known) {
  const bool by_agent = text_at(known, "properties.reportedBy") == "agent";
  std::string text = "The bastion takes the machine for itself by these host keys, as " +
                     std::string(by_agent ? "its agent has reported" : "somebody has given") + ":\n" +
                     printable(joined_at(known, "properties.publicKeys")) + "\n" +
                     printable(joined_at(known, "properties.fingerprints")) + "\n";
  const std::string reported = printable(joined_at(known, "properties.reportedFingerprints"));
  if (!by_agent && !reported.empty())
    text += "Its agent reports " + reported + ". To take those: --as-reported\n";
  return text;
}

// The line of the authority that machines trust, for sshd's TrustedUserCAKeys.
Result<int> authority(Context& context, const NoOptions&) {
  Api api = TRY(Api::open(context));
  const std::string line = TRY(machines_authority_line(api));
  show(context, {{"publicKey", line}}, line + "\n");
  return kDone;
}

// Without files, what is known is shown.
Result<int> host_keys(Context& context, const HostKeysOptions& options) {
  Api api = TRY(Api::open(context));
  const MachineName machine = TRY(api.machine(options.name, options.group));
  const std::string path = machine.vm_id + "/providers/Merlon.Bastion/sshHostKeys/default";
  if (options.as_reported && !options.files.empty())
    return wrong_usage("Either --as-reported, or the keys by --file.");
  JsonArray lines;
  for (const std::string& file : options.files) lines.emplace_back(TRY(read_named_file(file, 64 * 1024)));
  const Answer answer = options.files.empty() && !options.as_reported
                            ? TRY(api.get(path, kMerlonVersion))
                            : TRY(api.put(path, kMerlonVersion, {{"properties", {{"publicKeys", lines}}}}));
  show(context, answer.body, host_keys_text(answer.body));
  return kDone;
}

}  // namespace

std::vector<Command> ssh_identity_commands() {
  const auto scope = [](Command& command, std::string& target) {
    command.text("--scope", target,
                 "A resource, group or subscription where you have a role; the subscription if not "
                 "given");
  };
  const auto name = [scope](Command& command, KeyOptions& options) {
    command.text("name", options.name, "What you call the key").required();
    scope(command, options.scope);
  };
  return {
      make_command(
          "ssh cert", "Get a short-lived SSH certificate, with which the bastion lets you in",
          "merlon ssh cert --for 8h", certificate,
          [scope](Command& command, CertOptions& options) {
            command.text("--for", options.lifetime, "How long it is good: 8h (if not given), 24h at most")
                .text("--key", options.key, "Another public key to certify, such as ~/.ssh/id_ed25519.pub");
            scope(command, options.scope);
          }),
      make_command("ssh key add", "Register a key of your own to sign in at the bastion with",
                   "merlon ssh key add laptop --file ~/.ssh/id_ed25519_sk.pub", add_key,
                   [name](Command& command, KeyOptions& options) {
                     name(command, options);
                     command.text("--file", options.file, "The public key; - is standard input").required();
                   }),
      make_command("ssh key list", "List your registered keys", "merlon ssh key list", list_keys,
                   [scope](Command& command, KeyOptions& options) { scope(command, options.scope); }),
      make_command("ssh key remove", "Remove one of your registered keys", "merlon ssh key remove laptop",
                   remove_key, name),
      make_command("ssh host-keys", "Show or set the host keys that the bastion expects of a machine",
                   "merlon ssh host-keys web-1 --file /etc/ssh/ssh_host_ed25519_key.pub", host_keys,
                   [](Command& command, HostKeysOptions& options) {
                     command.text("name", options.name, "Name of the machine")
                         .required()
                         .text("--resource-group,-g", options.group,
                               "Its resource group, when the name is not unique")
                         .texts("--file", options.files, "The machine's public host key, as often as needed")
                         .flag("--as-reported", options.as_reported,
                               "Forget what was given: what the machine's agent reports counts");
                   }),
      make_command("ssh authority", "Show the authority that machines trust (sshd's TrustedUserCAKeys)",
                   "merlon ssh authority > merlon_authority.pub", authority, [](Command&, NoOptions&) {}),
      make_command("ssh known-hosts", "Show the line that makes ssh know the bastion and what is behind it",
                   "merlon ssh known-hosts --pattern 'bastion.example.org,web-*' >> ~/.ssh/known_hosts",
                   known_hosts, [](Command& command, HostsOptions& options) {
                     command.text("--pattern", options.pattern,
                                  "The names under which it is to be known; * (all of them) when not given");
                   })};
}

}  // namespace merlon::cli

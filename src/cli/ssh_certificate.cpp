// Fetching and keeping.
#include "cli/ssh_certificate.h"

#include "base/text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "ssh/certificate.h"

namespace merlon::cli {
namespace {

constexpr std::string_view kAuthoritiesPath = "/providers/Merlon.Bastion/sshAuthorities";

Result<std::string> public_key_at(const std::string& path) {
  const auto text = TRY(read_private_file(path + ".pub"));
  if (text && TRY(read_private_file(path))) return std::string(trim(*text));
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
  const Secret file = TRY(ssh::openssh_private_key(key, "merlon"));
  const std::string line = ssh::PublicKey::of(key.public_key()).line();
  TRY(write_private_file(path, std::string(file.expose_text())));
  TRY(write_private_file(path + ".pub", line + " merlon\n"));
  return line;
}

Result<JsonArray> authorities(Api& api) {
  const Answer answer = TRY(api.get(std::string(kAuthoritiesPath), kMerlonVersion));
  const JsonArray* values = array_at(answer.body, "value");
  if (values == nullptr)
    return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server does not say what its SSH keys are.");
  return *values;
}

Result<std::string> key_named(Api& api, std::string_view name) {
  for (const Json& value : TRY(authorities(api)))
    if (value.is_object() && text_at(value.get_object(), "name") == name) {
      const std::string line = text_at(value.get_object(), "properties.publicKey");
      TRY(ssh::PublicKey::from_line(line));
      return line;
    }
  return fail(ErrorKind::internal, "AnswerNotUnderstood", "The server does not say what its SSH keys are.");
}

}  // namespace

Result<std::string> bastion_host_key(Api& api) { return key_named(api, "host"); }
Result<std::string> machines_authority_line(Api& api) { return key_named(api, "machines"); }

Result<std::string> bastion_ssh_port(Api& api) {
  const Answer answer = TRY(api.get(std::string(kAuthoritiesPath), kMerlonVersion));
  const std::string port = text_at(answer.body, "sshPort");
  if (port.empty() || port.find_first_not_of("0123456789") != std::string::npos)
    return fail(ErrorKind::unavailable, "NoSshHere",
                "This server takes no SSH. Whoever runs it can start it with --bastion-ssh ADDR:PORT.");
  return port;
}

Result<std::string> ssh_authorities_text(Api& api, const std::string& patterns) {
  return patterns + " " + TRY(bastion_host_key(api)) + "\n";
}

Result<SshIdentity> fetch_ssh_identity(Context& context, Api& api, const std::string& scope,
                                       const std::string& lifetime, const std::string& public_key_file) {
  const std::string directory = TRY(config_directory(context)) + "/ssh";
  SshIdentity made;
  made.known_hosts_path = directory + "/known_hosts";
  std::string line;
  if (public_key_file.empty()) {
    made.key_path = directory + "/id_merlon";
    line = TRY(public_key_at(made.key_path));
  } else {
    if (!public_key_file.ends_with(".pub"))
      return wrong_usage("Give the file of the public key, whose name ends in .pub.");
    made.key_path = public_key_file.substr(0, public_key_file.size() - 4);
    line = std::string(trim(TRY(read_named_file(public_key_file, 64 * 1024))));
  }
  made.certificate_path = made.key_path + "-cert.pub";
  JsonObject body{{"publicKey", line}};
  if (!lifetime.empty()) body["lifetime"] = lifetime;
  const Answer answer =
      TRY(api.post(scope + "/providers/Merlon.Bastion/issueSshCertificate", kMerlonVersion, body));
  const std::string certificate = text_at(answer.body, "certificate");
  const auto read = ssh::Certificate::from_line(certificate);
  if (!read || !(read->key == TRY(ssh::PublicKey::from_line(line))))
    return fail(ErrorKind::internal, "AnswerNotUnderstood",
                "The server's answer holds no certificate for this key.");
  TRY(write_private_file(made.certificate_path, certificate + "\n"));
  TRY(write_private_file(made.known_hosts_path, "* " + TRY(bastion_host_key(api)) + "\n"));
  made.valid_to = text_at(answer.body, "validTo");
  made.serial = text_at(answer.body, "serial");
  return made;
}

}  // namespace merlon::cli

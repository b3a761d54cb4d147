// merlon agent enrol: this machine becomes one of a server's, once.
#include "agent/agent.h"
#include "agent/facts.h"
#include "agent/http_exchange.h"
#include "agent/local_cap.h"
#include "agent/machine_ssh.h"
#include "agent/warden.h"
#include "base/log.h"
#include "crypto/x509.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

namespace merlon::agent {
namespace {

constexpr size_t kAuthorityBytesMax = 64 * 1024;

Result<std::string> read_authority(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(
        ErrorKind::invalid, "CaFile",
        "The authorities' file " + path +
            " cannot be read. Copy ca.pem from the server's state directory to this machine and name it with "
            "--ca.");
  std::string pem((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (pem.empty() || pem.size() > kAuthorityBytesMax ||
      pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return fail(
        ErrorKind::invalid, "CaFile",
        "The file " + path + " holds no certificate in PEM. Use ca.pem of the server's state directory.");
  return pem;
}

Result<StateFiles> unused_directory(const std::string& path) {
  StateFiles files = TRY(StateFiles::create(path));
  if (!TRY(files.take_lock()))
    return fail(
        ErrorKind::conflict, "AgentRunning",
        "An agent runs on the state directory " + path + ". Stop it first, or name another with --state.");
  if (files.has(file::kEnrolment))
    return fail(ErrorKind::conflict, "AlreadyEnrolled",
                "The state directory " + path +
                    " is enrolled already. To enrol this machine anew, remove it with 'merlon machine "
                    "remove' and name "
                    "an empty directory with --state.");
  return files;
}

Result<machine::EnrolAnswer> ask_server(const EnrolOptions& options, const net::Url& url,
                                        const std::string& authority, const crypto::PrivateKey& key) {
  machine::EnrolRequest request;
  request.token = options.token;
  request.facts = collect_facts();
  request.facts.ssh = ssh_facts();
  request.certificate_request_pem = TRY(crypto::make_request(key, "merlon-agent"));
  net::ClientParameters parameters;
  parameters.host = url.host;
  parameters.port = url.port;
  parameters.authorities_pem = authority;
  const auto client = net::Client::make(std::move(parameters));
  net::ClientRequest post;
  post.method = "POST";
  post.target = "/agent/v1/enrol";
  post.headers.set("Content-Type", "application/json");
  post.body = to_text(request.to_json());
  return machine::EnrolAnswer::from_json(TRY(body_of(TRY(client->send(post)))));
}

}  // namespace

Result<machine::EnrolAnswer> enrol(const EnrolOptions& options) {
  if (::geteuid() != 0)
    return fail(ErrorKind::forbidden, "NotRoot",
                "Enrolling needs root: the state directory must belong to root alone. Run it with sudo.");
  const net::Url url = TRY(net::parse_https_url(options.server_url));
  if (options.token.empty())
    return fail(ErrorKind::invalid, "TokenMissing",
                "Enrolling needs a token. Make one with 'merlon machine token' and give it with --token.");
  const std::string authority = TRY(read_authority(options.ca_file));
  TRY(boot_id());
  const StateFiles files = TRY(unused_directory(options.state_dir));
  const auto key = TRY(crypto::PrivateKey::generate(crypto::KeyKind::ec_p256));
  // The key is on the disk before the token is spent: afterwards there is no second one.
  TRY(files.write(file::kKey, key.pem().expose_text()));
  const machine::EnrolAnswer answer = TRY(ask_server(options, url, authority, key));
  if (TRY(crypto::read_certificate(answer.certificate_pem)).spki_hash_hex !=
      crypto::spki_hash_hex(key.public_key()))
    return fail(
        ErrorKind::unavailable, "WrongCertificate",
        "The server answered with a certificate for another key. Nothing was enrolled here; ask the server's "
        "administrator.");
  Enrolment enrolment;
  enrolment.server_url = options.server_url;
  enrolment.host = url.host;
  enrolment.port = url.port;
  enrolment.machine_id = answer.machine_id;
  enrolment.resource_id = answer.resource_id;
  // Pinned is what the owner gave, and what has just proven itself.
  enrolment.authority_pem = authority;
  enrolment.agents_name = answer.agents_name;
  TRY(Enrolment::from_json(enrolment.to_json()));
  LocalCap cap = files.has(file::kLocalCap) ? TRY(LocalCap::from_json(TRY(files.read_json(file::kLocalCap))))
                                            : LocalCap();
  if (options.ssh) cap.allow("ssh", true);
  TRY(files.write(file::kLocalCap, to_pretty_text(Json(cap.to_json())) + "\n"));
  // Until the first contact: nothing is denied, as the machine was before.
  TRY(files.write_json(file::kRules, KeptRules{}.to_json()));
  TRY(files.write(file::kCertificate, answer.certificate_pem));
  TRY(files.write(file::kHead, answer.head));
  TRY(files.write_json(file::kEnrolment, enrolment.to_json()));  // last: from here on it is enrolled
  return answer;
}

}  // namespace merlon::agent

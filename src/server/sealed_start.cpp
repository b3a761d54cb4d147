// The wait is a loop of attempts to make the whole assembly: a wrong passphrase fails before anything was
// changed.
#include "server/sealed_start.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "resource/call.h"
#include "server/certificate.h"
#include "server/private_file.h"
#include "server/root_operations.h"

namespace merlon::server {
namespace {

constexpr std::string_view kKeyMark = "-----BEGIN PRIVATE KEY-----";

std::string identity_path(const std::string& state_dir) { return state_dir + "/sealed-tls.pem"; }

net::Response sealed_answer() {
  net::Response response = resource::json_response(
      503, {{"error", JsonObject{{"code", "ServerSealed"},
                                 {"message",
                                  "This Merlon is sealed: the one who runs it has to type its passphrase "
                                  "into 'merlon unseal' on its machine."}}}});
  response.headers.set("Retry-After", "30");
  return response;
}

// Nothing on the first start, when there is no certificate yet.
std::unique_ptr<net::Server> serve_sealed(const AssemblyParameters& parameters,
                                          const std::vector<std::string>& listen) {
  std::ifstream file(identity_path(parameters.state_dir), std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t key = text.find(kKeyMark);
  if (key == std::string::npos) return nullptr;
  net::ServerParameters given;
  given.listen = listen;
  given.identity = {.certificate_chain_pem = text.substr(0, key),
                    .private_key_pem = Secret(text.substr(key))};
  ::explicit_bzero(text.data(), text.size());
  if (!parameters.domain.empty()) given.names = served_names(parameters.domain);
  given.handler = [](const net::Request&, const net::Responder& respond) { respond(sealed_answer()); };
  auto server = net::Server::start(std::move(given));
  if (!server) {
    log_error("the sealed server cannot listen; it is unsealed on its machine all the same", server.error());
    return nullptr;
  }
  return *std::move(server);
}

bool waits_for_a_person(const Error& error, const AssemblyParameters& parameters) {
  if (error.code == "RootPassphraseNeeded") return true;
  const auto kind = parameters.root_key.kind;
  return (kind == seal::RootKind::token || kind == seal::RootKind::tpm) &&
         (error.code == "TokenRefused" || error.code == "TpmRefused");
}

}  // namespace

Result<std::unique_ptr<Assembly>> assemble_when_unsealed(AssemblyParameters parameters,
                                                         const std::vector<std::string>& listen,
                                                         ControlSocket& control, int signals,
                                                         const Clock& clock, Random& random) {
  auto assembly = Assembly::make(parameters, clock, random);
  if (assembly || !waits_for_a_person(assembly.error(), parameters)) return assembly;
  log_error("sealed: waiting for 'merlon unseal'", assembly.error());
  const auto listening = serve_sealed(parameters, listen);
  std::unique_ptr<Assembly> made;
  int64_t failed = 0;
  const auto try_to_open = [&](const ControlRequest& request) -> Result<JsonObject> {
    if (request.action != "unseal")
      return fail(ErrorKind::unavailable, "ServerSealed",
                  "This server is sealed. Type its passphrase into 'merlon unseal' first.");
    parameters.root_key.typed = request.secret;
    auto attempt = Assembly::make(parameters, clock, random);
    parameters.root_key.typed.reset();
    if (!attempt) {
      ++failed;
      return std::unexpected(std::move(attempt).error());
    }
    TRY(record_unsealed(**attempt, request.user, failed));
    made = *std::move(attempt);
    return JsonObject{{"sealed", false}, {"failedAttempts", failed}};
  };
  control.serve(signals, try_to_open, [&] { return made != nullptr; });
  if (listening) listening->stop();
  return made;
}

Result<void> keep_sealed_identity(const std::string& state_dir, seal::RootKind kind,
                                  const net::TlsIdentity& identity) {
  if (kind == seal::RootKind::file) {
    std::error_code ignored;
    std::filesystem::remove(identity_path(state_dir), ignored);
    return {};
  }
  return write_private_file(
      identity_path(state_dir),
      identity.certificate_chain_pem + std::string(identity.private_key_pem.expose_text()),
      FileReaders::owner);
}

}  // namespace merlon::server

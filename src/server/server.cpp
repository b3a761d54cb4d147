// The life of the server process: state, first start, serving, signals.
#include "server/server.h"

#include <sys/signalfd.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "crypto/system_random.h"
#include "machine/reach.h"
#include "net/client.h"
#include "net/server.h"
#include "net/worker_pool.h"
#include "server/assembly.h"
#include "server/certificate.h"
#include "server/control_socket.h"
#include "server/descriptor_limit.h"
#include "server/first_start.h"
#include "server/private_memory.h"
#include "server/root_operations.h"
#include "server/sealed_start.h"
#include "server/ssh_edge.h"
#include "server/state_schema.h"

namespace merlon::server {
namespace {

constexpr unsigned kTickMs = 200;
constexpr auto kRenewCertificateAfter = std::chrono::hours(24 * 45);  // half of its life
constexpr std::string_view kDefaultPort = "8443";

Result<std::string> prepare_state_dir(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::string path = std::filesystem::absolute(directory, error).lexically_normal().string();
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode))
    return fail(ErrorKind::unavailable, "StateNotUsable",
                "The state directory " + path + " cannot be made or read: " + std::strerror(errno) + ".");
  if (::chmod(path.c_str(), 0700) != 0)
    return fail(ErrorKind::unavailable, "StateNotUsable",
                "The state directory " + path +
                    " belongs to somebody else. Run as its owner, or give another --state.");
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

Result<AssemblyParameters> assembly_parameters(const Options& options, const std::string& state_dir) {
  AssemblyParameters parameters;
  parameters.state_dir = state_dir;
  parameters.domain = options.domain;
  parameters.store_url = options.store_url;
  parameters.root_key = TRY(seal::RootPlace::parse(options.root_key_path, state_dir));
  parameters.rate_limits = TRY(resource::parse_rate_limits(options.throttle));
  for (const std::string& issuer : options.private_issuers) TRY(net::parse_https_url(issuer));
  parameters.private_issuers = options.private_issuers;
  for (const std::string& network : options.bastion_reaches) {
    const auto prefix = IpPrefix::parse(network);
    if (!prefix)
      return fail(ErrorKind::invalid, "InvalidOption",
                  "'" + network + "' is no network. Give --bastion-reaches one like 10.1.0.0/16.");
    parameters.bastion_reaches.push_back(*prefix);
  }
  parameters.hsm = options.hsm;
  parameters.recordings = TRY(recording::parse_recording_limits(options.recordings));
  return parameters;
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

// Blocks SIGTERM and SIGINT in this thread and in every one made after it: they are read from a signalfd(2).
int block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return ::signalfd(-1, &signals, SFD_CLOEXEC);
}

net::Response not_ready() {
  net::Response response;
  response.status = 503;
  response.headers.set("Retry-After", "1");
  return response;
}

// Renews the certificate at half-life; called by the ticker.
class CertificateRenewal {
 public:
  CertificateRenewal(const Assembly& assembly, std::string state_dir, std::vector<std::string> listen,
                     const Clock& clock, Random& random)
      : assembly_(assembly),
        state_dir_(std::move(state_dir)),
        listen_(std::move(listen)),
        clock_(clock),
        random_(random),
        issued_(clock.now()) {}

  Result<net::TlsIdentity> issue() {
    auto identity = TRY(issue_server_identity(assembly_.settings(), listen_, clock_, random_));
    TRY(keep_sealed_identity(state_dir_, assembly_.core().seal.place().kind, identity));
    return identity;
  }
  void renew_soon() { due_ = true; }  // a root key that has moved: what a sealed server shows moves with it
  void renew_when_due(net::Server& server) {
    if (clock_.now() - issued_ < kRenewCertificateAfter && !due_.exchange(false)) return;
    auto identity = issue();
    if (!identity) {
      log_error("the server's certificate could not be renewed", identity.error());
      return;
    }
    issued_ = clock_.now();
    server.replace_identity(*std::move(identity));
    log(LogLevel::info, "the server's certificate has been renewed");
  }

 private:
  const Assembly& assembly_;
  const std::string state_dir_;
  std::vector<std::string> listen_;
  const Clock& clock_;
  Random& random_;
  Timestamp issued_;
  std::atomic<bool> due_ = false;
};

// For machines whose agents ask another server of the same database for news.
Result<void> advertise(const Options& options, Assembly& assembly) {
  if (options.advertise.empty()) return {};
  const auto server = machine::ServerAddress::parse(options.advertise);
  if (!server || server->address.is_unspecified() || server->address.is_multicast())
    return fail(ErrorKind::invalid, "InvalidAddress",
                "--advertise " + options.advertise +
                    " is no ADDR:PORT that machines can call, for instance 192.0.2.10:8443 or "
                    "[2001:db8::10]:8443.");
  if (!assembly.store().is_shared())
    return fail(
        ErrorKind::invalid, "OneServer",
        "--advertise tells servers of one database apart; this one has its store for itself. Leave it "
        "out, or give --store postgres://….");
  machine::reach_of(assembly.machines()).advertise(*server);
  return {};
}

net::ServerParameters server_parameters(const Options& options, Assembly& assembly, net::TlsIdentity identity,
                                        const std::atomic<bool>& ready) {
  net::ServerParameters parameters;
  parameters.listen = options.listen;
  parameters.identity = std::move(identity);
  parameters.limits = limits_within(raise_descriptor_limit());
  parameters.names = served_names(assembly.settings().domain);
  parameters.agents_name = agents_name(assembly.settings().domain);
  parameters.agents_authority_pem = assembly.machines().agents_authority_pem();
  parameters.answer_at_once = [&assembly,
                               &ready](const net::Request& request) -> std::optional<net::Response> {
    if (!ready.load(std::memory_order_acquire)) return std::nullopt;
    return assembly.answer_at_once(request);
  };
  parameters.begin_at_once = [&assembly, &ready](const std::shared_ptr<const net::Request>& request,
                                                 const net::LateAnswer& answer) {
    return ready.load(std::memory_order_acquire) && assembly.begin_at_once(request, answer);
  };
  parameters.upgrade = [&assembly,
                        &ready](net::Request request) -> std::expected<net::TunnelPlan, net::Response> {
    if (!ready.load(std::memory_order_acquire)) return std::unexpected(not_ready());
    return assembly.upgrade(request);
  };
  parameters.handler = [&assembly, &ready](net::Request request, net::Responder respond) {
    if (!ready.load(std::memory_order_acquire)) {
      respond(not_ready());
      return;
    }
    assembly.handle(std::move(request), std::move(respond));
  };
  return parameters;
}

}  // namespace

Result<void> run(const Options& options) {
  keep_memory_private();
  const int signals = block_signals();
  const std::string state_dir = TRY(prepare_state_dir(options.state_dir));
  const SystemClock clock;
  crypto::SystemRandom random;
  const AssemblyParameters parameters = TRY(assembly_parameters(options, state_dir));
  const auto control = TRY(ControlSocket::listen(state_dir));
  const auto assembly =
      TRY(assemble_when_unsealed(parameters, options.listen, *control, signals, clock, random));
  if (!assembly) return {};
  TRY(advertise(options, *assembly));
  CertificateRenewal certificate(*assembly, state_dir, options.listen, clock, random);
  std::atomic<bool> ready{false};
  const auto server =
      TRY(net::Server::start(server_parameters(options, *assembly, TRY(certificate.issue()), ready)));
  const std::string port = port_of(server->addresses().front());
  TRY(first_start(*assembly, state_dir, port,
                  options.keep_bootstrap ? KeepBootstrap::yes : KeepBootstrap::no));
  // Whatever ran out while nobody was here ends before the first request is answered.
  // On a full disk only the mark of the clock finds no room, which must keep nobody from starting.
  if (const auto ended = assembly->grants().expire_due(); !ended) {
    if (ended.error().kind != ErrorKind::unavailable) return std::unexpected(ended.error());
    log_error("the clock's mark could not be written at the start; it is tried again", ended.error());
  }
  assembly->store().start_finished();
  const auto ssh_edge = TRY(SshEdge::open(options, *assembly, port, clock));
  {
    net::Periodic ticker("tick", kTickMs, [&] {
      assembly->tick();
      certificate.renew_when_due(*server);
    });
    // A slow disk must not keep anything from closing on time: each on a thread of its own.
    net::Periodic flow_logs("flow-logs", kTickMs, [&] { assembly->tick_flow_logs(); });
    net::Periodic recorder("recordings", kTickMs, [&] { assembly->tick_recordings(); });
    // Beside it: what is due takes the writer's time, and somebody waits for the other end of an opening.
    net::Periodic answerer("answer", kTickMs, [&] { assembly->machines().answer_waits(); });
    assembly->machines().on_wake([&answerer] { answerer.wake(); });
    assembly->listen_to_others([&ticker, &answerer] {
      ticker.wake();
      answerer.wake();
    });
    ready.store(true, std::memory_order_release);
    for (const std::string& address : server->addresses())
      log(LogLevel::info, "serving",
          {{"address", "https://" + address}, {"domain", assembly->settings().domain}});
    const int signal_number = control->serve(
        signals,
        [&](const ControlRequest& request) {
          auto answer = handle_root_request(*assembly, state_dir, request);
          if (answer && request.action == "root-rotate") certificate.renew_soon();
          return answer;
        },
        [] { return false; });
    log(LogLevel::info, "stopping", {{"signal", signal_number}});
    assembly->machines().stop();
    ssh_edge->stop();
    server->stop();
    assembly->listen_to_others({});
    assembly->machines().on_wake({});
  }
  assembly->stop();
  return {};
}

Result<void> recover(const StateLocation& location) {
  const std::string state_dir = TRY(prepare_state_dir(location.state_dir));
  if (location.store_url == store::kEmbeddedStore && !std::filesystem::exists(state_dir + "/merlon.db"))
    return fail(ErrorKind::not_found, "StateNotFound",
                "There is no Merlon state in " + state_dir + ". Give the server's --state directory.");
  const SystemClock clock;
  crypto::SystemRandom random;
  Options options;
  options.state_dir = state_dir;
  options.store_url = location.store_url;
  options.root_key_path = location.root_key_path;
  AssemblyParameters parameters = TRY(assembly_parameters(options, state_dir));
  parameters.root_key = TRY(root_key_of({.state_dir = state_dir,
                                         .store_url = location.store_url,
                                         .root_key_path = location.root_key_path,
                                         .typed = location.typed}));
  if (location.store_url != store::kEmbeddedStore)
    TRY(require_complete_state(*TRY(store::open_snapshot(location.store_url, state_dir, state_schema()))));
  const auto assembly = TRY(Assembly::make(parameters, clock, random));
  return recover_bootstrap_file(*assembly, state_dir, std::string(kDefaultPort));
}

Result<RestoreReport> restore_state(const StateLocation& location, const std::string& file,
                                    const Clock& clock, Random& random) {
  StateLocation made = location;
  made.state_dir = TRY(prepare_state_dir(location.state_dir));
  return restore(made, file, clock, random);
}

}  // namespace merlon::server

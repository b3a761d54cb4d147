// merlon agent run: two processes. The parent keeps the firewall with one capability, the child speaks to the
// server with none. Either's end is the other's; the kernel's rules stay whatever happens.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "agent/agent.h"
#include "agent/caller.h"
#include "agent/facts.h"
#include "agent/frames.h"
#include "agent/http_exchange.h"
#include "agent/local_cap.h"
#include "agent/memory.h"
#include "agent/metadata.h"
#include "agent/privileges.h"
#include "agent/warden.h"
#include "base/log.h"
#include "crypto/system_random.h"
#include "crypto/x509.h"
#include "net/worker_pool.h"

namespace merlon::agent {
namespace {

constexpr int kChildGraceMs = 500;
// News are told within a second, and a storm of them in few exchanges.
constexpr Duration kWakeEvery{500};

// What the child needs; read as root, before it is not.
struct Start {
  Identity identity;
  std::string head;
  bool serves_identities = false;
};

class FrameWarden final : public WardenPort {
 public:
  explicit FrameWarden(int fd) : fd_(fd), reader_(fd) {}
  Result<JsonObject> ask(std::string_view name, JsonObject body) override {
    body["ask"] = name;
    TRY(send_frame(fd_, body));
    const JsonObject reply = TRY(reader_.next());
    if (const JsonObject* answer = object_at(reply, "answer")) return *answer;
    return fail(ErrorKind::conflict, string_at(reply, "error.code").value_or("Refused"),
                string_at(reply, "error.message").value_or("The privileged process refused."));
  }

 private:
  int fd_;
  FrameReader reader_;
};

// The parent never speaks first: whatever can be read while nothing was asked is its end.
bool parent_ended_within(int fd, Duration pause) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, static_cast<int>(pause.count())) > 0;
}

// How the parent says that it has news: readable, and nothing more.
Result<store::FileDescriptor> make_bell() {
  store::FileDescriptor bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (bell.get() < 0) return internal_error(std::string("eventfd: ") + std::strerror(errno));
  return bell;
}

void quieten(int bell) {
  eventfd_t count = 0;
  std::ignore = ::eventfd_read(bell, &count);
}

// The endpoint for local programs; without its directory there is none.
class Identities final : public IdentityPort {
 public:
  Identities(TokenSource& source, const Clock& clock, Random& random, std::string boot_id)
      : metadata_(source, clock, random, std::move(boot_id), kChallengeDirectory),
        server_(metadata_, clock) {}
  Result<JsonObject> follow(const machine::IdentityEndpoint& endpoint) override {
    return TRY(server_.follow(endpoint)).to_json();
  }
  void settle() override { server_.settle(); }

 private:
  Metadata metadata_;
  MetadataServer server_;
};

Result<void> speak(int fd, int bell, Start start) {
  const SystemClock clock;
  crypto::SystemRandom random;
  FrameWarden warden(fd);
  const auto tell_addresses = [&warden](const std::vector<IpAddress>& addresses) {
    JsonArray texts;
    for (const IpAddress& address : addresses) texts.emplace_back(address.text());
    if (const auto told = warden.ask("contact", {{"addresses", std::move(texts)}}); !told)
      log_error("the server's addresses were not taken", told.error());
  };
  HttpTokens tokens(start.identity);
  Caller caller(start.identity, warden);
  std::optional<Identities> identities;
  if (start.serves_identities) identities.emplace(tokens, clock, random, TRY(boot_id()));
  const auto exchange = TRY(HttpExchange::make(std::move(start.identity), tell_addresses, bell));
  exchange->on_renewed([&](const std::string& pem) {
    tokens.use_certificate(pem);
    caller.use_certificate(pem);
  });
  exchange->on_calls([&](const std::vector<machine::AgentCall>& calls) { caller.follow(calls); });
  Session session(clock, random, *exchange, warden, collect_facts, std::move(start.head));
  if (identities) session.serve_identities(*identities);
  while (true) {
    quieten(bell);  // before asking what there is: what comes later rings again
    const Session::Step step = TRY(session.step());
    if (step.removed) return {};
    if (step.pause > Duration(0) && parent_ended_within(fd, step.pause))
      return fail(ErrorKind::unavailable, "AgentHalfGone", "The privileged process has ended.");
  }
}

[[noreturn]] void child_main(int fd, int bell, Start start, const Account& account, pid_t parent,
                             const sigset_t& signals) {
  // Ctrl-C reaches both; the parent's end is ours.
  std::signal(SIGINT, SIG_IGN);
  ::pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  ::prctl(PR_SET_NAME, "merlon-speaker", 0, 0, 0);
  Result<void> ended = give_up_everything(account, parent);
  // A parent-death signal would need CAP_KILL in the parent, whose user differs: the socket's end tells
  // instead, also while this process waits for the server. Without its other half it has nothing left to do.
  // Started after the privileges are gone: they are each thread's own.
  net::WorkerPool watch("parent-watch", 1, 1);
  watch.submit([fd] {
    pollfd wait{.fd = fd, .events = 0, .revents = 0};  // hang-up alone
    while (::poll(&wait, 1, -1) < 0 && errno == EINTR) continue;
    ::_exit(1);
  });
  if (ended) ended = speak(fd, bell, std::move(start));
  if (!ended) log_error("the agent's unprivileged process ends", ended.error());
  ::_exit(ended ? 0 : 1);
}

class BlockedSignals {
 public:
  BlockedSignals() {
    ::sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
    descriptor_ = store::FileDescriptor(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  int fd() const { return descriptor_.get(); }
  const sigset_t& before() const { return before_; }
  // Has somebody asked us to stop? Takes everything that has come.
  bool stop_asked() const {
    bool asked = false;
    signalfd_siginfo info{};
    while (::read(descriptor_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
      asked = asked || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
    return asked;
  }
  bool stop_asked_within(int ms) const {
    for (int waited = 0; waited <= ms; waited += 10) {
      if (stop_asked()) return true;
      pollfd wait{.fd = fd(), .events = POLLIN, .revents = 0};
      ::poll(&wait, 1, 10);
    }
    return false;
  }

 private:
  sigset_t set_{}, before_{};
  store::FileDescriptor descriptor_;
};

Result<void> child_ended(pid_t child, int status, const BlockedSignals& signals) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};  // removed from Merlon
  // A service manager signals both at once, and the child is the faster one.
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && signals.stop_asked_within(kChildGraceMs))
    return {};
  return fail(ErrorKind::unavailable, "AgentHalfGone",
              "The agent's unprivileged process (" + std::to_string(child) + ") ended with status " +
                  std::to_string(status) +
                  ". The rules stay in the kernel and openings end on time; start the agent again (its "
                  "service does).");
}

// Without an ear for the other half neither goes on: it would wait for an answer for ever. Its end comes as a
// signal.
void hang_up(pollfd& wait) {
  ::shutdown(wait.fd, SHUT_RDWR);
  wait.fd = -1;
}

Result<void> guard(Warden& warden, int fd, int bell, pid_t child, const BlockedSignals& signals) {
  FrameReader reader(fd);
  const SystemClock clock;
  Duration next_ring{};
  bool ring = false;
  std::array<pollfd, 3> wait{};
  wait[0] = {.fd = fd, .events = POLLIN, .revents = 0};
  wait[1] = {.fd = warden.monitor_fd(), .events = POLLIN, .revents = 0};
  wait[2] = {.fd = signals.fd(), .events = POLLIN, .revents = 0};
  while (true) {
    ::poll(wait.data(), wait.size(), static_cast<int>(warden.until_next().count()));
    if (signals.stop_asked()) return {};
    // Before questions are answered: an answer must know what has happened to the table.
    warden.tick();
    if ((wait[0].revents & POLLIN) != 0) {
      auto question = reader.poll();
      while (question && *question && send_answer(fd, warden.answer(**question))) question = reader.poll();
      // A question that could not be read, or one whose answer was not taken.
      if (!question || *question) hang_up(wait[0]);
    } else if (wait[0].revents != 0) {
      hang_up(wait[0]);
    }
    ring |= warden.take_news();
    if (ring && clock.boottime() >= next_ring) {
      std::ignore = ::eventfd_write(bell, 1);
      next_ring = clock.boottime() + kWakeEvery;
      ring = false;
    }
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return child_ended(child, status, signals);
  }
}

Result<LocalCap> read_cap(const StateFiles& files) {
  if (!files.has(file::kLocalCap))
    TRY(files.write(file::kLocalCap, to_pretty_text(Json(LocalCap().to_json())) + "\n"));
  return LocalCap::from_json(TRY(files.read_json(file::kLocalCap)));
}

Result<Start> read_start(const StateFiles& files) {
  Start start;
  start.identity.enrolment = TRY(read_enrolment(files));
  start.identity.key_pem = Secret(TRY(files.read(file::kKey)));
  start.identity.certificate_pem = TRY(files.read(file::kCertificate));
  start.head = files.read(file::kHead).value_or("");
  return start;
}

}  // namespace

Result<void> run(const RunOptions& options) {
  if (::geteuid() != 0)
    return fail(ErrorKind::forbidden, "NotRoot",
                "The agent needs root for the firewall. Run it as a service, or with sudo.");
  give_memory_back();
  StateFiles files = TRY(StateFiles::open(options.state_dir));
  if (!TRY(files.take_lock()))
    return fail(ErrorKind::conflict, "AgentRunning",
                "An agent runs on the state directory " + options.state_dir + " already. Stop it first.");
  Start start = TRY(read_start(files));
  const std::string machine_id = start.identity.enrolment.machine_id;
  WardenSettings settings;
  settings.cap = TRY(read_cap(files));
  settings.boot_id = TRY(boot_id());
  settings.server_port = start.identity.enrolment.port_number();
  settings.server_address = IpAddress::parse(start.identity.enrolment.host);
  const Account account = unprivileged_account();
  settings.agent_uid = account.uid;
  if (settings.cap.allows("identity")) {
    const auto made = prepare_challenge_directory(kChallengeDirectory, account.uid);
    start.serves_identities = made.has_value();
    if (!made) log_error("managed identities are not served on this machine", made.error());
  }
  settings.public_key_hash =
      crypto::spki_hash_hex(TRY(crypto::PrivateKey::from_pem(start.identity.key_pem)).public_key());
  auto [ours, theirs] = TRY(make_frame_pipe());
  const store::FileDescriptor bell = TRY(make_bell());
  const BlockedSignals signals;
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return internal_error(std::string("fork: ") + std::strerror(errno));
  if (child == 0) {
    ours = store::FileDescriptor();
    files.drop_lock();
    child_main(theirs.get(), bell.get(), std::move(start), account, parent, signals.before());
  }
  theirs = store::FileDescriptor();
  start = {};  // the key is the child's alone from here on
  TRY(keep_only_net_admin());
  const SystemClock clock;
  const auto warden = TRY(Warden::start(std::move(files), clock, std::move(settings)));
  warden->serve_ssh(
      std::make_unique<MachineSsh>(SshPlaces(), TRY(StateFiles::open(options.state_dir)), machine_id));
  log(LogLevel::info, "agent running", {{"state", options.state_dir}});
  return guard(*warden, ours.get(), bell.get(), child, signals);
}

}  // namespace merlon::agent

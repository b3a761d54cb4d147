// A stream socket: three lines of request, then the end of writing; one JSON object of answer, then the end.
#include "server/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/text.h"

namespace merlon::server {
namespace {

constexpr size_t kRequestBytesMax = 8192;
constexpr size_t kAnswerBytesMax = 65'536;
constexpr time_t kPatienceSeconds = 5;
constexpr time_t kAnswerPatienceSeconds = 120;  // Argon2id, or an HSM that takes its time
constexpr std::string_view kName = "control.sock";

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

// A state directory may be deeper than the 108 bytes of sun_path; its descriptor is not.
struct Address {
  Descriptor directory;
  sockaddr_un name{};

  explicit Address(const std::string& state_dir)
      : directory(::open(state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    name.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + std::string(kName);
    std::copy_n(path.begin(), std::min(path.size(), sizeof(name.sun_path) - 1), name.sun_path);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

void be_patient(int socket, time_t seconds) {
  const timeval limit{seconds, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool write_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// To the end of the stream, or nothing: too long, too slow, or cut off. Secret, since a passphrase may be in
// it.
std::optional<Secret> read_all(int socket, size_t bytes_max) {
  Bytes bytes(bytes_max + 1);
  size_t used = 0;
  bool whole = false;
  while (used < bytes.size()) {
    const ssize_t got = ::recv(socket, bytes.data() + used, bytes.size() - used, 0);
    if (got < 0 && errno == EINTR) continue;
    whole = got == 0;
    if (got <= 0) break;
    used += static_cast<size_t>(got);
  }
  bytes.resize(used);  // what is beyond was never written
  Secret secret(std::move(bytes));
  if (!whole) return std::nullopt;
  return secret;
}

// "action\nsubject\nsecret": the secret may hold anything, the others no line break.
std::optional<ControlRequest> parse_request(const Secret& secret) {
  std::string_view text = secret.expose_text();
  ControlRequest request;
  for (std::string* field : {&request.action, &request.subject}) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    *field = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  request.secret = Secret(text);
  return request;
}

JsonObject error_json(const Error& error) {
  return {{"error", JsonObject{{"code", error.code}, {"message", error.message}}}};
}

class Listening final : public ControlSocket {
 public:
  explicit Listening(Descriptor socket, std::string path)
      : socket_(std::move(socket)), path_(std::move(path)) {}
  ~Listening() override { ::unlink(path_.c_str()); }

  int serve(int signals, const ControlHandler& handler, const std::function<bool()>& finished) override {
    for (;;) {
      std::array<pollfd, 2> watched{{{signals, POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
      if (::poll(watched.data(), watched.size(), -1) < 0) {
        if (errno == EINTR) continue;
        log_error("waiting for signals failed", internal_error(std::strerror(errno)).error());
        return SIGTERM;
      }
      if ((watched[0].revents & POLLIN) != 0) {
        signalfd_siginfo info{};
        if (::read(signals, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
      }
      if ((watched[1].revents & POLLIN) != 0) {
        answer_one(handler);
        if (finished()) return 0;
      }
    }
  }

 private:
  void answer_one(const ControlHandler& handler) {
    const Descriptor peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.is_open()) return;
    be_patient(peer.get(), kPatienceSeconds);
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
        (who.uid != 0 && who.uid != ::geteuid())) {
      write_all(peer.get(),
                to_text(error_json(fail(ErrorKind::forbidden, "Forbidden",
                                        "Only root and the user that runs the server are heard here.")
                                       .error())));
      return;
    }
    const auto text = read_all(peer.get(), kRequestBytesMax);
    auto request = text ? parse_request(*text) : std::nullopt;
    if (!request) {
      log(LogLevel::warning, "a request on the control socket was not understood");
      return;
    }
    request->user = who.uid;
    const auto answer = handler(*request);
    if (!answer) log_error("a request on the control socket was refused", answer.error());
    write_all(peer.get(), to_text(answer ? JsonObject{{"result", *answer}} : error_json(answer.error())));
  }

  Descriptor socket_;
  std::string path_;
};

std::unexpected<Error> not_usable(const std::string& state_dir, const char* doing) {
  return fail(ErrorKind::unavailable, "StateNotUsable",
              "The control socket " + state_dir + "/" + std::string(kName) + " could not be " + doing + ": " +
                  std::strerror(errno) + ". Check the state directory's owner and mode.");
}

std::unexpected<Error> no_server(const std::string& state_dir) {
  return fail(ErrorKind::unavailable, "ServerNotRunning",
              "No server answers at " + state_dir + "/" + std::string(kName) + " (" + std::strerror(errno) +
                  "). Start it with 'merlon server --state " + state_dir +
                  "', and run this as root or as the user that it runs as.");
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(const std::string& state_dir) {
  const std::string path = state_dir + "/" + std::string(kName);
  const Address address(state_dir);
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return not_usable(state_dir, "made");
  // A killed server leaves its socket behind; a living one answers on it.
  if (const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ::connect(probe.get(), address.get(), sizeof(address.name)) == 0)
    return fail(
        ErrorKind::conflict, "StateInUse",
        "A server runs on " + state_dir + " already. Stop it first, or give this one a --state of its own.");
  ::unlink(path.c_str());
  // The directory is 0700; its own mode is for those who move it elsewhere.
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(socket.get(), address.get(), sizeof(address.name));
  ::umask(mask);
  if (bound != 0) return not_usable(state_dir, "made");
  if (::listen(socket.get(), 4) != 0) return not_usable(state_dir, "listened on");
  return std::make_unique<Listening>(std::move(socket), path);
}

Result<JsonObject> ask_server(const std::string& state_dir, const ControlRequest& request) {
  const Address address(state_dir);
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open() || ::connect(socket.get(), address.get(), sizeof(address.name)) != 0)
    return no_server(state_dir);
  be_patient(socket.get(), kAnswerPatienceSeconds);
  if (!write_all(socket.get(), request.action + "\n" + request.subject + "\n") ||
      !write_all(socket.get(), request.secret.expose_text()) || ::shutdown(socket.get(), SHUT_WR) != 0)
    return no_server(state_dir);
  const auto text = read_all(socket.get(), kAnswerBytesMax);
  if (!text || text->empty()) return no_server(state_dir);
  const JsonObject answer = TRY(parse_json_object(text->expose_text()));
  if (const auto* error = answer.if_contains("error"); error != nullptr && error->is_object())
    return fail(ErrorKind::forbidden, TRY(require_string(error->get_object(), "code")),
                TRY(require_string(error->get_object(), "message")));
  const auto* result = answer.if_contains("result");
  if (result == nullptr || !result->is_object())
    return internal_error("the control socket answered nonsense");
  return result->get_object();
}

}  // namespace merlon::server

// Connects to the port first: nobody is called to a door that does not open.
#include "agent/caller.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "net/tunnel_client.h"
#include "net/worker_pool.h"
#include "store/state_directory.h"

namespace merlon::agent {
namespace {

// A certificate may have 16 connections (decision 0024); some are for news and for tokens.
constexpr unsigned kCarriedMax = 12;
constexpr int kConnectMs = 5'000;
constexpr Duration kAskWithin{10'000};

Result<store::FileDescriptor> connect_to(const IpAddress& address, uint16_t port) {
  sockaddr_in6 six{};
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  std::copy_n(address.bytes().begin(), 4, reinterpret_cast<uint8_t*>(&four.sin_addr));
  std::copy_n(address.bytes().begin(), 16, reinterpret_cast<uint8_t*>(&six.sin6_addr));
  const sockaddr* to =
      address.is_v4() ? reinterpret_cast<const sockaddr*>(&four) : reinterpret_cast<const sockaddr*>(&six);
  const socklen_t size = address.is_v4() ? sizeof four : sizeof six;
  store::FileDescriptor socket(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int error = socket.is_open() ? 0 : errno;
  if (error == 0 && ::connect(socket.get(), to, size) != 0) error = errno;
  if (error == EINPROGRESS) {
    pollfd wait{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    socklen_t length = sizeof error;
    if (::poll(&wait, 1, kConnectMs) <= 0)
      error = ETIMEDOUT;
    else
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  }
  if (error == 0) return socket;
  return fail(
      ErrorKind::unavailable, "PortNotReached",
      address.text() + ":" + std::to_string(port) + " does not answer: " + std::strerror(error) + ".");
}

}  // namespace

struct Caller::Pools {
  net::WorkerPool carrying{"carry", kCarriedMax, kCarriedMax};
  net::WorkerPool refusing{"carry-no", 1, 64};
};

Caller::Caller(Identity identity, WardenPort& warden) : warden_(warden), identity_(std::move(identity)) {}
Caller::~Caller() = default;

Caller::Pools& Caller::pools() {
  if (!pools_) pools_ = std::make_unique<Pools>();
  return *pools_;
}

void Caller::use_certificate(const std::string& pem) {
  const std::lock_guard lock(mutex_);
  identity_.certificate_pem = pem;
}

Identity Caller::identity() const {
  const std::lock_guard lock(mutex_);
  return identity_;
}

void Caller::follow(const std::vector<machine::AgentCall>& calls) {
  for (const machine::AgentCall& each : calls) {
    const auto allowed = warden_.ask("call", each.to_json());
    if (allowed)
      call(each);
    else
      refuse(each, allowed.error().message);
  }
}

void Caller::call(const machine::AgentCall& call) {
  const auto work = [this, call] {
    make(call);
    --carried_;
  };
  if (++carried_ <= kCarriedMax && pools().carrying.submit(work)) return;
  --carried_;
  refuse(call, "it carries as many connections as it may (" + std::to_string(kCarriedMax) + ").");
}

void Caller::refuse(const machine::AgentCall& call, const std::string& why) {
  if (!pools().refusing.submit([this, call, why] { say_no(call, why); }))
    log(LogLevel::warning, "a call is left unanswered", {{"why", why}});
}

void Caller::make(const machine::AgentCall& call) {
  auto socket = connect_to(call.address, call.port);
  if (!socket) return say_no(call, socket.error().message);
  const Identity who = identity();
  // The name that is verified is the same wherever that is.
  const net::TunnelTarget target{.host = call.server ? call.server->address.text() : who.enrolment.host,
                                 .port = call.server ? std::to_string(call.server->port) : who.enrolment.port,
                                 .server_name = who.enrolment.agents_name,
                                 .authorities_pem = who.enrolment.authority_pem,
                                 .path = "/agent/v1/call/" + call.id,
                                 .token = {},
                                 .certificate_pem = who.certificate_pem,
                                 .private_key_pem = who.key_pem};
  // Each way has a descriptor of its own, which carry_tunnel() closes.
  const int in = ::fcntl(socket->get(), F_DUPFD_CLOEXEC, 0);
  const int out = ::fcntl(socket->get(), F_DUPFD_CLOEXEC, 0);
  *socket = {};
  if (in < 0 || out < 0) {
    store::FileDescriptor close_in(in), close_out(out);
    return say_no(call, "no descriptor is left.");
  }
  log(LogLevel::info, "carrying a connection", {{"port", call.port}});
  const auto how = net::carry_tunnel(target, in, out);
  if (how) return;
  log_error("a call could not be made", how.error(), {{"port", call.port}});
  // Whoever waits there hears of it through the other server. Where it was made already this is refused.
  if (call.server) say_no(call, "the server at " + call.server->text() + " was not reached.");
}

void Caller::say_no(const machine::AgentCall& call, const std::string& why) {
  const Identity who = identity();
  net::ClientParameters parameters;
  parameters.host = who.enrolment.host;
  parameters.port = who.enrolment.port;
  parameters.server_name = who.enrolment.agents_name;
  parameters.authorities_pem = who.enrolment.authority_pem;
  parameters.certificate_pem = who.certificate_pem;
  parameters.private_key_pem = who.key_pem;
  parameters.request_timeout = kAskWithin;
  net::ClientRequest post;
  post.method = "POST";
  post.target = "/agent/v1/call";
  post.headers.set("Content-Type", "application/json");
  post.body = to_text(machine::CallRefusal{.id = call.id, .message = why.substr(0, 512)}.to_json());
  const auto answer = net::Client::make(std::move(parameters))->send(post);
  log(LogLevel::warning, "a call is not made",
      {{"port", call.port}, {"why", why}, {"told", answer.has_value() && answer->status == 200}});
}

}  // namespace merlon::agent

// See tunnel_client.h. Each tunnel has a context of its own, run by the thread that asked for it: there are
// few, and none waits for another.
#include "net/tunnel_client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>

#include "base/json.h"
#include "net/connection.h"
#include "net/tls.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable_t<Executor>());
constexpr size_t kChunk = 64 * 1024;
constexpr auto kConnectTimeout = std::chrono::seconds(30);  // the server may wait for a port to open
constexpr auto kLeaveTimeout = std::chrono::seconds(2);
constexpr unsigned kTunnelsMax = 64;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;

std::unexpected<Error> unavailable(std::string message) {
  return fail(ErrorKind::unavailable, "ConnectionFailed", std::move(message));
}

std::string said_by(const http::response<http::string_body>& response) {
  const auto json = parse_json_object(response.body());
  const auto message = json ? string_at(*json, "message") : std::nullopt;
  return message.value_or("The server answered with status " + std::to_string(response.result_int()) + ".");
}

std::string target_text(const TunnelTarget& target) {
  return target.port == "443" ? target.server_name : target.server_name + ":" + target.port;
}

class Carrier {
 public:
  Carrier(const TunnelTarget& target, SslPointer ssl, int in, int out)
      : target_(target),
        client_(Socket(context_), ssl.release()),
        in_(context_, in),
        out_(context_, out),
        alarm_(context_) {}

  Result<std::string> carry() {
    tcp::resolver resolver(context_);
    beast::error_code error;
    const auto found = resolver.resolve(target_.host, target_.port, error);
    if (error)
      return unavailable("The name '" + target_.host + "' could not be resolved: " + error.message());
    for (const auto& entry : found) endpoints_.push_back(entry.endpoint());
    asio::co_spawn(context_, run(this), asio::detached);
    context_.run();
    if (error_) return std::unexpected(*error_);
    return reason_;
  }

 private:
  static Awaitable<bool> connect(Carrier* self);
  static Awaitable<void> run(Carrier* self);
  static Awaitable<void> to_server(Carrier* self);
  static Awaitable<void> to_local(Carrier* self);
  void close_lowest() {
    beast::error_code ignored;
    client_.next_layer().next_layer().close(ignored);
  }
  void give_up_after(std::chrono::seconds time) {
    alarm_.expires_after(time);
    const unsigned number = ++limit_;
    alarm_.async_wait([this, number](const beast::error_code& cancelled) {
      if (!cancelled && limit_ == number) close_lowest();
    });
  }
  void finish() {
    finished_ = true;
    done_.cancel();
  }

  const TunnelTarget target_;
  asio::io_context context_{1};
  websocket::stream<asio::ssl::stream<Socket>, false> client_;
  Descriptor in_, out_;
  Timer alarm_;
  Timer done_{context_};
  std::vector<tcp::endpoint> endpoints_;
  std::optional<Error> error_;
  std::string reason_;
  bool finished_ = false;
  bool server_closed_ = false;
  unsigned limit_ = 0;
};

Awaitable<bool> Carrier::connect(Carrier* self) {
  auto& tls = self->client_.next_layer();
  auto& socket = tls.next_layer();
  std::string why = "no address";
  bool connected = false;
  for (const tcp::endpoint& endpoint : self->endpoints_) {
    beast::error_code ignored;
    socket.close(ignored);
    const auto [error] = co_await socket.async_connect(endpoint, kToken);
    if (!error) {
      connected = true;
      break;
    }
    why = error.message();
  }
  if (!connected) {
    self->error_ =
        unavailable("Could not connect to " + target_text(self->target_) + ": " + why + ".").error();
    co_return false;
  }
  beast::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto [tls_error] = co_await tls.async_handshake(asio::ssl::stream_base::client, kToken);
  if (tls_error) {
    self->error_ = unavailable("TLS with " + target_text(self->target_) + " failed: " + tls_error.message() +
                               ". Check the name and the authorities' file.")
                       .error();
    drain_tls_errors();
    co_return false;
  }
  const std::string host = target_text(self->target_);
  websocket::response_type response;
  const auto [error] = co_await self->client_.async_handshake(response, host, self->target_.path, kToken);
  if (!error) co_return true;
  if (error == websocket::error::upgrade_declined) {
    self->error_ = fail(ErrorKind::forbidden, "TunnelRefused", said_by(response)).error();
  } else {
    self->error_ = unavailable("The WebSocket to " + host + " failed: " + error.message() + ".").error();
  }
  co_return false;
}

Awaitable<void> Carrier::run(Carrier* self) {
  self->give_up_after(kConnectTimeout);
  const bool connected = co_await connect(self);
  ++self->limit_;  // one that has passed just now, and is about to be told, comes too late
  self->alarm_.cancel();
  beast::error_code ignored;
  if (!connected) {
    self->in_.close(ignored);
    self->out_.close(ignored);
    self->close_lowest();
    co_return;
  }
  self->client_.binary(true);
  self->client_.auto_fragment(false);
  self->client_.read_message_max(0);
  self->client_.write_buffer_bytes(kChunk);
  asio::co_spawn(self->context_, to_server(self), asio::detached);
  asio::co_spawn(self->context_, to_local(self), asio::detached);
  while (!self->finished_) {
    self->done_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await self->done_.async_wait(kToken);
  }
  self->in_.close(ignored);
  if (!self->server_closed_) {
    self->give_up_after(kLeaveTimeout);
    const websocket::close_reason bye(websocket::close_code::normal);
    [[maybe_unused]] const auto [error] = co_await self->client_.async_close(bye, kToken);
    self->alarm_.cancel();
  }
  self->close_lowest();
  self->out_.close(ignored);
}

Awaitable<void> Carrier::to_server(Carrier* self) {
  std::vector<char> buffer(kChunk);
  const auto space = asio::buffer(buffer);
  while (!self->finished_) {
    const auto [error, count] = co_await self->in_.async_read_some(space, kToken);
    if (error) break;
    const auto bytes = asio::buffer(buffer.data(), count);
    const auto [write_error, written] = co_await self->client_.async_write(bytes, kToken);
    if (write_error) break;
  }
  self->finish();
}

Awaitable<void> Carrier::to_local(Carrier* self) {
  beast::flat_buffer buffer(kChunk);
  while (!self->finished_) {
    const auto [error, count] = co_await self->client_.async_read_some(buffer, kChunk, kToken);
    if (error) {
      self->server_closed_ = true;
      if (error == websocket::error::closed) {
        const auto& reason = self->client_.reason();
        self->reason_ = std::string(reason.reason.data(), reason.reason.size());
      } else if (!self->finished_) {
        self->reason_ = "the connection broke: " + error.message();
      }
      break;
    }
    const auto bytes = buffer.data();
    const auto [write_error, written] = co_await asio::async_write(self->out_, bytes, kToken);
    if (write_error) break;
    buffer.consume(count);
  }
  self->finish();
}

}  // namespace

Result<std::string> carry_tunnel(const TunnelTarget& target, int in, int out) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that has gone is an error of write
  try {
    ClientParameters parameters;
    parameters.host = target.host;
    parameters.port = target.port;
    parameters.server_name = target.server_name;
    parameters.authorities_pem = target.authorities_pem;
    parameters.certificate_pem = target.certificate_pem;
    parameters.private_key_pem = target.private_key_pem;
    auto context = make_client_context(parameters);
    auto ssl = context ? make_client_ssl(context->get(), target.server_name)
                       : Result<SslPointer>(std::unexpected(context.error()));
    if (!ssl) {
      ::close(in);
      ::close(out);
      return std::unexpected(ssl.error());
    }
    Carrier carrier(target, *std::move(ssl), in, out);
    return carrier.carry();
  } catch (const std::exception& error) {
    return internal_error(std::string("a tunnel: ") + error.what());
  }
}

namespace {

class ListenerImpl final : public TunnelListener {
 public:
  ListenerImpl(TunnelListenerParameters parameters, int listener, int stop)
      : parameters_(std::move(parameters)),
        listener_(listener),
        stop_(stop),
        workers_("tunnel", kTunnelsMax, kTunnelsMax),
        accepting_("tunnel-accept", 1, 1) {}
  ~ListenerImpl() override {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_, &one, sizeof one);
    accepting_.stop();
    {
      const std::lock_guard lock(mutex_);
      for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
    }
    workers_.stop();
    ::close(listener_);
    ::close(stop_);
  }
  ListenerImpl(const ListenerImpl&) = delete;
  ListenerImpl& operator=(const ListenerImpl&) = delete;

  void begin() {
    MERLON_CHECK(accepting_.submit([this] { accept_all(); }));
  }
  uint16_t port() const override {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

 private:
  void accept_all() {
    for (;;) {
      pollfd waited[2] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (::poll(waited, 2, -1) < 0 && errno != EINTR) return;
      if (waited[1].revents != 0) return;
      if (waited[0].revents == 0) continue;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket < 0) continue;
      if (!workers_.submit([this, socket] { carry(socket); })) ::close(socket);
    }
  }
  void carry(int socket) {
    const auto target = parameters_.open();
    if (!target) {
      ::close(socket);
      parameters_.refused(target.error());
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      open_.insert(socket);
    }
    // Both ways of one socket: each descriptor is closed by itself.
    const int other = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    const int kept = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
    const auto how = other < 0 || kept < 0 ? Result<std::string>(unavailable("no descriptor is left"))
                                           : carry_tunnel(*target, other, kept);
    {
      const std::lock_guard lock(mutex_);
      open_.erase(socket);
    }
    ::close(socket);
    parameters_.closed(*target, how);
  }

  const TunnelListenerParameters parameters_;
  const int listener_;
  const int stop_;
  std::mutex mutex_;
  std::set<int> open_;
  WorkerPool workers_;
  WorkerPool accepting_;
};

}  // namespace

Result<std::unique_ptr<TunnelListener>> TunnelListener::start(TunnelListenerParameters parameters) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(parameters.port);
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, SOMAXCONN) != 0) {
    const std::string why = std::strerror(errno);
    if (listener >= 0) ::close(listener);
    return fail(ErrorKind::conflict, "CannotListen",
                "Cannot listen on 127.0.0.1:" + std::to_string(parameters.port) + ": " + why +
                    ". Choose another port (--port), or 0 for any free one.");
  }
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  auto made = std::make_unique<ListenerImpl>(std::move(parameters), listener, stop);
  made->begin();
  return made;
}

}  // namespace merlon::net

// See loopback_server.h. One thread does all I/O; the checks of a request's head are the edge's (edge.h).
#include "net/loopback_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

// After the above, whose names it would take.
// tidy: allow(include) because SO_ORIGINAL_DST is a socket option: where a redirected connection was going
#include <linux/netfilter_ipv4.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <map>
#include <set>
#include <string>

#include "base/log.h"
#include "net/edge.h"
#include "net/head_parser.h"
#include "net/socket_owner.h"
#include "net/worker_pool.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr size_t kReadSize = 4096;

std::optional<std::pair<IpAddress, uint16_t>> meant_by(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &address, &size) != 0 || address.sin_family != AF_INET)
    return std::nullopt;
  return std::pair(IpAddress::from_v4(ntohl(address.sin_addr.s_addr)), ntohs(address.sin_port));
}

struct OpenDoor {
  explicit OpenDoor(asio::io_context& context) : acceptor(context), lingering(context) {}
  tcp::acceptor acceptor;
  asio::steady_timer lingering;
  uint16_t port = 0;
  size_t connections = 0;
};

// All that connections share. It outlives the server for as long as one of them goes on.
struct Shared {
  Shared(LoopbackServer::Handle given, LoopbackLimits given_limits)
      : handle(std::move(given)),
        limits(given_limits),
        workers("loopback", limits.workers, limits.queue_max) {}
  const LoopbackServer::Handle handle;
  const LoopbackLimits limits;
  asio::io_context context{1};
  std::map<uint16_t, std::shared_ptr<OpenDoor>> doors;  // of the I/O thread
  std::set<beast::tcp_stream*> streams;                 // likewise
  WorkerPool workers;
};

class Visit : public std::enable_shared_from_this<Visit> {
 public:
  Visit(std::shared_ptr<Shared> shared, std::shared_ptr<OpenDoor> door, tcp::socket socket)
      : shared_(std::move(shared)),
        door_(std::move(door)),
        stream_(std::move(socket)),
        answered_(shared_->context) {
    ++door_->connections;
    shared_->streams.insert(&stream_);
  }
  ~Visit() {
    --door_->connections;
    shared_->streams.erase(&stream_);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  static asio::awaitable<void> run(std::shared_ptr<Visit> self) {
    self->stream_.expires_after(self->shared_->limits.request_timeout);
    const bool read = co_await self->read();
    if (!read) co_return;
    if (!self->response_) self->ask();
    while (!self->response_) {
      self->answered_.expires_at(asio::steady_timer::time_point::max());
      [[maybe_unused]] const auto [woken] = co_await self->answered_.async_wait(kToken);
      if (!self->stream_.socket().is_open()) co_return;
    }
    ResponseContext context;
    context.request_id = {};
    context.close = true;
    std::string text = response_head(*self->response_, context);
    text += self->response_->body;
    self->stream_.expires_after(self->shared_->limits.response_timeout);
    const auto bytes = asio::buffer(text);
    const auto [error, count] = co_await asio::async_write(self->stream_, bytes, kToken);
    beast::error_code ignored;
    if (!error) self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

 private:
  asio::awaitable<bool> read() {
    std::string bytes;
    for (;;) {
      const size_t end = bytes.find(kHeadEnd);
      if (end != std::string::npos) {
        if (end + kHeadEnd.size() != bytes.size())
          reject({400, "InvalidHeader", "Nothing may follow the request's head."});
        else
          accept(bytes);
        co_return true;
      }
      if (bytes.size() >= shared_->limits.head_bytes_max) {
        reject({431, "RequestHeaderFieldsTooLarge", "The request's line and headers are too long."});
        co_return true;
      }
      std::array<char, kReadSize> part{};
      const auto space = asio::buffer(part);
      const auto [error, count] = co_await stream_.async_read_some(space, kToken);
      if (error) co_return false;
      bytes.append(part.data(), count);
    }
  }

  void reject(const Rejection& rejection) { response_ = error_response(rejection); }

  void accept(const std::string& raw) {
    Head head;
    std::optional<RequestParser> parser;
    const auto framing = parse_head(raw, {shared_->limits.head_bytes_max, 0}, parser, head);
    if (!framing) return reject(framing.error());
    if (framing->has_body) return reject({413, "RequestEntityTooLarge", "No body is accepted here."});
    auto target = parse_target(head.target);
    if (!target) return reject({400, target.error().code, target.error().message});
    request_.method = head.method;
    request_.target = head.target;
    request_.path = std::move(target->path);
    request_.segments = std::move(target->segments);
    request_.query = std::move(target->query);
    request_.headers = head.headers;
    request_.host = framing->host;
    beast::error_code error;
    const auto peer = stream_.socket().remote_endpoint(error);
    if (error || !peer.address().is_v4()) return;
    request_.peer = IpAddress::from_v4(peer.address().to_v4().to_uint());
    peer_port_ = peer.port();
  }

  void ask() {
    Door door{.port = door_->port, .meant = meant_by(stream_.socket().native_handle())};
    door.user = socket_owner({request_.peer, peer_port_},
                             door.meant.value_or(std::pair(IpAddress::from_v4(INADDR_LOOPBACK), door.port)));
    stream_.expires_never();
    // The last hold on a visit is let go on the I/O thread, whatever it is that ends last.
    const bool queued = shared_->workers.submit([self = shared_from_this(), door]() mutable {
      Response response = self->shared_->handle(self->request_, door);
      asio::io_context& context = self->shared_->context;
      asio::post(context, [self = std::move(self), answer = std::move(response)]() mutable {
        self->response_ = std::move(answer);
        self->answered_.cancel();
      });
    });
    if (!queued) reject({503, "ServerBusy", "Too many requests are waiting. Try again in a second."});
  }

  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<OpenDoor> door_;
  beast::tcp_stream stream_;
  asio::steady_timer answered_;
  Request request_;
  uint16_t peer_port_ = 0;
  std::optional<Response> response_;
};

void answer_at(const std::shared_ptr<Shared>& shared, const std::shared_ptr<OpenDoor>& door,
               tcp::socket socket) {
  asio::co_spawn(shared->context, Visit::run(std::make_shared<Visit>(shared, door, std::move(socket))),
                 asio::detached);
}

asio::awaitable<void> accept_at(std::shared_ptr<Shared> shared, std::shared_ptr<OpenDoor> door) {
  asio::steady_timer pause(shared->context);
  while (door->acceptor.is_open()) {
    auto [error, socket] = co_await door->acceptor.async_accept(kToken);
    if (error == asio::error::operation_aborted) co_return;
    if (error || door->connections >= shared->limits.connections_per_door_max) {
      socket.close(error);
      pause.expires_after(kAcceptPause);
      [[maybe_unused]] const auto [woken] = co_await pause.async_wait(kToken);
      continue;
    }
    answer_at(shared, door, std::move(socket));
  }
}

// The kernel resets connections that wait to be accepted when their port closes: they are accepted first.
asio::awaitable<void> close_door(std::shared_ptr<Shared> shared, std::shared_ptr<OpenDoor> door,
                                 std::chrono::milliseconds linger) {
  if (linger.count() > 0) {
    door->lingering.expires_after(linger);
    [[maybe_unused]] const auto [woken] = co_await door->lingering.async_wait(kToken);
  }
  boost::system::error_code error;
  door->acceptor.non_blocking(true, error);
  while (!error && door->connections < shared->limits.connections_per_door_max) {
    tcp::socket socket(shared->context);
    door->acceptor.accept(socket, error);
    if (!error) answer_at(shared, door, std::move(socket));
  }
  door->acceptor.close(error);
  const auto known = shared->doors.find(door->port);
  if (known != shared->doors.end() && known->second == door) shared->doors.erase(known);
}

class LoopbackServerImpl final : public LoopbackServer {
 public:
  LoopbackServerImpl(Handle handle, LoopbackLimits limits)
      : shared_(std::make_shared<Shared>(std::move(handle), limits)),
        guard_(shared_->context.get_executor()) {
    MERLON_CHECK(io_.submit([shared = shared_] { shared->context.run(); }));
  }
  ~LoopbackServerImpl() override {
    asio::post(shared_->context, [shared = shared_.get()] {
      for (auto& [port, door] : shared->doors) {
        door->lingering.cancel();
        door->acceptor.close();
      }
      shared->doors.clear();
      for (beast::tcp_stream* stream : shared->streams) stream->close();
    });
    shared_->workers.stop();
    guard_.reset();  // the thread ends with the last of what goes on
    io_.stop();
  }
  LoopbackServerImpl(const LoopbackServerImpl&) = delete;
  LoopbackServerImpl& operator=(const LoopbackServerImpl&) = delete;

  Result<uint16_t> open(uint16_t port) override {
    const auto door = std::make_shared<OpenDoor>(shared_->context);
    boost::system::error_code error;
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
    door->acceptor.open(endpoint.protocol(), error);
    if (!error) door->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) door->acceptor.bind(endpoint, error);
    if (!error) door->acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (!error) door->port = door->acceptor.local_endpoint(error).port();
    if (error) {
      const bool taken = error == asio::error::address_in_use;
      return fail(taken ? ErrorKind::conflict : ErrorKind::unavailable,
                  taken ? "AddressInUse" : "CannotListen",
                  "Cannot listen on 127.0.0.1:" + std::to_string(port) + ": " + error.message() +
                      (taken ? ". Another program, such as Azure's own agent, listens there." : "."));
    }
    asio::post(shared_->context, [shared = shared_, door] {
      shared->doors.emplace(door->port, door);
      asio::co_spawn(shared->context, accept_at(shared, door), asio::detached);
    });
    return door->port;
  }

  void close(uint16_t port, std::chrono::milliseconds linger) override {
    asio::post(shared_->context, [shared = shared_, port, linger] {
      const auto door = shared->doors.find(port);
      if (door == shared->doors.end()) return;
      asio::co_spawn(shared->context, close_door(shared, door->second, linger), asio::detached);
    });
  }

 private:
  std::shared_ptr<Shared> shared_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  WorkerPool io_{"loopback-io", 1, 1};
};

}  // namespace

std::unique_ptr<LoopbackServer> LoopbackServer::start(Handle handle, LoopbackLimits limits) {
  return std::make_unique<LoopbackServerImpl>(std::move(handle), limits);
}

}  // namespace merlon::net

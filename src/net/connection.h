// One TLS connection of the server: a coroutine on one I/O thread, requests strictly one after another.
// Everything here happens on that thread; a handler's answer is posted to it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "net/edge.h"
#include "net/head_parser.h"
#include "net/server.h"
#include "net/tls.h"
#include "net/worker_pool.h"

namespace merlon::net {

class Connection;

// One I/O thread's context and its connections, which that thread alone touches.
struct Loop {
  boost::asio::io_context context{1};
  std::unordered_set<Connection*> connections;
  bool stopping = false;
};

// Counts connections, all and per peer. A peer is an IPv4 address or an IPv6 /64, which one host usually
// owns; once it has shown its certificate, it is that certificate instead: a whole fleet may come from one
// address.
class Admission {
 public:
  explicit Admission(const ServerLimits& limits)
      : all_max_(limits.connections_max),
        peer_max_(limits.connections_per_peer_max),
        certificate_max_(limits.connections_per_certificate_max) {}
  bool enter(const IpAddress& peer);
  // False when the certificate (its digest) has too many already; the connection then counts as before.
  bool recognise(const IpAddress& peer, const std::string& certificate);
  void leave(const IpAddress& peer, const std::string& certificate);  // empty = never recognised
  bool wait_until_empty(std::chrono::milliseconds timeout);

 private:
  static IpPrefix peer_key(const IpAddress& peer);
  const size_t all_max_;
  const size_t peer_max_;
  const size_t certificate_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t all_ = 0;
  std::map<IpPrefix, size_t> peers_;
  std::map<std::string, size_t> certificates_;
};

// What all connections of a server share; constant after start but for the parts that lock.
struct ServerCore {
  ServerCore(const ServerLimits& given, Handler given_handler)
      : limits(given),
        handler(std::move(given_handler)),
        admission(given),
        workers("net-worker", given.workers, given.queue_max) {}
  const ServerLimits limits;
  const Handler handler;
  ServedNames served;
  Admission admission;
  WorkerPool workers;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `peer` has been admitted; the connection leaves for it.
  Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<Loop> loop,
             std::shared_ptr<const ServerTls> tls, boost::asio::ip::tcp::socket socket,
             const IpAddress& peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  static boost::asio::awaitable<void> run(std::shared_ptr<Connection> self);
  void close_if_idle();  // and after the current answer otherwise
  void close_now();
  void deliver(uint64_t sequence, Response response);

 private:
  enum class Step { ready, rejected, gone };

  boost::asio::awaitable<bool> handshake();
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<Step> read_request();
  boost::asio::awaitable<Step> read_head();
  boost::asio::awaitable<Step> read_body(bool expects_continue);
  boost::asio::awaitable<void> await_answer();
  boost::asio::awaitable<bool> write_response(bool close);
  boost::asio::awaitable<void> shut_down();
  Step reject(Rejection rejection);
  Step accept_head(std::string_view raw);
  Step check_request(const Head& head, const Framing& framing);
  void dispatch();

  const std::shared_ptr<ServerCore> core_;
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<const ServerTls> tls_;
  const IpAddress peer_;
  IpAddress local_;
  boost::asio::ssl::stream<boost::beast::tcp_stream> stream_;
  boost::asio::steady_timer answered_;
  const HeadLimits limits_;
  boost::beast::flat_buffer buffer_;
  std::optional<RequestParser> parser_;
  Plane plane_ = Plane::control;
  std::string client_certificate_pem_;
  std::string counted_as_;  // its digest, once admission has recognised it

  Request request_;
  std::optional<Response> response_;
  uint64_t sequence_ = 0;
  bool expects_continue_ = false;
  bool head_only_ = false;
  bool keep_alive_ = false;
  bool idle_ = true;      // nothing of a request has arrived
  bool aborted_ = false;  // close_now() was called
};

}  // namespace merlon::net

// One TLS connection of the server: a coroutine on one I/O thread, requests strictly one after another.
// Everything here happens on that thread; a handler's answer is posted to it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "net/edge.h"
#include "net/head_parser.h"
#include "net/server.h"
#include "net/tls_stream.h"
#include "net/worker_pool.h"

namespace merlon::net {

class Connection;

// One I/O thread's context and its connections, which that thread alone touches.
struct Loop {
  boost::asio::io_context context{1};
  std::unordered_set<Connection*> connections;
  Timer look{context};  // at the connections' deadlines
  bool stopping = false;
};
// Closes each connection whose deadline has passed, looking every `period`, until the loop has stopped and
// has none left. One timer for all: with one for each wait, starting and cancelling it took a tenth of a
// short request.
Awaitable<void> watch_deadlines(std::shared_ptr<Loop> loop, std::chrono::milliseconds period);

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
  explicit ServerCore(const ServerParameters& given)
      : limits(given.limits),
        answer_at_once(given.answer_at_once),
        begin_at_once(given.begin_at_once),
        upgrade(given.upgrade),
        handler(given.handler),
        admission(given.limits),
        workers("net-worker", given.limits.workers, given.limits.queue_max),
        endings("net-ending", kEndingThreads, given.limits.connections_max) {}
  static constexpr unsigned kEndingThreads = 4;
  const ServerLimits limits;
  const QuickHandler answer_at_once;  // may be none
  const BeginHandler begin_at_once;   // may be none
  const UpgradeHandler upgrade;       // may be none
  const Handler handler;
  ServedNames served;
  Admission admission;
  WorkerPool workers;
  WorkerPool endings;  // what is said of tunnels that have ended: room for each that there may be
};

class TunnelRelay;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `peer` has been admitted; the connection leaves for it.
  Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<Loop> loop,
             std::shared_ptr<const ServerTls> tls, Socket socket, const IpAddress& peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  static Awaitable<void> run(std::shared_ptr<Connection> self);
  void close_if_idle();  // and after the current answer otherwise
  void close_now();
  void look(Steady::time_point now);  // closes it when it is late, and keeps no buffers for one that is quiet
  void deliver(uint64_t sequence, Response response);
  void deliver_plan(uint64_t sequence, TunnelPlan plan);

 private:
  enum class Step { ready, rejected, gone };
  static constexpr unsigned kLooksUntilQuiet = 2;

  Awaitable<bool> handshake();
  Awaitable<void> serve();
  Awaitable<Step> read_request();
  Awaitable<Step> read_head();
  Awaitable<Step> read_body(bool expects_continue);
  Awaitable<void> await_answer();
  void make_answer(bool close);
  bool send(std::string_view& rest);
  Awaitable<bool> send_rest(std::string_view rest);
  Awaitable<void> shut_down();
  void expires_after(std::chrono::milliseconds time);
  void expires_never() { deadline_ = Steady::time_point::max(); }
  void touch() { looks_since_touch_ = 0; }
  void close_socket();
  Step reject(Rejection rejection);
  Step accept_head(std::string_view raw);
  Step check_request(Head head, Framing framing);
  bool answered_at_once();
  bool begun_at_once(const std::shared_ptr<const Request>& request);
  void dispatch();
  bool asks_for_tunnel();
  void dispatch_upgrade();
  Awaitable<bool> run_tunnel();  // false: there is a response to write instead

  const std::shared_ptr<ServerCore> core_;
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<const ServerTls> tls_;
  const IpAddress peer_;
  IpAddress local_;
  TlsStream stream_;
  Timer answered_;
  Steady::time_point deadline_ = Steady::time_point::max();  // of what is waited for
  const HeadLimits limits_;
  boost::beast::flat_buffer buffer_;
  std::optional<RequestParser> parser_;  // none where the request was but a plain head
  Plane plane_ = Plane::control;
  std::string client_certificate_pem_;
  std::string counted_as_;  // its digest, once admission has recognised it

  Request request_;
  std::optional<Response> response_;
  std::string answer_;  // the response's head, and its body where that is short
  std::string body_;    // else
  std::optional<TunnelPlan> plan_;
  std::shared_ptr<TunnelRelay> tunnel_;
  uint64_t sequence_ = 0;
  unsigned looks_since_touch_ = kLooksUntilQuiet;  // since bytes were read or sent last
  bool expects_continue_ = false;
  bool head_only_ = false;
  bool keep_alive_ = false;
  bool idle_ = true;               // nothing of a request has arrived
  bool waits_for_answer_ = false;  // all of a request has arrived, and nothing is read meanwhile
  bool aborted_ = false;           // close_now() was called
};

}  // namespace merlon::net

// See connection.h. Each wait has its deadline: the loop closes the socket when one has passed, so a
// slow client costs a bounded time whatever it sends. Coroutine statements keep the forms that GCC 12
// compiles correctly: one co_await each, arguments named first.
#include "net/connection.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "base/uuid.h"
#include "net/tunnel_relay.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable_t<Executor>());
constexpr auto kShutdownTimeout = std::chrono::seconds(2);
constexpr size_t kDrainBytesMax = 1024 * 1024;
constexpr size_t kReadSize = 16 * 1024;
constexpr size_t kJoinedBodyMax = 16 * 1024;  // up to a TLS record, head and body go out as one
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// Request ids are no secrets, but a guessable one would let a log be written about in advance. Many at a
// time: a call costs the same for one as for a hundred.
class OpensslRandom final : public Random {
 public:
  void fill(std::span<uint8_t> out) override {
    if (left_ < out.size()) {
      MERLON_CHECK(RAND_bytes(pool_.data(), static_cast<int>(pool_.size())) == 1);
      left_ = pool_.size();
    }
    std::copy_n(pool_.end() - static_cast<std::ptrdiff_t>(left_), out.size(), out.begin());
    left_ -= out.size();
  }

 private:
  std::array<uint8_t, 2048> pool_{};
  size_t left_ = 0;
};

std::string new_request_id() {
  thread_local OpensslRandom random;
  return Uuid::generate(random).text();
}

IpAddress from_asio(const asio::ip::address& address) {
  if (address.is_v4()) return IpAddress::from_v4(address.to_v4().to_uint());
  return IpAddress::from_v6(address.to_v6().to_bytes());
}

template <class Key>
void take_from(std::map<Key, size_t>& counts, const Key& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

void run_handler(const Handler& handler, Request request, const Responder& responder) {
  const std::string id = request.request_id;
  std::string cause = "unknown exception";
  try {
    handler(std::move(request), responder);
    return;
  } catch (const std::exception& error) {
    cause = error.what();
  } catch (...) {  // the cause is said above
  }
  log(LogLevel::error, "a handler threw", {{"requestId", id}, {"cause", cause}});
  responder(
      error_response({500, "InternalServerError",
                      "Merlon could not complete the request because of a fault of its own. The server's log "
                      "has the details under the x-ms-request-id of this response."}));
}

}  // namespace

IpPrefix Admission::peer_key(const IpAddress& peer) {
  return IpPrefix::make(peer, peer.is_v4() ? 32 : 64).value_or(IpPrefix(peer));
}

bool Admission::enter(const IpAddress& peer) {
  const std::lock_guard lock(mutex_);
  if (all_ >= all_max_) return false;
  size_t& count = peers_[peer_key(peer)];
  if (count >= peer_max_) return false;
  ++count;
  ++all_;
  return true;
}

bool Admission::recognise(const IpAddress& peer, const std::string& certificate) {
  const std::lock_guard lock(mutex_);
  size_t& count = certificates_[certificate];
  if (count >= certificate_max_) return false;
  ++count;
  take_from(peers_, peer_key(peer));
  return true;
}

void Admission::leave(const IpAddress& peer, const std::string& certificate) {
  const std::lock_guard lock(mutex_);
  if (certificate.empty())
    take_from(peers_, peer_key(peer));
  else
    take_from(certificates_, certificate);
  --all_;
  changed_.notify_all();
}

bool Admission::wait_until_empty(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [this] { return all_ == 0; });
}

Connection::Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<Loop> loop,
                       std::shared_ptr<const ServerTls> tls, Socket socket, const IpAddress& peer)
    : core_(std::move(core)),
      loop_(std::move(loop)),
      tls_(std::move(tls)),
      peer_(peer),
      stream_(std::move(socket), tls_->make_ssl().release()),
      answered_(loop_->context),
      limits_{core_->limits.header_bytes_max, core_->limits.body_bytes_max},
      buffer_(core_->limits.header_bytes_max + 128 * 1024) {
  beast::error_code ignored;
  Socket& raw = stream_.next_layer();
  local_ = from_asio(raw.local_endpoint(ignored).address());
  raw.set_option(tcp::no_delay(true), ignored);
}

Connection::~Connection() { core_->admission.leave(peer_, counted_as_); }

Awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
  self->loop_->connections.insert(self.get());
  try {
    if (!self->loop_->stopping) co_await self->serve();
  } catch (const std::exception& error) {
    log(LogLevel::error, "a connection ended by an exception",
        {{"peer", self->peer_.text()}, {"cause", error.what()}});
  }
  self->loop_->connections.erase(self.get());
  if (self->loop_->stopping && self->loop_->connections.empty()) self->loop_->look.cancel();
  self->close_socket();
}

Awaitable<void> watch_deadlines(std::shared_ptr<Loop> loop, std::chrono::milliseconds period) {
  while (!loop->stopping || !loop->connections.empty()) {
    loop->look.expires_after(period);
    [[maybe_unused]] const auto [woken] = co_await loop->look.async_wait(kToken);
    const auto now = Steady::now();
    for (Connection* connection : loop->connections) connection->close_if_late(now);
  }
}

void Connection::close_socket() {
  beast::error_code ignored;
  stream_.next_layer().close(ignored);
}

// What waits on the socket ends with an error; the set of connections does not change before that runs.
void Connection::close_if_late(Steady::time_point now) {
  if (now >= deadline_) close_socket();
}

void Connection::close_if_idle() {
  if (tunnel_) tunnel_->finish(TunnelEnd::server_stopping, "the server stops");
  if (idle_) close_now();
}

void Connection::close_now() {
  aborted_ = true;
  answered_.cancel();
  close_socket();
}

void Connection::deliver(uint64_t sequence, Response response) {
  if (sequence != sequence_ || response_) return;
  response_ = std::move(response);
  answered_.cancel();
}

Awaitable<bool> Connection::handshake() {
  expires_after(core_->limits.handshake_timeout);
  const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kToken);
  if (error) {
    log(LogLevel::debug, "TLS handshake failed", {{"peer", peer_.text()}, {"cause", error.message()}});
    co_return false;
  }
  const SSL* ssl = stream_.native_handle();
  plane_ = tls_->plane_of(ssl);
  if (plane_ == Plane::agents) {
    client_certificate_pem_ = peer_certificate_pem(ssl);
    // The context asks for it and refuses resumption; this is the second lock on that door.
    if (client_certificate_pem_.empty() || SSL_session_reused(ssl) == 1) co_return false;
    const std::string digest = peer_certificate_digest(ssl);
    if (digest.empty() || !core_->admission.recognise(peer_, digest)) {
      log(LogLevel::debug, "connection refused: too many are open with one agent's certificate",
          {{"peer", peer_.text()}});
      co_return false;
    }
    counted_as_ = digest;
  }
  co_return true;
}

Awaitable<void> Connection::serve() {
  const bool secured = co_await handshake();
  if (!secured) co_return;
  for (;;) {
    const Step step = co_await read_request();
    if (step == Step::gone) co_return;
    if (step == Step::ready) {
      if (asks_for_tunnel()) {
        dispatch_upgrade();
        co_await await_answer();
        const bool carried = co_await run_tunnel();
        if (carried) co_return;
      } else if (!answered_at_once()) {
        dispatch();
        co_await await_answer();
      }
    }
    if (aborted_ || !response_) co_return;
    const bool close = step == Step::rejected || !keep_alive_ || loop_->stopping;
    const bool written = co_await write_response(close);
    if (!written) co_return;
    if (close || loop_->stopping) break;
  }
  co_await shut_down();
}

Connection::Step Connection::reject(Rejection rejection) {
  log(LogLevel::debug, "request refused at the edge",
      {{"peer", peer_.text()},
       {"requestId", request_.request_id},
       {"status", rejection.status},
       {"code", rejection.code}});
  response_ = error_response(rejection);
  if (rejection.status == 405)
    response_->headers.set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  return Step::rejected;
}

Awaitable<Connection::Step> Connection::read_request() {
  ++sequence_;
  response_.reset();
  plan_.reset();
  parser_.reset();
  request_ = Request();
  request_.request_id = new_request_id();
  head_only_ = false;
  expects_continue_ = false;
  const Step head = co_await read_head();
  if (head != Step::ready) co_return head;
  if (parser_ && !parser_->is_done()) {
    const Step body = co_await read_body(expects_continue_);
    if (body != Step::ready) co_return body;
  }
  if (parser_) request_.body = std::move(parser_->get().body());
  expires_never();
  co_return Step::ready;
}

Awaitable<Connection::Step> Connection::read_head() {
  idle_ = buffer_.size() == 0;
  expires_after(idle_ ? core_->limits.idle_timeout : core_->limits.request_timeout);
  size_t searched = 0;
  for (;;) {
    const std::string_view bytes(static_cast<const char*>(buffer_.data().data()), buffer_.size());
    const size_t end = bytes.find(kHeadEnd, searched);
    const size_t size = end == std::string_view::npos ? bytes.size() : end + kHeadEnd.size();
    if (size > core_->limits.header_bytes_max) {
      co_return reject({431, "RequestHeaderFieldsTooLarge",
                        "The request's line and headers exceed " +
                            std::to_string(core_->limits.header_bytes_max) +
                            " bytes. Send fewer or shorter headers."});
    }
    if (end != std::string_view::npos) {
      const Step step = accept_head(bytes.substr(0, size));
      buffer_.consume(size);
      co_return step;
    }
    searched = bytes.size() < kHeadEnd.size() ? 0 : bytes.size() - (kHeadEnd.size() - 1);
    const auto space = buffer_.prepare(kReadSize);
    const auto [error, count] = co_await stream_.async_read_some(space, kToken);
    if (error) co_return Step::gone;
    buffer_.commit(count);
    if (idle_) {
      idle_ = false;
      expires_after(core_->limits.request_timeout);
    }
  }
}

Connection::Step Connection::accept_head(std::string_view raw) {
  Head head;
  auto framing = parse_head(raw, limits_, parser_, head);
  head_only_ = head.method == "HEAD";
  if (!framing) return reject(framing.error());
  return check_request(std::move(head), *std::move(framing));
}

Connection::Step Connection::check_request(Head head, Framing framing) {
  keep_alive_ = head.version >= 11 && (!parser_ || parser_->keep_alive());
  expects_continue_ = framing.expects_continue;
  if (auto rejection = check_served(core_->served, framing.host_name, plane_, local_))
    return reject(std::move(*rejection));
  auto target = parse_target(head.target);
  if (!target) return reject({400, target.error().code, target.error().message});
  request_.method = std::move(head.method);
  request_.target = std::move(head.target);
  request_.path = std::move(target->path);
  request_.segments = std::move(target->segments);
  request_.query = std::move(target->query);
  request_.headers = std::move(head.headers);
  request_.peer = peer_;
  request_.host = std::move(framing.host);
  request_.plane = plane_;
  request_.client_certificate_pem = client_certificate_pem_;
  return Step::ready;
}

Awaitable<Connection::Step> Connection::read_body(bool expects_continue) {
  if (expects_continue && buffer_.size() == 0) {
    const auto interim = asio::buffer(kContinue.data(), kContinue.size());
    const auto [error, count] = co_await asio::async_write(stream_, interim, kToken);
    if (error) co_return Step::gone;
  }
  const auto [error, count] = co_await http::async_read(stream_, buffer_, *parser_, kToken);
  if (!error) co_return Step::ready;
  if (error.category() != beast::error_code(http::error::body_limit).category() ||
      error == http::error::partial_message || error == http::error::end_of_stream) {
    co_return Step::gone;
  }
  co_return reject(body_rejection(error, limits_));
}

// On this thread, if that takes no waiting.
bool Connection::answered_at_once() {
  if (!core_->answer_at_once) return false;
  try {
    response_ = core_->answer_at_once(request_);
  } catch (const std::exception& error) {
    log(LogLevel::error, "an answer at once threw; a worker is asked",
        {{"requestId", request_.request_id}, {"cause", error.what()}});
  }
  return response_.has_value();
}

// Hands the request to a worker. The answer may come from any thread at any time, also after the server is
// gone.
void Connection::dispatch() {
  const std::weak_ptr<Loop> weak_loop = loop_;
  const std::weak_ptr<Connection> weak_self = weak_from_this();
  const uint64_t sequence = sequence_;
  const Responder responder([weak_loop, weak_self, sequence](Response response) {
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, sequence, answer = std::move(response)]() mutable {
      if (const auto self = weak_self.lock()) self->deliver(sequence, std::move(answer));
    });
  });
  const auto core = core_;
  const auto request = std::make_shared<Request>(std::move(request_));
  const std::string id = request->request_id;
  request_ = Request();
  request_.request_id = id;
  const bool queued = core_->workers.submit(
      [core, request, responder] { run_handler(core->handler, std::move(*request), responder); });
  if (queued) return;
  Response busy =
      error_response({503, "ServerBusy", "The server has too many requests waiting. Try again in a second."});
  busy.headers.set("Retry-After", "1");
  responder(std::move(busy));
}

Awaitable<void> Connection::await_answer() {
  while (!response_ && !plan_ && !aborted_) {
    answered_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await answered_.async_wait(kToken);
  }
}

Awaitable<bool> Connection::write_response(bool close) {
  ResponseContext context;
  context.request_id = request_.request_id;
  context.head_only = head_only_;
  context.close = close;
  std::string head = response_head(*response_, context);
  const std::string body = std::move(response_->body);
  const bool joined = body.size() <= kJoinedBodyMax;
  if (joined) head += body;
  expires_after(core_->limits.response_timeout);
  const auto head_bytes = asio::buffer(head);
  const auto [error, count] = co_await asio::async_write(stream_, head_bytes, kToken);
  if (error) co_return false;
  if (!joined) {
    const auto body_bytes = asio::buffer(body);
    const auto [body_error, body_count] = co_await asio::async_write(stream_, body_bytes, kToken);
    if (body_error) co_return false;
  }
  co_return true;
}

// Says goodbye and reads what is still coming for a moment: closing with bytes unread makes TCP reset the
// connection, and the client would lose the answer that tells it why (RFC 9112 section 9.6).
Awaitable<void> Connection::shut_down() {
  idle_ = true;
  Socket& lowest = stream_.next_layer();
  expires_after(kShutdownTimeout);
  [[maybe_unused]] const auto [shutdown_error] = co_await stream_.async_shutdown(kToken);
  if (!lowest.is_open()) co_return;
  beast::error_code ignored;
  lowest.shutdown(Socket::shutdown_send, ignored);
  std::array<char, 4096> waste{};
  const auto space = asio::buffer(waste);
  for (size_t drained = 0; drained < kDrainBytesMax;) {
    const auto [error, count] = co_await lowest.async_read_some(space, kToken);
    if (error) co_return;
    drained += count;
  }
}

}  // namespace merlon::net

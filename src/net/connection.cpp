// See connection.h. Each wait has its deadline: the loop closes the socket when one has passed, so a
// slow client costs a bounded time whatever it sends. Coroutine statements keep the forms that GCC 12
// compiles correctly: one co_await each, arguments named first.
#include "net/connection.h"

#include <openssl/rand.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
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

// Of version 7 (RFC 9562 section 5.7): the time in front, in milliseconds, and 74 random bits. Where requests
// are entered in order of time, an index over their ids then grows at one end.
std::string new_request_id() {
  thread_local OpensslRandom random;
  std::string id = Uuid::generate(random).text();
  timespec now{};
  MERLON_CHECK(::clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0);
  auto left = static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
  for (size_t at = 13; at-- > 0; left >>= 4)
    if (id[at] == '-')
      left <<= 4;  // no digit
    else
      id[at] = "0123456789abcdef"[left & 15];
  id[14] = '7';
  return id;
}

IpAddress from_asio(const asio::ip::address& address) {
  if (address.is_v4()) return IpAddress::from_v4(address.to_v4().to_uint());
  return IpAddress::from_v6(address.to_v6().to_bytes());
}

// Some milliseconds late, for a fraction of the price (clock_gettime(2), CLOCK_MONOTONIC_COARSE): of
// deadlines that are looked at a few times a second.
Steady::time_point about_now() {
  timespec now{};
  MERLON_CHECK(::clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0);
  return Steady::time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

Response answer_for_a_fault(const std::string& request_id, const std::string& cause) {
  log(LogLevel::error, "a handler threw", {{"requestId", request_id}, {"cause", cause}});
  return error_response(
      {500, "InternalServerError",
       "Merlon could not complete the request because of a fault of its own. The server's log "
       "has the details under the x-ms-request-id of this response."});
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
  responder(answer_for_a_fault(id, cause));
}

Response made_answer(const MakeAnswer& make, const std::string& request_id) {
  try {
    return make();
  } catch (const std::exception& error) {
    return answer_for_a_fault(request_id, error.what());
  }
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<Loop> loop,
                       std::shared_ptr<const ServerTls> tls, Socket socket, const IpAddress& peer)
    : core_(std::move(core)),
      loop_(std::move(loop)),
      tls_(std::move(tls)),
      peer_(peer),
      stream_(std::move(socket), tls_->make_ssl()),
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
    for (Connection* connection : loop->connections) connection->look(now);
  }
}

void Connection::expires_after(std::chrono::milliseconds time) { deadline_ = about_now() + time; }

void Connection::close_socket() {
  beast::error_code ignored;
  stream_.next_layer().close(ignored);
}

// What waits on the socket ends with an error; the set of connections does not change before that runs.
void Connection::look(Steady::time_point now) {
  if (now >= deadline_) close_socket();
  if (tunnel_ || looks_since_touch_ == kLooksUntilQuiet || ++looks_since_touch_ < kLooksUntilQuiet) return;
  // Agents do little but wait, by the thousand; and what was said on a quiet connection need not be in
  // memory.
  stream_.give_buffers_back();
  if (!idle_ && !waits_for_answer_) return;
  buffer_.shrink_to_fit();
  answer_ = {};
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
  const ErrorCode error = co_await stream_.handshake();
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
  touch();
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
    make_answer(close);
    std::string_view rest = answer_;
    if (!send(rest)) co_return;
    if (!rest.empty() || !body_.empty() || stream_.has_output()) {
      const bool sent = co_await send_rest(rest);
      if (!sent) co_return;
    }
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
  bool dry = !stream_.has_input();
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
    if (dry) {
      const auto input = stream_.input_space();
      const auto [failed, arrived] = co_await stream_.next_layer().async_read_some(input, kToken);
      if (failed) co_return Step::gone;
      stream_.filled(arrived);
      touch();
    }
    const auto space = buffer_.prepare(kReadSize);
    ErrorCode error;
    const size_t count = stream_.decrypt(space.data(), space.size(), error);
    buffer_.commit(count);
    dry = error == asio::error::would_block;
    if (error && !dry) co_return Step::gone;
    if (idle_ && count > 0) {
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
    const bool sent = co_await send_rest(kContinue);
    if (!sent) co_return Step::gone;
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

// What is not begun is asked of a worker.
bool Connection::begun_at_once(const std::shared_ptr<const Request>& request) {
  if (!core_->begin_at_once) return false;
  const std::weak_ptr<Loop> weak_loop = loop_;
  const std::weak_ptr<Connection> weak_self = weak_from_this();
  const uint64_t sequence = sequence_;
  const LateAnswer late([weak_loop, weak_self, sequence](MakeAnswer make) {
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, sequence, made_by = std::move(make)] {
      if (const auto self = weak_self.lock())
        self->deliver(sequence, made_answer(made_by, self->request_.request_id));
    });
  });
  try {
    return core_->begin_at_once(request, late);
  } catch (const std::exception& error) {
    log(LogLevel::error, "beginning an answer at once threw; a worker is asked",
        {{"requestId", request->request_id}, {"cause", error.what()}});
  }
  return false;
}

// Begins it, or hands it to a worker. The answer may come from any thread at any time, also after the server
// is gone.
void Connection::dispatch() {
  const auto core = core_;
  const auto request = std::make_shared<Request>(std::move(request_));
  const std::string id = request->request_id;
  request_ = Request();
  request_.request_id = id;
  parser_.reset();
  if (begun_at_once(request)) return;
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
  const bool queued = core_->workers.submit(
      [core, request, responder] { run_handler(core->handler, std::move(*request), responder); });
  if (queued) return;
  Response busy =
      error_response({503, "ServerBusy", "The server has too many requests waiting. Try again in a second."});
  busy.headers.set("Retry-After", "1");
  responder(std::move(busy));
}

Awaitable<void> Connection::await_answer() {
  waits_for_answer_ = true;
  while (!response_ && !plan_ && !aborted_) {
    answered_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await answered_.async_wait(kToken);
  }
  waits_for_answer_ = false;
}

void Connection::make_answer(bool close) {
  ResponseContext context;
  context.request_id = request_.request_id;
  context.head_only = head_only_;
  context.close = close;
  answer_ = response_head(*response_, context);
  body_ = std::move(response_->body);
  if (body_.size() <= kJoinedBodyMax) {
    answer_ += body_;
    body_.clear();
  }
  expires_after(core_->limits.response_timeout);
}

// Drops from `rest` what is on its way: all of it, as long as the socket takes it at once. False: the
// connection is gone.
bool Connection::send(std::string_view& rest) {
  touch();
  while (!rest.empty() && !stream_.has_output()) {
    const std::string_view record = rest.substr(0, TlsStream::kRecordMax);
    ErrorCode error;
    stream_.encrypt(record, error);
    if (error) return false;
    rest.remove_prefix(record.size());
  }
  return true;
}

// And the body, where it is not in the answer.
Awaitable<bool> Connection::send_rest(std::string_view rest) {
  std::string_view body = body_;
  for (;;) {
    if (!send(rest) || (rest.empty() && !send(body))) co_return false;
    if (stream_.has_output()) {
      const ErrorCode error = co_await stream_.flush();
      if (error) co_return false;
    } else if (rest.empty() && body.empty()) {
      co_return true;
    }
  }
}

// Says goodbye and reads what is still coming for a moment: closing with bytes unread makes TCP reset the
// connection, and the client would lose the answer that tells it why (RFC 9112 section 9.6).
Awaitable<void> Connection::shut_down() {
  idle_ = true;
  Socket& lowest = stream_.next_layer();
  expires_after(kShutdownTimeout);
  [[maybe_unused]] const ErrorCode shutdown_error = co_await stream_.shut_down();
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

// See tunnel_relay.h. Two coroutines carry bytes, one for each way; a third waits for the end, whatever it
// is, and takes leave of the client. Coroutine statements keep the forms that GCC 12 compiles correctly.
#include "net/tunnel_relay.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "base/log.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable_t<Executor>());
constexpr size_t kChunk = 64 * 1024;
constexpr size_t kDialogChunk = 32 * 1024;  // one frame of a dialog in each message
constexpr size_t kReasonMax = 123;  // RFC 6455 section 5.5: a control frame has 125 bytes, two are the code
constexpr auto kLeaveTimeout = std::chrono::seconds(2);
constexpr auto kGreetTimeout = std::chrono::seconds(10);
constexpr auto kBetweenLooks = std::chrono::seconds(1);
constexpr auto kFirstTry = std::chrono::milliseconds(250);
constexpr auto kLongestTry = std::chrono::milliseconds(4000);

// A peer that vanished is noticed within two minutes.
void keep_alive(int descriptor) {
  const int on = 1, idle_s = 60, between_s = 20, times = 3;
  ::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

websocket::close_code code_of(TunnelEnd end) {
  switch (end) {
    case TunnelEnd::protocol_error:
      return websocket::close_code::unknown_data;
    case TunnelEnd::idle:
    case TunnelEnd::cut:
      return websocket::close_code::policy_error;
    case TunnelEnd::server_stopping:
      return websocket::close_code::going_away;
    default:
      return websocket::close_code::normal;
  }
}

}  // namespace

std::string_view tunnel_end_text(TunnelEnd end) {
  switch (end) {
    case TunnelEnd::client_closed:
      return "ClientClosed";
    case TunnelEnd::target_closed:
      return "MachineClosed";
    case TunnelEnd::protocol_error:
      return "ProtocolError";
    case TunnelEnd::idle:
      return "Idle";
    case TunnelEnd::cut:
      return "Cut";
    case TunnelEnd::connect_failed:
      return "ConnectFailed";
    case TunnelEnd::server_stopping:
      return "ServerStopping";
  }
  return "Unknown";
}

TunnelEnding::~TunnelEnding() {
  if (!ended_) return;
  const auto work = [ended = std::move(ended_), said = std::move(outcome)] { ended(said); };
  // The queue for these is as long as there may be connections; a pool that has stopped has none to end.
  if (!core_->endings.submit(work)) log(LogLevel::error, "the end of a tunnel could not be told");
}

TunnelRelay::TunnelRelay(std::shared_ptr<Loop> loop, TlsStream& stream, TunnelPlan plan)
    : loop_(std::move(loop)),
      plan_(std::move(plan)),
      client_(stream),
      stream_(stream),
      target_(loop_->context),
      alarm_(loop_->context),
      turn_(loop_->context) {}

// One try. Closing the socket ends the wait for it.
Awaitable<boost::system::error_code> TunnelRelay::attempt(std::shared_ptr<TunnelRelay> self,
                                                          std::chrono::milliseconds time) {
  boost::system::error_code error;
  self->target_.close(error);
  const int family = self->plan_.address.is_v4() ? AF_INET : AF_INET6;
  const auto address = asio::ip::make_address(self->plan_.address.text(), error);
  if (!error) self->target_.open(asio::generic::stream_protocol(family, IPPROTO_TCP), error);
  if (error) co_return error;
  self->alarm_.expires_after(time);
  const std::weak_ptr<TunnelRelay> weak = self;
  const unsigned number = ++self->attempt_;
  self->alarm_.async_wait([weak, number](const boost::system::error_code& cancelled) {
    const auto relay = weak.lock();
    if (!relay || cancelled || relay->attempt_ != number) return;
    boost::system::error_code ignored;
    relay->target_.close(ignored);
  });
  const asio::ip::tcp::endpoint endpoint(address, self->plan_.port);
  const asio::generic::stream_protocol::endpoint generic(endpoint);
  const auto [connect_error] = co_await self->target_.async_connect(generic, kToken);
  ++self->attempt_;  // a limit that has passed just now, and is about to be told, comes too late
  self->alarm_.cancel();
  co_return connect_error;
}

// Several tries: the firewall of a machine drops what comes before its port is open, and the kernel's own
// second try would come a whole second later.
Awaitable<bool> TunnelRelay::dial(std::shared_ptr<TunnelRelay> self) {
  boost::system::error_code error;
  if (self->plan_.descriptor >= 0) {
    self->target_.assign(asio::generic::stream_protocol(AF_UNIX, 0), self->plan_.descriptor, error);
    if (!error) co_return true;
    ::close(self->plan_.descriptor);
    self->finish(TunnelEnd::connect_failed, error.message());
    co_return false;
  }
  const auto deadline = Steady::now() + self->plan_.connect_timeout;
  auto time = kFirstTry;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Steady::now());
    error = co_await attempt(self, std::min(time, std::max(left, kFirstTry)));
    if (!error) break;
    const bool late = error == asio::error::operation_aborted;
    const bool again = late || (self->plan_.patient && error == asio::error::connection_refused);
    if (!again || self->finished_ || Steady::now() >= deadline) {
      self->finish(TunnelEnd::connect_failed, late ? "no answer in time" : error.message());
      co_return false;
    }
    if (!late) {
      self->alarm_.expires_after(kFirstTry);
      [[maybe_unused]] const auto [woken] = co_await self->alarm_.async_wait(kToken);
    }
    time = std::min(time * 2, kLongestTry);
  }
  keep_alive(self->target_.native_handle());
  co_return true;
}

TunnelControl TunnelRelay::control() {
  const std::weak_ptr<TunnelRelay> weak_self = weak_from_this();
  const std::weak_ptr<Loop> weak_loop = loop_;
  const auto cut = [weak_self, weak_loop](std::string reason) {
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, why = std::move(reason)] {
      if (const auto self = weak_self.lock()) self->finish(TunnelEnd::cut, why);
    });
  };
  if (!plan_.dialog) return TunnelControl(cut);
  return TunnelControl(cut, [weak_self, weak_loop](std::string text) {
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, text = std::move(text)] {
      const auto self = weak_self.lock();
      if (!self || self->finished_) return;
      asio::co_spawn(self->loop_->context, say(self, self->plan_.dialog->notice(text)), asio::detached);
    });
  });
}

void TunnelRelay::finish(TunnelEnd end, std::string detail) {
  if (finished_) return;
  finished_ = true;
  said().end = end;
  said().detail = std::move(detail);
  alarm_.cancel();
}

void TunnelRelay::one_ended() {
  --running_;
  alarm_.cancel();
}

Steady::time_point TunnelRelay::next_look() const {
  if (!plan_.idle_max) return Steady::time_point::max();
  return touched_ + *plan_.idle_max;
}

Awaitable<void> TunnelRelay::run(std::shared_ptr<TunnelRelay> self, const UpgradeRequest* request) {
  keep_alive(self->stream_.next_layer().native_handle());
  auto& client = self->client_;
  client.binary(true);
  client.auto_fragment(false);
  client.read_message_max(0);  // bytes go on as they come: no message is ever kept whole
  client.write_buffer_bytes(kChunk);
  client.set_option(websocket::stream_base::timeout{kGreetTimeout, websocket::stream_base::none(), false});
  const auto said_farewell = std::make_shared<bool>(false);
  client.control_callback([said_farewell](websocket::frame_type type, beast::string_view) {
    if (type == websocket::frame_type::close) *said_farewell = true;
  });
  const auto [accept_error] = co_await client.async_accept(*request, kToken);
  if (accept_error) {
    self->finish(TunnelEnd::protocol_error, accept_error.message());
    co_return;
  }
  if (self->plan_.dialog) {
    const bool there = co_await converse(self);
    if (!there) {
      co_await take_leave(self);
      co_return;
    }
  }
  if (self->plan_.started) self->plan_.started(self->control());
  self->touch();
  self->running_ = 2;
  asio::co_spawn(self->loop_->context, to_target(self), asio::detached);
  asio::co_spawn(self->loop_->context, to_client(self), asio::detached);
  while (!self->finished_) {
    self->alarm_.expires_at(std::min(self->next_look(), Steady::now() + kBetweenLooks));
    [[maybe_unused]] const auto [woken] = co_await self->alarm_.async_wait(kToken);
    // Beast's read that met a wrong frame, or the client's farewell, has answered it and now waits for the
    // client to close, without limit and without a word to us: its timeouts do not look at that wait.
    if (!self->finished_ && !client.is_open()) {
      self->finish(*said_farewell ? TunnelEnd::client_closed : TunnelEnd::protocol_error,
                   *said_farewell ? "" : "a frame was wrong");
    }
    if (!self->finished_ && Steady::now() >= self->next_look())
      self->finish(TunnelEnd::idle, "nothing was sent either way for too long");
  }
  co_await take_leave(self);
}

// Says why, waits a moment for the answer, and waits for both ways to have ended.
Awaitable<void> TunnelRelay::take_leave(std::shared_ptr<TunnelRelay> self) {
  boost::system::error_code ignored;
  self->target_.close(ignored);
  const TunnelEnd end = self->said().end;
  Socket& lowest = self->stream_.next_layer();
  if (end == TunnelEnd::client_closed) {
    lowest.close(ignored);
  } else {
    const std::weak_ptr<TunnelRelay> weak = self;
    Timer limit(self->loop_->context);
    limit.expires_after(kLeaveTimeout);
    limit.async_wait([weak](const boost::system::error_code& cancelled) {
      const auto relay = weak.lock();
      if (!relay || cancelled) return;
      boost::system::error_code none;
      relay->stream_.next_layer().close(none);
    });
    if (self->plan_.dialog) co_await say(self, self->plan_.dialog->farewell());
    const std::string reason = self->said().detail.substr(0, kReasonMax);
    const websocket::close_reason why(code_of(end), end == TunnelEnd::target_closed ? "" : reason);
    [[maybe_unused]] const auto [close_error] = co_await self->client_.async_close(why, kToken);
    limit.cancel();
    lowest.close(ignored);
  }
  while (self->running_ > 0) {
    self->alarm_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await self->alarm_.async_wait(kToken);
  }
}

Awaitable<void> TunnelRelay::to_target(std::shared_ptr<TunnelRelay> self) {
  auto& client = self->client_;
  beast::flat_buffer buffer(kChunk);
  uint64_t in_message = 0;
  while (!self->finished_) {
    const auto [error, count] = co_await client.async_read_some(buffer, kChunk, kToken);
    if (error) {
      const bool wrong = error == websocket::condition::protocol_violation;
      self->finish(wrong ? TunnelEnd::protocol_error : TunnelEnd::client_closed, error.message());
      break;
    }
    if (client.got_text()) {
      self->finish(TunnelEnd::protocol_error, "only binary messages are taken");
      break;
    }
    in_message += count;
    if (client.is_message_done()) {
      if (in_message == 0) {  // the client's way to say that there is nothing more
        self->finish(TunnelEnd::client_closed, {});
        break;
      }
      in_message = 0;
    }
    if (count == 0) continue;
    TunnelDialog::Step step;
    if (self->plan_.dialog) {
      auto heard = self->heard({static_cast<const char*>(buffer.data().data()), buffer.size()});
      if (!heard) break;
      step = *std::move(heard);
      buffer.consume(buffer.size());
      if (!step.to_client.empty()) co_await say(self, std::move(step.to_client));
    }
    const asio::const_buffer bytes = self->plan_.dialog ? asio::const_buffer(asio::buffer(step.to_target))
                                                        : asio::const_buffer(buffer.data());
    const auto [write_error, written] = co_await asio::async_write(self->target_, bytes, kToken);
    self->said().bytes_to_target += written;
    if (write_error) {
      self->finish(TunnelEnd::target_closed, write_error.message());
      break;
    }
    if (step.over) {
      self->finish(TunnelEnd::client_closed, {});
      break;
    }
    if (!self->plan_.dialog) buffer.consume(count);
    if (written > 0) self->touch();
  }
  self->one_ended();
}

Awaitable<void> TunnelRelay::to_client(std::shared_ptr<TunnelRelay> self) {
  std::vector<char> buffer(self->plan_.dialog ? kDialogChunk : kChunk);
  const auto space = asio::buffer(buffer);
  while (!self->finished_) {
    const auto [error, count] = co_await self->target_.async_read_some(space, kToken);
    if (error) {
      self->finish(TunnelEnd::target_closed, error == asio::error::eof ? "" : error.message());
      break;
    }
    if (self->plan_.dialog) {
      const std::string_view piece(buffer.data(), count);
      std::string framed = self->plan_.dialog->frames(piece);
      const bool told = co_await say(self, std::move(framed));
      if (!told) break;
    } else {
      const auto bytes = asio::buffer(buffer.data(), count);
      const auto [write_error, written] = co_await self->client_.async_write(bytes, kToken);
      if (write_error) {
        self->finish(TunnelEnd::client_closed, write_error.message());
        break;
      }
    }
    self->said().bytes_to_client += count;
    self->touch();
  }
  self->one_ended();
}

}  // namespace merlon::net

// A tunnel whose client says inside the WebSocket where it wants to go (TunnelDialog): until the other end is
// there. Coroutine statements keep the forms that GCC 12 compiles correctly.
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "base/log.h"
#include "net/tunnel_relay.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable_t<Executor>());
constexpr size_t kChunk = 16 * 1024;
constexpr auto kDialogTimeout = std::chrono::seconds(30);  // for the client to say where it wants to go

Result<TunnelPlan> opened_by(TunnelDialog& dialog) {
  try {
    return dialog.open();
  } catch (const std::exception& error) {
    return internal_error(std::string("a tunnel's dialog threw: ") + error.what());
  }
}

}  // namespace

Awaitable<bool> TunnelRelay::say(std::shared_ptr<TunnelRelay> self, std::string frames) {
  if (frames.empty()) co_return true;
  while (self->writing_) {
    self->turn_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await self->turn_.async_wait(kToken);
  }
  self->writing_ = true;
  const auto bytes = asio::buffer(frames);
  const auto [error, count] = co_await self->client_.async_write(bytes, kToken);
  self->writing_ = false;
  self->turn_.cancel();
  if (error) self->finish(TunnelEnd::client_closed, error.message());
  co_return !error;
}

// Nothing when it was wrong: the outcome says so then.
Result<TunnelDialog::Step> TunnelRelay::heard(std::string_view bytes) {
  auto step = plan_.dialog->take(bytes);
  if (!step) finish(TunnelEnd::protocol_error, step.error().message);
  return step;
}

Awaitable<bool> TunnelRelay::converse(std::shared_ptr<TunnelRelay> self) {
  const std::weak_ptr<TunnelRelay> weak = self;
  Timer limit(self->loop_->context);
  limit.expires_after(kDialogTimeout);
  limit.async_wait([weak](const boost::system::error_code& cancelled) {
    const auto relay = weak.lock();
    if (!relay || cancelled) return;
    relay->finish(TunnelEnd::idle, "the client did not say in time where it wants to go");
    boost::system::error_code ignored;
    relay->stream_.next_layer().close(ignored);
  });
  beast::flat_buffer buffer(kChunk);
  while (!self->finished_) {
    const auto [error, count] = co_await self->client_.async_read_some(buffer, kChunk, kToken);
    if (error) {
      self->finish(TunnelEnd::client_closed, error.message());
      break;
    }
    if (self->client_.got_text()) {
      self->finish(TunnelEnd::protocol_error, "only binary messages are taken");
      break;
    }
    auto heard = self->heard({static_cast<const char*>(buffer.data().data()), buffer.size()});
    buffer.consume(buffer.size());
    if (!heard) break;
    TunnelDialog::Step step = *std::move(heard);
    const bool told = co_await say(self, std::move(step.to_client));
    if (!told) break;
    if (step.over) {
      self->finish(TunnelEnd::client_closed, {});
      break;
    }
    if (!step.asks) continue;
    limit.cancel();
    const bool there = co_await open_target(self);
    co_return there && !self->finished_;
  }
  co_return false;
}

void TunnelRelay::deliver(Result<TunnelPlan> plan) {
  opened_ = std::move(plan);
  alarm_.cancel();
}

// The dialog's open() may wait for the store: a worker does that, and this waits for the worker.
Awaitable<bool> TunnelRelay::open_target(std::shared_ptr<TunnelRelay> self) {
  const std::weak_ptr<Loop> weak_loop = self->loop_;
  const std::weak_ptr<TunnelRelay> weak_self = self;
  const auto core = self->plan_.ending->core();
  const bool queued = core->workers.submit([core, weak_loop, weak_self, dialog = self->plan_.dialog] {
    auto made = std::make_shared<Result<TunnelPlan>>(opened_by(*dialog));
    if (*made) {  // whatever becomes of it from here on, its end is told
      (*made)->ending = std::make_shared<TunnelEnding>(core, std::exchange((*made)->ended, {}));
      (*made)->dialog = dialog;
    }
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, made] {
      if (const auto relay = weak_self.lock())
        relay->deliver(std::move(*made));
      else if (*made && (*made)->descriptor >= 0)
        ::close((*made)->descriptor);
    });
  });
  if (!queued) self->opened_ = fail(ErrorKind::unavailable, "ServerBusy", "The server has too much to do.");
  while (!self->opened_) {
    self->alarm_.expires_at(Steady::time_point::max());
    [[maybe_unused]] const auto [woken] = co_await self->alarm_.async_wait(kToken);
  }
  std::optional<Error> refused;
  if (*self->opened_) {
    const TunnelOutcome so_far = self->outcome();
    self->plan_ = **std::exchange(self->opened_, std::nullopt);
    if (self->finished_) {  // cut meanwhile
      self->said() = so_far;
      if (self->plan_.descriptor >= 0) ::close(self->plan_.descriptor);
      co_return false;
    }
    const bool reached = co_await dial(self);
    if (!reached) refused = fail(ErrorKind::unavailable, "ConnectFailed", self->outcome().detail).error();
  } else {
    refused = self->opened_->error();
    self->finish(TunnelEnd::connect_failed, refused->message);
  }
  if (refused) co_await say(self, self->plan_.dialog->notice(refused->message));
  co_await say(self, self->plan_.dialog->opened(refused ? &*refused : nullptr));
  co_return !refused;
}

}  // namespace merlon::net

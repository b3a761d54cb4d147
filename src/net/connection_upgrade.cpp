// A request that becomes a tunnel: whoever decides says where it leads, and then the connection is the
// tunnel's until it ends (tunnel_relay.h).
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "base/json.h"
#include "base/log.h"
#include "net/connection.h"
#include "net/tunnel_relay.h"

namespace merlon::net {
namespace asio = boost::asio;

// RFC 6455 section 4.2.1; Beast looks at the rest when it greets. Clients of Remote Desktop gateways say
// RDG_OUT_DATA where the RFC has GET (MS-TSGU section 3.3.5.1), and mean the same.
bool Connection::asks_for_tunnel() {
  if (!parser_ || !core_->upgrade) return false;
  if (request_.method == "RDG_OUT_DATA")
    parser_->get().method(boost::beast::http::verb::get);
  else if (request_.method != "GET")
    return false;
  return boost::beast::websocket::is_upgrade(parser_->get());
}

void Connection::dispatch_upgrade() {
  const std::weak_ptr<Loop> weak_loop = loop_;
  const std::weak_ptr<Connection> weak_self = weak_from_this();
  const uint64_t sequence = sequence_;
  const auto core = core_;
  const auto request = std::make_shared<Request>(std::move(request_));
  const std::string id = request->request_id;
  request_ = Request();
  request_.request_id = id;
  const auto answer = [weak_loop, weak_self, sequence](Response response) {
    const auto loop = weak_loop.lock();
    if (!loop) return;
    asio::post(loop->context, [weak_self, sequence, said = std::move(response)]() mutable {
      if (const auto self = weak_self.lock()) self->deliver(sequence, std::move(said));
    });
  };
  const bool queued = core->workers.submit([core, request, answer, weak_loop, weak_self, sequence, id] {
    try {
      auto decided = core->upgrade(std::move(*request));
      if (!decided) return answer(std::move(decided).error());
      // Whatever becomes of the plan from here on, its end is told.
      const auto ending = std::make_shared<TunnelEnding>(core, std::exchange(decided->ended, {}));
      ending->outcome.end = TunnelEnd::client_closed;
      const auto plan = std::make_shared<TunnelPlan>(*std::move(decided));
      plan->ending = ending;
      const auto loop = weak_loop.lock();
      if (!loop) return;
      asio::post(loop->context, [weak_self, sequence, plan] {
        if (const auto self = weak_self.lock())
          self->deliver_plan(sequence, std::move(*plan));
        else if (plan->descriptor >= 0)
          ::close(plan->descriptor);
      });
    } catch (const std::exception& error) {
      log(LogLevel::error, "an upgrade handler threw", {{"requestId", id}, {"cause", error.what()}});
      answer(error_response({500, "InternalServerError",
                             "Merlon could not complete the request because of a fault of its own."}));
    }
  });
  if (queued) return;
  Response busy =
      error_response({503, "ServerBusy", "The server has too many requests waiting. Try again in a second."});
  busy.headers.set("Retry-After", "1");
  response_ = std::move(busy);
}

void Connection::deliver_plan(uint64_t sequence, TunnelPlan plan) {
  if (sequence != sequence_ || response_ || plan_) {
    if (plan.descriptor >= 0) ::close(plan.descriptor);
    return;
  }
  plan_ = std::move(plan);
  answered_.cancel();
}

Awaitable<bool> Connection::run_tunnel() {
  if (!plan_ || aborted_) co_return false;
  if (buffer_.size() != 0) {  // RFC 6455 section 4.1: the client waits for the answer
    response_ = error_response({400, "BadRequest", "Bytes came before the WebSocket was there."});
    if (plan_->descriptor >= 0) ::close(plan_->descriptor);
    plan_.reset();
    co_return false;
  }
  expires_never();
  tunnel_ = std::make_shared<TunnelRelay>(loop_, stream_, *std::exchange(plan_, std::nullopt));
  // With a dialog the client is greeted first: only then it says where it wants to go.
  bool there = tunnel_->has_dialog();
  if (!there) {
    const bool dialled = co_await TunnelRelay::dial(tunnel_);
    there = dialled;
  }
  if (!there) {
    Response refused;
    refused.status = 502;
    refused.headers.set("Content-Type", "application/json; charset=utf-8");
    refused.body =
        to_text(JsonObject{{"message", "The machine could not be reached: " + tunnel_->outcome().detail +
                                           ". Check that it runs and that the port is served."}});
    response_ = std::move(refused);
    tunnel_.reset();
    co_return false;
  }
  const auto* upgrade_request = &parser_->get();
  co_await TunnelRelay::run(tunnel_, upgrade_request);
  tunnel_.reset();
  co_return true;
}

}  // namespace merlon::net

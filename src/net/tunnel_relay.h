// One tunnel on the server's side: dials, greets, carries bytes both ways, and ends. On the connection's I/O
// thread alone, but for cut().
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "net/connection.h"
#include "net/tunnel.h"

namespace merlon::net {

// Sees to it that `ended` is called once, on a worker, however the tunnel goes.
class TunnelEnding {
 public:
  TunnelEnding(std::shared_ptr<ServerCore> core, std::function<void(const TunnelOutcome&)> ended)
      : core_(std::move(core)), ended_(std::move(ended)) {}
  ~TunnelEnding();
  TunnelEnding(const TunnelEnding&) = delete;
  TunnelEnding& operator=(const TunnelEnding&) = delete;
  TunnelOutcome outcome;
  const std::shared_ptr<ServerCore>& core() const { return core_; }

 private:
  std::shared_ptr<ServerCore> core_;
  std::function<void(const TunnelOutcome&)> ended_;
};

class TunnelRelay : public std::enable_shared_from_this<TunnelRelay> {
 public:
  using UpgradeRequest = boost::beast::http::request<boost::beast::http::string_body>;

  // `stream` must outlive run().
  TunnelRelay(std::shared_ptr<Loop> loop, TlsStream& stream, TunnelPlan plan);
  // Whether the other end is there; else the outcome says why not.
  static Awaitable<bool> dial(std::shared_ptr<TunnelRelay> self);
  static Awaitable<void> run(std::shared_ptr<TunnelRelay> self, const UpgradeRequest* request);
  void finish(TunnelEnd end, std::string detail);  // the first says how it ended
  bool has_dialog() const { return plan_.dialog != nullptr; }
  const TunnelOutcome& outcome() const { return plan_.ending->outcome; }

 private:
  using Target = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

  static Awaitable<void> to_target(std::shared_ptr<TunnelRelay> self);
  static Awaitable<void> to_client(std::shared_ptr<TunnelRelay> self);
  // With a dialog (tunnel_dialog.cpp): until the other end is there; else the outcome says why not.
  static Awaitable<bool> converse(std::shared_ptr<TunnelRelay> self);
  static Awaitable<bool> open_target(std::shared_ptr<TunnelRelay> self);
  Result<TunnelDialog::Step> heard(std::string_view bytes);
  // Whoever writes to the client waits for whoever does already.
  static Awaitable<bool> say(std::shared_ptr<TunnelRelay> self, std::string frames);
  void deliver(Result<TunnelPlan> plan);
  static Awaitable<void> take_leave(std::shared_ptr<TunnelRelay> self);
  static Awaitable<boost::system::error_code> attempt(std::shared_ptr<TunnelRelay> self,
                                                      std::chrono::milliseconds time);
  void touch() { touched_ = Steady::now(); }
  void one_ended();
  Steady::time_point next_look() const;
  TunnelControl control();
  TunnelOutcome& said() { return plan_.ending->outcome; }

  const std::shared_ptr<Loop> loop_;
  TunnelPlan plan_;
  boost::beast::websocket::stream<TlsStream&, false> client_;  // no compression
  TlsStream& stream_;
  Target target_;
  Timer alarm_;
  Timer turn_;  // to write to the client
  bool writing_ = false;
  std::optional<Result<TunnelPlan>> opened_;  // what the dialog's open() came to
  Steady::time_point touched_ = Steady::now();
  unsigned attempt_ = 0;  // the time limit of one that is over must not end the next
  unsigned running_ = 0;
  bool finished_ = false;
};

}  // namespace merlon::net

// Listening, accepting, handing connections to the I/O threads, and stopping in order.
#include "net/server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "base/text.h"
#include "net/connection.h"

namespace merlon::net {
namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);  // when the process is out of descriptors
constexpr auto kStopGrace = std::chrono::seconds(5);
using WorkGuard = asio::executor_work_guard<asio::io_context::executor_type>;

Result<tcp::endpoint> parse_listen(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const std::string port = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  const bool digits =
      !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  const int number = digits ? std::stoi(port) : -1;
  if (!address || address->is_v4() == bracketed || number < 0 || number > 65535) {
    return fail(ErrorKind::invalid, "InvalidListenAddress",
                "Cannot listen on '" + text +
                    "': it is not ADDRESS:PORT with an IP address. Names are not resolved here; "
                    "write 127.0.0.1:8443 and [::1]:8443 instead of localhost:8443.",
                text);
  }
  boost::system::error_code error;
  const auto parsed = asio::ip::make_address(host, error);
  if (error)
    return fail(ErrorKind::invalid, "InvalidListenAddress",
                "Cannot listen on '" + text + "': " + error.message());
  return tcp::endpoint(parsed, static_cast<uint16_t>(number));
}

std::string address_text(const tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

IpAddress unmapped(const asio::ip::address& address) {
  if (address.is_v4()) return IpAddress::from_v4(address.to_v4().to_uint());
  return IpAddress::from_v6(address.to_v6().to_bytes());
}

Result<tcp::acceptor> listen_on(asio::io_context& context, const std::string& text) {
  const tcp::endpoint endpoint = TRY(parse_listen(text));
  boost::system::error_code error;
  tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  // Both families have a socket of their own, so no IPv4 peer ever arrives in IPv6 clothes.
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (!error) return acceptor;
  const bool taken = error == asio::error::address_in_use;
  return fail(taken ? ErrorKind::conflict : ErrorKind::unavailable, taken ? "AddressInUse" : "CannotListen",
              "Cannot listen on " + text + ": " + error.message() +
                  (taken ? ". Stop the program that listens there, or choose another port."
                         : ". Check that the address is one of this machine's and that the port is allowed."),
              text);
}

// A deadline may be late by a quarter of the shortest of them.
std::chrono::milliseconds look_every(const ServerLimits& limits) {
  const auto shortest = std::min({limits.handshake_timeout, limits.request_timeout, limits.idle_timeout,
                                  limits.response_timeout, std::chrono::milliseconds(1000)});
  return std::max(shortest / 4, std::chrono::milliseconds(10));
}

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(ServerParameters parameters)
      : agents_name_(ascii_lower(parameters.agents_name)),
        agents_authority_pem_(std::move(parameters.agents_authority_pem)),
        core_(std::make_shared<ServerCore>(parameters)) {
    for (const std::string& name : parameters.names) core_->served.names.push_back(ascii_lower(name));
    core_->served.agents_name = agents_name_;
  }
  ~ServerImpl() override { stop(); }
  ServerImpl(const ServerImpl&) = delete;
  ServerImpl& operator=(const ServerImpl&) = delete;

  Result<void> open(const ServerParameters& parameters);
  std::vector<std::string> addresses() const override { return addresses_; }
  void replace_identity(TlsIdentity identity) override;
  void stop() override;

 private:
  static asio::awaitable<void> accept_loop(ServerImpl* self, size_t index);
  void begin(Socket socket, const std::shared_ptr<Loop>& loop);
  void each_connection(void (Connection::*action)());
  std::shared_ptr<const ServerTls> tls() const {
    const std::lock_guard lock(tls_mutex_);
    return tls_;
  }

  const std::string agents_name_;
  const std::string agents_authority_pem_;
  std::shared_ptr<ServerCore> core_;
  mutable std::mutex tls_mutex_;
  std::shared_ptr<const ServerTls> tls_;
  std::vector<std::shared_ptr<Loop>> loops_;
  std::vector<WorkGuard> guards_;
  std::vector<tcp::acceptor> acceptors_;  // of the first loop, whose thread alone touches them once started
  std::vector<std::string> addresses_;
  size_t next_loop_ = 0;  // that thread's as well
  std::unique_ptr<WorkerPool> io_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
};

Result<void> ServerImpl::open(const ServerParameters& parameters) {
  tls_ = TRY(make_server_tls(parameters.identity, agents_name_, agents_authority_pem_));
  const unsigned count = std::max(1u, parameters.limits.io_threads);
  for (unsigned i = 0; i < count; ++i) loops_.push_back(std::make_shared<Loop>());
  if (parameters.listen.empty()) {
    return fail(ErrorKind::invalid, "InvalidListenAddress",
                "No address to listen on. Give at least one, such as 127.0.0.1:8443.");
  }
  for (const std::string& text : parameters.listen) {
    tcp::acceptor acceptor = TRY(listen_on(loops_.front()->context, text));
    boost::system::error_code error;
    const tcp::endpoint bound = acceptor.local_endpoint(error);
    addresses_.push_back(address_text(bound));
    core_->served.addresses.push_back(unmapped(bound.address()));
    acceptors_.push_back(std::move(acceptor));
  }
  for (const auto& loop : loops_) guards_.emplace_back(loop->context.get_executor());
  for (size_t i = 0; i < acceptors_.size(); ++i) {
    asio::co_spawn(loops_.front()->context, accept_loop(this, i), asio::detached);
  }
  for (const auto& loop : loops_)
    asio::co_spawn(loop->context, watch_deadlines(loop, look_every(parameters.limits)), asio::detached);
  io_ = std::make_unique<WorkerPool>("net-io", count, count);
  for (const auto& loop : loops_) {
    MERLON_CHECK(io_->submit([loop] { loop->context.run(); }));
  }
  return {};
}

asio::awaitable<void> ServerImpl::accept_loop(ServerImpl* self, size_t index) {
  tcp::acceptor& acceptor = self->acceptors_[index];
  asio::steady_timer pause(self->loops_.front()->context);
  while (acceptor.is_open()) {
    const std::shared_ptr<Loop> loop = self->loops_[self->next_loop_++ % self->loops_.size()];
    auto [error, socket] = co_await acceptor.async_accept(loop->context, kToken);
    if (error == asio::error::operation_aborted) co_return;
    if (error) {
      log(LogLevel::warning, "could not accept a connection", {{"cause", error.message()}});
      pause.expires_after(kAcceptPause);
      [[maybe_unused]] const auto [woken] = co_await pause.async_wait(kToken);
      continue;
    }
    self->begin(std::move(socket), loop);
  }
}

void ServerImpl::begin(Socket socket, const std::shared_ptr<Loop>& loop) {
  boost::system::error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const IpAddress peer = unmapped(remote.address());
  if (!core_->admission.enter(peer)) {
    log(LogLevel::debug, "connection refused: too many are open", {{"peer", peer.text()}});
    return;
  }
  const auto connection = std::make_shared<Connection>(core_, loop, tls(), std::move(socket), peer);
  asio::post(loop->context, [connection, context = &loop->context] {
    asio::co_spawn(*context, Connection::run(connection), asio::detached);
  });
}

void ServerImpl::replace_identity(TlsIdentity identity) {
  auto next = make_server_tls(identity, agents_name_, agents_authority_pem_);
  if (!next) {
    log_error("the new TLS identity is not usable; the old one stays", next.error());
    return;
  }
  const std::lock_guard lock(tls_mutex_);
  tls_ = *std::move(next);
}

void ServerImpl::each_connection(void (Connection::*action)()) {
  for (const auto& loop : loops_) {
    asio::post(loop->context, [loop = loop.get(), action] {
      loop->stopping = true;
      for (Connection* connection : loop->connections) (connection->*action)();
      if (loop->connections.empty()) loop->look.cancel();
    });
  }
}

void ServerImpl::stop() {
  const std::lock_guard lock(stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  if (io_) {
    asio::post(loops_.front()->context, [this] {
      boost::system::error_code ignored;
      for (tcp::acceptor& acceptor : acceptors_) acceptor.close(ignored);
    });
    each_connection(&Connection::close_if_idle);
    if (!core_->admission.wait_until_empty(kStopGrace)) {
      log(LogLevel::warning,
          "stopping: requests were still running after the grace period; their connections are closed");
      each_connection(&Connection::close_now);
    }
    guards_.clear();
    io_->stop();
  }
  core_->workers.stop();
  core_->endings.stop();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerParameters parameters) {
  try {
    auto server = std::make_unique<ServerImpl>(parameters);
    TRY(server->open(parameters));
    return server;
  } catch (const std::exception& error) {
    return internal_error(std::string("starting the server: ") + error.what());
  }
}

}  // namespace merlon::net

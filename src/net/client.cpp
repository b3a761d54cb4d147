// See client.h. Asynchronous operations with deadlines, run to their end on a context of the client's own:
// blocking for the caller, and never longer than stated.
#include "net/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/text.h"
#include "net/edge.h"
#include "net/tls.h"

namespace merlon::net {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

namespace {

constexpr uint32_t kResponseHeadMax = 64 * 1024;
constexpr int kInterimMax = 8;  // 1xx answers before the real one

milliseconds until(SteadyTime deadline) {
  return std::max(milliseconds(0),
                  std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now()));
}

IpAddress from_asio(const asio::ip::address& address) {
  if (address.is_v4()) return IpAddress::from_v4(address.to_v4().to_uint());
  return IpAddress::from_v6(address.to_v6().to_bytes());
}

bool safe_to_repeat(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// A request that could be read as two is a fault of our own caller.
Result<void> check_sendable(const ClientRequest& request) {
  bool sound = !request.method.empty() &&
               std::ranges::all_of(request.method, [](char c) { return c >= 'A' && c <= 'Z'; });
  sound = sound && request.target.starts_with('/') && !has_control(request.target) &&
          request.target.find(' ') == std::string::npos;
  for (const auto& [name, value] : request.headers.all()) {
    sound = sound && !name.empty() && !has_control(name) && name.find_first_of(": ") == std::string::npos &&
            !has_control(value);
  }
  if (sound) return {};
  return internal_error("a client request has a method, target or header that cannot be sent: " +
                        request.method);
}

class ClientImpl final : public Client {
 public:
  explicit ClientImpl(ClientParameters parameters) : parameters_(std::move(parameters)) {
    const std::string& name = parameters_.server_name.empty() ? parameters_.host : parameters_.server_name;
    server_name_ = ascii_lower(name);
  }
  ~ClientImpl() override { close(); }
  ClientImpl(const ClientImpl&) = delete;
  ClientImpl& operator=(const ClientImpl&) = delete;

  Result<Response> send(const ClientRequest& request) override;
  void close() override;
  std::optional<IpAddress> remote_address() const override { return remote_; }

 private:
  using Stream = asio::ssl::stream<beast::tcp_stream>;
  struct Attempt {
    Result<Response> result;
    bool nothing_came = false;  // failed before the first byte of a response
  };

  Result<void> connect();
  Result<tcp::resolver::results_type> resolve(SteadyTime deadline);
  Result<void> connect_to(const tcp::endpoint& endpoint, SteadyTime deadline);
  Result<void> shake_hands(SteadyTime deadline);
  bool kept_connection_is_usable();
  Attempt exchange(const ClientRequest& request);
  std::string request_text(const ClientRequest& request) const;
  std::string place() const { return parameters_.host + ":" + parameters_.port; }
  std::unexpected<Error> unavailable(const std::string& what) const {
    return fail(ErrorKind::unavailable, "ConnectionFailed", what);
  }
  // Runs what was started until it ends; operations carry their own deadlines.
  void run() {
    context_.restart();
    context_.run();
  }
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(*stream_); }

  const ClientParameters parameters_;
  std::string server_name_;
  asio::io_context context_{1};
  SslContext tls_;
  std::unique_ptr<Stream> stream_;
  beast::flat_buffer buffer_;
  std::optional<IpAddress> remote_;
};

Result<tcp::resolver::results_type> ClientImpl::resolve(SteadyTime deadline) {
  tcp::resolver resolver(context_);
  beast::error_code error = asio::error::timed_out;
  tcp::resolver::results_type found;
  const auto flags = IpAddress::parse(parameters_.host)
                         ? tcp::resolver::numeric_host | tcp::resolver::numeric_service
                         : tcp::resolver::flags();
  resolver.async_resolve(parameters_.host, parameters_.port, flags,
                         [&](const beast::error_code& e, tcp::resolver::results_type results) {
                           error = e;
                           found = std::move(results);
                         });
  context_.restart();
  context_.run_for(until(deadline));
  if (!context_.stopped()) {
    resolver.cancel();
    run();
    if (!error) error = asio::error::timed_out;
  }
  if (error) {
    return unavailable("The name '" + parameters_.host + "' could not be resolved: " + error.message() +
                       ". Check the spelling, DNS, or /etc/hosts.");
  }
  return found;
}

Result<void> ClientImpl::connect_to(const tcp::endpoint& endpoint, SteadyTime deadline) {
  SslPointer ssl = TRY(make_client_ssl(tls_.get(), server_name_));
  stream_ = std::make_unique<Stream>(context_, ssl.release());
  buffer_.clear();
  beast::error_code error;
  tcp::socket& socket = lowest().socket();
  socket.open(endpoint.protocol(), error);
  if (error) return unavailable("No socket for " + place() + ": " + error.message() + ".");
  socket.set_option(tcp::no_delay(true), error);
  if (parameters_.socket_mark != 0 &&
      ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_MARK, &parameters_.socket_mark,
                   sizeof parameters_.socket_mark) != 0) {
    return fail(ErrorKind::internal, "SocketMarkRefused",
                "The kernel refused the firewall mark (SO_MARK) on the connection to " + place() +
                    ". Run with CAP_NET_ADMIN.");
  }
  lowest().expires_at(deadline);
  lowest().async_connect(endpoint, [&error](const beast::error_code& e) { error = e; });
  run();
  if (error) return unavailable(endpoint.address().to_string() + ": " + error.message());
  remote_ = from_asio(endpoint.address());
  return {};
}

Result<void> ClientImpl::shake_hands(SteadyTime deadline) {
  beast::error_code error;
  lowest().expires_at(deadline);
  stream_->async_handshake(asio::ssl::stream_base::client,
                           [&error](const beast::error_code& e) { error = e; });
  run();
  if (!error) return {};
  const long verified = SSL_get_verify_result(stream_->native_handle());
  drain_tls_errors();
  if (verified != X509_V_OK) {
    return fail(ErrorKind::unavailable, "ServerNotTrusted",
                "The server at " + place() + " did not prove to be '" + server_name_ +
                    "': " + X509_verify_cert_error_string(verified) +
                    ". Check the name and the authorities' file (caFile).");
  }
  return unavailable(
      "TLS with " + place() + " failed: " + error.message() +
      ". Check that it is a Merlon server and, for an agent, that its certificate is enrolled.");
}

Result<void> ClientImpl::connect() {
  if (!tls_) tls_ = TRY(make_client_context(parameters_));
  const SteadyTime deadline = std::chrono::steady_clock::now() + parameters_.connect_timeout;
  const auto found = TRY(resolve(deadline));
  std::string reasons;
  size_t left = found.size();
  for (const auto& entry : found) {
    const IpAddress address = from_asio(entry.endpoint().address());
    if (parameters_.may_connect_to && !parameters_.may_connect_to(address)) {
      --left;
      reasons += (reasons.empty() ? "" : "; ") + address.text() + ": not an address that may be connected to";
      continue;
    }
    // Each address gets its share of what is left, so that a silent first one does not use up the time of the
    // second.
    const SteadyTime share = std::chrono::steady_clock::now() + until(deadline) / static_cast<int>(left--);
    const auto connected = connect_to(entry.endpoint(), share);
    if (connected) return shake_hands(deadline);
    close();
    if (connected.error().kind != ErrorKind::unavailable) return connected;
    reasons += (reasons.empty() ? "" : "; ") + connected.error().message;
  }
  return unavailable("Could not connect to " + place() + " (" + reasons +
                     "). Check that the server runs and listens there.");
}

// Readable while we wait for nothing means closed, or something that we did not ask for.
bool ClientImpl::kept_connection_is_usable() {
  if (!stream_) return false;
  pollfd poll_fd{};
  poll_fd.fd = lowest().socket().native_handle();
  poll_fd.events = POLLIN;
  return ::poll(&poll_fd, 1, 0) == 0;
}

std::string ClientImpl::request_text(const ClientRequest& request) const {
  const auto address = IpAddress::parse(server_name_);
  std::string host = address && !address->is_v4() ? "[" + server_name_ + "]" : server_name_;
  if (parameters_.port != "443") host += ":" + parameters_.port;
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + host + "\r\n";
  for (const auto& [name, value] : request.headers.all()) {
    const bool ours = ascii_iequal(name, "Host") || ascii_iequal(name, "Content-Length") ||
                      ascii_iequal(name, "Transfer-Encoding") || ascii_iequal(name, "Expect");
    if (!ours) text.append(name).append(": ").append(value).append("\r\n");
  }
  const bool usually_has_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || usually_has_body) {
    text.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
  }
  return text + "\r\n" + request.body;
}

ClientImpl::Attempt ClientImpl::exchange(const ClientRequest& request) {
  const SteadyTime deadline =
      std::chrono::steady_clock::now() + request.timeout.value_or(parameters_.request_timeout);
  const std::string text = request_text(request);
  beast::error_code error;
  lowest().expires_at(deadline);
  asio::async_write(*stream_, asio::buffer(text),
                    [&error](const beast::error_code& e, size_t) { error = e; });
  run();
  // A server that refuses early may close while we still write; what it said is worth reading.
  const bool write_failed = static_cast<bool>(error);
  std::optional<http::response_parser<http::string_body>> parser;
  bool nothing_came = true;
  bool stopped = false;
  asio::posix::stream_descriptor stop(context_);
  for (int i = 0; i < kInterimMax && error != beast::error::timeout; ++i) {
    parser.emplace();
    parser->header_limit(kResponseHeadMax);
    parser->body_limit(parameters_.response_bytes_max);
    parser->skip(request.method == "HEAD");
    if (request.stop_fd >= 0) {
      stop.assign(request.stop_fd);
      stop.async_wait(asio::posix::stream_descriptor::wait_read, [&](const beast::error_code& e) {
        if (e) return;
        stopped = true;
        lowest().cancel();
      });
    }
    http::async_read(*stream_, buffer_, *parser, [&](const beast::error_code& e, size_t) {
      error = e;
      if (stop.is_open()) stop.release();  // the caller's, and ends the wait for it
    });
    run();
    nothing_came = nothing_came && !parser->got_some();
    if (error || parser->get().result_int() / 100 != 1) break;
  }
  if (error || !parser || parser->get().result_int() / 100 == 1) {
    close();
    drain_tls_errors();
    if (stopped)
      return {fail(ErrorKind::unavailable, "RequestStopped", "The request to " + place() + " was given up."),
              false};
    const bool late = error == beast::error::timeout;
    const std::string what = late ? "no answer within the time limit" : error.message();
    return {
        unavailable("The request " + request.method + " to " + place() + " failed: " + what + ". Try again."),
        nothing_came && !late};
  }
  Response response;
  auto& message = parser->get();
  response.status = static_cast<int>(message.result_int());
  for (const auto& field : message) response.headers.add(field.name_string(), std::string(field.value()));
  response.body = std::move(message.body());
  if (!parser->keep_alive() || write_failed || buffer_.size() != 0) close();
  return {std::move(response), false};
}

Result<Response> ClientImpl::send(const ClientRequest& request) {
  try {
    TRY(check_sendable(request));
    const bool kept = kept_connection_is_usable();
    if (!kept) {
      close();
      const auto connected = connect();
      if (!connected) {
        close();
        return std::unexpected(connected.error());
      }
    }
    Attempt attempt = exchange(request);
    if (attempt.result || !kept || !attempt.nothing_came || !safe_to_repeat(request.method))
      return attempt.result;
    TRY(connect());
    return exchange(request).result;
  } catch (const std::exception& error) {
    close();
    return internal_error("HTTPS client for " + place() + ": " + error.what());
  }
}

void ClientImpl::close() {
  if (!stream_) return;
  // No close_notify: every message we send carries its length.
  lowest().close();
  stream_.reset();
  buffer_.clear();
}

}  // namespace

Result<Url> parse_https_url(std::string_view url) {
  const auto refuse = [&](const std::string& why) {
    return fail(
        ErrorKind::invalid, "InvalidUrl",
        "'" + std::string(url) + "' is not an https URL: " + why + ". Write https://host[:port][/path].");
  };
  if (!ascii_istarts_with(url, "https://")) return refuse("it does not begin with https://");
  if (has_control(url) || url.find_first_of(" \\#") != std::string_view::npos) {
    return refuse("it has a space, a control character, a backslash or a fragment");
  }
  std::string_view rest = url.substr(8);
  const size_t end = rest.find_first_of("/?");
  const auto host = parse_host(rest.substr(0, end));
  if (!host) return refuse("its host is not a name or an address with an optional port");
  Url out;
  out.host = host->name;
  out.port = std::to_string(host->port.value_or(443));
  out.target = end == std::string_view::npos ? "/" : std::string(rest.substr(end));
  if (out.target.front() == '?') out.target.insert(0, "/");
  return out;
}

std::unique_ptr<Client> Client::make(ClientParameters parameters) {
  return std::make_unique<ClientImpl>(std::move(parameters));
}

}  // namespace merlon::net

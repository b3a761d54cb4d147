// TLS over a connection's socket, the server's side. OpenSSL reads from and writes to buffers of ours
// through a BIO of our own, and what it writes goes to the socket at once as far as that takes it: most
// answers are on their way without a wait, a completion or a further copy. Asio's own stream (ssl::stream)
// copies everything twice more, through a pair of memory BIOs, and each operation is a chain of completions.
//
// For the coroutines of Connection: decrypt(), encrypt() and the waits between them. For Beast, which reads
// bodies and speaks WebSocket: the operations of an AsyncStream, one read and one write at a time. On one
// thread.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/role.hpp>
#include <chrono>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

#include "net/tls.h"

namespace merlon::net {

// With the executor's type named: Asio's default is one of any kind, whose every use is an indirect call.
using Executor = boost::asio::io_context::executor_type;
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
using Steady = std::chrono::steady_clock;
using Timer = boost::asio::basic_waitable_timer<Steady, boost::asio::wait_traits<Steady>, Executor>;
template <class T>
using Awaitable = boost::asio::awaitable<T, Executor>;
using ErrorCode = boost::system::error_code;

class TlsStream {
 public:
  using executor_type = Executor;
  using next_layer_type = Socket;

  TlsStream(Socket socket, SslPointer ssl);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  executor_type get_executor() noexcept { return socket_.get_executor(); }
  Socket& next_layer() noexcept { return socket_; }
  const SSL* native_handle() const { return ssl_.get(); }

  // As a server. The error is that of TLS or of the socket.
  Awaitable<ErrorCode> handshake();
  // Says goodbye, and waits for the other side's.
  Awaitable<ErrorCode> shut_down();

  // What has arrived, as clear text: bytes, or none and an error. would_block: more must be read first.
  size_t decrypt(void* space, size_t size, ErrorCode& error);
  // Whether anything is here that decrypt() has not looked at. If not, the next bytes of the socket go to
  // input_space(), and filled() says how many came.
  bool has_input() const { return input_at_ != input_end_ || SSL_has_pending(ssl_.get()) == 1; }
  boost::asio::mutable_buffer input_space();
  void filled(size_t bytes) { input_end_ = bytes; }

  static constexpr size_t kRecordMax = 16 * 1024;  // clear bytes of one record (RFC 8446 section 5.1)
  // All of `bytes`, a record at most. What the socket did not take at once waits for flush().
  void encrypt(std::string_view bytes, ErrorCode& error);
  bool has_output() const { return !output_.empty() || sending_at_ != sending_.size(); }
  Awaitable<ErrorCode> flush();

  // Between two requests: gives back what is held for records in flight. False while there are any.
  bool give_buffers_back();

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_compose<Token, void(ErrorCode, size_t)>(ReadOperation{*this, first_of(buffers)},
                                                                      token, socket_);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_compose<Token, void(ErrorCode, size_t)>(WriteOperation<Buffers>{*this, buffers},
                                                                      token, socket_);
  }

 private:
  struct ReadOperation;
  template <class Buffers>
  struct WriteOperation;

  template <class Buffers>
  static boost::asio::mutable_buffer first_of(const Buffers& buffers);
  template <class Buffers>
  size_t encrypt_some(const Buffers& buffers, ErrorCode& error);

  static const BIO_METHOD* bio_method();
  static int bio_read(BIO* bio, char* out, size_t size, size_t* read);
  static int bio_write(BIO* bio, const char* data, size_t size, size_t* written);
  static long bio_control(BIO* bio, int command, long number, void* pointer);
  bool send_at_once(const char*& data, size_t& size);
  boost::asio::const_buffer to_send();
  void sent(size_t bytes) { sending_at_ += bytes; }
  ErrorCode failure(int why);

  Socket socket_;
  SslPointer ssl_;
  // From the socket, not yet read by OpenSSL: [input_at_, input_end_).
  std::vector<unsigned char> input_;
  size_t input_at_ = 0;
  size_t input_end_ = 0;
  // From OpenSSL, not yet taken by the socket: first what is being sent, from sending_at_ on. That stays
  // where it is while a read makes OpenSSL write more.
  std::vector<unsigned char> sending_;
  size_t sending_at_ = 0;
  std::vector<unsigned char> output_;
  ErrorCode send_error_;
};

struct TlsStream::ReadOperation {
  TlsStream& stream;
  boost::asio::mutable_buffer space;
  enum class At { start, reading, done } at = At::start;
  ErrorCode error{};
  size_t count = 0;

  // Never completes within the call that starts it.
  template <class Self>
  void operator()(Self& self, ErrorCode socket_error = {}, size_t socket_count = 0) {
    if (at == At::done) return self.complete(error, count);
    if (at == At::reading) {
      if (socket_error) return self.complete(socket_error, 0);
      stream.filled(socket_count);
    }
    error = {};
    if (space.size() != 0) count = stream.decrypt(space.data(), space.size(), error);
    if (error == boost::asio::error::would_block) {
      at = At::reading;
      stream.socket_.async_read_some(stream.input_space(), std::move(self));
    } else if (at == At::reading) {
      self.complete(error, count);
    } else {
      at = At::done;
      boost::asio::post(stream.get_executor(), std::move(self));
    }
  }
};

template <class Buffers>
struct TlsStream::WriteOperation {
  TlsStream& stream;
  Buffers buffers;
  enum class At { start, writing, done } at = At::start;
  ErrorCode error{};
  size_t count = 0;

  template <class Self>
  void operator()(Self& self, ErrorCode socket_error = {}, size_t socket_count = 0) {
    if (at == At::start) {
      count = stream.encrypt_some(buffers, error);
    } else if (at == At::writing) {
      stream.sent(socket_count);
      error = socket_error;
    }
    if (error) count = 0;
    if (!error && stream.has_output()) {
      at = At::writing;
      stream.socket_.async_write_some(stream.to_send(), std::move(self));
    } else if (at == At::start) {
      at = At::done;
      boost::asio::post(stream.get_executor(), std::move(self));
    } else {
      self.complete(error, count);
    }
  }
};

template <class Buffers>
boost::asio::mutable_buffer TlsStream::first_of(const Buffers& buffers) {
  for (auto at = boost::asio::buffer_sequence_begin(buffers); at != boost::asio::buffer_sequence_end(buffers);
       ++at) {
    const boost::asio::mutable_buffer buffer(*at);
    if (buffer.size() != 0) return buffer;
  }
  return {};
}

// Small pieces, as the header of a frame and its content, go out in one record.
template <class Buffers>
size_t TlsStream::encrypt_some(const Buffers& buffers, ErrorCode& error) {
  const boost::asio::const_buffer first(*boost::asio::buffer_sequence_begin(buffers));
  if (first.size() >= kRecordMax) {
    encrypt({static_cast<const char*>(first.data()), kRecordMax}, error);
    return kRecordMax;
  }
  std::array<char, kRecordMax> joined;
  const size_t size = boost::asio::buffer_copy(boost::asio::buffer(joined), buffers);
  encrypt({joined.data(), size}, error);
  return size;
}

// Both goodbyes, TLS's and TCP's: then nothing that was sent is lost by closing.
Awaitable<ErrorCode> tear_down(TlsStream& stream);
// What Beast's WebSocket asks for when its connection ends (boost/beast/websocket/teardown.hpp). The other
// form is that of synchronous use, which nobody makes.
template <class Handler>
void async_teardown(boost::beast::role_type, TlsStream& stream, Handler&& handler) {
  boost::asio::co_spawn(
      stream.get_executor(), tear_down(stream),
      [handler = std::forward<Handler>(handler)](const std::exception_ptr& thrown, ErrorCode error) mutable {
        std::move(handler)(thrown ? ErrorCode(boost::asio::error::fault) : error);
      });
}
inline void teardown(boost::beast::role_type, TlsStream& stream, ErrorCode& error) {
  stream.next_layer().close(error);
}

}  // namespace merlon::net

// See tls_stream.h. Coroutine statements keep the forms that GCC 12 compiles correctly: one co_await each,
// arguments named first.
#include "net/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

namespace merlon::net {
namespace asio = boost::asio;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable_t<Executor>());
// Most requests are shorter; who sends more gets room for a whole record, with what TLS adds to it.
constexpr size_t kInputAtFirst = 4 * 1024;
constexpr size_t kInputMax = 17 * 1024;

// SSL_get_error(3) takes what an operation before has left for its own. Mostly there is nothing, and to look
// is less than to clear.
void forget_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

}  // namespace

TlsStream::TlsStream(Socket socket, SslPointer ssl) : socket_(std::move(socket)), ssl_(std::move(ssl)) {
  BIO* bio = BIO_new(bio_method());
  MERLON_CHECK(bio != nullptr && ssl_ != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
}

const BIO_METHOD* TlsStream::bio_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "merlon connection");
    MERLON_CHECK(made != nullptr && BIO_meth_set_read_ex(made, bio_read) == 1 &&
                 BIO_meth_set_write_ex(made, bio_write) == 1 && BIO_meth_set_ctrl(made, bio_control) == 1);
    return made;
  }();
  return method;
}

int TlsStream::bio_read(BIO* bio, char* out, size_t size, size_t* read) {
  TlsStream& stream = stream_of(bio);
  BIO_clear_retry_flags(bio);
  *read = std::min(size, stream.input_end_ - stream.input_at_);
  if (*read == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, stream.input_.data() + stream.input_at_, *read);
  stream.input_at_ += *read;
  return 1;
}

// Takes everything, so OpenSSL never has to be asked twice for the same bytes.
int TlsStream::bio_write(BIO* bio, const char* data, size_t size, size_t* written) {
  TlsStream& stream = stream_of(bio);
  BIO_clear_retry_flags(bio);
  *written = size;
  if (!stream.has_output() && !stream.send_at_once(data, size)) return 0;
  stream.output_.insert(stream.output_.end(), data, data + size);
  return 1;
}

long TlsStream::bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// Moves past what the socket took. False when it will never take anything again.
bool TlsStream::send_at_once(const char*& data, size_t& size) {
  while (size > 0) {
    const ssize_t sent = ::send(socket_.native_handle(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      data += sent;
      size -= static_cast<size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno != EINTR) {
      send_error_ = ErrorCode(errno, boost::system::system_category());
      return false;
    }
  }
  return true;
}

asio::const_buffer TlsStream::to_send() {
  if (sending_at_ == sending_.size()) {
    sending_.clear();
    sending_at_ = 0;
    std::swap(sending_, output_);
  }
  return asio::buffer(sending_.data() + sending_at_, sending_.size() - sending_at_);
}

ErrorCode TlsStream::failure(int why) {
  if (send_error_) return send_error_;
  if (why == SSL_ERROR_ZERO_RETURN) return asio::error::eof;
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return asio::ssl::error::stream_truncated;
  return {static_cast<int>(code), asio::error::get_ssl_category()};
}

size_t TlsStream::decrypt(void* space, size_t size, ErrorCode& error) {
  forget_errors();
  size_t count = 0;
  const int done = SSL_read_ex(ssl_.get(), space, size, &count);
  if (done == 1) return count;
  const int why = SSL_get_error(ssl_.get(), done);
  error = why == SSL_ERROR_WANT_READ ? ErrorCode(asio::error::would_block) : failure(why);
  return 0;
}

asio::mutable_buffer TlsStream::input_space() {
  MERLON_CHECK(input_at_ == input_end_);
  if (input_.empty())
    input_.resize(kInputAtFirst);
  else if (input_end_ == input_.size() && input_.size() < kInputMax)
    input_.resize(kInputMax);
  input_at_ = input_end_ = 0;
  return asio::buffer(input_);
}

void TlsStream::encrypt(std::string_view bytes, ErrorCode& error) {
  MERLON_CHECK(bytes.size() <= kRecordMax);
  if (bytes.empty()) return;
  forget_errors();
  size_t count = 0;
  const int done = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
  if (done != 1) error = failure(SSL_get_error(ssl_.get(), done));
}

Awaitable<ErrorCode> TlsStream::flush() {
  while (has_output()) {
    const auto rest = to_send();
    const auto [error, count] = co_await socket_.async_write_some(rest, kToken);
    if (error) co_return error;
    sent(count);
  }
  co_return ErrorCode();
}

Awaitable<ErrorCode> TlsStream::handshake() {
  for (;;) {
    forget_errors();
    const int done = SSL_accept(ssl_.get());
    const int why = SSL_get_error(ssl_.get(), done);
    ErrorCode failed;
    if (done != 1 && why != SSL_ERROR_WANT_READ) failed = failure(why);
    // Also the alert that says why not.
    const ErrorCode flushed = co_await flush();
    if (failed) co_return failed;
    if (flushed) co_return flushed;
    if (done == 1) co_return ErrorCode();
    const auto space = input_space();
    const auto [error, count] = co_await socket_.async_read_some(space, kToken);
    if (error) co_return error;
    filled(count);
  }
}

Awaitable<ErrorCode> TlsStream::shut_down() {
  for (;;) {
    forget_errors();
    int done = SSL_shutdown(ssl_.get());
    if (done == 0) done = SSL_shutdown(ssl_.get());  // ours is sent: now the other side's
    const int why = SSL_get_error(ssl_.get(), done);
    ErrorCode failed;
    if (done != 1 && why != SSL_ERROR_WANT_READ) failed = failure(why);
    const ErrorCode flushed = co_await flush();
    if (failed) co_return failed;
    if (flushed) co_return flushed;
    if (done == 1) co_return ErrorCode();
    const auto space = input_space();
    const auto [error, count] = co_await socket_.async_read_some(space, kToken);
    if (error) co_return error;
    filled(count);
  }
}

bool TlsStream::give_buffers_back() {
  if (input_at_ != input_end_ || has_output() || SSL_free_buffers(ssl_.get()) != 1) return false;
  sending_ = {};
  sending_at_ = 0;
  output_ = {};
  return true;
}

Awaitable<ErrorCode> tear_down(TlsStream& stream) {
  const ErrorCode said = co_await stream.shut_down();
  ErrorCode ignored;
  Socket& socket = stream.next_layer();
  socket.shutdown(Socket::shutdown_send, ignored);
  std::array<char, 4096> waste{};
  const auto space = asio::buffer(waste);
  for (;;) {
    const auto [error, count] = co_await socket.async_read_some(space, kToken);
    if (error) co_return said;
  }
}

}  // namespace merlon::net

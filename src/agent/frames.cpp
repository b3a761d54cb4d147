// Frames on a socket.
#include "agent/frames.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace merlon::agent {
namespace {

constexpr size_t kHeaderBytes = 4;
constexpr int kSendSeconds = 10;  // the other end reads at once, or is stuck

std::unexpected<Error> gone(const std::string& what) {
  return fail(ErrorKind::unavailable, "AgentHalfGone",
              "The agent's other process " + what + ". Both end; the service starts them anew.");
}

}  // namespace

Result<std::pair<store::FileDescriptor, store::FileDescriptor>> make_frame_pipe() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return internal_error(std::string("socketpair: ") + std::strerror(errno));
  const timeval limit{.tv_sec = kSendSeconds, .tv_usec = 0};
  for (const int end : ends) ::setsockopt(end, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return std::pair(store::FileDescriptor(ends[0]), store::FileDescriptor(ends[1]));
}

Result<void> send_frame(int fd, const JsonObject& message) {
  const std::string body = to_text(message);
  if (body.size() > kFrameBytesMax)
    return fail(ErrorKind::invalid, "FrameTooLong",
                "A message of " + std::to_string(body.size()) +
                    " bytes is more than goes from one of the agent's processes to the other.");
  std::string frame;
  for (const unsigned shift : {24U, 16U, 8U, 0U})
    frame.push_back(static_cast<char>((body.size() >> shift) & 0xff));
  frame += body;
  for (size_t sent = 0; sent < frame.size();) {
    const ssize_t size = ::send(fd, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return gone(std::string("does not read: ") + std::strerror(errno));
    sent += static_cast<size_t>(size);
  }
  return {};
}

Result<void> send_answer(int fd, const JsonObject& answer) {
  const auto sent = send_frame(fd, answer);
  if (sent || sent.error().code != "FrameTooLong") return sent;
  log_error("an answer to the agent's other process", sent.error());
  return send_frame(fd,
                    {{"error", JsonObject{{"code", "AnswerTooLong"}, {"message", sent.error().message}}}});
}

Result<bool> FrameReader::fill(bool wait) {
  std::array<char, 64 * 1024> part{};
  while (true) {
    const ssize_t size = ::recv(fd_, part.data(), part.size(), wait ? 0 : MSG_DONTWAIT);
    if (size > 0) {
      buffer_.append(part.data(), static_cast<size_t>(size));
      return true;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    return gone(size == 0 ? "has ended" : std::string("cannot be read: ") + std::strerror(errno));
  }
}

Result<std::optional<JsonObject>> FrameReader::take() {
  if (buffer_.size() < kHeaderBytes) return std::nullopt;
  size_t length = 0;
  for (size_t i = 0; i < kHeaderBytes; ++i) length = length << 8 | static_cast<uint8_t>(buffer_[i]);
  if (length > kFrameBytesMax) return gone("sent a frame beyond the limit");
  if (buffer_.size() < kHeaderBytes + length) return std::nullopt;
  auto message = parse_json_object(std::string_view(buffer_).substr(kHeaderBytes, length),
                                   {.bytes_max = kFrameBytesMax, .depth_max = 64});
  buffer_.erase(0, kHeaderBytes + length);
  if (!message) return gone("sent what is no JSON object");
  return std::optional(*std::move(message));
}

Result<std::optional<JsonObject>> FrameReader::poll() {
  while (true) {
    auto message = TRY(take());
    if (message || !TRY(fill(false))) return message;
  }
}

Result<JsonObject> FrameReader::next() {
  while (true) {
    if (auto message = TRY(take())) return *std::move(message);
    TRY(fill(true));
  }
}

}  // namespace merlon::agent

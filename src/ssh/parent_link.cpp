// Blocking where it asks and tells, not where it listens.
#include "ssh/parent_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/wipe.h"

namespace merlon::ssh {
namespace {

// At once. What the server says is short, and this lies on the stack of each process for as long as it lives.
constexpr size_t kReadBytes = 4096;

std::unexpected<Error> server_gone() {
  return fail(ErrorKind::unavailable, "ServerGone",
              "The bastion's server has gone away. Connect again in a moment.");
}

}  // namespace

// Head and payload from where they are.
void ParentLink::send(const Frame& frame) {
  auto head = frame_head(frame);
  std::array<iovec, 2> parts{iovec{head.data(), head.size()},
                             iovec{const_cast<char*>(frame.payload.data()), frame.payload.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (parts[0].iov_len + parts[1].iov_len > 0 && !gone_) {
    const ssize_t count = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) gone_ = true;
    size_t sent = count < 0 ? 0 : static_cast<size_t>(count);
    for (iovec& part : parts) {
      const size_t of_this = std::min(sent, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + of_this;
      part.iov_len -= of_this;
      sent -= of_this;
    }
  }
}

void ParentLink::read_some(bool wait) {
  std::array<char, kReadBytes> bytes{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket_, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  if (count < 0) {
    if (errno != EINTR && errno != EAGAIN) gone_ = true;
    return;
  }
  if (count == 0) gone_ = true;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head))
    if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(head), sizeof descriptor);
      descriptor_ = Descriptor(descriptor);
    }
  const auto taken = buffer_.feed({bytes.data(), static_cast<size_t>(count)}, [this](const Frame& frame) {
    take(frame);
    return true;
  });
  if (!taken) gone_ = true;
}

void ParentLink::take(const Frame& frame) {
  auto json = parse_json_object(frame.payload);
  if (!json) return;
  if (frame.kind == FrameKind::answer) answer_ = *std::move(json);
  if (frame.kind == FrameKind::notice) notices_.emplace_back(frame.session, *std::move(json));
}

bool ParentLink::receive() {
  read_some(false);
  return !gone_;
}

Result<JsonObject> ParentLink::ask(const JsonObject& question) {
  answer_.reset();
  send({FrameKind::ask, 0, to_text(question)});
  while (!gone_ && !answer_) read_some(true);
  if (!answer_) return server_gone();
  JsonObject answer = *std::move(answer_);
  answer_.reset();
  if (const JsonObject* error = object_at(answer, "error"))
    return fail(ErrorKind::forbidden, string_at(*error, "code").value_or("Refused"),
                string_at(*error, "message").value_or("Refused."));
  return answer;
}

void ParentLink::tell(FrameKind kind, uint32_t session, std::string_view payload) {
  do {
    const std::string_view part = payload.substr(0, kFramePayloadMax);
    send({kind, session, part});
    payload.remove_prefix(part.size());
  } while (!payload.empty());
}

Result<Secret> ParentLink::read_secret(size_t size) {
  Bytes bytes(size);
  size_t have = 0;
  while (have < size) {
    const ssize_t count = ::recv(socket_, bytes.data() + have, size - have, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      wipe(bytes.data(), bytes.size());
      return server_gone();
    }
    have += static_cast<size_t>(count);
  }
  return Secret(std::move(bytes));
}

std::optional<std::pair<uint32_t, JsonObject>> ParentLink::next_notice() {
  if (notices_.empty()) return std::nullopt;
  auto notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

Descriptor ParentLink::take_descriptor() { return std::move(descriptor_); }

}  // namespace merlon::ssh

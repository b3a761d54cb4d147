// Blocking where it asks and tells, not where it listens.
#include "ssh/parent_link.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace merlon::ssh {
namespace {

std::unexpected<Error> server_gone() {
  return fail(ErrorKind::unavailable, "ServerGone",
              "The bastion's server has gone away. Connect again in a moment.");
}

}  // namespace

void ParentLink::send_all(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size() && !gone_;) {
    const ssize_t count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count > 0) sent += static_cast<size_t>(count);
    if (count < 0 && errno != EINTR) gone_ = true;
  }
}

void ParentLink::read_some(bool wait) {
  std::array<char, 64 * 1024> bytes{};
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
  buffer_.add({bytes.data(), static_cast<size_t>(count)});
  for (;;) {
    auto frame = buffer_.next();
    if (!frame) gone_ = true;
    if (!frame || !*frame) return;
    auto json = parse_json_object((*frame)->payload);
    if (!json) continue;
    if ((*frame)->kind == FrameKind::answer) answer_ = *std::move(json);
    if ((*frame)->kind == FrameKind::notice) notices_.emplace_back((*frame)->session, *std::move(json));
  }
}

bool ParentLink::receive() {
  read_some(false);
  return !gone_;
}

Result<JsonObject> ParentLink::ask(const JsonObject& question) {
  answer_.reset();
  send_all(encode({FrameKind::ask, 0, to_text(question)}));
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
    send_all(encode({kind, session, std::string(part)}));
    payload.remove_prefix(part.size());
  } while (!payload.empty());
}

std::optional<std::pair<uint32_t, JsonObject>> ParentLink::next_notice() {
  if (notices_.empty()) return std::nullopt;
  auto notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

Descriptor ParentLink::take_descriptor() { return std::move(descriptor_); }

}  // namespace merlon::ssh

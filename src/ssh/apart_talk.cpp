// The other half has spoken with the machine, which may be hostile: what it says is taken in its order,
// bounded, or not at all.
//
// Asking and answering, until a time. Nothing here starts a process: the other end is whatever has the
// socket.
#include "ssh/apart_talk.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>

#include "ssh/frames.h"

namespace merlon::ssh {
namespace {

constexpr Duration kSignInWithin = std::chrono::seconds(50);  // three times libssh's patience
constexpr size_t kQuestionBytesMax = 4096;
constexpr size_t kCodeMax = 64;
constexpr size_t kMessageMax = 1024;

std::unexpected<Error> not_signed_in(const std::string& machine) {
  return fail(ErrorKind::unavailable, "MachineNotReached",
              "Signing in at '" + machine + "' has failed, or took too long. Try again in a moment.");
}

// What is asked, and answers; until a time.
class Talk {
 public:
  Talk(const Descriptor& socket, const Clock& clock)
      : socket_(socket.get()), clock_(clock), until_(clock.boottime() + kSignInWithin) {}

  std::optional<JsonObject> next() {
    while (questions_.empty()) {
      std::array<char, 4096> bytes{};
      if (!wait(POLLIN)) return std::nullopt;
      const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) return std::nullopt;
      const auto taken = buffer_.feed({bytes.data(), static_cast<size_t>(count)},
                                      [this](const Frame& frame) { return take(frame); });
      if (!taken || !*taken) return std::nullopt;
    }
    JsonObject question = std::move(questions_.front());
    questions_.pop_front();
    return question;
  }

  bool answer(const JsonObject& json, const Descriptor& with = {}) {
    const std::string text = to_text(json);  // others have written what is in it: names, host keys
    return text.size() <= kFramePayloadMax && send(encode({FrameKind::answer, 0, text}), with);
  }
  bool send(std::string_view bytes, const Descriptor& with = {}) {
    bool given = !with.is_open();
    while (!bytes.empty()) {
      if (!wait(POLLOUT)) return false;
      iovec part{const_cast<char*>(bytes.data()), bytes.size()};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
      if (!given) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        const int descriptor = with.get();
        std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
      }
      const ssize_t count = ::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count < 0) return false;
      given = true;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

 private:
  bool wait(short what) const {
    const Duration left = until_ - clock_.boottime();
    if (left <= Duration(0)) return false;
    pollfd poll{socket_, what, 0};
    return ::poll(&poll, 1, static_cast<int>(left.count())) != 0;
  }
  bool take(const Frame& frame) {
    auto json = parse_json_object(frame.payload, {.bytes_max = kQuestionBytesMax, .depth_max = 4});
    if (frame.kind != FrameKind::ask || !json || questions_.size() > 1) return false;
    questions_.push_back(*std::move(json));
    return true;
  }

  const int socket_;
  const Clock& clock_;
  const Duration until_;
  FrameBuffer buffer_;
  std::deque<JsonObject> questions_;
};

std::string printable_part(std::string_view text, size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

// The refusal that the process tells, or that it has gone or has asked out of order.
Error refusal_of(const std::optional<JsonObject>& said, const std::string& machine) {
  const auto failed = said ? object_at(*said, "failed") : nullptr;
  const auto code = failed != nullptr ? string_at(*failed, "code") : std::nullopt;
  const auto message = failed != nullptr ? string_at(*failed, "message") : std::nullopt;
  if (!code || !message) return not_signed_in(machine).error();
  Error error;
  error.kind = ErrorKind::unavailable;
  error.code = printable_part(*code, kCodeMax);
  error.message = printable_part(*message, kMessageMax);
  return error;
}

bool asks(const std::optional<JsonObject>& said, std::string_view what) {
  return said && string_at(*said, "ask") == what;
}

// After the machine has been recognised: the lengths, and when it is ready to take them, the bytes as they
// are.
Result<void> hand_over(Talk& talk, const MachineSecret& secret, const std::string& machine) {
  if (!talk.answer({{"password", secret.password.size()},
                    {"privateKey", secret.private_key.size()},
                    {"passphrase", secret.passphrase.size()}}))
    return not_signed_in(machine);
  if (const auto said = talk.next(); !asks(said, "take")) return std::unexpected(refusal_of(said, machine));
  for (const Secret* part : {&secret.password, &secret.private_key, &secret.passphrase})
    if (!talk.send(part->expose_text())) return not_signed_in(machine);
  return {};
}

}  // namespace

Result<void> sign_in_by_talk(const Descriptor& conversation, const Apart::Task& task, const Secret& host_key,
                             const Clock& clock) {
  JsonArray keys;
  for (const std::string& line : task.host_keys) keys.emplace_back(line);
  Talk talk(conversation, clock);
  auto said = talk.next();
  if (!asks(said, "begin") || !talk.answer({{"signIn", true},
                                            {"hostKey", host_key.expose_text()},
                                            {"hostKeys", std::move(keys)},
                                            {"machine", task.machine},
                                            {"login", task.login}},
                                           task.socket))
    return not_signed_in(task.machine);
  said = talk.next();
  if (!asks(said, "secret")) return std::unexpected(refusal_of(said, task.machine));
  {
    const MachineSecret secret = TRY(task.secret());
    TRY(hand_over(talk, secret, task.machine));
  }
  said = talk.next();
  if (!asks(said, "signedIn")) return std::unexpected(refusal_of(said, task.machine));
  if (!talk.answer(JsonObject())) return not_signed_in(task.machine);
  return {};
}

}  // namespace merlon::ssh

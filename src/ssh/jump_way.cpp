// Bytes between a channel of the outer session and the inner session's socket.
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ssh/person_end.h"

namespace merlon::ssh {
namespace {

constexpr size_t kWaitingMax = 256 * 1024;

}  // namespace

Result<std::unique_ptr<JumpWay>> JumpWay::open(Site& site, ssh_channel channel, Target target) {
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
    ssh_channel_free(channel);
    return internal_error("no socket pair");
  }
  Descriptor feed(pair[0]);
  auto inner = PersonEnd::accept(site, pair[1], PersonEnd::Place::inner, std::move(target));
  if (!inner) {
    ssh_channel_free(channel);
    return std::unexpected(inner.error());
  }
  return std::unique_ptr<JumpWay>(new JumpWay(channel, std::move(feed), *std::move(inner)));
}

JumpWay::~JumpWay() {
  inner_.reset();
  ssh_channel_free(channel_);
}

bool JumpWay::move_in() {
  std::array<char, 32 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  if (!in_ended_ && in_.size() < kWaitingMax) {
    const int count = ssh_channel_read_nonblocking(channel_, bytes.data(), bytes.size(), 0);
    if (count > 0) in_.append(bytes.data(), static_cast<size_t>(count));
    if (count < 0 || (count == 0 && ssh_channel_is_closed(channel_) != 0)) in_ended_ = true;
  }
  bool moved = false;
  if (!in_.empty()) {
    const ssize_t count = ::send(feed_.get(), in_.data(), in_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) in_.erase(0, static_cast<size_t>(count));
    if (count < 0 && errno != EAGAIN && errno != EINTR) over_ = true;
    moved = count > 0;
  }
  if (in_ended_ && in_.empty()) ::shutdown(feed_.get(), SHUT_WR);
  return moved;
}

bool JumpWay::move_out() {
  std::array<char, 32 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  if (!out_ended_ && out_.size() < kWaitingMax) {
    const ssize_t count = ::recv(feed_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count > 0) out_.append(bytes.data(), static_cast<size_t>(count));
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) out_ended_ = true;
  }
  if (out_.empty() || ssh_channel_is_closed(channel_) != 0) return false;
  const size_t room = std::min<size_t>(ssh_channel_window_size(channel_), out_.size());
  if (room == 0) return false;
  const int count = ssh_channel_write(channel_, out_.data(), static_cast<uint32_t>(room));
  if (count <= 0) return false;
  out_.erase(0, static_cast<size_t>(count));
  return true;
}

bool JumpWay::step() {
  if (over_) return false;
  bool moved = move_in();
  moved |= inner_->step();
  if (inner_->is_over() && !out_ended_) inner_->shut();
  moved |= move_out();
  if ((out_ended_ && out_.empty()) || ssh_channel_is_closed(channel_) != 0) {
    ssh_channel_send_eof(channel_);
    ssh_channel_close(channel_);
    over_ = true;
  }
  return moved;
}

void JumpWay::add_polls(std::vector<pollfd>& polls) const {
  short events = out_.size() < kWaitingMax ? POLLIN : 0;
  if (!in_.empty()) events |= POLLOUT;
  // Once the inner end has gone, a poll would say so again and again, however slowly its last words are
  // taken.
  if (!out_ended_) polls.push_back({feed_.get(), events, 0});
  inner_->add_polls(polls);
}

}  // namespace merlon::ssh

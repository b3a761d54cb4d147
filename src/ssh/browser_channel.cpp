// Bytes between a channel of the machine's and the page: recorded before they are shown, and no more on their
// way than the page has said that it can take.
#include <algorithm>
#include <array>

#include "ssh/browser_end.h"

namespace merlon::ssh {
namespace {

constexpr size_t kOutMax = 512 * 1024;

}  // namespace

BrowserChannel::BrowserChannel(uint32_t number, ssh_channel machine, bool is_shell)
    : number_(number), machine_(machine), is_shell_(is_shell) {
  calls_.userdata = this;
  calls_.channel_exit_status_function = [](ssh_session, ssh_channel, int status, void* self) {
    static_cast<BrowserChannel*>(self)->exit_status = status;
  };
  ssh_callbacks_init(&calls_);
  ssh_set_channel_callbacks(machine_, &calls_);
}

BrowserChannel::~BrowserChannel() {
  if (watch_) watch_->ended();
  ssh_remove_channel_callbacks(machine_, &calls_);  // libssh may keep the channel for longer
  ssh_channel_free(machine_);
}

void BrowserChannel::close() {
  ssh_channel_close(machine_);
  over_ = true;
}

void BrowserChannel::from_page(std::string_view bytes) {
  to_machine_bytes += bytes.size();
  up_ += watch_ ? watch_->from_person(bytes, down_) : std::string(bytes);
}

void BrowserChannel::taken(uint32_t count) { not_taken_ -= std::min<size_t>(count, not_taken_); }

bool BrowserChannel::read_machine() {
  if (at_end_ || down_.size() >= kBrowserWindow) return false;
  std::array<char, 32 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const int count = ssh_channel_read_nonblocking(machine_, bytes.data(), bytes.size(), 0);
  if (count > 0) {
    const std::string_view came(bytes.data(), static_cast<size_t>(count));
    to_person_bytes += came.size();
    const std::string rest(watch_ ? watch_->from_machine(came) : std::string(came));
    if (output_) output_(rest);
    down_ += rest;
    return true;
  }
  // What a program says beside its answers: a terminal has no such thing, and SFTP needs none of it.
  ssh_channel_read_nonblocking(machine_, bytes.data(), bytes.size(), 1);
  if (count < 0 || ssh_channel_is_closed(machine_) != 0) at_end_ = true;
  return false;
}

bool BrowserChannel::show(std::string& out) {
  bool moved = false;
  while (!down_.empty() && not_taken_ < kBrowserWindow && out.size() < kOutMax) {
    const size_t count = std::min({down_.size(), kBrowserWindow - not_taken_, kBrowserPayloadMax});
    out += encode(BrowserFrame{BrowserFrameKind::data, number_, down_.substr(0, count)});
    down_.erase(0, count);
    not_taken_ += count;
    moved = true;
  }
  return moved;
}

bool BrowserChannel::write_machine() {
  if (up_.empty() || ssh_channel_is_closed(machine_) != 0) return false;
  const size_t room = std::min<size_t>(ssh_channel_window_size(machine_), up_.size());
  if (room == 0) return false;
  const int count = ssh_channel_write(machine_, up_.data(), static_cast<uint32_t>(room));
  if (count <= 0) return false;
  up_.erase(0, static_cast<size_t>(count));
  return true;
}

bool BrowserChannel::pump(std::string& out) {
  if (over_) return false;
  bool moved = read_machine();
  moved |= show(out);
  moved |= write_machine();
  // The status comes before the close (RFC 4254 section 6.10).
  if (at_end_ && down_.empty() && ssh_channel_is_closed(machine_) != 0) over_ = true;
  return moved;
}

}  // namespace merlon::ssh

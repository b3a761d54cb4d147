// One step at a time; nothing waits here.
#include "ssh/relay.h"

#include <algorithm>
#include <array>

namespace merlon::ssh {
namespace {

constexpr size_t kWaitingMax = 256 * 1024;

void on_exit_status(ssh_session, ssh_channel, int status, void* relay) {
  static_cast<Relay*>(relay)->exit_status = status;
}

void on_exit_signal(ssh_session, ssh_channel, const char* signal, int, const char*, const char*,
                    void* relay) {
  static_cast<Relay*>(relay)->exit_signal = std::string(signal == nullptr ? "" : signal).substr(0, 16);
}

}  // namespace

Relay::~Relay() {
  if (person_ != nullptr) ssh_channel_free(person_);
  if (machine_ != nullptr) ssh_channel_free(machine_);
}

void Relay::listen(ssh_channel channel, ssh_channel_callbacks_struct& calls) {
  calls = {};
  calls.userdata = this;
  if (&calls == &person_calls_) {
    calls.channel_signal_function = [](ssh_session, ssh_channel, const char* signal, void* self) {
      static_cast<Relay*>(self)->signal_ = std::string(signal == nullptr ? "" : signal).substr(0, 16);
    };
  } else {
    calls.channel_exit_status_function = on_exit_status;
    calls.channel_exit_signal_function = on_exit_signal;
  }
  ssh_callbacks_init(&calls);
  ssh_set_channel_callbacks(channel, &calls);
}

void Relay::join(ssh_channel machine) {
  machine_ = machine;
  listen(machine_, machine_calls_);
}

bool Relay::read(ssh_channel from, bool is_error, Flow& flow,
                 const std::function<void(std::string_view)>& take) {
  if (flow.at_end || flow.waiting.size() >= kWaitingMax) return false;
  std::array<char, 32 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const int count = ssh_channel_read_nonblocking(from, bytes.data(), bytes.size(), is_error ? 1 : 0);
  if (count > 0) {
    take({bytes.data(), static_cast<size_t>(count)});
    return true;
  }
  if (count < 0 || ssh_channel_is_closed(from) != 0) flow.at_end = true;
  return false;
}

bool Relay::write(ssh_channel to, bool is_error, Flow& flow) {
  if (flow.waiting.empty() || ssh_channel_is_closed(to) != 0) return false;
  const size_t room = std::min<size_t>(ssh_channel_window_size(to), flow.waiting.size());
  if (room == 0) return false;
  const auto size = static_cast<uint32_t>(room);
  const int count = is_error ? ssh_channel_write_stderr(to, flow.waiting.data(), size)
                             : ssh_channel_write(to, flow.waiting.data(), size);
  if (count <= 0) return false;
  flow.waiting.erase(0, static_cast<size_t>(count));
  return true;
}

void Relay::pass_end(ssh_channel to, Flow& flow) {
  if (!flow.at_end || flow.end_sent || !flow.waiting.empty()) return;
  flow.end_sent = true;
  if (ssh_channel_is_closed(to) == 0) ssh_channel_send_eof(to);
}

bool Relay::pump() {
  if (over_) return false;
  if (machine_ == nullptr) {
    // Nobody is there yet; what the person sends waits in the channel's window.
    if (ssh_channel_is_closed(person_) != 0) over_ = true;
    return false;
  }
  bool moved = false;
  if (!signal_.empty()) {
    ssh_channel_request_send_signal(machine_, signal_.c_str());
    signal_.clear();
  }
  moved |= read(machine_, false, down_, [this](std::string_view bytes) {
    to_person_bytes += bytes.size();
    std::string rest(watch_ ? watch_->from_machine(bytes) : std::string(bytes));
    if (output_) output_(rest);
    down_.waiting += rest;
  });
  moved |= read(machine_, true, down_error_, [this](std::string_view bytes) {
    to_person_bytes += bytes.size();
    if (output_) output_(bytes);
    down_error_.waiting += bytes;
  });
  moved |= read(person_, false, up_, [this](std::string_view bytes) {
    to_machine_bytes += bytes.size();
    up_.waiting += watch_ ? watch_->from_person(bytes, down_.waiting) : std::string(bytes);
  });
  moved |= write(person_, true, down_error_);
  moved |= write(person_, false, down_);
  moved |= write(machine_, false, up_);
  pass_end(machine_, up_);
  finish();
  return moved;
}

void Relay::finish() {
  const bool person_gone = ssh_channel_is_closed(person_) != 0;
  const bool all_shown =
      down_.at_end && down_.waiting.empty() && down_error_.at_end && down_error_.waiting.empty();
  if (person_gone) {
    ssh_channel_close(machine_);
    over_ = true;
  } else if (all_shown) {
    pass_end(person_, down_);
    // The status comes before the close, and both after the last byte (RFC 4254 section 6.10).
    if (!refused_ && ssh_channel_is_closed(machine_) == 0 && is_alive(ssh_channel_get_session(machine_)))
      return;
    if (!exit_signal.empty())
      ssh_channel_request_send_exit_signal(person_, exit_signal.c_str(), 0, "", "");
    else if (exit_status)
      ssh_channel_request_send_exit_status(person_, *exit_status);
    ssh_channel_close(person_);
    over_ = true;
  }
  if (over_ && watch_) watch_->ended();
}

void Relay::say(const std::string& text) {
  if (person_ == nullptr || ssh_channel_is_closed(person_) != 0) return;
  const std::string line = has_terminal ? "\r\n" + text + "\r\n" : text + "\n";
  if (has_terminal) {
    ssh_channel_write(person_, line.data(), static_cast<uint32_t>(line.size()));
    if (output_) output_(line);
  } else {
    ssh_channel_write_stderr(person_, line.data(), static_cast<uint32_t>(line.size()));
  }
}

void Relay::refuse(const std::string& text, int status) {
  if (over_) return;
  say(text);
  ssh_channel_request_send_exit_status(person_, status);
  ssh_channel_send_eof(person_);
  ssh_channel_close(person_);
  if (machine_ != nullptr) ssh_channel_close(machine_);
  refused_ = true;
  over_ = true;
  if (watch_) watch_->ended();
}

}  // namespace merlon::ssh

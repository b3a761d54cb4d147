// One step at a time; nothing waits here.
#include "ssh/relay.h"

#include <algorithm>
#include <array>
#include <utility>

namespace merlon::ssh {
namespace {

constexpr size_t kWaitingMax = 256 * 1024;
// What libssh puts into one packet of a channel whose packets may have 32 KiB, as OpenSSH's and its own may.
constexpr size_t kPacketBytes = 32 * 1024 - 10;
constexpr int kObjectionStatus = 254;

void on_exit_status(ssh_session, ssh_channel, int status, void* relay) {
  static_cast<Relay*>(relay)->exit_status = status;
}

void on_exit_signal(ssh_session, ssh_channel, const char* signal, int, const char*, const char*,
                    void* relay) {
  static_cast<Relay*>(relay)->exit_signal = std::string(signal == nullptr ? "" : signal).substr(0, 16);
}

}  // namespace

// libssh keeps a channel until its far end has closed it too, and goes on calling what is on its list.
Relay::~Relay() {
  if (person_ != nullptr) {
    ssh_remove_channel_callbacks(person_, &person_calls_);
    ssh_channel_free(person_);
  }
  if (machine_ != nullptr) {
    ssh_remove_channel_callbacks(machine_, &machine_calls_);
    ssh_channel_free(machine_);
  }
}

void Relay::listen(ssh_channel channel, ssh_channel_callbacks_struct& calls) {
  calls = {};
  calls.userdata = this;
  calls.channel_data_function = [](ssh_session, ssh_channel from, void* data, uint32_t size, int is_error,
                                   void* self) {
    return static_cast<Relay*>(self)->offered(from, {static_cast<const char*>(data), size}, is_error != 0);
  };
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

// What comes up may be answered by a watch: it waits while nobody takes the answers.
bool Relay::has_room(const Flow& flow) const {
  const bool answers_pile_up = &flow == &up_ && watch_ != nullptr && down_.waiting.size() >= kWaitingMax;
  return machine_ != nullptr && !held_ && !over_ && !flow.at_end && flow.waiting.size() < kWaitingMax &&
         !answers_pile_up;
}

int Relay::offered(ssh_channel from, std::string_view bytes, bool is_error) {
  if (from == person_ && is_error) return 0;  // there is no such thing towards a machine
  Flow& flow = from == person_ ? up_ : is_error ? down_error_ : down_;
  if (!has_room(flow)) {
    flow.has_more = true;
    return 0;
  }
  take(flow, bytes);
  return static_cast<int>(bytes.size());
}

// What the machine echoes waits there, or here, and its terminal may drop it in the end.
bool Relay::takes_nothing() const {
  return down_.waiting.size() >= kWaitingMax || ssh_channel_window_size(person_) == 0;
}

// Recorded here, and not when it leaves: a client that takes nothing hides nothing by that.
void Relay::take(Flow& flow, std::string_view bytes) {
  if (&flow != &up_) {
    if (output_) output_(bytes);
  } else if (input_ && (inputs_ == Inputs::all || takes_nothing())) {
    input_(bytes);
  }
  (&flow == &up_ ? to_machine_bytes : to_person_bytes) += bytes.size();
  if (watch_ && &flow == &up_)
    flow.waiting += watch_->from_person(bytes, down_.waiting);
  else if (watch_ && &flow == &down_)
    flow.waiting += watch_->from_machine(bytes);
  else
    flow.waiting += bytes;
}

bool Relay::read_rest(ssh_channel from, bool is_error, Flow& flow) {
  if (!flow.has_more || !has_room(flow)) return false;
  std::array<char, 32 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const int count = ssh_channel_read_nonblocking(from, bytes.data(), bytes.size(), is_error ? 1 : 0);
  if (count > 0) take(flow, {bytes.data(), static_cast<size_t>(count)});
  flow.has_more = count > 0;
  return count > 0;
}

void Relay::look_for_end(ssh_channel from, Flow& flow) {
  if (flow.has_more || flow.at_end) return;
  flow.at_end = ssh_channel_is_eof(from) != 0 || ssh_channel_is_closed(from) != 0 ||
                !is_alive(ssh_channel_get_session(from));
}

// Whole packets while there is enough for them: what is left over goes with what comes next, or alone a
// moment later.
bool Relay::write(ssh_channel to, bool is_error, Flow& flow) {
  if (flow.waiting.empty() || ssh_channel_is_closed(to) != 0) return false;
  // What the other end does not take waits here, where it is bounded: libssh would keep a whole window of it,
  // and the memory for good.
  if ((ssh_get_status(ssh_channel_get_session(to)) & SSH_WRITE_PENDING) != 0) return false;
  size_t room = std::min<size_t>(ssh_channel_window_size(to), flow.waiting.size());
  if (room > kPacketBytes) room -= room % kPacketBytes;
  if (room == 0) return false;
  // Sending may bring what comes, and with it what waits here.
  const std::string sent = std::exchange(flow.waiting, {});
  const auto size = static_cast<uint32_t>(room);
  const int count =
      is_error ? ssh_channel_write_stderr(to, sent.data(), size) : ssh_channel_write(to, sent.data(), size);
  const auto gone = static_cast<size_t>(std::max(count, 0));
  if (gone < sent.size()) flow.waiting.insert(0, sent, gone);
  return count > 0;
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
  moved |= read_rest(machine_, false, down_);
  moved |= read_rest(machine_, true, down_error_);
  moved |= read_rest(person_, false, up_);
  if (watch_ && !watch_->objection().empty()) {
    refuse(std::string(watch_->objection()), kObjectionStatus);
    return true;
  }
  look_for_end(machine_, down_);
  look_for_end(machine_, down_error_);
  look_for_end(person_, up_);
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

// The life of a session from a browser.
#include "ssh/browser_end.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/time_text.h"
#include "ssh/fact_text.h"
#include "ssh/sftp_watch.h"

namespace merlon::ssh {
namespace {

constexpr size_t kChannelsMax = 8;
constexpr int kLastWordsMs = 1000;
constexpr size_t kWaitingBytesMax = 128 * 1024;
constexpr size_t kFrameBytes = 64;  // what one costs that waits, beside its payload
constexpr std::string_view kNoShell = "This bastion's policy lets no shell through.";
constexpr std::string_view kNoFiles = "This bastion's policy lets no files through.";

}  // namespace

bool BrowserEnd::passes(std::string_view what) const { return bool_at(allowed_, what).value_or(false); }

void BrowserEnd::say(BrowserFrameKind kind, uint32_t channel, const JsonObject& json) {
  out_ += encode(BrowserFrame{kind, channel, to_text(json)});
}

void BrowserEnd::fact(std::string_view kind, JsonObject facts) {
  link_.tell(FrameKind::fact, passage_, fact_text(kind, std::move(facts)));
}

void BrowserEnd::enter(const JsonObject& begun) {
  moved_ = clock_.boottime();
  login_ = string_at(begun, "login").value_or("");
  const auto answer = link_.ask({{"ask", "admit"},
                                 {"machine", string_at(begun, "machine").value_or("")},
                                 {"login", login_},
                                 {"bastion", string_at(begun, "bastion").value_or("")},
                                 {"port", int_at(begun, "port").value_or(0)}});
  if (!answer) return end(answer.error().code, answer.error().message);
  passage_ = static_cast<uint32_t>(int_at(*answer, "session").value_or(0));
  if (const JsonObject* allowed = object_at(*answer, "allowed")) allowed_ = *allowed;
  auto machine = MachineEnd::open(link_.take_descriptor(), *answer, login_);
  if (!machine)
    return end(machine.error().code.empty() ? "ConnectFailed" : machine.error().code,
               machine.error().message);
  machine_ = *std::move(machine);
  moved_ = clock_.boottime();
  say(BrowserFrameKind::ready, 0,
      {{"machine", string_at(begun, "machine").value_or("")}, {"login", login_}, {"allowed", allowed_}});
  const auto because = string_at(allowed_, "heldBecause");
  held_ = because.has_value();
  if (held_) say(BrowserFrameKind::notice, 0, {{"message", *because}});
}

bool BrowserEnd::step() {
  if (over_) return false;
  check_time();
  if (over_) return false;
  bool moved = read_page();
  if (machine_) machine_->step();
  if (held_)
    moved_ = clock_.boottime();
  else
    for (const auto& [number, channel] : channels_) moved |= channel->pump(out_);
  drop_ended();
  moved |= write_page();
  if (moved) moved_ = clock_.boottime();
  if (over_ || !machine_) return moved;
  if (!machine_->is_alive())
    end("MachineClosed", "The machine has closed the connection.");
  else if (had_shell_ && channels_.empty())
    end("ShellEnded", "The shell has ended.");
  return moved;
}

bool BrowserEnd::read_page() {
  // What a machine does not take, or may not have yet, is not read from the page either.
  if (!has_room()) return false;
  std::array<char, 64 * 1024>
      bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (count <= 0) {
    over_ = true;
    return false;
  }
  in_.add({bytes.data(), static_cast<size_t>(count)});
  while (!over_) {
    const auto frame = in_.next();
    if (!frame) {
      end(frame.error().code, frame.error().message);
      break;
    }
    if (!*frame) break;
    take(**std::move(frame));
  }
  return true;
}

bool BrowserEnd::has_room() const {
  return waiting_bytes_ < kWaitingBytesMax &&
         std::ranges::all_of(channels_, [](const auto& each) { return each.second->has_room(); });
}

// Held, the session takes what the page sends and passes nothing on. What the page has drawn is no secret of
// the machine's.
void BrowserEnd::take(BrowserFrame frame) {
  if (!held_ || frame.kind == BrowserFrameKind::taken) return handle(frame);
  waiting_bytes_ += frame.payload.size() + kFrameBytes;
  waiting_.push_back(std::move(frame));
}

bool BrowserEnd::write_page() {
  bool moved = false;
  while (!out_.empty()) {
    const ssize_t count = ::send(socket_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) over_ = true;
    if (count <= 0) break;
    out_.erase(0, static_cast<size_t>(count));
    moved = true;
  }
  return moved;
}

void BrowserEnd::handle(const BrowserFrame& frame) {
  if (frame.kind == BrowserFrameKind::open) return open_channel(frame);
  if (frame.channel == 0 || frame.channel > last_channel_)
    return end("InvalidFrame", "The page has named a channel that it has not opened.");
  const auto found = channels_.find(frame.channel);
  if (found == channels_.end()) return;  // it has ended meanwhile
  BrowserChannel& channel = *found->second;
  if (frame.kind == BrowserFrameKind::data) return channel.from_page(frame.payload);
  if (frame.kind == BrowserFrameKind::resize) return resize(channel, frame);
  if (frame.kind == BrowserFrameKind::close) return channel.close();
  const auto count = read_taken(frame.payload);
  if (!count) return end(count.error().code, count.error().message);
  channel.taken(*count);
}

void BrowserEnd::open_channel(const BrowserFrame& frame) {
  const auto wish = read_wish(frame.payload);
  if (!wish) return end(wish.error().code, wish.error().message);
  // Numbers are used once, so that nothing late meets a channel that it was not for.
  if (frame.channel <= last_channel_ || !machine_)
    return end("InvalidFrame", "The page has opened a channel out of turn.");
  last_channel_ = frame.channel;
  const std::string_view refusal = wish->is_shell ? (passes("shell") ? "" : kNoShell)
                                   : passes("upload") || passes("download") ? ""
                                                                            : kNoFiles;
  if (!refusal.empty()) {
    fact("refused", {{"what", wish->is_shell ? "shell" : "sftp"}, {"why", refusal}});
    return refuse_channel(frame.channel, std::string(refusal));
  }
  if (channels_.size() >= kChannelsMax)
    return refuse_channel(frame.channel, "Too much is open at once in this session. Close something first.");
  ssh_channel there = machine_->open_session();
  if (there == nullptr) return refuse_channel(frame.channel, "The machine opens no further session.");
  auto channel = std::make_unique<BrowserChannel>(frame.channel, there, wish->is_shell);
  if (const std::string why = start(*channel, wish->size); !why.empty())
    return refuse_channel(frame.channel, why);
  channels_[frame.channel] = std::move(channel);
}

std::string BrowserEnd::start(BrowserChannel& channel, const TerminalSize& size) {
  const MachineEnd::Waiting waiting(*machine_);
  ssh_channel there = channel.machine();
  if (!channel.is_shell()) {
    fact("subsystem", {{"name", "sftp"}});
    channel.watch(
        std::make_unique<SftpWatch>(SftpWatch::Policy{passes("upload"), passes("download")},
                                    [this](JsonObject facts) { fact("transfer", std::move(facts)); }));
    return ssh_channel_request_subsystem(there, "sftp") == SSH_OK
               ? ""
               : "The machine's SSH server has no SFTP. Files cannot be sent or fetched here.";
  }
  if (ssh_channel_request_pty_size(there, "xterm-256color", size.columns, size.rows) != SSH_OK)
    return "The machine gives no terminal.";
  fact("shell", {{"terminal", true}});
  link_.tell(FrameKind::resize, passage_, std::to_string(size.columns) + " " + std::to_string(size.rows));
  channel.record([this](std::string_view bytes) { link_.tell(FrameKind::output, passage_, bytes); });
  if (ssh_channel_request_shell(there) != SSH_OK) return "The machine gives no shell.";
  had_shell_ = true;
  return "";
}

void BrowserEnd::refuse_channel(uint32_t number, const std::string& message) {
  say(BrowserFrameKind::closed, number, {{"message", message}});
}

void BrowserEnd::resize(BrowserChannel& channel, const BrowserFrame& frame) {
  const auto size = read_size(frame.payload);
  if (!size) return end(size.error().code, size.error().message);
  if (!channel.is_shell()) return;
  ssh_channel_change_pty_size(channel.machine(), size->columns, size->rows);
  link_.tell(FrameKind::resize, passage_, std::to_string(size->columns) + " " + std::to_string(size->rows));
}

void BrowserEnd::drop_ended() {
  for (auto at = channels_.begin(); at != channels_.end();) {
    BrowserChannel& channel = *at->second;
    if (!channel.is_over()) {
      ++at;
      continue;
    }
    to_machine_bytes_ += channel.to_machine_bytes;
    to_person_bytes_ += channel.to_person_bytes;
    JsonObject how;
    if (channel.exit_status) {
      how["exitStatus"] = *channel.exit_status;
      if (channel.is_shell()) exit_status_ = channel.exit_status;
    }
    say(BrowserFrameKind::closed, at->first, how);
    at = channels_.erase(at);
  }
}

void BrowserEnd::check_time() {
  const auto idle = int_at(allowed_, "idleMs");
  if (!idle || clock_.boottime() - moved_ <= Duration(*idle)) return;
  end("Idle",
      "This session is ended, since nothing has passed for " + to_human_duration(Duration(*idle)) + ".");
}

void BrowserEnd::end(const std::string& code, const std::string& message) {
  if (over_) return;
  reason_ = code;
  message_ = message;
  // Shown in the terminal, and so on the record.
  const bool shown = std::ranges::any_of(channels_, [](const auto& each) { return each.second->is_shell(); });
  if (shown && code != "ShellEnded")
    link_.tell(FrameKind::output, passage_, "\r\nMerlon: " + message + "\r\n");
  say(BrowserFrameKind::end, 0, {{"code", code}, {"message", message}});
  const Duration until = clock_.boottime() + Duration(kLastWordsMs);
  while (!out_.empty() && !over_ && clock_.boottime() < until) {
    write_page();
    pollfd poll{socket_, POLLOUT, 0};
    if (!out_.empty()) ::poll(&poll, 1, 50);
  }
  over_ = true;
}

void BrowserEnd::heed(uint32_t session, const JsonObject& notice) {
  if (over_ || (session != 0 && session != passage_)) return;
  const std::string message = string_at(notice, "message").value_or("");
  if (bool_at(notice, "ends").value_or(true))
    return end(string_at(notice, "reason").value_or("Ended"), message);
  say(BrowserFrameKind::notice, 0, {{"message", message}});
  held_ = bool_at(notice, "hold").value_or(held_);
  if (held_) return;
  for (const BrowserFrame& frame : std::exchange(waiting_, {}))
    if (!over_) handle(frame);
  waiting_bytes_ = 0;
}

void BrowserEnd::shut() {
  over_ = true;
  for (const auto& [number, channel] : channels_) {
    to_machine_bytes_ += channel->to_machine_bytes;
    to_person_bytes_ += channel->to_person_bytes;
  }
  channels_.clear();
  machine_.reset();
  if (passage_ == 0) return;
  JsonObject facts{{"reason", reason_},
                   {"message", message_},
                   {"bytesToMachine", to_machine_bytes_},
                   {"bytesToClient", to_person_bytes_}};
  if (exit_status_) facts["exitStatus"] = *exit_status_;
  link_.tell(FrameKind::ended, passage_, to_text(facts));
  passage_ = 0;
}

void BrowserEnd::add_polls(std::vector<pollfd>& polls) const {
  if (over_) return;
  polls.push_back({socket_, static_cast<short>((has_room() ? POLLIN : 0) | (out_.empty() ? 0 : POLLOUT)), 0});
  if (!machine_) return;
  const bool writes = (ssh_get_poll_flags(machine_->session()) & SSH_WRITE_PENDING) != 0;
  polls.push_back(
      {ssh_get_fd(machine_->session()), static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0});
}

}  // namespace merlon::ssh

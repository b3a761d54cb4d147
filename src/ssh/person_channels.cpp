// What a person who has signed in may ask for, one request at a time.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "ssh/data_command.h"
#include "ssh/fact_text.h"
#include "ssh/person_end.h"
#include "ssh/sftp_watch.h"
#include "ssh/shell_watch.h"

namespace merlon::ssh {
namespace {

constexpr size_t kRelaysMax = 32;
constexpr size_t kWaysMax = 8;
constexpr size_t kCommandBytesMax = 64 * 1024;
constexpr int kRefusedStatus = 255;
constexpr int kSshPort = 22;

std::string text_of(const char* text) { return text == nullptr ? std::string() : std::string(text); }

bool passes(const JsonObject& allowed, std::string_view what) {
  return bool_at(allowed, what).value_or(false);
}

// Variables that say how to show things, and one that git's protocol needs. Others could change what runs.
bool is_harmless(std::string_view name) {
  static constexpr std::array kNames = {std::string_view("LANG"), std::string_view("LANGUAGE"),
                                        std::string_view("COLORTERM"), std::string_view("TZ"),
                                        std::string_view("GIT_PROTOCOL")};
  return name.starts_with("LC_") || std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

std::optional<std::string> PersonEnd::admit() {
  if (refused_) return refused_;
  if (machine_) return std::nullopt;
  if (target_.machine.empty())
    return "Merlon: say which machine you mean: ssh LOGIN+MACHINE@BASTION, or ssh -J BASTION LOGIN@MACHINE";
  const auto answer = site_.link.ask({{"ask", "admit"},
                                      {"machine", target_.machine},
                                      {"login", login_},
                                      {"bastion", target_.bastion},
                                      {"port", target_.port}});
  if (!answer) {
    refused_ = "Merlon: " + answer.error().message;
    return refused_;
  }
  passage_ = static_cast<uint32_t>(int_at(*answer, "session").value_or(0));
  const JsonObject* allowed = object_at(*answer, "allowed");
  if (allowed != nullptr) allowed_ = *allowed;
  auto machine = MachineEnd::open(site_.link.take_descriptor(), *answer, login_);
  if (!machine) {
    refused_ = "Merlon: " + machine.error().message;
    reason_ = machine.error().code.empty() ? "ConnectFailed" : machine.error().code;
    message_ = machine.error().message;
    return refused_;
  }
  machine_ = *std::move(machine);
  if (const auto because = string_at(allowed_, "heldBecause")) {
    held_ = true;
    for (const auto& relay : relays_) relay->say("Merlon: " + *because);
  }
  return std::nullopt;
}

std::optional<std::string> PersonEnd::reach(Relay& relay) {
  if (relay.machine() != nullptr) return std::nullopt;
  if (auto refusal = admit()) return refusal;
  ssh_channel channel = machine_->open_session();
  if (channel == nullptr) return "Merlon: the machine opens no further session.";
  relay.join(channel);
  return std::nullopt;
}

void PersonEnd::fact(std::string_view kind, JsonObject facts) {
  tell(FrameKind::fact, fact_text(kind, std::move(facts)));
}

void PersonEnd::tell(FrameKind kind, std::string_view payload) {
  if (passage_ != 0) site_.link.tell(kind, passage_, payload);
}

Relay* PersonEnd::relay_of(ssh_channel channel) {
  for (const auto& relay : relays_)
    if (relay->person() == channel) return relay.get();
  return nullptr;
}

void PersonEnd::handle_open(ssh_message message) {
  const int type = ssh_message_subtype(message);
  if (type == SSH_CHANNEL_DIRECT_TCPIP) return open_forward(message);
  ssh_channel channel = nullptr;
  if (type == SSH_CHANNEL_SESSION && relays_.size() < kRelaysMax)
    channel = ssh_message_channel_request_open_reply_accept(message);
  if (channel == nullptr) {
    ssh_message_reply_default(message);
    return;
  }
  relays_.push_back(std::make_unique<Relay>(channel));
}

// A shell at the other end of a forward would be off the record: whoever wants one asks the bastion for it.
bool PersonEnd::leads_off_the_record(int port) const {
  return passes(allowed_, "recorded") && (port == kSshPort || port == target_.port);
}

void PersonEnd::refuse_shell(const std::string& host, int port) {
  fact("forward", {{"host", host}, {"port", port}, {"refused", true}, {"because", "ssh"}});
  for (const auto& relay : relays_)
    if (relay->has_terminal)
      relay->say("Merlon: what is forwarded to " + host + ":" + std::to_string(port) +
                 " is SSH, and a shell in there would be on no record. It has been closed.");
}

void PersonEnd::open_forward(ssh_message message) {
  const std::string host = text_of(ssh_message_channel_request_open_destination(message));
  const int port = ssh_message_channel_request_open_destination_port(message);
  const bool sane = !host.empty() && host.size() < 256 && port > 0 && port < 65536;
  // ssh -J: the way to the machine itself, in which the person speaks SSH with us again.
  if (sane && place_ == Place::outer && target_.machine.empty() && ways_.size() < kWaysMax) {
    ssh_channel channel = ssh_message_channel_request_open_reply_accept(message);
    if (channel == nullptr) return;
    auto way = JumpWay::open(site_, channel, {host, "", static_cast<uint16_t>(port)});
    if (way) ways_.push_back(*std::move(way));
    return;
  }
  if (!sane || relays_.size() >= kRelaysMax || admit() || !passes(allowed_, "forwarding") ||
      leads_off_the_record(port)) {
    if (passage_ != 0) fact("forward", {{"host", host}, {"port", port}, {"refused", true}});
    ssh_message_reply_default(message);
    return;
  }
  ssh_channel there = machine_->open_forward(host, static_cast<uint16_t>(port));
  fact("forward", {{"host", host}, {"port", port}, {"refused", there == nullptr}});
  if (there == nullptr) {
    ssh_message_reply_default(message);
    return;
  }
  ssh_channel channel = ssh_message_channel_request_open_reply_accept(message);
  if (channel == nullptr) {
    ssh_channel_free(there);
    return;
  }
  relays_.push_back(std::make_unique<Relay>(channel));
  relays_.back()->started = true;
  relays_.back()->join(there);
  if (passes(allowed_, "recorded"))
    relays_.back()->watch(std::make_unique<ShellWatch>([this, host, port] { refuse_shell(host, port); }));
}

void PersonEnd::handle_request(ssh_message message) {
  Relay* relay = relay_of(ssh_message_channel_request_channel(message));
  // Its channel has been freed since: not even a refusal can be sent on it, and libssh would read it to do
  // so.
  if (relay == nullptr) return;
  if (relay->is_over()) {
    ssh_message_reply_default(message);
    return;
  }
  switch (ssh_message_subtype(message)) {
    case SSH_CHANNEL_REQUEST_PTY:
      return request_terminal(message, *relay);
    case SSH_CHANNEL_REQUEST_WINDOW_CHANGE: {
      const int columns = ssh_message_channel_request_pty_width(message);
      const int rows = ssh_message_channel_request_pty_height(message);
      if (relay->machine() != nullptr && relay->has_terminal) {
        ssh_channel_change_pty_size(relay->machine(), columns, rows);
        tell(FrameKind::resize, std::to_string(columns) + " " + std::to_string(rows));
      }
      return;
    }
    case SSH_CHANNEL_REQUEST_ENV:
      return request_variable(message, *relay);
    case SSH_CHANNEL_REQUEST_SHELL:
    case SSH_CHANNEL_REQUEST_EXEC:
    case SSH_CHANNEL_REQUEST_SUBSYSTEM:
      return request_start(message, *relay);
    default:  // X11, and whatever else
      ssh_message_reply_default(message);
  }
}

void PersonEnd::request_terminal(ssh_message message, Relay& relay) {
  if (relay.started || relay.has_terminal) {
    ssh_message_reply_default(message);
    return;
  }
  relay.has_terminal = true;
  // Refused, it is said when a shell or a command is asked for: only then can the person be told why.
  if (!reach(relay)) {
    const int columns = ssh_message_channel_request_pty_width(message);
    const int rows = ssh_message_channel_request_pty_height(message);
    const MachineEnd::Waiting waiting(*machine_);
    if (ssh_channel_request_pty_size(relay.machine(),
                                     text_of(ssh_message_channel_request_pty_term(message)).c_str(), columns,
                                     rows) != SSH_OK) {
      relay.has_terminal = false;
      ssh_message_reply_default(message);
      return;
    }
    tell(FrameKind::resize, std::to_string(columns) + " " + std::to_string(rows));
  }
  ssh_message_channel_request_reply_success(message);
}

void PersonEnd::request_variable(ssh_message message, Relay& relay) {
  const std::string name = text_of(ssh_message_channel_request_env_name(message));
  const std::string value = text_of(ssh_message_channel_request_env_value(message));
  bool set = false;
  if (is_harmless(name) && name.size() + value.size() < 4096 && !relay.started && !reach(relay)) {
    const MachineEnd::Waiting waiting(*machine_);
    set = ssh_channel_request_env(relay.machine(), name.c_str(), value.c_str()) == SSH_OK;
  }
  if (set)
    ssh_message_channel_request_reply_success(message);
  else
    ssh_message_reply_default(message);
}

// Why the session's limits do not let it through; empty when they do.
std::string PersonEnd::refusal_of(int type, const std::string& what) const {
  if (type == SSH_CHANNEL_REQUEST_SHELL)
    return passes(allowed_, "shell") ? "" : "Merlon: this bastion's policy lets no shell through.";
  if (type == SSH_CHANNEL_REQUEST_SUBSYSTEM) {
    if (what != "sftp") return "Merlon: the bastion lets no other subsystem through than sftp.";
    return passes(allowed_, "upload") || passes(allowed_, "download")
               ? ""
               : "Merlon: this bastion's policy lets no files through.";
  }
  const DataCommand data = data_command(what);
  if (!data.is_protocol && !passes(allowed_, "commands"))
    return "Merlon: this bastion's policy lets no commands through.";
  if (data.sends && !passes(allowed_, "upload"))
    return "Merlon: this bastion's policy lets no files be sent to the machine.";
  if (data.fetches && !passes(allowed_, "download"))
    return "Merlon: this bastion's policy lets no files be fetched from the machine.";
  return "";
}

// All of it is on the record, in as many facts as that takes.
void PersonEnd::tell_command(const std::string& command, bool terminal) {
  const std::vector<std::string> parts = fact_parts(command);
  for (size_t i = 0; i < parts.size(); ++i) {
    JsonObject facts{{"command", parts[i]}, {"terminal", terminal}};
    if (parts.size() > 1) facts["part"] = std::to_string(i + 1) + " of " + std::to_string(parts.size());
    fact("command", std::move(facts));
  }
}

void PersonEnd::prepare_start(int type, const std::string& what, Relay& relay) {
  if (passage_ == 0) return;  // lead_on(): what it is was looked at before
  const uint32_t session = passage_;
  // Without a terminal nothing echoes what is typed or piped. With one it is told where the echo is not: all
  // of it would hold the passwords of every prompt.
  const auto record = [&] {
    if (!bool_at(allowed_, "recorded").value_or(true)) return;
    const auto teller = [this, session](FrameKind kind) {
      return [this, session, kind](std::string_view bytes) { site_.link.tell(kind, session, bytes); };
    };
    relay.record(teller(FrameKind::output));
    relay.record_input(relay.has_terminal ? Relay::Inputs::unseen : Relay::Inputs::all,
                       teller(FrameKind::input));
  };
  if (type == SSH_CHANNEL_REQUEST_SHELL) {
    fact("shell", {{"terminal", relay.has_terminal}});
    record();
  } else if (type == SSH_CHANNEL_REQUEST_EXEC) {
    tell_command(what, relay.has_terminal);
    const DataCommand data = data_command(what);
    // A protocol between two programs is no text: it is counted, and the command says what it was.
    if (!data.is_protocol) record();
  } else {
    fact("subsystem", {{"name", what}});
    relay.watch(std::make_unique<SftpWatch>(
        SftpWatch::Policy{passes(allowed_, "upload"), passes(allowed_, "download")},
        [this](JsonObject facts) { fact("transfer", std::move(facts)); }));
  }
}

void PersonEnd::request_start(ssh_message message, Relay& relay) {
  const int type = ssh_message_subtype(message);
  std::string what;
  if (type == SSH_CHANNEL_REQUEST_EXEC) what = text_of(ssh_message_channel_request_command(message));
  if (type == SSH_CHANNEL_REQUEST_SUBSYSTEM) what = text_of(ssh_message_channel_request_subsystem(message));
  if (relay.started || what.size() > kCommandBytesMax) {
    ssh_message_reply_default(message);
    return;
  }
  relay.started = true;
  std::string refusal = reach(relay).value_or("");
  if (refusal.empty()) refusal = refusal_of(type, what);
  if (refusal.empty()) {
    prepare_start(type, what, relay);
    const MachineEnd::Waiting waiting(*machine_);
    ssh_channel machine = relay.machine();
    const int done = type == SSH_CHANNEL_REQUEST_SHELL ? ssh_channel_request_shell(machine)
                     : type == SSH_CHANNEL_REQUEST_EXEC
                         ? ssh_channel_request_exec(machine, what.c_str())
                         : ssh_channel_request_subsystem(machine, what.c_str());
    if (done != SSH_OK) refusal = "Merlon: the machine refuses this.";
  } else if (passage_ != 0) {
    fact("refused", {{"what", what.substr(0, 4096)}, {"why", refusal}});
  }
  ssh_message_channel_request_reply_success(message);
  if (!refusal.empty()) relay.refuse(refusal, kRefusedStatus);
}

}  // namespace merlon::ssh

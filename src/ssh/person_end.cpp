// The life of a session, and signing in.
#include "ssh/person_end.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "base/time_text.h"

namespace merlon::ssh {
namespace {

constexpr unsigned kAttemptsMax = 20;
constexpr unsigned kDeviceAsksMax = 20;
constexpr size_t kUserBytesMax = 512;
constexpr size_t kMessagesAtOnce = 64;
constexpr size_t kWaitingMax = 256;

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

void add_poll(std::vector<pollfd>& polls, ssh_session session) {
  const int socket = ssh_get_fd(session);
  if (socket < 0 || !is_alive(session)) return;
  const bool writes = (ssh_get_poll_flags(session) & SSH_WRITE_PENDING) != 0;
  polls.push_back({socket, static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0});
}

}  // namespace

Result<std::unique_ptr<PersonEnd>> PersonEnd::accept(Site& site, int socket, Place place, Target target) {
  SessionHandle session(ssh_new());
  if (!session || ssh_bind_accept_fd(site.bind, session.get(), socket) != SSH_OK)
    return internal_error("an SSH session could not be begun");
  ssh_set_blocking(session.get(), 0);
  ssh_set_auth_methods(session.get(), SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE);
  return std::unique_ptr<PersonEnd>(new PersonEnd(site, std::move(session), place, std::move(target)));
}

Result<std::unique_ptr<PersonEnd>> PersonEnd::lead_on(Site& site, int socket, MachineEnd machine) {
  auto made = TRY(accept(site, socket, Place::inner));
  made->allowed_ = {{"shell", true},  {"commands", true}, {"forwarding", true},
                    {"upload", true}, {"download", true}, {"recorded", false}};
  made->machine_ = std::move(machine);
  return made;
}

PersonEnd::PersonEnd(Site& site, SessionHandle session, Place place, Target target)
    : site_(site),
      session_(std::move(session)),
      place_(place),
      target_(std::move(target)),
      began_(site.clock.boottime()),
      moved_(began_) {}

PersonEnd::~PersonEnd() { shut(); }

void PersonEnd::shut() {
  over_ = true;
  tell_ended();
  ways_.clear();
  relays_.clear();
  machine_.reset();
  if (session_) {
    ssh_blocking_flush(session_.get(), 200);
    ssh_disconnect(session_.get());
  }
  session_.reset();
}

bool PersonEnd::exchange_keys() {
  const int done = ssh_handle_key_exchange(session_.get());
  if (done == SSH_OK) state_ = State::signing_in;
  if (done == SSH_ERROR) over_ = true;
  return done == SSH_OK;
}

bool PersonEnd::step() {
  if (over_) return false;
  check_time();
  if (over_) return false;
  if (state_ == State::key_exchange && !exchange_keys()) return false;
  for (const auto& relay : relays_) relay->hold(held_);
  bool moved = take_messages();
  if (machine_) machine_->step();
  if (!held_)
    for (const auto& relay : relays_) moved |= relay->pump();
  if (held_) moved_ = site_.clock.boottime();
  for (const auto& way : ways_) moved |= way->step();
  for (const auto& relay : relays_)
    if (relay->is_over()) {
      to_machine_bytes_ += relay->to_machine_bytes;
      to_person_bytes_ += relay->to_person_bytes;
      if (relay->exit_status) exit_status_ = relay->exit_status;
    }
  std::erase_if(relays_, [](const auto& relay) { return relay->is_over(); });
  std::erase_if(ways_, [](const auto& way) { return way->is_over(); });
  if (moved) moved_ = site_.clock.boottime();
  if (machine_ && !machine_->is_alive() && relays_.empty()) {
    reason_ = "MachineClosed";
    over_ = true;
  }
  if (!is_alive(session_.get())) over_ = true;
  return moved;
}

bool PersonEnd::take_messages() {
  bool any = false;
  // Bounded: whoever only ever sends requests must not keep the rest of the process from its work.
  for (size_t count = 0; count < kMessagesAtOnce && !over_; ++count) {
    const bool from_waiting = !held_ && !waiting_.empty();
    MessageHandle message(from_waiting ? waiting_.front().release() : ssh_message_get(session_.get()));
    if (from_waiting) waiting_.pop_front();
    if (!message) break;
    any = true;
    if (held_ || waits_for_moderator(message.get())) {
      waiting_.push_back(std::move(message));
      if (waiting_.size() > kWaitingMax) over_ = true;
      continue;
    }
    handle(message.get());
  }
  return any;
}

// What would begin something at the machine: it is looked at once the person has been let in there, and that
// may be to wait.
bool PersonEnd::waits_for_moderator(ssh_message message) {
  if (state_ != State::open || machine_) return false;
  const int type = ssh_message_type(message), what = ssh_message_subtype(message);
  const bool begins = (type == SSH_REQUEST_CHANNEL && what != SSH_CHANNEL_REQUEST_WINDOW_CHANGE) ||
                      (type == SSH_REQUEST_CHANNEL_OPEN && what == SSH_CHANNEL_DIRECT_TCPIP);
  if (!begins || target_.machine.empty()) return false;
  admit();  // a refusal is kept, and told where the request is handled
  return held_;
}

void PersonEnd::handle(ssh_message message) {
  switch (ssh_message_type(message)) {
    case SSH_REQUEST_SERVICE: {
      const char* service = ssh_message_service_service(message);
      if (state_ != State::signing_in || service_asked_ ||
          std::string_view(service == nullptr ? "" : service) != "ssh-userauth") {
        over_ = true;
        return;
      }
      service_asked_ = true;
      ssh_message_service_reply_success(message);
      return;
    }
    case SSH_REQUEST_AUTH:
      if (state_ == State::open) return;  // RFC 4252 section 5.1: ignored
      if (!service_asked_) {
        over_ = true;
        return;
      }
      return handle_auth(message);
    case SSH_REQUEST_CHANNEL_OPEN:
    case SSH_REQUEST_CHANNEL:
      if (state_ != State::open) {
        over_ = true;
        return;
      }
      return ssh_message_type(message) == SSH_REQUEST_CHANNEL_OPEN ? handle_open(message)
                                                                   : handle_request(message);
    default:
      // Remote forwarding among them: whoever could open ports on the bastion could wait there for others.
      ssh_message_reply_default(message);
  }
}

void PersonEnd::check_time() {
  const Duration now = site_.clock.boottime();
  if (state_ != State::open && now - began_ > site_.grace) over_ = true;
  if (state_ != State::open || passage_ == 0) return;
  const auto idle = int_at(allowed_, "idleMs");
  if (idle && now - moved_ > Duration(*idle))
    end("Idle", "Merlon: this session is ended, since nothing has passed for " +
                    to_human_duration(Duration(*idle)) + ".");
}

void PersonEnd::end(const std::string& reason, const std::string& message) {
  reason_ = reason;
  message_ = message;
  for (const auto& relay : relays_) relay->refuse(message, 254);
  ssh_blocking_flush(session_.get(), 1000);
  over_ = true;
}

void PersonEnd::heed(uint32_t session, const JsonObject& notice) {
  for (const auto& way : ways_) way->inner().heed(session, notice);
  if (over_ || (session != 0 && session != passage_)) return;
  const std::string message = string_at(notice, "message").value_or("");
  if (bool_at(notice, "ends").value_or(true))
    return end(string_at(notice, "reason").value_or("Ended"), "Merlon: " + message);
  for (const auto& relay : relays_) relay->say("Merlon: " + message);
  held_ = bool_at(notice, "hold").value_or(held_);
}

void PersonEnd::tell_ended() {
  if (passage_ == 0) return;
  JsonObject facts{{"reason", reason_},
                   {"message", message_},
                   {"bytesToMachine", to_machine_bytes_},
                   {"bytesToClient", to_person_bytes_}};
  if (exit_status_) facts["exitStatus"] = *exit_status_;
  site_.link.tell(FrameKind::ended, passage_, to_text(facts));
  passage_ = 0;
}

void PersonEnd::add_polls(std::vector<pollfd>& polls) const {
  if (over_) return;
  add_poll(polls, session_.get());
  if (machine_) add_poll(polls, machine_->session());
  for (const auto& way : ways_) way->add_polls(polls);
}

// "ada", "admin+web-1", "admin+web-1:2222", "admin+web-1+bastion"; inside, the login on the machine alone.
bool PersonEnd::read_user(const std::string& user) {
  if (user.empty() || user.size() > kUserBytesMax || !is_plain(user)) return false;
  if (place_ == Place::inner) {
    login_ = user;
    return true;
  }
  const auto parts = split(user, '+');
  if (parts.size() > 3) return false;
  if (parts.size() == 1) return true;
  login_ = parts[0];
  target_.machine = parts[1];
  if (parts.size() == 3) target_.bastion = parts[2];
  if (const size_t colon = target_.machine.rfind(':'); colon != std::string::npos) {
    const std::string_view port = std::string_view(target_.machine).substr(colon + 1);
    const auto [rest, fault] = std::from_chars(port.data(), port.data() + port.size(), target_.port);
    if (fault != std::errc() || rest != port.data() + port.size() || target_.port == 0) return false;
    target_.machine.erase(colon);
  }
  return !login_.empty() && !target_.machine.empty();
}

void PersonEnd::let_in(ssh_message message) {
  state_ = State::open;
  moved_ = site_.clock.boottime();
  ssh_message_auth_reply_success(message, 0);
}

void PersonEnd::handle_auth(ssh_message message) {
  const char* text = ssh_message_auth_user(message);
  const std::string user = text == nullptr ? "" : text;
  // The user may not change between attempts: what was refused to one name must not be granted to another.
  if (user_.empty() && read_user(user)) user_ = user;
  if (user_.empty() || user != user_ || ++attempts_ > kAttemptsMax) {
    over_ = true;
    return;
  }
  // Whoever is inside has signed in outside, and nobody else can reach the inside.
  if (place_ == Place::inner) return let_in(message);
  switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PUBLICKEY:
      return auth_key(message);
    case SSH_AUTH_METHOD_INTERACTIVE:
      return auth_interactive(message);
    default:
      ssh_message_reply_default(message);
  }
}

void PersonEnd::auth_key(ssh_message message) {
  const auto state = ssh_message_auth_publickey_state(message);
  char* text = nullptr;
  ssh_key key = ssh_message_auth_pubkey(message);
  if ((state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID) || key == nullptr ||
      ssh_pki_export_pubkey_base64(key, &text) != SSH_OK) {
    ssh_message_reply_default(message);
    return;
  }
  const std::string blob(text);
  ssh_string_free_char(text);
  const bool is_signed = state == SSH_PUBLICKEY_STATE_VALID;
  const auto answer = site_.link.ask({{"ask", "key"}, {"blob", blob}, {"signed", is_signed}});
  if (!answer)
    ssh_message_reply_default(message);
  else if (is_signed)
    let_in(message);
  else
    ssh_message_auth_reply_pk_ok_simple(message);
}

void PersonEnd::show_device_code(ssh_message message, const std::string& first_line) {
  const std::string instruction = first_line + "To sign in, open " + device_->page +
                                  " in a browser and enter the code " + device_->code + "\n";
  const char* prompt = "Press Enter when you have done so: ";
  char echo = 1;
  ssh_message_auth_interactive_request(message, "Merlon", instruction.c_str(), 1, &prompt, &echo);
}

void PersonEnd::auth_interactive(ssh_message message) {
  const bool answers = ssh_message_auth_kbdint_is_response(message) != 0;
  if (!answers) {
    const auto asked = site_.link.ask({{"ask", "deviceStart"}});
    if (!asked) {
      ssh_message_reply_default(message);
      return;
    }
    device_ = Device{string_at(*asked, "page").value_or(""), string_at(*asked, "code").value_or("")};
    return show_device_code(message, "");
  }
  if (!device_ || ++device_->asked > kDeviceAsksMax) {
    over_ = true;
    return;
  }
  --attempts_;  // an answer is part of its attempt
  const auto asked = site_.link.ask({{"ask", "devicePoll"}});
  if (!asked) {
    device_.reset();
    ssh_message_reply_default(message);
  } else if (bool_at(*asked, "done").value_or(false)) {
    let_in(message);
  } else {
    show_device_code(message, "Nobody has entered the code yet.\n");
  }
}

}  // namespace merlon::ssh

// The request table. A process that asks out of order, twice at once, or for what it was not granted is
// ended.
#include "ssh/edge_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "ssh/fact_text.h"

namespace merlon::ssh {
namespace {

constexpr size_t kOutMax = 1024 * 1024;
constexpr unsigned kQuestionsMax = 200;  // of one connection: keys, codes, sessions
constexpr unsigned kDevicesMax = 5;
constexpr int64_t kCellsMax = 10'000;

JsonObject allowed_json(const Allowed& allowed) {
  JsonObject json{{"shell", allowed.shell},           {"commands", allowed.commands},
                  {"forwarding", allowed.forwarding}, {"upload", allowed.upload},
                  {"download", allowed.download},     {"clipboard", allowed.clipboard},
                  {"recorded", allowed.recorded}};
  if (allowed.idle_max) json["idleMs"] = allowed.idle_max->count();
  if (!allowed.held_because.empty()) json["heldBecause"] = allowed.held_because;
  return json;
}

}  // namespace

bool EdgeConnection::read(std::span<char> space) {
  // Without room for control data the kernel closes what descriptors the process may send along.
  const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  return count > 0 && take({space.data(), static_cast<size_t>(count)});
}

bool EdgeConnection::take(std::string_view bytes) {
  const auto taken = in_.feed(bytes, [this](const Frame& frame) { return handle(frame); });
  if (!taken)
    log_error("an SSH session's process has broken the rules and is ended", taken.error());
  else if (!*taken)
    log(LogLevel::warning, "an SSH session's process has asked out of order and is ended",
        {{"address", source_.address.text()}});
  return taken && *taken;
}

bool EdgeConnection::write() {
  while (!out_.empty()) {
    size_t size = out_.size();
    iovec part{out_.data(), size};
    msghdr message{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    const bool with_descriptor = !descriptors_.empty() && descriptors_.front().first == 0;
    if (with_descriptor) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof(int));
      const int descriptor = descriptors_.front().second.get();
      std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    }
    const size_t next = with_descriptor ? 1 : 0;
    if (descriptors_.size() > next) size = descriptors_[next].first;
    part.iov_len = size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (with_descriptor) descriptors_.erase(descriptors_.begin());
    for (auto& [place, descriptor] : descriptors_) place -= static_cast<size_t>(count);
    out_.erase(0, static_cast<size_t>(count));
  }
  return true;
}

bool EdgeConnection::handle(const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::ask:
      return frame.session == 0 && ask(frame.payload);
    case FrameKind::output:
    case FrameKind::input:
    case FrameKind::resize:
    case FrameKind::fact:
      return record(frame);
    case FrameKind::ended:
      return finish(frame);
    case FrameKind::answer:
    case FrameKind::notice:
      break;
  }
  return false;
}

bool EdgeConnection::ask(std::string_view payload) {
  if (asking_ || ++questions_ > kQuestionsMax) return false;
  auto question = read_question(payload);
  if (!question) return false;
  using Kind = Question::Kind;
  const bool signs_in = question->kind == Kind::key || question->kind == Kind::device_start ||
                        question->kind == Kind::device_poll;
  if (signs_in && person_) return false;
  if (question->kind == Kind::begin && questions_ != 1) return false;
  if (question->kind == Kind::device_start && ++devices_ > kDevicesMax) return false;
  if (question->kind == Kind::device_poll && !device_) return false;
  const size_t sessions_max = appointment_ ? 1 : context_.limits.sessions_max;
  if (question->kind == Kind::admit && (!person_ || last_session_ >= sessions_max)) return false;
  asking_ = true;
  carry_out(*std::move(question));
  return true;
}

void EdgeConnection::carry_out(Question question) {
  auto work = [self = shared_from_this(), question = std::move(question)] {
    Then then;
    switch (question.kind) {
      case Question::Kind::begin:
        then = self->begin();
        break;
      case Question::Kind::key:
        then = self->by_key(question);
        break;
      case Question::Kind::device_start:
        then = self->start_device();
        break;
      case Question::Kind::device_poll:
        then = self->poll_device();
        break;
      case Question::Kind::admit:
        then = self->admit(question);
        break;
    }
    self->context_.post([self, then = std::move(then)] {
      self->asking_ = false;
      then();
    });
  };
  if (context_.work(std::move(work))) return;
  asking_ = false;
  refuse({.kind = ErrorKind::unavailable,
          .code = "TooBusy",
          .message = "The bastion has too much to do. Try again in a moment.",
          .target = {},
          .cause = {},
          .details = {}});
}

// A page's process needs no host key, and gets none.
EdgeConnection::Then EdgeConnection::begin() {
  if (appointment_ && appointment_->speaks_ssh)
    return [self = shared_from_this(), key = context_.desk.host_key()] {
      const Destination& to = self->appointment_->to;
      self->answer({{"hostKey", key.expose_text()},
                    {"graceMs", self->context_.limits.grace.count()},
                    {"inside", true},
                    {"machine", to.machine},
                    {"bastion", to.bastion},
                    {"port", to.port}});
    };
  if (appointment_)
    return [self = shared_from_this()] {
      const Destination& to = self->appointment_->to;
      self->answer({{"page", true},
                    {"machine", to.machine},
                    {"login", to.login},
                    {"bastion", to.bastion},
                    {"port", to.port}});
    };
  return [self = shared_from_this(), key = context_.desk.host_key()] {
    self->answer({{"hostKey", key.expose_text()}, {"graceMs", self->context_.limits.grace.count()}});
  };
}

EdgeConnection::Then EdgeConnection::by_key(const Question& question) {
  auto found = context_.desk.by_key(question.key, source_);
  auto shared = std::make_shared<Result<std::unique_ptr<Person>>>(std::move(found));
  return [self = shared_from_this(), shared, is_signed = question.is_signed] {
    if (!*shared) {
      self->was_refused_ = true;
      return self->refuse(shared->error());
    }
    const std::string name = (**shared)->name();
    if (is_signed) self->person_ = *std::move(*shared);
    self->answer({{"name", name}});
  };
}

EdgeConnection::Then EdgeConnection::start_device() {
  auto code = context_.desk.start_device(source_);
  return [self = shared_from_this(), code = std::move(code)] {
    if (!code) return self->refuse(code.error());
    self->device_ = std::make_shared<DeviceCode>(*code);
    self->answer({{"page", code->page}, {"code", code->code}});
  };
}

EdgeConnection::Then EdgeConnection::poll_device() {
  auto found = context_.desk.poll_device(*device_, source_);
  auto shared = std::make_shared<Result<std::unique_ptr<Person>>>(std::move(found));
  return [self = shared_from_this(), shared] {
    if (!*shared) {
      self->device_.reset();
      self->was_refused_ = true;
      return self->refuse(shared->error());
    }
    const bool done = **shared != nullptr;
    if (done) self->person_ = *std::move(*shared);
    self->answer({{"done", done}});
  };
}

EdgeConnection::Then EdgeConnection::admit(const Question& question) {
  Destination to = appointment_ ? appointment_->to
                                : Destination{.machine = question.machine,
                                              .login = question.login,
                                              .bastion = question.bastion,
                                              .port = question.port,
                                              .client = {}};
  if (appointment_ && appointment_->speaks_ssh) to.login = question.login;
  auto admitted_to = context_.desk.admit(*person_, to, source_);
  if (!admitted_to) return [self = shared_from_this(), error = admitted_to.error()] { self->refuse(error); };
  const std::shared_ptr<Passage> passage = *std::move(admitted_to);
  WayOn way;
  auto connected = passage->connect();
  if (!connected) return let_down(passage, "ConnectFailed", connected.error());
  way.connected = *std::move(connected);
  if (way.connected.secret) {
    auto apart = Apart::sign_in(context_.program,
                                {.socket = std::move(way.connected.socket),
                                 .host_keys = std::move(way.connected.host_keys),
                                 .machine = question.machine,
                                 .login = to.login,
                                 .secret = std::move(way.connected.secret)},
                                context_.clock);
    if (!apart) return let_down(passage, apart.error().code, apart.error());
    way.apart = *std::move(apart);
    way.connected.socket = way.apart->take_socket();
    way.connected.host_keys = {way.apart->host_key()};
  }
  return admitted(question, passage, std::move(way));
}

EdgeConnection::Then EdgeConnection::let_down(const std::shared_ptr<Passage>& passage,
                                              std::string_view reason, const Error& error) {
  passage->end(reason, error.message, {});
  return [self = shared_from_this(), error] { self->refuse(error); };
}

EdgeConnection::Then EdgeConnection::admitted(const Question& question,
                                              const std::shared_ptr<Passage>& passage, WayOn way) {
  auto shared = std::make_shared<WayOn>(std::move(way));
  return [self = shared_from_this(), shared, passage, machine = question.machine] {
    if (self->closed_) return self->end_passage(passage, "ClientClosed", "", {});
    const uint32_t number = ++self->last_session_;
    self->passages_[number] = passage;
    passage->watch([weak = self->weak_from_this(), number, post = self->context_.post](const Notice& notice) {
      post([weak, number, notice] {
        if (const auto there = weak.lock()) there->notify(number, notice);
      });
    });
    Connected& connected = shared->connected;
    JsonArray keys;
    for (const std::string& line : connected.host_keys) keys.emplace_back(line);
    JsonObject json{{"session", number},
                    {"machine", machine},
                    {"hostKeys", std::move(keys)},
                    {"allowed", allowed_json(passage->allowed())}};
    if (shared->apart) {
      json["isSignedIn"] = true;
      self->aparts_[number] = std::move(shared->apart);
    } else {
      json["privateKey"] = connected.private_key.expose_text();
      json["certificate"] = connected.certificate;
    }
    self->answer(json, std::move(connected.socket));
  };
}

void EdgeConnection::forget(uint32_t session) {
  passages_.erase(session);
  aparts_.erase(session);
}

bool EdgeConnection::record(const Frame& frame) {
  const auto found = passages_.find(frame.session);
  // One that was ended from here may still be told of: what was on its way.
  if (found == passages_.end()) return frame.session != 0 && frame.session <= last_session_;
  Passage& passage = *found->second;
  Result<void> done;
  if (frame.kind == FrameKind::output) {
    done = passage.output(frame.payload);
  } else if (frame.kind == FrameKind::input) {
    done = passage.input(frame.payload);
  } else if (frame.kind == FrameKind::resize) {
    const auto words = split(frame.payload, ' ');
    int64_t columns = 0, rows = 0;
    if (words.size() != 2) return false;
    std::from_chars(words[0].data(), words[0].data() + words[0].size(), columns);
    std::from_chars(words[1].data(), words[1].data() + words[1].size(), rows);
    if (columns < 1 || rows < 1 || columns > kCellsMax || rows > kCellsMax)
      return true;  // as the client says it
    done = passage.resize(columns, rows);
  } else {
    auto facts = parse_json_object(frame.payload, {.bytes_max = kFactBytesMax, .depth_max = 4});
    const auto kind = facts ? string_at(*facts, "kind") : std::nullopt;
    if (!kind || kind->size() > 64) return false;
    facts->erase("kind");
    done = passage.fact(*kind, *std::move(facts));
  }
  if (done) return true;
  notify(frame.session,
         {true, "RecordingFailed",
          "this session must be recorded, and its recording cannot be written: " + done.error().message});
  end_passage(found->second, "RecordingFailed", done.error().message, {});
  forget(frame.session);
  return true;
}

bool EdgeConnection::finish(const Frame& frame) {
  const auto found = passages_.find(frame.session);
  if (found == passages_.end()) return frame.session != 0 && frame.session <= last_session_;
  const auto json = parse_json_object(frame.payload, {.bytes_max = kFactBytesMax, .depth_max = 4});
  if (!json) return false;
  JsonObject facts;
  for (const char* name : {"bytesToMachine", "bytesToClient", "exitStatus"})
    if (const auto number = int_at(*json, name)) facts[name] = *number;
  const std::string reason = string_at(*json, "reason").value_or("ClientClosed");
  const std::string message = string_at(*json, "message").value_or("");
  end_passage(found->second, reason.substr(0, whole_characters(reason, 64)),
              message.substr(0, whole_characters(message, 1024)), std::move(facts));
  forget(frame.session);
  return true;
}

void EdgeConnection::end_passage(const std::shared_ptr<Passage>& passage, std::string reason,
                                 std::string message, JsonObject facts) {
  auto work = [passage, reason = std::move(reason), message = std::move(message), facts = std::move(facts)] {
    passage->end(reason, message, facts);
  };
  // Full of work or stopping, it is done here: nothing may end unsaid.
  if (!context_.work(work)) work();
}

void EdgeConnection::answer(const JsonObject& json, Descriptor descriptor) {
  std::string text = to_text(json);
  if (text.size() > kFramePayloadMax) {
    // What is in it others have written: names, keys, limits.
    log(LogLevel::error, "what was to be told to an SSH session's process does not fit a frame",
        {{"bytes", text.size()}});
    text = to_text(JsonObject{{"error",
                               {{"code", "AnswerTooLong"},
                                {"message",
                                 "What the bastion knows of this machine is too long to be used. "
                                 "Ask whoever looks after the bastion."}}}});
    descriptor = Descriptor();
  }
  if (descriptor.is_open()) descriptors_.emplace_back(out_.size(), std::move(descriptor));
  send({FrameKind::answer, 0, text});
}

void EdgeConnection::send(const Frame& frame) {
  if (out_.empty()) context_.will_write(socket_.get());
  out_ += encode(frame);
}

void EdgeConnection::refuse(const Error& error) {
  if (error.kind == ErrorKind::internal)
    log_error("a question of an SSH session could not be answered", error);
  answer({{"error", {{"code", told_text(error.code)}, {"message", told_text(error.message)}}}});
}

void EdgeConnection::notify(uint32_t session, const Notice& notice) {
  if (closed_) return;
  if (notice.ends && passages_.contains(session)) endings_.try_emplace(session, Ending{notice.reason, {}});
  if (out_.size() > kOutMax) return;
  JsonObject json{
      {"ends", notice.ends}, {"reason", told_text(notice.reason)}, {"message", told_text(notice.message)}};
  if (notice.hold) json["hold"] = *notice.hold;
  send({FrameKind::notice, session, to_text(json)});
}

Duration EdgeConnection::wait() const {
  Duration longest{0};
  if (!endings_.empty()) return longest;
  for (const auto& [number, passage] : passages_) longest = std::max(longest, passage->wait());
  return longest;
}

std::optional<std::string> EdgeConnection::overstays(Duration now) {
  std::erase_if(endings_, [this](const auto& each) { return !passages_.contains(each.first); });
  for (auto& [session, ending] : endings_) {
    if (!ending.until) ending.until = now + context_.limits.obey_within;
    if (now >= *ending.until) return ending.reason;
  }
  return std::nullopt;
}

void EdgeConnection::close(std::string_view why) {
  // Who has several keys is asked for each: what counts is that none of them was anybody's.
  if (!closed_ && was_refused_ && !person_) context_.failed(source_);
  closed_ = true;
  for (const auto& [number, passage] : passages_) end_passage(passage, std::string(why), "", {});
  passages_.clear();
  aparts_.clear();
}

}  // namespace merlon::ssh

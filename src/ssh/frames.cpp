// Frames and questions.
#include "ssh/frames.h"

#include <algorithm>

#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr size_t kHeadBytes = 9;
constexpr size_t kQuestionBytesMax = 32 * 1024;
constexpr size_t kNameBytesMax = 512;
constexpr size_t kKeyBytesMax = 16 * 1024;

std::unexpected<Error> broken(std::string why) {
  return internal_error("the process of an SSH connection has sent " + std::move(why));
}

bool is_kind(uint8_t kind) {
  return std::string_view("qanorfe").find(static_cast<char>(kind)) != std::string_view::npos;
}

Result<std::string> name_at(const JsonObject& json, std::string_view key) {
  std::string name = string_at(json, key).value_or("");
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  if (name.size() > kNameBytesMax || !std::all_of(name.begin(), name.end(), plain))
    return broken("a name that is none");
  return name;
}

}  // namespace

std::string encode(const Frame& frame) {
  MERLON_CHECK(frame.payload.size() <= kFramePayloadMax);
  WireWriter writer;
  writer.number32(static_cast<uint32_t>(frame.payload.size() + kHeadBytes - 4));
  writer.byte(static_cast<uint8_t>(frame.kind)).number32(frame.session).raw(as_bytes(frame.payload));
  return std::string(as_text(writer.bytes()));
}

Result<std::optional<Frame>> FrameBuffer::next() {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  WireReader reader(as_bytes(rest));
  if (rest.size() < kHeadBytes) return std::nullopt;
  const uint32_t length = reader.number32();
  if (length < kHeadBytes - 4 || length > kFramePayloadMax + kHeadBytes - 4)
    return broken("a frame without bounds");
  if (rest.size() < length + 4) return std::nullopt;
  const uint8_t kind = reader.byte();
  if (!is_kind(kind)) return broken("a frame of no kind");
  Frame frame{static_cast<FrameKind>(kind), reader.number32(),
              std::string(rest.substr(kHeadBytes, length + 4 - kHeadBytes))};
  at_ += length + 4;
  if (at_ == buffer_.size() || at_ > kFramePayloadMax) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return frame;
}

Result<Question> read_question(std::string_view payload) {
  const JsonObject json = TRY(parse_json_object(payload, {.bytes_max = kQuestionBytesMax, .depth_max = 4}));
  const std::string ask = string_at(json, "ask").value_or("");
  Question question;
  if (ask == "begin") return question;
  if (ask == "deviceStart") {
    question.kind = Question::Kind::device_start;
    return question;
  }
  if (ask == "devicePoll") {
    question.kind = Question::Kind::device_poll;
    return question;
  }
  if (ask == "key") {
    question.kind = Question::Kind::key;
    const auto blob = from_base64(string_at(json, "blob").value_or(""));
    if (!blob || blob->empty() || blob->size() > kKeyBytesMax) return broken("a key that is none");
    question.key = *blob;
    question.is_signed = bool_at(json, "signed").value_or(false);
    return question;
  }
  if (ask != "admit") return broken("a question that there is none of");
  question.kind = Question::Kind::admit;
  question.machine = TRY(name_at(json, "machine"));
  question.login = TRY(name_at(json, "login"));
  question.bastion = TRY(name_at(json, "bastion"));
  const int64_t port = int_at(json, "port").value_or(0);
  if (port < 1 || port > 65535 || question.machine.empty() || question.login.empty())
    return broken("a way in without machine, login or port");
  question.port = static_cast<uint16_t>(port);
  return question;
}

}  // namespace merlon::ssh

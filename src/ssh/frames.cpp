// Frames and questions.
#include "ssh/frames.h"

#include <algorithm>

#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr size_t kSizeBytes = 4;
constexpr size_t kKeptBytes = 16 * 1024;  // of memory, while nothing is in it
constexpr size_t kQuestionBytesMax = 32 * 1024;
constexpr size_t kNameBytesMax = 512;
constexpr size_t kKeyBytesMax = 16 * 1024;

std::unexpected<Error> broken(std::string why) {
  return internal_error("the process of an SSH connection has sent " + std::move(why));
}

bool is_kind(uint8_t kind) {
  return std::string_view("qanoirfe").find(static_cast<char>(kind)) != std::string_view::npos;
}

Result<std::string> name_at(const JsonObject& json, std::string_view key) {
  std::string name = string_at(json, key).value_or("");
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  if (name.size() > kNameBytesMax || !std::all_of(name.begin(), name.end(), plain))
    return broken("a name that is none");
  return name;
}

// Of the first frame, when its length is known; 0 before that.
Result<size_t> frame_size(std::string_view bytes) {
  if (bytes.size() < kSizeBytes) return 0;
  const uint32_t length = WireReader(as_bytes(bytes)).number32();
  if (length < kFrameHeadBytes - kSizeBytes || length > kFramePayloadMax + kFrameHeadBytes - kSizeBytes)
    return broken("a frame without bounds");
  return length + kSizeBytes;
}

Result<Frame> frame_in(std::string_view whole) {
  WireReader reader(as_bytes(whole.substr(kSizeBytes)));
  const uint8_t kind = reader.byte();
  if (!is_kind(kind)) return broken("a frame of no kind");
  return Frame{static_cast<FrameKind>(kind), reader.number32(), whole.substr(kFrameHeadBytes)};
}

}  // namespace

std::array<char, kFrameHeadBytes> frame_head(const Frame& frame) {
  MERLON_CHECK(frame.payload.size() <= kFramePayloadMax);
  const auto length = static_cast<uint32_t>(frame.payload.size() + kFrameHeadBytes - kSizeBytes);
  std::array<char, kFrameHeadBytes> head{};
  const auto put = [&head](size_t at, uint32_t value) {
    for (size_t i = 0; i < 4; ++i) head[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  put(0, length);
  head[kSizeBytes] = static_cast<char>(frame.kind);
  put(kSizeBytes + 1, frame.session);
  return head;
}

std::string encode(const Frame& frame) {
  const auto head = frame_head(frame);
  std::string out(head.begin(), head.end());
  out += frame.payload;
  return out;
}

Result<bool> FrameBuffer::finish_kept(std::string_view& bytes,
                                      const std::function<bool(const Frame&)>& visit) {
  while (!kept_.empty()) {
    const size_t size = TRY(frame_size(kept_));
    const size_t wanted = size == 0 ? kSizeBytes : size;
    const size_t more = std::min(wanted - kept_.size(), bytes.size());
    kept_.append(bytes.substr(0, more));
    bytes.remove_prefix(more);
    if (kept_.size() < wanted) return true;
    if (size == 0) continue;
    const bool goes_on = visit(TRY(frame_in(kept_)));
    kept_.clear();
    if (kept_.capacity() > kKeptBytes) std::string().swap(kept_);
    if (!goes_on) return false;
  }
  return true;
}

Result<bool> FrameBuffer::feed(std::string_view bytes, const std::function<bool(const Frame&)>& visit) {
  if (!TRY(finish_kept(bytes, visit))) return false;
  for (;;) {
    const size_t size = TRY(frame_size(bytes));
    if (size == 0 || bytes.size() < size) break;
    if (!visit(TRY(frame_in(bytes.substr(0, size))))) return false;
    bytes.remove_prefix(size);
  }
  kept_.append(bytes);
  return true;
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

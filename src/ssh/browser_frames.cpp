// Reading and writing the page's frames.
#include "ssh/browser_frames.h"

#include <charconv>

#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr size_t kHeadBytes = 9;
constexpr size_t kWordsBytesMax = 1024;
constexpr int64_t kCellsMax = 1000;

std::unexpected<Error> broken(std::string why) {
  return fail(
      ErrorKind::invalid, "InvalidFrame",
      "The page has sent " + std::move(why) + ". Load it again; an older page may not fit the server.");
}

// What only the process says is no frame of the page's.
bool is_from_page(uint8_t kind) {
  return std::string_view("odrtc").find(static_cast<char>(kind)) != std::string_view::npos;
}

Result<TerminalSize> size_in(const JsonObject& json) {
  const int64_t columns = int_at(json, "columns").value_or(0);
  const int64_t rows = int_at(json, "rows").value_or(0);
  if (columns < 1 || rows < 1 || columns > kCellsMax || rows > kCellsMax)
    return broken("a size that no terminal has");
  return TerminalSize{static_cast<int>(columns), static_cast<int>(rows)};
}

Result<JsonObject> words(std::string_view payload) {
  auto json = parse_json_object(payload, {.bytes_max = kWordsBytesMax, .depth_max = 2});
  if (!json) return broken("what is no JSON");
  return json;
}

}  // namespace

std::string encode(const BrowserFrame& frame) {
  MERLON_CHECK(frame.payload.size() <= kBrowserPayloadMax);
  WireWriter writer;
  writer.number32(static_cast<uint32_t>(frame.payload.size() + kHeadBytes - 4));
  writer.byte(static_cast<uint8_t>(frame.kind)).number32(frame.channel).raw(as_bytes(frame.payload));
  return std::string(as_text(writer.bytes()));
}

Result<std::optional<BrowserFrame>> BrowserFrameBuffer::next() {
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  if (rest.size() < kHeadBytes) return std::nullopt;
  WireReader reader(as_bytes(rest));
  const uint32_t length = reader.number32();
  if (length < kHeadBytes - 4 || length > kBrowserPayloadMax + kHeadBytes - 4)
    return broken("a frame without bounds");
  const uint8_t kind = reader.byte();
  if (!is_from_page(kind)) return broken("a frame of no kind");
  if (rest.size() < length + 4) return std::nullopt;
  BrowserFrame frame{static_cast<BrowserFrameKind>(kind), reader.number32(),
                     std::string(rest.substr(kHeadBytes, length + 4 - kHeadBytes))};
  at_ += length + 4;
  if (at_ == buffer_.size() || at_ > kBrowserPayloadMax) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return frame;
}

Result<ChannelWish> read_wish(std::string_view payload) {
  const JsonObject json = TRY(words(payload));
  const std::string what = string_at(json, "what").value_or("");
  if (what == "sftp") return ChannelWish{};
  if (what != "shell") return broken("a wish for a channel that there is none of");
  return ChannelWish{.is_shell = true, .size = TRY(size_in(json))};
}

Result<TerminalSize> read_size(std::string_view payload) { return size_in(TRY(words(payload))); }

Result<uint32_t> read_taken(std::string_view payload) {
  uint32_t count = 0;
  const auto [end, fault] = std::from_chars(payload.data(), payload.data() + payload.size(), count, 16);
  if (payload.size() != 8 || fault != std::errc() || end != payload.data() + payload.size())
    return broken("a count that is none");
  return count;
}

}  // namespace merlon::ssh

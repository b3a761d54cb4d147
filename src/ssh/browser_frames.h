// The language between the page in somebody's browser and the process of their session: frames over a byte
// stream, which a WebSocket carries. A session has channels, each a terminal or a conversation in SFTP,
// numbered by the page. What the page sends is anybody's bytes: bounded, and a frame that does not fit ends
// the session.
//
//   length (4 bytes, of what follows) · kind (1) · channel (4) · payload
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace merlon::ssh {

enum class BrowserFrameKind : uint8_t {
  open = 'o',    // page → process: JSON {"what": "shell" or "sftp", "columns", "rows"}
  data = 'd',    // both ways: bytes of a channel
  resize = 'r',  // page → process: JSON {"columns", "rows"}
  taken = 't',   // page → process: how many bytes of the channel it has dealt with (8 hexadecimal digits)
  close = 'c',   // page → process: the channel is not needed any more
  ready = 'y',   // process → page: JSON, the session and what may go through it
  closed = 'x',  // process → page: JSON {"exitStatus", "message"}: the channel has ended
  notice = 'n',  // process → page: JSON {"message"}
  end = 'e',     // process → page: JSON {"code", "message"}: the session has ended, and why
};

struct BrowserFrame {
  BrowserFrameKind kind = BrowserFrameKind::data;
  uint32_t channel = 0;  // 0: the session
  std::string payload;
};

inline constexpr size_t kBrowserPayloadMax = 64 * 1024;
// Of a channel's bytes towards the page, sent and not dealt with yet.
inline constexpr size_t kBrowserWindow = 256 * 1024;

std::string encode(const BrowserFrame& frame);

// Cuts what the page sends into frames. An error is final.
class BrowserFrameBuffer {
 public:
  void add(std::string_view bytes) { buffer_.append(bytes); }
  Result<std::optional<BrowserFrame>> next();
  size_t size() const { return buffer_.size() - at_; }

 private:
  std::string buffer_;
  size_t at_ = 0;
};

// The page's words, read strictly.
struct TerminalSize {
  int columns = 80, rows = 24;
};
struct ChannelWish {
  bool is_shell = false;  // else SFTP
  TerminalSize size;
};
Result<ChannelWish> read_wish(std::string_view payload);
Result<TerminalSize> read_size(std::string_view payload);
Result<uint32_t> read_taken(std::string_view payload);

}  // namespace merlon::ssh

// The language between the server and the process of one connection: frames over a stream socket. The process
// is taken for hostile, since it reads what anybody sends: whatever it writes is bounded and checked, and a
// frame that does not fit ends it.
//
//   length (4 bytes, of what follows) · kind (1) · session (4) · payload
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "ssh/descriptor.h"

namespace merlon::ssh {

enum class FrameKind : uint8_t {
  ask = 'q',     // process → server: JSON, one at a time
  answer = 'a',  // server → process: JSON, perhaps with a descriptor
  notice = 'n',  // server → process: JSON {"kind", "message"}; nobody answers
  output = 'o',  // process → server: bytes of a terminal, for the recording
  input = 'i',   // process → server: what the person sends, where nothing echoes it
  resize = 'r',  // process → server: columns and rows
  fact = 'f',    // process → server: JSON {"kind", …}, for the recording
  ended = 'e',   // process → server: JSON {"reason", "message", …}
};

struct Frame {
  FrameKind kind = FrameKind::ask;
  uint32_t session = 0;      // of those that this connection was admitted to, in order from 1; 0: none
  std::string_view payload;  // where it was read, or is written from
};

inline constexpr size_t kFrameHeadBytes = 9;
inline constexpr size_t kFramePayloadMax = 128 * 1024;

// What stands before the payload, for those who write the payload itself beside it.
std::array<char, kFrameHeadBytes> frame_head(const Frame& frame);
std::string encode(const Frame& frame);

// Cuts a stream into frames. What is whole is shown where it lies; only the beginning of a frame is kept
// until the rest has come.
class FrameBuffer {
 public:
  // `bytes` are the stream's next. `visit` says whether to go on; so does the answer. An error is final.
  Result<bool> feed(std::string_view bytes, const std::function<bool(const Frame&)>& visit);

 private:
  Result<bool> finish_kept(std::string_view& bytes, const std::function<bool(const Frame&)>& visit);
  std::string kept_;
};

// A question of the process, read strictly.
struct Question {
  enum class Kind { begin, key, device_start, device_poll, admit } kind = Kind::begin;
  Bytes key;               // a key's or a certificate's blob
  bool is_signed = false;  // the process has seen its holder sign with it
  std::string machine, login, bastion;
  uint16_t port = 22;
};
Result<Question> read_question(std::string_view payload);

}  // namespace merlon::ssh

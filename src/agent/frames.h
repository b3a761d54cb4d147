// The language between the agent's two processes: JSON objects over a stream socket, each behind its length
// in four bytes. A question has an answer; nothing else is ever sent.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/json.h"
#include "store/state_directory.h"

namespace merlon::agent {

inline constexpr size_t kFrameBytesMax = 8 * 1024 * 1024;

Result<std::pair<store::FileDescriptor, store::FileDescriptor>> make_frame_pipe();
// FrameTooLong: nothing was sent.
Result<void> send_frame(int fd, const JsonObject& message);
// One that is too long is answered with an error of its own: whoever asked waits for an answer.
Result<void> send_answer(int fd, const JsonObject& answer);

class FrameReader {
 public:
  explicit FrameReader(int fd) : fd_(fd) {}
  // Waits for a whole frame. An error when the other end is gone.
  Result<JsonObject> next();
  // What has come so far; nothing while the frame is incomplete.
  Result<std::optional<JsonObject>> poll();

 private:
  Result<bool> fill(bool wait);  // false: nothing there
  Result<std::optional<JsonObject>> take();
  int fd_;
  std::string buffer_;
};

}  // namespace merlon::agent

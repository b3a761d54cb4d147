// The process's end of its conversation with the server.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "base/secret.h"
#include "ssh/frames.h"

namespace merlon::ssh {

class ParentLink {
 public:
  explicit ParentLink(int socket) : socket_(socket) {}
  int socket() const { return socket_; }
  // Waits for the answer. Errors are the server's refusals, or that it is gone.
  Result<JsonObject> ask(const JsonObject& question);
  // Waits until it is taken: what the server cannot record fast enough goes no faster.
  void tell(FrameKind kind, uint32_t session, std::string_view payload);
  // Bytes that come as they are, right after tell(): waits for all of them.
  Result<Secret> read_secret(size_t size);
  // Reads what has come. False: the server is gone.
  bool receive();
  bool is_gone() const { return gone_; }
  std::optional<std::pair<uint32_t, JsonObject>> next_notice();
  Descriptor take_descriptor();

 private:
  void read_some(bool wait);
  void take(const Frame& frame);
  void send(const Frame& frame);

  const int socket_;
  bool gone_ = false;
  FrameBuffer buffer_;
  std::deque<std::pair<uint32_t, JsonObject>> notices_;
  std::optional<JsonObject> answer_;
  Descriptor descriptor_;
};

}  // namespace merlon::ssh

// What the process apart may say to the server: it is believed no more than the machine that it has spoken
// with. The secret is given to whoever asks in the right order, once, and to nobody else; what a refusal says
// is short and printable.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "ssh/apart_talk.h"
#include "ssh/frames.h"

using namespace merlon;

namespace {

// The questions in it, as far as frames can be read.
std::vector<std::string> questions_in(std::string_view bytes) {
  std::vector<std::string> questions;
  ssh::FrameBuffer buffer;
  static_cast<void>(buffer.feed(bytes, [&](const ssh::Frame& frame) {
    const auto json = parse_json_object(frame.payload);
    questions.push_back(json ? string_at(*json, "ask").value_or("") : "");
    return true;
  }));
  return questions;
}

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kBytesMax = 100'000;  // what a socket keeps
  if (size > kBytesMax) return 0;
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return 0;
  const ssh::Descriptor ours(pair[0]), process(pair[1]);
  // All at once, and then it is gone; half of it later would be read the same.
  if (::send(process.get(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(size) &&
      size > 0)
    return 0;
  ::shutdown(process.get(), SHUT_WR);
  int given = 0;
  ssh::Apart::Task task;
  task.host_keys = {"ssh-ed25519 AAAA"};
  task.machine = "web-1";
  task.login = "admin";
  task.secret = [&given]() -> Result<ssh::MachineSecret> {
    ++given;
    ssh::MachineSecret secret;
    secret.password = Secret(std::string_view("the password"));
    return secret;
  };
  const SystemClock clock;
  const auto done = ssh::sign_in_by_talk(ours, task, Secret(std::string_view("key")), clock);
  const auto questions = questions_in(as_text({data, size}));
  const auto asked = [&](size_t at, std::string_view what) {
    return questions.size() > at && questions[at] == what;
  };
  require(given <= 1);
  if (given == 1) require(asked(0, "begin") && asked(1, "secret"));
  if (done) require(given == 1 && asked(2, "take") && asked(3, "signedIn"));
  if (!done) require(done.error().message.size() <= 1200 && is_plain(done.error().code));
  return 0;
}

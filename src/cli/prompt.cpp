// /dev/tty with echo off (as getpass(3) did; POSIX withdrew it).
#include "cli/prompt.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace merlon::cli {
namespace {

constexpr size_t kSecretMax = 4096;

// Echo off while it lives. Signals wait so long, since one that ended the process would leave the terminal
// mute; a second Ctrl-C after the question is answered is not lost.
class MuteTerminal {
 public:
  explicit MuteTerminal(int terminal) : terminal_(terminal) {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGTSTP}) sigaddset(&ending, signal);
    ::sigprocmask(SIG_BLOCK, &ending, &before_);
    muted_ = ::tcgetattr(terminal_, &shown_) == 0;
    if (!muted_) return;
    termios mute = shown_;
    mute.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);  // Ctrl-C comes as a character
    muted_ = ::tcsetattr(terminal_, TCSAFLUSH, &mute) == 0;
  }
  ~MuteTerminal() {
    if (muted_) ::tcsetattr(terminal_, TCSAFLUSH, &shown_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    ::close(terminal_);
  }
  MuteTerminal(const MuteTerminal&) = delete;
  MuteTerminal& operator=(const MuteTerminal&) = delete;
  bool muted() const { return muted_; }
  void say(std::string_view text) const {
    // A terminal that takes no question is noticed by the answer that does not come.
    [[maybe_unused]] const ssize_t written = ::write(terminal_, text.data(), text.size());
  }

 private:
  int terminal_;
  bool muted_ = false;
  termios shown_{};
  sigset_t before_{};
};

}  // namespace

Result<Secret> ask_secret(const std::string& question, const std::string& instead) {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0)
    return fail(ErrorKind::invalid, "NoTerminal",
                "There is no terminal to ask for a secret: " + instead + ".");
  const MuteTerminal mute(terminal);
  if (!mute.muted())
    return fail(ErrorKind::invalid, "NoTerminal",
                "The terminal cannot hide what is typed, so it was not asked: " + instead + ".");
  mute.say(question);
  Bytes typed;
  typed.reserve(kSecretMax);  // so that no copy is left behind by growth
  for (;;) {
    char c = 0;
    const ssize_t count = ::read(terminal, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || c == '\n' || c == '\r') break;
    if (c == '\x03') {
      mute.say("\n");
      return fail(ErrorKind::invalid, "Interrupted", "Interrupted; nothing was done.");
    }
    if (typed.size() < kSecretMax) typed.push_back(static_cast<uint8_t>(c));
  }
  mute.say("\n");
  return Secret(std::move(typed));
}

}  // namespace merlon::cli

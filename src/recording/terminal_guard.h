// What of a recording's output may reach the terminal of who plays it. Text, colours, cursor moves, erasing,
// scrolling and the alternate screen do what they did. Left out is what would act on the viewer's own side:
// queries that make the terminal type an answer into their shell, the clipboard (OSC 52), titles and icons,
// links and notifications (all OSC, DCS, APC, PM, SOS), keyboard and mouse modes, printing, resizing of
// windows, macros. A list of what passes, not of what does not: an unknown sequence is left out. Not
// thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace merlon::recording {

class TerminalGuard {
 public:
  // Cut anywhere; what is not finished waits for the next call.
  std::string pass(std::string_view bytes);
  // Whatever the recording left switched on is switched off again: to be written at the end.
  static std::string_view reset();

 private:
  enum class State { ground, escape, intermediate, csi, text, text_escape };
  void ground(char c, std::string& out);
  void escape(char c, std::string& out);
  void finish_csi(std::string& out);

  State state_ = State::ground;
  std::string sequence_;   // since its ESC; empty once it is too long to be one that passes
  std::string character_;  // of UTF-8, as far as it has come
  unsigned expected_ = 0;  // bytes of it that are still to come
};

}  // namespace merlon::recording

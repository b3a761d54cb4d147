// What a person sees of a terminal's output, roughly, as lines to search in: without escape sequences, with
// backspaces carried out; a move of the cursor to another place ends a line. For the search alone: what is
// kept and played is the exact output. Bounded whatever comes. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace merlon::recording {

class VisibleText {
 public:
  // A line that is complete, without its end.
  using Line = std::function<void(std::string_view)>;

  void feed(std::string_view bytes, const Line& line);
  void end_line(const Line& line);  // what has been gathered of one, if anything
  const std::string& unfinished() const { return line_; }

  // Where what comes next stands; a line remembers where it began.
  void mark(uint64_t place) { place_ = place; }
  uint64_t line_began_at() const { return line_.empty() ? place_ : began_at_; }

 private:
  enum class State { ground, escape, intermediate, csi, text, text_escape };
  size_t visible(std::string_view text, const Line& line);
  void escape(char c);
  void control(char c, const Line& line);
  void finish_csi(char final, const Line& line);

  State state_ = State::ground;
  std::string line_;
  uint64_t place_ = 0;
  uint64_t began_at_ = 0;
};

}  // namespace merlon::recording

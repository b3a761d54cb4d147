// The states of ECMA-48 (and of the DEC parser that vt100.net/emu/dec_ansi_parser draws), as far as they tell
// text from what is none.
#include "recording/visible_text.h"

#include <algorithm>

#include "base/text_runs.h"

namespace merlon::recording {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr char kEscape = '\x1b';
constexpr char kBell = '\x07';

bool is_control_character(char c) { return static_cast<uint8_t>(c) < 0x20 || c == '\x7f'; }

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xc0U) == 0x80; }

}  // namespace

void VisibleText::feed(std::string_view bytes, const Line& line) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    const bool is_control = is_control_character(c);
    switch (state_) {
      case State::ground:
        if (is_control) {
          control(c, line);
        } else {
          i += visible(bytes.substr(i), line) - 1;
        }
        break;
      case State::escape:
        escape(c);
        break;
      case State::intermediate:
        if (c == kEscape)
          state_ = State::escape;
        else if (c < ' ' || c > '/')
          state_ = State::ground;
        break;
      case State::csi:
        if (c == kEscape)
          state_ = State::escape;
        else if (is_control)
          control(c, line);  // carried out within a sequence
        else if (c >= '@')
          finish_csi(c, line);
        break;
      case State::text:
        if (c == kBell || c == '\x18' || c == '\x1a')
          state_ = State::ground;
        else if (c == kEscape)
          state_ = State::text_escape;
        break;
      case State::text_escape:
        // A string ends at ESC, whatever follows.
        state_ = State::ground;
        if (c != '\\') escape(c);
        break;
    }
  }
}

void VisibleText::escape(char c) {
  if (c == '[')
    state_ = State::csi;
  else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_')
    state_ = State::text;  // OSC, DCS, SOS, PM, APC: until their end
  else if (c >= ' ' && c <= '/')
    state_ = State::intermediate;
  else
    state_ = c == kEscape ? State::escape : State::ground;
}

// All that is visible at the beginning, as far as the line has room for it: how much that was, at least one
// byte.
size_t VisibleText::visible(std::string_view text, const Line& line) {
  const std::string_view fits = text.substr(0, kLineBytesMax - line_.size());
  const size_t run = std::max<size_t>(1, run_without_controls(fits));
  // A whole line, and nothing of one before: nearly all of what programs print.
  if (line_.empty() && run < fits.size() && (fits[run] == '\n' || fits[run] == '\r')) {
    line(fits.substr(0, run));
    return run;
  }
  if (line_.empty()) began_at_ = place_;
  line_.append(text.substr(0, run));
  if (line_.size() >= kLineBytesMax) end_line(line);
  return run;
}

void VisibleText::control(char c, const Line& line) {
  if (c == kEscape) {
    state_ = State::escape;
  } else if (c == '\b' || c == '\x7f') {
    while (!line_.empty() && is_continuation(line_.back())) line_.pop_back();
    if (!line_.empty()) line_.pop_back();
  } else if (c == '\t') {
    visible(" ", line);
  } else if (c == '\n' || c == '\r' || c == '\v' || c == '\f') {
    end_line(line);
  }
}

void VisibleText::finish_csi(char final, const Line& line) {
  state_ = State::ground;
  switch (final) {
    case 'A':
    case 'B':
    case 'E':
    case 'F':
    case 'G':
    case 'H':
    case 'd':
    case 'f':
    case 'J':
      end_line(line);
      break;
    case 'C':
      visible(" ", line);
      break;
    default:
      break;
  }
}

void VisibleText::end_line(const Line& line) {
  if (!line_.empty()) line(line_);
  line_.clear();
}

}  // namespace merlon::recording

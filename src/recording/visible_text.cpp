// The states of ECMA-48 (and of the DEC parser that vt100.net/emu/dec_ansi_parser draws), as far as they tell
// text from what is none.
#include "recording/visible_text.h"

namespace merlon::recording {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr char kEscape = '\x1b';
constexpr char kBell = '\x07';

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xc0U) == 0x80; }

}  // namespace

void VisibleText::feed(std::string_view bytes, const Line& line) {
  for (const char c : bytes) {
    const bool is_control = static_cast<uint8_t>(c) < 0x20 || c == '\x7f';
    switch (state_) {
      case State::ground:
        is_control ? control(c, line) : visible(c, line);
        break;
      case State::escape:
        if (c == '[')
          state_ = State::csi;
        else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_')
          state_ = State::text;  // OSC, DCS, SOS, PM, APC: until their end
        else if (c >= ' ' && c <= '/')
          state_ = State::intermediate;
        else if (c != kEscape)
          state_ = State::ground;
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
        state_ = c == '\\' ? State::ground : c == kEscape ? State::text_escape : State::text;
        break;
    }
  }
}

void VisibleText::visible(char c, const Line& line) {
  if (line_.empty()) began_at_ = place_;
  line_ += c;
  if (line_.size() >= kLineBytesMax) end_line(line);
}

void VisibleText::control(char c, const Line& line) {
  if (c == kEscape) {
    state_ = State::escape;
  } else if (c == '\b' || c == '\x7f') {
    while (!line_.empty() && is_continuation(line_.back())) line_.pop_back();
    if (!line_.empty()) line_.pop_back();
  } else if (c == '\t') {
    visible(' ', line);
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
      visible(' ', line);
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

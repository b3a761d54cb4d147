// The same states as visible_text.cpp's. Source for what each sequence does: xterm's ctlseqs.
#include "recording/terminal_guard.h"

#include <algorithm>
#include <cstdint>

#include "base/text.h"

namespace merlon::recording {
namespace {

constexpr size_t kSequenceMax = 128;
constexpr char kEscape = '\x1b';

bool is_control(char c) { return static_cast<uint8_t>(c) < 0x20 || c == '\x7f'; }

// BS, HT, LF, VT, FF, CR. Not: BEL, SO/SI, ENQ (which makes a terminal answer), the rest.
bool passes_alone(char c) { return c >= '\b' && c <= '\r'; }

// Cursor, erasing, inserting and deleting, scrolling, tabs, colours, repetition, scroll region.
constexpr std::string_view kPlainFinals = "@ABCDEFGHIJKLMPSTXZ`abdefgmr";
// Private modes that change how the picture looks, and nothing else: application cursor keys, mouse, focus
// and bracketed paste are not among them.
constexpr std::string_view kModes[] = {"5", "6", "7", "12", "25", "47", "69", "1047", "1048", "1049"};

bool is_picture_mode(std::string_view parameters) {
  while (true) {
    const size_t end = parameters.find(';');
    if (std::ranges::find(kModes, parameters.substr(0, end)) == std::end(kModes)) return false;
    if (end == std::string_view::npos) return true;
    parameters.remove_prefix(end + 1);
  }
}

bool is_plain(std::string_view parameters) {
  return std::ranges::all_of(parameters,
                             [](char c) { return (c >= '0' && c <= '9') || c == ';' || c == ':'; });
}

// `sequence` is ESC [ parameters final.
bool passes(std::string_view sequence) {
  if (sequence.size() < 3) return false;
  const char final = sequence.back();
  const std::string_view parameters = sequence.substr(2, sequence.size() - 3);
  if (final == 'h' || final == 'l') {
    if (parameters == "4") return true;  // insert mode
    return parameters.starts_with('?') && is_picture_mode(parameters.substr(1));
  }
  if (final == 's' || final == 'u') return parameters.empty();  // save and restore the cursor
  if (final == 'p') return parameters == "!";                   // soft reset
  if (final == 'q') return parameters.ends_with(' ') && is_plain(parameters.substr(0, parameters.size() - 1));
  if (final == 'J' || final == 'K')
    return is_plain(parameters.starts_with('?') ? parameters.substr(1) : parameters);
  // With a number of parameters that "T" has only as mouse tracking.
  if (final == 'T' && std::ranges::count(parameters, ';') > 0) return false;
  return kPlainFinals.find(final) != std::string_view::npos && is_plain(parameters);
}

}  // namespace

std::string TerminalGuard::pass(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    switch (state_) {
      case State::ground:
        ground(c, out);
        break;
      case State::escape:
        escape(c, out);
        break;
      case State::intermediate:
        if (c == kEscape) {
          state_ = State::escape;
          sequence_.assign(1, c);
        } else if (c < ' ' || c > '/') {
          // ESC ( B and the like choose a character set: the two that line drawing needs.
          const bool set =
              sequence_.size() == 2 && (sequence_[1] == '(' || sequence_[1] == ')') && (c == 'B' || c == '0');
          if (set) out += sequence_ + c;
          state_ = State::ground;
        } else if (sequence_.size() < kSequenceMax) {
          sequence_ += c;
        }
        break;
      case State::csi:
        if (c == kEscape) {
          state_ = State::escape;
          sequence_.assign(1, c);
        } else if (c == '\x18' || c == '\x1a') {
          state_ = State::ground;
        } else if (is_control(c)) {
          if (passes_alone(c)) out += c;
        } else if (static_cast<uint8_t>(c) >= 0x80) {
          state_ = State::ground;
        } else {
          if (sequence_.size() < kSequenceMax) sequence_ += c;
          if (c >= '@') finish_csi(out);
        }
        break;
      case State::text:
        if (c == '\x07' || c == '\x18' || c == '\x1a') state_ = State::ground;
        if (c == kEscape) state_ = State::text_escape;
        break;
      case State::text_escape:
        // Whatever follows, the string is over for every terminal: what is shown to one is shown to all.
        state_ = State::ground;
        if (c == '\\') break;
        sequence_.assign(1, kEscape);
        escape(c, out);
        break;
    }
  }
  return out;
}

void TerminalGuard::ground(char c, std::string& out) {
  const auto byte = static_cast<uint8_t>(c);
  const bool continuation = (byte & 0xc0U) == 0x80;
  if (expected_ > 0 && !continuation) {
    expected_ = 0;
    out += '?';
  }
  if (c == kEscape) {
    state_ = State::escape;
    sequence_.assign(1, c);
  } else if (is_control(c)) {
    if (passes_alone(c)) out += c;
  } else if (byte < 0x80) {
    out += c;
  } else if (!continuation) {
    expected_ = byte >= 0xf5 || byte < 0xc2 ? 0 : byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    if (expected_ == 0) out += '?';
    character_.assign(1, c);
  } else if (expected_ == 0) {
    out += '?';  // alone, 0x80 to 0x9f are controls (CSI, OSC) to some terminals
  } else {
    character_ += c;
    if (--expected_ > 0) return;
    // So are U+0080 to U+009F as characters.
    const bool c1 = character_.size() == 2 && static_cast<uint8_t>(character_[0]) == 0xc2 && byte < 0xa0;
    out += c1 || !is_utf8(character_) ? "?" : character_;
  }
}

void TerminalGuard::escape(char c, std::string& out) {
  state_ = State::ground;
  if (c == '[') {
    state_ = State::csi;
    sequence_ += c;
  } else if (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_') {
    state_ = State::text;
  } else if (c == kEscape) {
    state_ = State::escape;
  } else if (c >= ' ' && c <= '/') {
    state_ = State::intermediate;
    sequence_ += c;
  } else if (std::string_view("78DEHM").find(c) != std::string_view::npos) {
    out += kEscape;  // cursor, index, next line, tab stop, reverse index
    out += c;
  } else if (is_control(c) && passes_alone(c)) {
    out += c;
  }
}

void TerminalGuard::finish_csi(std::string& out) {
  state_ = State::ground;
  if (sequence_.size() < kSequenceMax && passes(sequence_)) out += sequence_;
}

std::string_view TerminalGuard::reset() {
  return "\x1b[!p\x1b[?1049l\x1b[?69l\x1b[?6l\x1b[?5l\x1b[?25h\x1b[?7h\x1b[4l\x1b[r\x1b(B\x1b[0m\r\n";
}

}  // namespace merlon::recording

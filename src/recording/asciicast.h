// asciicast, the form in which terminal sessions are recorded and given out: a line with a header, then a
// line for each event. Source: docs.asciinema.org/manual/asciicast/v3 and …/v2.
//
// Written is version 3: [seconds since the event before, code, text] with the codes "o" output, "i" input,
// "r" resize, "m" marker, "x" exit status. Two of our own, which players pass over as they must pass over any
// code that they do not know:
//   "b"  base64 of the exact bytes of the output or input event that follows, where those are not UTF-8
//   "e"  a JSON object: a command, a forward, a file transfer ({"kind": "command", …})
//
// In the file, and nowhere else, output and input whose JSON would be longer than that (bytes that are no
// text, control characters, which take six) is one event with its exact bytes in base64: "O" and "I".
// given_out() makes of them what it stands for. Version 2 (seconds since the start; no "x") is for players
// such as Debian 12's, which know no other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace merlon::recording {

enum class CastForm { v2, v3 };

struct CastHeader {
  int64_t cols = 80;
  int64_t rows = 24;
  int64_t timestamp_s = 0;  // Unix time of the start; 0 = not told
  std::string term_type;
  std::string title;
  std::string command;
  std::string signed_in_by;  // {"merlon": {"signedInBy"}}: how the person showed who they are
};

struct CastEvent {
  double seconds = 0;  // v3: since the event before; v2: since the start
  char code = 'o';
  std::string data;
};

std::string header_line(const CastHeader& header, CastForm form);  // with its "\n"
// Appends one line. `data` must be UTF-8.
void append_event(std::string& out, Duration time, char code, std::string_view data);

// Appends output ('o') or input ('i') in the shorter of its forms. `bytes`: only where `text` is not what
// came.
void append_piece(std::string& out, Duration time, char code, std::string_view text, std::string_view bytes);
// Whole lines as they are in the file, as they are given out. What it answers lies in `kept` or in `space`.
std::string_view given_out(std::string_view kept, std::string& space);

// Of anybody's file. Refused: other versions, no terminal size or one beyond 10,000. Says what is wrong.
struct ParsedHeader {
  CastHeader header;
  CastForm form = CastForm::v3;
};
Result<ParsedHeader> parse_header(std::string_view line);
// Nothing for a comment and an empty line.
Result<std::optional<CastEvent>> parse_event(std::string_view line);

// Output as it comes from a terminal, cut anywhere, as text. Not thread-safe.
class Utf8Stream {
 public:
  // Good until the next call, and as long as what was pushed.
  struct Piece {
    std::string_view text;   // well-formed; what is not became U+FFFD
    std::string_view bytes;  // the exact bytes, only where the text is not
  };
  // A sequence that is not finished yet stays here for the next call (at most three bytes).
  Piece push(std::string_view bytes);
  Piece finish();

 private:
  Piece piece_of(std::string_view bytes);

  std::string rest_;
  std::string joined_;    // what was left, and what came
  std::string replaced_;  // a piece's text, where it is not its bytes
};

// Version 3 as version 2, line by line. Not thread-safe.
class CastV2 {
 public:
  explicit CastV2(double start_seconds = 0) : seconds_(start_seconds) {}
  // The header as well as events; empty for what version 2 has no words for.
  Result<std::string> convert(std::string_view line);

 private:
  double seconds_;
};

}  // namespace merlon::recording

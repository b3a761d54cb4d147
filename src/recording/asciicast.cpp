// JSON is read by Boost; what is ours is where a line ends and what its members mean.
#include "recording/asciicast.h"

#include <fmt/format.h>

#include <cmath>

#include "base/bytes.h"
#include "base/text.h"
#include "base/utf8.h"

namespace merlon::recording {
namespace {

constexpr int64_t kTerminalMax = 10'000;
constexpr size_t kLineBytesMax = 2 * 1024 * 1024;
constexpr size_t kLineBytesMost = 32;  // around an event's text
constexpr double kSecondsMax = 1e9;

std::unexpected<Error> not_cast(std::string message) {
  return fail(ErrorKind::invalid, "RecordingNotUnderstood", std::move(message));
}

// Bytes at the end that may still become a character.
size_t unfinished_tail(std::string_view bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto byte = static_cast<uint8_t>(bytes[bytes.size() - back]);
    if ((byte & 0xc0U) == 0x80) continue;
    return utf8_length(byte) > back ? back : 0;
  }
  return 0;
}

Result<CastHeader> header_of(const JsonObject& json, const JsonObject& size, std::string_view cols,
                             std::string_view rows) {
  CastHeader header;
  header.cols = int_at(size, cols).value_or(0);
  header.rows = int_at(size, rows).value_or(0);
  if (header.cols < 1 || header.cols > kTerminalMax || header.rows < 1 || header.rows > kTerminalMax)
    return not_cast("The recording's header gives no size of the terminal between 1 and 10000.");
  if (const Json* time = json.if_contains("timestamp"); time != nullptr && time->is_number()) {
    const auto seconds = time->to_number<double>();
    if (seconds >= 0 && seconds < 1e11) header.timestamp_s = static_cast<int64_t>(seconds);
  }
  header.title = string_at(json, "title").value_or("");
  header.command = string_at(json, "command").value_or("");
  header.signed_in_by = string_at(json, "merlon.signedInBy").value_or("");
  return header;
}

}  // namespace

std::string header_line(const CastHeader& header, CastForm form) {
  JsonObject json{{"version", form == CastForm::v3 ? 3 : 2}};
  if (form == CastForm::v3) {
    JsonObject term{{"cols", header.cols}, {"rows", header.rows}};
    if (!header.term_type.empty()) term["type"] = header.term_type;
    json["term"] = std::move(term);
  } else {
    json["width"] = header.cols;
    json["height"] = header.rows;
  }
  if (header.timestamp_s != 0) json["timestamp"] = header.timestamp_s;
  if (!header.title.empty()) json["title"] = header.title;
  if (!header.command.empty()) json["command"] = header.command;
  if (form == CastForm::v2 && !header.term_type.empty()) json["env"] = JsonObject{{"TERM", header.term_type}};
  if (!header.signed_in_by.empty()) json["merlon"] = JsonObject{{"signedInBy", header.signed_in_by}};
  return to_text(json) + "\n";
}

void append_event(std::string& out, Duration time, char code, std::string_view data) {
  const int64_t ms = std::max<int64_t>(0, time.count());
  fmt::format_to(std::back_inserter(out), "[{}.{:03}, \"{}\", ", ms / 1000, ms % 1000, code);
  append_json_string(out, data);
  out += "]\n";
}

void append_piece(std::string& out, Duration time, char code, std::string_view text, std::string_view bytes) {
  const std::string_view exact = bytes.empty() ? text : bytes;
  const auto as_base64 = [&] {
    append_event(out, time, code == 'o' ? 'O' : 'I', to_base64(as_bytes(exact)));
  };
  if (bytes.size() > kLineBytesMost)
    return as_base64();  // which is in both forms, and the text is no shorter
  const size_t before = out.size(), base64 = (exact.size() + 2) / 3 * 4;
  if (!bytes.empty()) append_event(out, time, 'b', to_base64(as_bytes(bytes)));
  append_event(out, bytes.empty() ? time : Duration(0), code, text);
  if (out.size() - before <= base64 + kLineBytesMost) return;
  out.resize(before);
  as_base64();
}

std::string_view given_out(std::string_view kept, std::string& space) {
  if (kept.find(R"(, "O", ")") == std::string_view::npos &&
      kept.find(R"(, "I", ")") == std::string_view::npos)
    return kept;
  space.clear();
  while (!kept.empty()) {
    const std::string_view line = kept.substr(0, kept.find('\n'));
    kept.remove_prefix(std::min(kept.size(), line.size() + 1));
    const auto event = line.starts_with('[') ? parse_event(line) : Result<std::optional<CastEvent>>();
    const bool is_bytes = event && *event && ((*event)->code == 'O' || (*event)->code == 'I');
    const auto bytes = is_bytes ? from_base64((*event)->data) : std::nullopt;
    if (!bytes) {
      space.append(line) += '\n';
      continue;
    }
    const char code = (*event)->code == 'O' ? 'o' : 'i';
    const Duration time(std::llround((*event)->seconds * 1000));
    if (is_utf8(as_text(*bytes))) {
      append_event(space, time, code, as_text(*bytes));
    } else {
      append_event(space, time, 'b', (*event)->data);
      append_event(space, Duration(0), code, with_replacements(as_text(*bytes)));
    }
  }
  return space;
}

Result<ParsedHeader> parse_header(std::string_view line) {
  auto json = parse_json_object(line, {.bytes_max = kLineBytesMax});
  if (!json) return not_cast("The recording does not begin with asciicast's header: " + json.error().message);
  const int64_t version = int_at(*json, "version").value_or(0);
  if (version == 2) {
    ParsedHeader parsed{TRY(header_of(*json, *json, "width", "height")), CastForm::v2};
    parsed.header.term_type = string_at(*json, "env.TERM").value_or("");
    return parsed;
  }
  const JsonObject* term = object_at(*json, "term");
  if (version == 3 && term != nullptr) {
    ParsedHeader parsed{TRY(header_of(*json, *term, "cols", "rows")), CastForm::v3};
    parsed.header.term_type = string_at(*term, "type").value_or("");
    return parsed;
  }
  return not_cast("The recording is not asciicast of version 2 or 3.");
}

Result<std::optional<CastEvent>> parse_event(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty() || line.front() == '#') return std::optional<CastEvent>();
  const auto json = parse_json(line, {.bytes_max = kLineBytesMax, .depth_max = 3});
  if (!json) return not_cast("An event is no JSON: " + json.error().message);
  const JsonArray* parts = json->if_array();
  if (parts == nullptr || parts->size() != 3 || !parts->at(0).is_number() || !parts->at(1).is_string() ||
      !parts->at(2).is_string() || parts->at(1).get_string().size() != 1)
    return not_cast("An event is not [seconds, \"code\", \"text\"].");
  CastEvent event;
  event.seconds = parts->at(0).to_number<double>();
  if (!std::isfinite(event.seconds) || event.seconds < 0 || event.seconds > kSecondsMax)
    return not_cast("An event's time is no number of seconds.");
  event.code = parts->at(1).get_string().front();
  event.data = std::string(parts->at(2).get_string());
  return std::optional(std::move(event));
}

Utf8Stream::Piece Utf8Stream::piece_of(std::string_view bytes) {
  if (is_utf8(bytes)) return {bytes, {}};
  replaced_ = with_replacements(bytes);
  return {replaced_, bytes};
}

Utf8Stream::Piece Utf8Stream::push(std::string_view bytes) {
  if (!rest_.empty()) {
    joined_.swap(rest_);
    joined_.append(bytes);
    bytes = joined_;
  }
  const size_t tail = unfinished_tail(bytes);
  rest_.assign(bytes.substr(bytes.size() - tail));
  return piece_of(bytes.substr(0, bytes.size() - tail));
}

Utf8Stream::Piece Utf8Stream::finish() {
  joined_.swap(rest_);
  rest_.clear();
  return piece_of(joined_);
}

Result<std::string> CastV2::convert(std::string_view line) {
  if (line.starts_with('{')) return header_line(TRY(parse_header(line)).header, CastForm::v2);
  const auto event = TRY(parse_event(line));
  if (!event) return std::string();
  seconds_ += event->seconds;
  std::string out;
  if (event->code == 'o' || event->code == 'i' || event->code == 'm' || event->code == 'r')
    append_event(out, Duration(static_cast<int64_t>(std::llround(seconds_ * 1000))), event->code,
                 event->data);
  return out;
}

}  // namespace merlon::recording

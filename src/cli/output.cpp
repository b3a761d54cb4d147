// Tables and text.
#include "cli/output.h"

#include <algorithm>
#include <ostream>

#include "base/text.h"

namespace merlon::cli {
namespace {

// Code points: close enough to columns for names, addresses and times.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, size_t columns) {
  const size_t own = width(text);
  return own >= columns ? text : text + std::string(columns - own, ' ');
}

// Bytes of a character at `at` that a terminal acts on, or that reorder or hide text (Unicode C1, zero-width
// and bidirectional controls); 0 when it is harmless. `text` is UTF-8.
size_t harmful(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(at + i < text.size() ? text[at + i] : 0);
  };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return 1;
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return 2;  // U+0080–U+009F
  const bool e2 = byte(0) == 0xE2;
  if (e2 && byte(1) == 0x80 && (byte(2) >= 0x8B && byte(2) <= 0x8F)) return 3;  // U+200B–U+200F
  if (e2 && byte(1) == 0x80 && (byte(2) >= 0xA8 && byte(2) <= 0xAE)) return 3;  // U+2028–U+202E
  if (e2 && byte(1) == 0x81 && (byte(2) >= 0xA0 && byte(2) <= 0xAF)) return 3;  // U+2060–U+206F
  if (byte(0) == 0xEF && byte(1) == 0xBB && byte(2) == 0xBF) return 3;          // U+FEFF
  return 0;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  if (!is_utf8(text)) {
    for (const char c : text) out += c >= 0x20 && c < 0x7F ? c : '?';
    return out;
  }
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = harmful(text, at);
    out += bytes == 0 ? text[at] : '?';
    at += bytes == 0 ? 1 : bytes;
  }
  return out;
}

void Table::add(std::vector<std::string> cells) {
  MERLON_CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = cell.empty() ? "-" : printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < columns_.size(); ++column) {
    size_t widest = width(columns_[column]);
    for (const auto& row : rows_) widest = std::max(widest, width(row[column]));
    widths.push_back(widest);
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t column = 0; column < cells.size(); ++column) {
      if (column > 0) text += "  ";
      text += column + 1 == cells.size() ? cells[column] : padded(cells[column], widths[column]);
    }
    out += text + "\n";
  };
  line(columns_);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts) {
  size_t widest = 0;
  for (const auto& [name, value] : facts)
    if (!value.empty()) widest = std::max(widest, width(name) + 1);
  std::string out;
  for (const auto& [name, value] : facts)
    if (!value.empty()) out += padded(name + ":", widest) + " " + printable(value) + "\n";
  return out;
}

void show(Context& context, const JsonObject& answer, std::string_view text) {
  if (context.output == OutputForm::json)
    context.out << to_pretty_text(Json(answer)) << "\n";
  else
    context.out << text;
}

std::string text_at(const JsonObject& json, std::string_view path) {
  const Json* value = find(json, path);
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return std::string(value->get_string());
  return to_text(*value);
}

std::string joined_at(const JsonObject& json, std::string_view path) {
  std::vector<std::string> texts;
  if (const JsonArray* array = array_at(json, path))
    for (const Json& value : *array)
      texts.push_back(value.is_string() ? std::string(value.get_string()) : to_text(value));
  return join(texts, ", ");
}

std::string last_segment(std::string_view id) {
  const size_t slash = id.rfind('/');
  return std::string(slash == std::string_view::npos ? id : id.substr(slash + 1));
}

std::string group_in(std::string_view id) {
  const auto segments = split(id, '/');
  for (size_t i = 0; i + 1 < segments.size(); ++i)
    if (ascii_iequal(segments[i], "resourceGroups")) return std::string(segments[i + 1]);
  return {};
}

}  // namespace merlon::cli

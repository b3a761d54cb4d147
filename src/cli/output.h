// What people read: tables and plain text. What a server or a file said is made harmless to a terminal first.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/command.h"

namespace merlon::cli {

// Control characters, and the invisible ones that turn text around, become '?': a name or a justification
// that somebody else chose must not move the cursor or fake a line (CWE-150).
std::string printable(std::string_view text);

class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);  // as many as there are columns
  size_t size() const { return rows_.size(); }
  std::string text() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "Name:    value" lines, aligned; pairs with an empty value are left out.
std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts);

// With --output json the service's answer, else the text.
void show(Context& context, const JsonObject& answer, std::string_view text);

// A member as text, whatever its type; empty when absent or null.
std::string text_at(const JsonObject& json, std::string_view path);
std::string joined_at(const JsonObject& json, std::string_view path);  // an array of texts: "a, b"
// The last segment of a resource id.
std::string last_segment(std::string_view id);
// The name of the resource group in a resource id, empty when it has none.
std::string group_in(std::string_view id);

}  // namespace merlon::cli

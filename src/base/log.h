// The operator's log: one JSON object per line on standard error, fields instead of formatting, no secrets
// (Secret does not convert to a field). The ledger is a different, durable thing (ledger/ledger.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace merlon {

struct Error;

enum class LogLevel { debug, info, warning, error };

struct LogField {
  LogField(std::string_view field_name, std::string_view value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, const char* value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, const std::string& value) : name(field_name), text(value) {}
  LogField(std::string_view field_name, int64_t value)
      : name(field_name), text(std::to_string(value)), number(true) {}
  LogField(std::string_view field_name, int value) : LogField(field_name, static_cast<int64_t>(value)) {}
  LogField(std::string_view field_name, size_t value) : LogField(field_name, static_cast<int64_t>(value)) {}
  std::string_view name;
  std::string text;
  bool number = false;
};

// Thread-safe; a line is written whole. `event` is a short constant sentence: "agent connected".
void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
void log_error(std::string_view event, const Error& error, std::initializer_list<LogField> fields = {});
void set_log_level(LogLevel lowest);

}  // namespace merlon

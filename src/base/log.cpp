// JSON lines on standard error, one write(2) each.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/time_text.h"

namespace merlon {
namespace {

std::atomic<LogLevel> lowest_level{LogLevel::info};

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

void write_line(LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  JsonObject line;
  line["time"] = to_rfc3339(SystemClock().now());
  line["level"] = level_name(level);
  line["event"] = event;
  for (const LogField& field : fields) {
    if (field.number) {
      line[field.name] = std::stoll(field.text);
    } else {
      line[field.name] = field.text;
    }
  }
  const std::string text = to_text(line) + "\n";
  // A log that cannot be written must not stop the product; there is nowhere to report it.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  write_line(level, event, fields);
}

void log_error(std::string_view event, const Error& error, std::initializer_list<LogField> fields) {
  std::vector<LogField> all(fields);
  all.emplace_back("code", error.code);
  all.emplace_back("message", error.message);
  if (!error.cause.empty()) all.emplace_back("cause", error.cause);
  write_line(LogLevel::error, event, all);
}

void set_log_level(LogLevel lowest) { lowest_level.store(lowest, std::memory_order_relaxed); }

}  // namespace merlon

// RFC 3339 and ISO 8601 text. Written by hand: GCC 12 has no std::chrono::parse, and strptime depends on the
// locale.
#include "base/time_text.h"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace merlon {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// Reads exactly `width` digits.
std::optional<int> take_digits(std::string_view& text, size_t width) {
  if (text.size() < width) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

// ".123456789" → milliseconds; the digits after the third are dropped.
std::optional<int> take_fraction_ms(std::string_view& text) {
  int ms = 0;
  size_t count = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (count < 3) ms = ms * 10 + (text.front() - '0');
    text.remove_prefix(1);
    if (++count > 9) return std::nullopt;
  }
  if (count == 0) return std::nullopt;
  for (size_t i = count; i < 3; ++i) ms *= 10;
  return ms;
}

std::optional<minutes> take_offset(std::string_view& text) {
  if (take(text, 'Z') || take(text, 'z')) return minutes(0);
  const bool negative = !text.empty() && text.front() == '-';
  if (!take(text, '+') && !take(text, '-')) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  const minutes offset = hours(*hour) + minutes(*minute);
  return negative ? -offset : offset;
}

struct Parts {
  std::chrono::year_month_day date;
  int hour, minute, second, ms;
};

Parts split(Timestamp time) {
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::hh_mm_ss clock(time - day);
  return {std::chrono::year_month_day(day), static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

}  // namespace

std::string to_rfc3339(Timestamp time) {
  const Parts p = split(time);
  std::string out = "0000-00-00T00:00:00";
  // By hand: one is written for every answer and several for every change.
  const auto put = [&out](size_t at, size_t width, unsigned value) {
    for (size_t i = at + width; i-- > at; value /= 10) out[i] = static_cast<char>('0' + value % 10);
  };
  const int year = static_cast<int>(p.date.year());
  put(0, 4, static_cast<unsigned>(year));
  put(5, 2, static_cast<unsigned>(p.date.month()));
  put(8, 2, static_cast<unsigned>(p.date.day()));
  put(11, 2, static_cast<unsigned>(p.hour));
  put(14, 2, static_cast<unsigned>(p.minute));
  put(17, 2, static_cast<unsigned>(p.second));
  if (p.ms != 0) {
    out += ".000";
    put(20, 3, static_cast<unsigned>(p.ms));
  }
  if (year < 0 || year > 9999) out.replace(0, 4, fmt::format("{:04}", year));
  return out += 'Z';
}

std::optional<Timestamp> from_rfc3339(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || (!take(text, 'T') && !take(text, 't'))) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second) return std::nullopt;
  int ms = 0;
  if (take(text, '.')) {
    const auto fraction = take_fraction_ms(text);
    if (!fraction) return std::nullopt;
    ms = *fraction;
  }
  const auto offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto local = std::chrono::sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second);
  const Timestamp time = Timestamp(local) + Duration(ms) - *offset;
  // An offset can carry the first and last day out of the four digits that a year has here.
  const int utc_year = static_cast<int>(split(time).date.year());
  if (utc_year < 0 || utc_year > 9999) return std::nullopt;
  return time;
}

std::string to_http_date(Timestamp time) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const Parts p = split(time);
  const std::chrono::weekday weekday(std::chrono::sys_days(p.date));
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[weekday.c_encoding()],
                     static_cast<unsigned>(p.date.day()), kMonths[static_cast<unsigned>(p.date.month()) - 1],
                     static_cast<int>(p.date.year()), p.hour, p.minute, p.second);
}

std::optional<Duration> from_iso8601_duration(std::string_view text) {
  if (!take(text, 'P') || text.empty()) return std::nullopt;
  constexpr int64_t kLimitMs = std::numeric_limits<int64_t>::max() / 4;
  int64_t total_ms = 0;
  bool in_time = false;
  int last_rank = -1;  // W < D < H < M < S: each unit once, in this order
  while (!text.empty()) {
    if (!in_time && take(text, 'T')) {
      in_time = true;
      if (text.empty()) return std::nullopt;
    }
    int64_t value = 0;
    size_t digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      if (++digits > 12) return std::nullopt;
      value = value * 10 + (text.front() - '0');
      text.remove_prefix(1);
    }
    if (digits == 0 || text.empty()) return std::nullopt;
    int fraction_ms = 0;
    if (take(text, '.')) {
      const auto fraction = take_fraction_ms(text);
      if (!fraction || text.empty() || text.front() != 'S') return std::nullopt;
      fraction_ms = *fraction;
    }
    const char unit = text.front();
    text.remove_prefix(1);
    const std::string_view date_units = "WD";
    const std::string_view time_units = "HMS";
    const size_t position = in_time ? time_units.find(unit) : date_units.find(unit);
    if (position == std::string_view::npos) return std::nullopt;
    const int rank = static_cast<int>(position) + (in_time ? 2 : 0);
    if (rank <= last_rank) return std::nullopt;
    last_rank = rank;
    static constexpr std::array<int64_t, 5> kUnitMs = {604'800'000, 86'400'000, 3'600'000, 60'000, 1'000};
    const int64_t unit_ms = kUnitMs[static_cast<size_t>(rank)];
    if (value > kLimitMs / unit_ms) return std::nullopt;
    total_ms += value * unit_ms + fraction_ms;
    if (total_ms > kLimitMs) return std::nullopt;
  }
  if (last_rank < 0) return std::nullopt;
  return Duration(total_ms);
}

std::string to_iso8601_duration(Duration duration) {
  int64_t ms = duration.count();
  if (ms <= 0) return "PT0S";
  std::string out = "P";
  if (const int64_t day = ms / 86'400'000; day > 0 && ms % 86'400'000 == 0)
    return out + fmt::format("{}D", day);
  out += "T";
  if (const int64_t hour = ms / 3'600'000; hour > 0) out += fmt::format("{}H", hour);
  ms %= 3'600'000;
  if (const int64_t minute = ms / 60'000; minute > 0) out += fmt::format("{}M", minute);
  ms %= 60'000;
  if (ms % 1000 != 0) {
    out += fmt::format("{}.{:03}S", ms / 1000, ms % 1000);
  } else if (ms > 0) {
    out += fmt::format("{}S", ms / 1000);
  }
  return out;
}

std::optional<Duration> from_human_duration(std::string_view text) {
  if (text.starts_with('P')) return from_iso8601_duration(text);
  if (text.empty()) return std::nullopt;
  // "1h30m" is the ISO form without its frame: give it one, and let the one parser judge.
  std::string iso = "P";
  bool in_time = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && std::string_view("wdhms").find(c) == std::string_view::npos) return std::nullopt;
    iso.push_back(digit ? c : static_cast<char>(c - 'a' + 'A'));
    if (c == 'd' || c == 'w') in_time = false;
  }
  const size_t day_end = iso.find_last_of("WD");
  const size_t time_start = day_end == std::string::npos ? 1 : day_end + 1;
  in_time = time_start < iso.size();
  if (in_time) iso.insert(time_start, "T");
  return from_iso8601_duration(iso);
}

std::string to_human_duration(Duration duration) {
  int64_t s = duration.count() / 1000;
  if (s <= 0) return "0s";
  static constexpr std::array<std::pair<int64_t, char>, 4> kUnits = {
      {{86'400, 'd'}, {3'600, 'h'}, {60, 'm'}, {1, 's'}}};
  std::string out;
  int shown = 0;
  for (const auto& [length, name] : kUnits) {
    if (s / length > 0 && shown < 2) {
      out += fmt::format("{}{}{}", out.empty() ? "" : " ", s / length, name);
      ++shown;
    } else if (shown > 0) {
      break;
    }
    s %= length;
  }
  return out;
}

}  // namespace merlon

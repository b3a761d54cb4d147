// Times and durations as text: RFC 3339 timestamps and ISO 8601 durations, as Azure writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace merlon {

// "2026-11-22T18:23:35Z", with ".123" only when there are milliseconds.
std::string to_rfc3339(Timestamp time);
// Any offset and up to nine fractional digits (cut to milliseconds). Rejects what is no date, e.g.
// February 30.
std::optional<Timestamp> from_rfc3339(std::string_view text);
// RFC 9110 section 5.6.7, for HTTP headers: "Sun, 22 Nov 2026 18:23:35 GMT".
std::string to_http_date(Timestamp time);

// "PT3H", "PT1H30M", "P1D", "PT0S". Weeks, days, hours, minutes and seconds (with a fraction); years and
// months are refused since their length depends on the date. Negative durations are refused.
std::optional<Duration> from_iso8601_duration(std::string_view text);
std::string to_iso8601_duration(Duration duration);

// What people type: "30m", "1h30m", "90s", "2d", or an ISO 8601 duration.
std::optional<Duration> from_human_duration(std::string_view text);
// What people read: "29m 59s", "2d 3h".
std::string to_human_duration(Duration duration);

}  // namespace merlon

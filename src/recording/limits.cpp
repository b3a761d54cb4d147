// The server's option --recordings.
#include "recording/limits.h"

#include <charconv>
#include <string>

#include "base/text.h"

namespace merlon::recording {
namespace {

constexpr unsigned kMegabytesMax = 1024 * 1024;

std::optional<unsigned> number_of(std::string_view text, unsigned most) {
  unsigned value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || value < 1 || value > most)
    return std::nullopt;
  return value;
}

}  // namespace

Result<RecordingLimits> parse_recording_limits(std::string_view text) {
  RecordingLimits limits;
  if (text.empty()) return limits;
  for (const std::string_view part : split(text, ',')) {
    const size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const auto value = equals == std::string_view::npos
                           ? std::nullopt
                           : number_of(part.substr(equals + 1), name == "disk" ? 100 : kMegabytesMax);
    if (name == "session" && value)
      limits.rate_each = uint64_t{*value} << 20U;
    else if (name == "server" && value)
      limits.rate_all = uint64_t{*value} << 20U;
    else if (name == "burst" && value)
      limits.burst_each = uint64_t{*value} << 20U;
    else if (name == "disk" && value)
      limits.disk_percent = *value;
    else
      return fail(
          ErrorKind::invalid, "InvalidOption",
          "'" + std::string(part) +
              "' is no limit of recordings. Give --recordings some of session=4,server=32,burst=256,disk=95: "
              "MiB in a second of each session and of all together, MiB that one may send at once before "
              "that, and how many percent of the disk may "
              "be in use for a new one to begin.");
  }
  return limits;
}

}  // namespace merlon::recording

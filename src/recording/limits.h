// What recordings may take: of time between writes, of a second's bytes, of the disk.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace merlon::recording {

struct RecordingLimits {
  Duration flush_every = std::chrono::seconds(1);    // at most this much of a session is lost with the server
  Duration ledger_every = std::chrono::seconds(30);  // how often heads of running recordings are entered
  Duration expire_every = std::chrono::minutes(1);
  size_t open_max = 10'000;
  // Bytes in a second, as they are written: of each session, and of all together. Whoever sends more is
  // slowed down (rate.h).
  uint64_t rate_each = uint64_t{4} << 20U;
  uint64_t rate_all = uint64_t{32} << 20U;
  // What one may send at once before that, having been quiet; fewer where many are busy.
  uint64_t burst_each = uint64_t{256} << 20U;
  // How full the disk may be for something new to begin, in percent; half way from there to the end what runs
  // ends too.
  unsigned disk_percent = 95;
  unsigned disk_percent_running() const { return (100 + disk_percent) / 2; }
};

// "session=4,server=32,burst=256,disk=95": MiB in a second, MiB, and percent. What is not named is as above.
Result<RecordingLimits> parse_recording_limits(std::string_view text);

}  // namespace merlon::recording

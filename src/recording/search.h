// Text search over recordings, newest first: the sealed filters of the index say where the words may stand,
// then those stretches alone are opened and read. See segment_index.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "recording/recordings.h"

namespace merlon::recording {

inline constexpr size_t kQueryBytesMin = 3;
inline constexpr size_t kQueryBytesMax = 200;

struct Query {
  std::string text;  // found in one line of what was to be seen, without regard to ASCII case
  size_t hits_max = 50;
  Duration time_max = std::chrono::milliseconds(700);  // then what was found so far, and where to go on
  std::string after;                                   // `next` of the answer before
  // Which recordings the asker may see.
  std::function<Result<bool>(const Record&)> may_see;
};

struct Hit {
  Record record;
  int64_t at_ms = 0;  // since its start
  std::string line;   // at most 200 bytes around the place
};

struct SearchAnswer {
  std::vector<Hit> hits;
  std::string next;                                 // empty: everything was looked at
  size_t recordings = 0, segments = 0, opened = 0;  // looked at, and stretches read for it
  size_t unreadable = 0;                            // recordings that could not be searched: verify them
};

// Errors: InvalidSearchText. Waits for the disk; holds no transaction.
Result<SearchAnswer> search(Recordings& all, const Query& query);

}  // namespace merlon::recording

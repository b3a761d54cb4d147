// Recordings as the commands name them, and their content piece by piece.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/api.h"

namespace merlon::cli {

// The path of a recording, from its id or from what 'recording list' prints; `scope` is where one's rights
// are, the subscription when empty.
Result<std::string> recording_path(Api& api, const std::string& recording, const std::string& scope);
Result<std::string> recordings_scope(Api& api, const std::string& scope);

// Whole lines of asciicast v3 from `from` on, until there are no more yet. `next` is where to go on; true
// when the recording has ended.
struct Content {
  std::string next;
  bool ended = false;
};
Result<Content> read_content(Api& api, const std::string& path, const std::string& from,
                             const std::function<Result<void>(std::string_view text)>& take);

// "1:02:03" of milliseconds.
std::string play_time(int64_t milliseconds);

std::vector<Command> recording_commands();  // all of them
// merlon recording play and watch; session play is another name of the first.
std::vector<Command> recording_play_commands();
Command play_command(std::string path);
// … export, import and verify of files.
std::vector<Command> recording_file_commands();

}  // namespace merlon::cli

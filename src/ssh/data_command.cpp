// By the program's name and its flags.
#include "ssh/data_command.h"

#include "base/text.h"

namespace merlon::ssh {

DataCommand data_command(std::string_view command) {
  const auto words = split(trim(command), ' ');
  std::string_view program = words.front();
  if (const size_t slash = program.rfind('/'); slash != std::string_view::npos)
    program.remove_prefix(slash + 1);
  DataCommand found;
  bool sender = false, server = false, source = false, sink = false;
  for (size_t i = 1; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "--server") server = true;
    if (words[i] == "--sender") sender = true;
    if (words[i].starts_with('-') && !words[i].starts_with("--")) {
      source = source || words[i].find('f') != std::string_view::npos;
      sink = sink || words[i].find('t') != std::string_view::npos;
    }
  }
  if (program == "scp" && (source || sink)) found = {true, sink, source && !sink};
  if (program == "rsync" && server) found = {true, !sender, sender};
  if (program == "sftp-server") found = {true, true, true};
  if (program == "git-upload-pack" || program == "git-upload-archive") found = {true, false, true};
  if (program == "git-receive-pack") found = {true, true, false};
  return found;
}

}  // namespace merlon::ssh

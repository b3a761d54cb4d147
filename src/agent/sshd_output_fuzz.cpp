// What sshd -T and ssh-keygen say, whatever they are on this machine: a key that is taken from it is one line
// of two words.
#include <cstdlib>

#include "agent/ssh_server.h"
#include "base/bytes.h"
#include "machine/ssh_trust.h"

using namespace merlon;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text({data, size});
  const auto configuration = agent::read_ssh_configuration(text);
  if (configuration.host_key_files.size() > 64) std::abort();
  for (const std::string& file : configuration.host_key_files)
    if (file.empty() || file.find('\n') != std::string::npos) std::abort();
  const std::string key = agent::ssh_key_of(text);
  if (!key.empty() && (!machine::is_ssh_key_line(key) || key.find('\n') != std::string::npos ||
                       key.find(' ') != key.rfind(' ')))
    std::abort();
  return 0;
}

// What the unprivileged half may ask of the privileged one about callers of identities: read with bounds,
// looked for among the control groups, and written for the kernel without a word of it getting into the text
// of a command.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "agent/firewall_identity.h"
#include "agent/metadata.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = merlon::parse_json_object(merlon::as_text({data, size}));
  if (!json) return 0;
  const auto doors = merlon::agent::IdentityDoors::from_json(*json);
  if (!doors) return 0;
  merlon::agent::IdentityRedirects wanted;
  wanted.link_local = doors->link_local;
  for (const merlon::agent::IdentityDoor& door : doors->doors) {
    merlon::agent::IdentityRedirect redirect;
    redirect.port = door.port;
    for (const std::string& unit : door.units) redirect.cgroups.push_back({"system.slice/" + unit, 1});
    wanted.redirects.push_back(std::move(redirect));
  }
  const std::string text = merlon::agent::identity_text(wanted);
  MERLON_CHECK(text.find_first_of("'#$`") == std::string::npos);
  // Only the chain's own declaration has them.
  MERLON_CHECK(std::ranges::count(text, ';') == (text.find("add chain") == std::string::npos ? 0 : 2));
  // Two quotes around each group's path, and one command on each line.
  size_t quotes = 0;
  for (const char c : text) quotes += c == '"' ? 1 : 0;
  MERLON_CHECK(quotes % 2 == 0);
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    MERLON_CHECK(text.compare(at, 4, "add ") == 0 || text.compare(at, 7, "delete ") == 0);
  const std::string kept = merlon::agent::identity_text(wanted, false);
  for (size_t at = 0; at < kept.size(); at = kept.find('\n', at) + 1)
    MERLON_CHECK(kept.compare(at, 4, "add ") == 0 || kept.compare(at, 6, "flush ") == 0 ||
                 (wanted.empty() && kept.compare(at, 7, "delete ") == 0));
  return 0;
}

// The JSON forms of the above. Both ends use them.
#include "machine/ssh_trust.h"

#include <algorithm>

#include "machine/fields.h"

namespace merlon::machine {
namespace {

constexpr size_t kMessageMax = 2048;
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool is_made_of(std::string_view text, std::string_view more) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return kLetters.find(c) != std::string_view::npos || more.find(c) != std::string_view::npos;
  });
}

}  // namespace

bool is_ssh_key_line(std::string_view line) {
  const size_t space = line.find(' ');
  return line.size() <= kSshKeyLineMax && space != std::string_view::npos && space <= 64 &&
         is_made_of(line.substr(0, space), "-@.") && is_made_of(line.substr(space + 1), "+/=");
}

JsonObject SshTrust::to_json() const { return {{"authority", authority}}; }

Result<SshTrust> SshTrust::from_json(const JsonObject& json) {
  SshTrust trust{.authority = TRY(text_field(json, "authority", kSshKeyLineMax))};
  if (!is_ssh_key_line(trust.authority)) return wrong_field("authority", "one public SSH key");
  return trust;
}

JsonObject SshFacts::to_json() const {
  return {
      {"hostKeys", JsonArray(host_keys.begin(), host_keys.end())}, {"trust", trust}, {"message", message}};
}

Result<SshFacts> SshFacts::from_json(const JsonObject& json) {
  SshFacts facts;
  facts.host_keys = TRY(texts_field(json, "hostKeys", kSshHostKeysMax));
  for (const std::string& line : facts.host_keys)
    if (!is_ssh_key_line(line)) return wrong_field("hostKeys", "an array of public SSH keys");
  facts.trust = TRY(text_field(json, "trust", 32));
  facts.message = TRY(text_field_or_empty(json, "message", kMessageMax));
  return facts;
}

}  // namespace merlon::machine

// What an agent, or whoever has its key, sends to the server: read with bounds, and what was read can be
// written and read again to the same text.
#include <cstdlib>

#include "base/bytes.h"
#include "machine/call.h"
#include "machine/messages.h"

using namespace merlon;

namespace {

template <class Message>
void round_trip(const JsonObject& json) {
  const auto read = Message::from_json(json);
  if (!read) {
    if (read.error().kind == ErrorKind::internal || read.error().message.empty()) std::abort();
    return;
  }
  const std::string text = to_text(read->to_json());
  const auto back = parse_json_object(text);
  if (!back) std::abort();
  const auto again = Message::from_json(*back);
  if (!again || to_text(again->to_json()) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = parse_json_object(as_text({data, size}));
  if (!json) return 0;
  round_trip<machine::SyncRequest>(*json);
  round_trip<machine::EnrolRequest>(*json);
  round_trip<machine::MachineFacts>(*json);
  round_trip<machine::SyncAnswer>(*json);
  round_trip<machine::EnrolAnswer>(*json);
  round_trip<machine::TokenRequest>(*json);
  round_trip<machine::TokenAnswer>(*json);
  round_trip<machine::IdentityEndpoint>(*json);
  round_trip<machine::SshTrust>(*json);
  round_trip<machine::SshFacts>(*json);
  round_trip<machine::AgentCall>(*json);
  round_trip<machine::CallRefusal>(*json);
  if (const auto calls = machine::read_calls(*json); calls && calls->size() > machine::kCallsMax)
    std::abort();
  return 0;
}
